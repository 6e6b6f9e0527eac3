//! `[server]`

use std::net::{Ipv4Addr, SocketAddr};

use doorward_oauth::issuer::Issuer;
use ipnet::IpNet;

use super::Span;
use super::section::section;

section! {
    /// The public server, which clients and people reach.
    pub struct Server in "server" {
        /// The public URL of this server, exactly as clients see it: `https`, or `http` on loopback; no trailing slash.
        issuer: String = "http://localhost:9000".to_owned(),
        /// The address on which the public server listens.
        address: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 9000)),
        /// The proxies whose `X-Forwarded-For` is believed; from anybody else the header is ignored.
        trusted_proxies: Vec<IpNet> = Vec::new(),
        /// How long a connection of the public server may wait for its next request. Set it above the time for which the proxy keeps idle connections: else the proxy now and then sends a request on one that has just been closed.
        idle_timeout: Span = Span::seconds(75),
        /// Whether browsers are told to use HTTPS only (`Strict-Transport-Security`), which counts for every port of the host. Never sent for an issuer on loopback.
        hsts: bool = true,
        /// How long the server goes on after it was asked to end, while `/readyz` says 503: so long a load balancer may take to notice, and no request is lost on a connection that closes.
        shutdown_delay: Span = Span::seconds(0),
    }
}

impl Server {
    /// Whether the issuer is on loopback. An issuer that cannot be read is not.
    pub(super) fn issuer_is_loopback(&self) -> bool {
        Issuer::parse(&self.issuer).is_ok_and(|issuer| issuer.is_loopback())
    }
}
