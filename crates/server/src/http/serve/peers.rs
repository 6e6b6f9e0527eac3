//! Whose connections are counted by address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use prometheus_client::metrics::gauge::Gauge;

use crate::http::address::TrustedProxies;
use crate::http::metrics::Metrics;

/// Who connects to a listener: strangers, of whom an address may hold so many connections, and peers that are known and
/// may hold all.
#[derive(Debug, Clone)]
pub struct Peers {
    known: TrustedProxies,
    pub(super) metrics: Metrics,
    /// Those of the listener that are open.
    pub(super) connections: Gauge,
}

impl Peers {
    /// Known are the proxies that are trusted, behind whom are many, and this machine.
    pub fn new(trusted_proxies: &[IpNet], metrics: Metrics) -> Self {
        Self::only(trusted_proxies.iter().copied().chain(this_machine()), metrics)
    }

    pub(super) fn only(known: impl IntoIterator<Item = IpNet>, metrics: Metrics) -> Self {
        Self {
            known: TrustedProxies::new(known.into_iter().collect()),
            metrics,
            connections: Gauge::default(),
        }
    }

    /// The same, of the listener of this name: its connections are counted.
    #[must_use]
    pub fn of(self, listener: &'static str) -> Self {
        Self {
            connections: self.metrics.connections(listener),
            ..self
        }
    }

    pub(super) fn know(&self, address: IpAddr) -> bool {
        self.known.contains(address.to_canonical())
    }
}

fn this_machine() -> impl Iterator<Item = IpNet> {
    let networks = [
        IpNet::new(Ipv4Addr::LOCALHOST.into(), 8),
        IpNet::new(Ipv6Addr::LOCALHOST.into(), 128),
    ];
    networks.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_and_trusted_proxies_are_known() {
        let proxies: IpNet = "10.0.0.0/8".parse().unwrap();
        let peers = Peers::new(&[proxies], Metrics::new());
        for (address, is_known) in [
            ("127.0.0.1", true),
            ("127.8.9.10", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("::ffff:10.1.2.3", true),
            ("192.0.2.1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(peers.know(address.parse().unwrap()), is_known, "{address}");
        }
    }
}
