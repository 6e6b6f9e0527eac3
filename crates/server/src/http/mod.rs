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
pub(crate) mod json;
pub(crate) mod limits;
mod line;
pub mod metrics;
mod no_room;
pub(crate) mod request;
mod route;
pub mod serve;
pub(crate) mod shares;
mod shortcut;
mod straight;

use std::sync::Arc;

use axum::Router;
use doorward_oauth::issuer::Issuer;

pub(crate) use envelope::{Envelope, Intended};
pub(crate) use no_room::NoRoom;
pub(crate) use shortcut::Shortcut;
pub(crate) use straight::Straight;

use self::address::TrustedProxies;
use self::cors::OpenRoutes;
use self::envelope::Sealed;
use self::host::AllowedHosts;
use self::limits::Limits;
use self::metrics::Metrics;
use self::request::RequestIds;
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
            ids: RequestIds::new(random),
            metrics,
            proxies: TrustedProxies::new(settings.server.trusted_proxies.clone()),
            // RFC 6797 §8.3: it would count for every port of the name, those of clients on this machine too.
            hsts: settings.server.hsts && issuer.is_https() && !issuer.is_loopback(),
            pages: Some(issuer.path().to_owned()),
            recorder: None,
            hosts: AllowedHosts::for_issuer(issuer),
            limits: Limits::FORMS,
            bodies: limits::room_for_bodies(),
            open: None,
            shortcuts: Vec::new(),
            straight: Vec::new(),
        }
    }

    /// The same, and what is refused is written down.
    pub(crate) fn recording(self, recorder: Arc<Recorder>) -> Self {
        Self {
            recorder: Some(recorder),
            ..self
        }
    }

    /// The same, and errors on these routes can be read from other origins.
    pub(crate) fn with_open_routes(self, open: OpenRoutes) -> Self {
        Self {
            open: Some(open),
            ..self
        }
    }

    /// The same, with a short way to these documents.
    pub(crate) fn with_shortcuts(self, shortcuts: Vec<Shortcut>) -> Self {
        Self { shortcuts, ..self }
    }

    /// The same, with a straight way to these endpoints, which the router has too.
    pub(crate) fn with_straight(self, straight: Vec<Straight>) -> Self {
        Self { straight, ..self }
    }
}

/// Puts everything of this room around the public router: the envelope, within it the guard against DNS rebinding, then
/// the limits.
pub(crate) fn wrap_public(router: Router, envelope: Envelope) -> Router {
    seal(router, envelope)
}

/// The same for the operators' router, which has no pages: every error is JSON, whoever asks. It is asked under any name.
pub(crate) fn wrap_admin(router: Router, envelope: Envelope) -> Router {
    let envelope = Envelope {
        pages: None,
        hosts: AllowedHosts::Any,
        limits: Limits::JSON,
        ..envelope
    };
    seal(router, envelope)
}

fn seal(router: Router, envelope: Envelope) -> Router {
    let router = router.fallback(failure::not_found);
    Router::new().fallback_service(Sealed::new(envelope, router))
}

#[cfg(test)]
mod log_tests;
#[cfg(test)]
mod tests;
