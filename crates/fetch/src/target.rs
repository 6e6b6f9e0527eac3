//! What a URL says before anything is sent.

use std::net::IpAddr;

use url::{Host, Url};

use crate::address::{is_loopback_address, is_public_address};
use crate::error::FetchError;
use crate::policy::FetchPolicy;

/// Longer URLs are refused.
const MAX_URL: usize = 2048;

/// Unprivileged ports of well-known services that are not meant to answer a browser: databases, caches,
/// queues, remote desktops, orchestration, and what the Fetch standard blocks (§2.9 "bad port").
const BLOCKED_PORTS: [u16; 53] = [
    1080, 1433, 1521, 1719, 1720, 1723, 1883, 2049, 2181, 2375, 2376, 2379, 2380, 3128, 3260, 3306, 3389,
    3659, 4045, 4190, 4369, 5060, 5061, 5432, 5672, 5900, 5984, 5985, 5986, 6000, 6379, 6443, 6566, 6665,
    6666, 6667, 6668, 6669, 6679, 6697, 7001, 8500, 9042, 9092, 9200, 9300, 10080, 10250, 11211, 25565,
    27017, 27018, 27019,
];

/// Names that never belong to a public server (RFC 6761, RFC 6762, RFC 8375, ICANN's collision names).
const PRIVATE_SUFFIXES: [&str; 9] = [
    "localhost",
    "localdomain",
    "local",
    "internal",
    "intranet",
    "lan",
    "home",
    "corp",
    "home.arpa",
];

/// A URL that may be fetched, as far as it can be told without resolving its host.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) url: Url,
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Target {
    pub(crate) fn parse(text: &str, policy: &FetchPolicy) -> Result<Self, FetchError> {
        if text.len() > MAX_URL {
            return Err(FetchError::InvalidUrl("it is longer than 2048 characters"));
        }
        let url = Url::parse(text).map_err(|_| FetchError::InvalidUrl("it is not a URL"))?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(FetchError::InvalidUrl("its scheme is not https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(FetchError::InvalidUrl("it carries a user name or password"));
        }
        if url.fragment().is_some() {
            return Err(FetchError::InvalidUrl("it has a fragment"));
        }
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(FetchError::InvalidUrl("it has no host"));
        };
        let target = Self {
            host: host.to_owned(),
            port,
            url,
        };
        target.check(policy)?;
        Ok(target)
    }

    fn check(&self, policy: &FetchPolicy) -> Result<(), FetchError> {
        if policy.allow_loopback_http && self.is_loopback() {
            let port_is_fine = matches!(self.port, 80 | 443) || is_unprivileged_web_port(self.port);
            return port_is_fine
                .then_some(())
                .ok_or(FetchError::InvalidUrl("its port is not allowed"));
        }
        let http = self.url.scheme() == "http";
        let mut allowed = policy.allowed_hosts.iter().filter(|a| a.host == self.host);
        if http && !allowed.clone().any(|allowed| allowed.http) {
            return Err(FetchError::InvalidUrl("its scheme is not https"));
        }
        if policy.allows(&self.host) {
            let exact = allowed.any(|allowed| allowed.port == self.port && allowed.http == http);
            return exact
                .then_some(())
                .ok_or_else(|| FetchError::Blocked(self.host.clone()));
        }
        match self.address() {
            Some(address) if !is_public_address(address) => Err(FetchError::Blocked(self.host.clone())),
            None if is_private_name(&self.host) => Err(FetchError::Blocked(self.host.clone())),
            _ if self.port != 443 && !is_unprivileged_web_port(self.port) => {
                Err(FetchError::InvalidUrl("its port is not allowed"))
            }
            _ => Ok(()),
        }
    }

    /// The address, when the host is one.
    fn address(&self) -> Option<IpAddr> {
        match self.url.host()? {
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
            Host::Domain(_) => None,
        }
    }

    /// Whether the host is a name, which has to be resolved.
    pub(crate) fn is_name(&self) -> bool {
        self.address().is_none()
    }

    pub(crate) fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.address().is_some_and(is_loopback_address)
    }
}

/// Whether the addresses that a host name (or the peer of a connection) turned out to have may be used.
pub(crate) fn address_is_allowed(host: &str, address: IpAddr, policy: &FetchPolicy) -> bool {
    if policy.allows(host) {
        return true;
    }
    let is_loopback = is_loopback_address(address);
    // A name server that gives it another meaning would take plain HTTP off this machine.
    if host == "localhost" {
        return policy.allow_loopback_http && is_loopback;
    }
    if is_loopback {
        let literal = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>();
        return policy.allow_loopback_http && literal.is_ok_and(is_loopback_address);
    }
    is_public_address(address)
}

fn is_unprivileged_web_port(port: u16) -> bool {
    port >= 1024 && !BLOCKED_PORTS.contains(&port)
}

/// Single-label names, names with a trailing dot and the private suffixes.
fn is_private_name(host: &str) -> bool {
    !host.contains('.')
        || host.ends_with('.')
        || PRIVATE_SUFFIXES.iter().any(|suffix| {
            host.strip_suffix(suffix)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
