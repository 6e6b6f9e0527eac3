//! What every request passes before it reaches an endpoint, and every answer before it leaves.

pub(crate) mod address;
pub(crate) mod cookies;
pub(crate) mod cors;
pub(crate) mod csrf;
pub(crate) mod document;
mod envelope;
pub(crate) mod error;
mod failure;
pub(crate) mod form;
pub(crate) mod headers;
mod host;
pub(crate) mod limits;
pub mod metrics;
pub(crate) mod request;
pub mod serve;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use doorward_oauth::issuer::Issuer;

pub(crate) use envelope::Envelope;

use self::address::TrustedProxies;
use self::limits::Limits;
use self::metrics::Metrics;
use crate::audit::Recorder;
use crate::config::Settings;
use crate::random::Random;

impl Envelope {
    /// The envelope of a server with these settings.
    pub(crate) fn new(
        settings: &Settings,
        issuer: &Issuer,
        random: Arc<dyn Random>,
        metrics: Metrics,
    ) -> Self {
        Self {
            random,
            metrics,
            proxies: TrustedProxies::new(settings.server.trusted_proxies.clone()),
            https: issuer.is_https(),
            pages: Some(issuer.path().to_owned()),
            recorder: None,
        }
    }

    /// The same, and what is refused is written down.
    pub(crate) fn recording(self, recorder: Arc<Recorder>) -> Self {
        Self {
            recorder: Some(recorder),
            ..self
        }
    }
}

/// Puts everything of this room around the public router: outermost the envelope, then the guard against
/// DNS rebinding, then the limits.
pub(crate) fn wrap_public(router: Router, envelope: Envelope, issuer: &Issuer) -> Router {
    let hosts = host::AllowedHosts::for_issuer(issuer);
    router
        .fallback(failure::not_found)
        .layer(from_fn_with_state(Limits::FORMS, limits::enforce))
        .layer(from_fn_with_state(hosts, host::check))
        .layer(from_fn_with_state(envelope, envelope::seal))
}

/// The same for the operators' router, which has no pages: every error is JSON, whoever asks.
pub(crate) fn wrap_admin(router: Router, envelope: Envelope) -> Router {
    let envelope = Envelope {
        pages: None,
        ..envelope
    };
    router
        .fallback(failure::not_found)
        .layer(from_fn_with_state(Limits::JSON, limits::enforce))
        .layer(from_fn_with_state(envelope, envelope::seal))
}

#[cfg(test)]
mod log_tests;
#[cfg(test)]
mod tests;
