//! Against DNS rebinding: a server on loopback answers only under loopback names, so that a web page whose
//! name was pointed at 127.0.0.1 cannot talk to it.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use doorward_oauth::issuer::Issuer;

use super::failure::Failure;

/// Which names are answered.
#[derive(Debug, Clone)]
pub(super) enum AllowedHosts {
    /// Any: the issuer is not on loopback, and whoever stands in front decides.
    Any,
    /// Loopback names, and the issuer's own.
    Loopback(Arc<str>),
}

impl AllowedHosts {
    pub(super) fn for_issuer(issuer: &Issuer) -> Self {
        if !issuer.is_loopback() {
            return Self::Any;
        }
        let origin = issuer.origin();
        let authority = origin
            .split_once("://")
            .and_then(|(_, rest)| rest.parse::<Authority>().ok());
        Self::Loopback(
            authority
                .map(|authority| authority.host().to_owned())
                .unwrap_or_default()
                .into(),
        )
    }

    fn allow(&self, host: &str) -> bool {
        let Self::Loopback(issuer) = self else { return true };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case(issuer)
            || host.eq_ignore_ascii_case("localhost")
            || bare
                .parse::<IpAddr>()
                .is_ok_and(|address| address.to_canonical().is_loopback())
    }
}

/// The layer. Health is answered under any name: what asks is a supervisor, and it learns nothing.
pub(super) async fn check(State(hosts): State<AllowedHosts>, request: Request, next: Next) -> Response {
    let authority = request.uri().authority().cloned().or_else(|| {
        let host = request.headers().get(HOST)?;
        Some(
            Authority::try_from(host.as_bytes())
                .unwrap_or_else(|_| Authority::from_static("invalid.invalid")),
        )
    });
    let is_health = matches!(request.uri().path(), "/livez" | "/readyz");
    match authority {
        Some(authority) if !is_health && !hosts.allow(authority.host()) => {
            Failure::from_status(StatusCode::MISDIRECTED_REQUEST).into_response()
        }
        _ => next.run(request).await,
    }
}
