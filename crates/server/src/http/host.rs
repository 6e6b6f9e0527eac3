//! Which host a request is for. Against DNS rebinding a server on loopback answers only under loopback names, so that a web
//! page whose name was pointed at 127.0.0.1 cannot talk to it.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::http::{StatusCode, Version};
use doorward_oauth::issuer::Issuer;

/// Which names are answered.
#[derive(Debug, Clone)]
pub(super) enum AllowedHosts {
    /// Any: the issuer is not on loopback, and whoever stands in front decides.
    Any,
    /// Loopback names, and the issuer's own.
    Loopback(Option<Authority>),
}

impl AllowedHosts {
    pub(super) fn for_issuer(issuer: &Issuer) -> Self {
        if !issuer.is_loopback() {
            return Self::Any;
        }
        let origin = issuer.origin();
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        Self::Loopback(authority.and_then(|authority| authority.parse().ok()))
    }

    fn allow_name(&self, host: &str) -> bool {
        let Self::Loopback(issuer) = self else { return true };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        issuer
            .as_ref()
            .is_some_and(|issuer| host.eq_ignore_ascii_case(issuer.host()))
            || host.eq_ignore_ascii_case("localhost")
            || bare
                .parse::<IpAddr>()
                .is_ok_and(|address| address.to_canonical().is_loopback())
    }

    /// Whether this request may be answered, or with which status it is refused. Health is answered under any name: what
    /// asks is a supervisor, and it learns nothing.
    pub(super) fn check(&self, request: &Request) -> Result<(), StatusCode> {
        if !is_for_one(request) {
            return Err(StatusCode::BAD_REQUEST);
        }
        if !self.allow(request) {
            return Err(StatusCode::MISDIRECTED_REQUEST);
        }
        Ok(())
    }

    fn allow(&self, request: &Request) -> bool {
        let Self::Loopback(issuer) = self else { return true };
        if matches!(request.uri().path(), "/livez" | "/readyz") {
            return true;
        }
        match (request.uri().authority(), request.headers().get(HOST)) {
            (Some(authority), _) => self.allow_name(authority.host()),
            // The issuer's own is the usual one, and is not taken apart.
            (None, Some(host)) if issuer.as_ref().is_some_and(|issuer| *host == *issuer.as_str()) => true,
            (None, Some(host)) => {
                Authority::try_from(host.as_bytes()).is_ok_and(|authority| self.allow_name(authority.host()))
            }
            (None, None) => true,
        }
    }
}

/// Whether a request has one `Host`, as HTTP/1.1 demands, or none where that will do: HTTP/1.0 knows none, and HTTP/2 has
/// `:authority` (RFC 9112 §3.2, RFC 9113 §8.3.1). Of two, others on the way may have taken the other one.
fn is_for_one(request: &Request) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let is_named = hosts.next().is_some();
    hosts.next().is_none() && (is_named || request.version() != Version::HTTP_11)
}
