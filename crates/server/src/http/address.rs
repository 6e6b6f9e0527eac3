//! The address a request comes from.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

/// How many `X-Forwarded-For` entries are looked at, from the right.
const MOST_HOPS: usize = 16;

/// The proxies whose `X-Forwarded-For` is believed.
#[derive(Debug, Clone)]
pub(crate) struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    pub(crate) fn new(networks: Vec<IpNet>) -> Self {
        Self(networks.into())
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The right-most address that is not a trusted proxy. What stands further left was written by
    /// strangers; what cannot be read ends the search at the proxy that passed it on.
    pub(crate) fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut nearest = peer.to_canonical();
        // Byte by byte: a line that a stranger made unreadable further left must not hide what a proxy added to it.
        let lines = headers.get_all("x-forwarded-for").iter().rev();
        let hops = lines
            .map(HeaderValue::as_bytes)
            .flat_map(|line| line.rsplit(|byte| *byte == b','));
        for hop in hops.take(MOST_HOPS) {
            if !self.contains(nearest) {
                break;
            }
            match std::str::from_utf8(hop).ok().and_then(parse) {
                Some(address) => nearest = address,
                None => break,
            }
        }
        nearest
    }
}

/// An address as proxies write it: bare, or with a port.
fn parse(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let address = hop
        .parse::<IpAddr>()
        .ok()
        .or_else(|| hop.parse::<std::net::SocketAddr>().ok().map(|socket| socket.ip()))
        .or_else(|| {
            hop.strip_prefix('[')?
                .strip_suffix(']')?
                .parse::<Ipv6Addr>()
                .ok()
                .map(IpAddr::from)
        })?;
    Some(address.to_canonical())
}

/// What limits count by: an IPv4 address, or the /64 that one IPv6 subscriber owns.
pub(crate) fn bucket(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// The /48 of an IPv6 address: what a site gets (RFC 6177), and hosters give away.
pub(crate) fn site(address: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(address) = address.to_canonical() else {
        return None;
    };
    let [a, b, c, ..] = address.segments();
    Some(IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        proxies
            .client_address(peer.parse().unwrap(), &headers)
            .to_string()
    }

    #[test]
    fn a_stranger_cannot_name_its_own_address() {
        assert_eq!(client("203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
    }

    #[test]
    fn the_rightmost_untrusted_entry_counts() {
        assert_eq!(
            client("10.0.0.1", &["1.2.3.4, 198.51.100.1, 10.0.0.7"]),
            "198.51.100.1"
        );
        assert_eq!(
            client("10.0.0.1", &["1.2.3.4", "198.51.100.1:4711"]),
            "198.51.100.1"
        );
        assert_eq!(client("fd00::1", &["[2001:db8::5]:443"]), "2001:db8::5");
    }

    #[test]
    fn an_entry_that_cannot_be_read_ends_the_search() {
        assert_eq!(client("10.0.0.1", &["198.51.100.1, <b>"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }

    /// RATE-002
    #[test]
    fn bytes_that_are_no_text_hide_nothing() {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let client = |lines: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", HeaderValue::from_bytes(line).unwrap());
            }
            let peer = "10.0.0.1".parse().unwrap();
            proxies.client_address(peer, &headers).to_string()
        };
        assert_eq!(client(&[b"\xff, 198.51.100.1"]), "198.51.100.1");
        assert_eq!(client(&[b"1.2.3.4", b"\xff, 198.51.100.1"]), "198.51.100.1");
        assert_eq!(client(&[b"1.2.3.4", b"\xff"]), "10.0.0.1");
        assert_eq!(client(&[b"1.2.3.4", b""]), "10.0.0.1");
    }

    #[test]
    fn mapped_addresses_and_one_subscribers_network_share_a_bucket() {
        let mapped: IpAddr = "::ffff:203.0.113.9".parse().unwrap();
        assert_eq!(bucket(mapped).to_string(), "203.0.113.9");
        assert_eq!(
            bucket("2001:db8:1:2::1".parse().unwrap()),
            bucket("2001:db8:1:2:ffff::9".parse().unwrap())
        );
        assert_ne!(
            bucket("2001:db8:1:2::1".parse().unwrap()),
            bucket("2001:db8:1:3::1".parse().unwrap())
        );
    }
}
