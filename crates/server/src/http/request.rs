//! What is known of a request before an endpoint sees it.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use doorward_store::Actor;

use crate::random::Random;

/// Set by the envelope on every request; an extractor.
#[derive(Debug, Clone)]
pub(crate) struct RequestInfo {
    /// Names this request in logs, in `X-Request-Id` and, as the error id, on error pages.
    pub(crate) id: Arc<str>,
    /// The client's address, behind trusted proxies.
    pub(crate) address: IpAddr,
    /// The caller's own `X-Request-Id`. It names nothing: anybody can send any, the same one twice.
    callers_id: Option<Arc<str>>,
    noted: Arc<Noted>,
}

/// What the endpoint finds out.
#[derive(Debug, Default)]
struct Noted {
    client_id: OnceLock<String>,
    actor: OnceLock<Actor>,
    told: AtomicBool,
}

impl RequestInfo {
    pub(crate) fn new(headers: &HeaderMap, address: IpAddr, random: &dyn Random) -> Self {
        Self {
            id: hex(random.bytes::<8>()).into(),
            address,
            callers_id: callers_id(headers),
            noted: Arc::default(),
        }
    }

    /// Puts the client into the request's log line.
    pub(crate) fn note_client(&self, client_id: &str) {
        // The first note stands: later ones come from code that resolves the same client again.
        let _ = self.noted.client_id.set(client_id.chars().take(256).collect());
    }

    /// Notes who asks, once that is proven: what they are refused is written down. Who let themselves in (a client that
    /// registered itself) proves nothing by a secret of their own.
    pub(crate) fn note_actor(&self, actor: Actor) {
        if actor.is_proven() {
            let _ = self.noted.actor.set(actor);
        }
    }

    /// Notes that the store has written down why this request is refused.
    pub(crate) fn note_told(&self) {
        self.noted.told.store(true, Ordering::Relaxed);
    }

    /// Who was refused, when that is still to be written down.
    pub(super) fn untold(&self) -> Option<&Actor> {
        self.noted
            .actor
            .get()
            .filter(|_| !self.noted.told.load(Ordering::Relaxed))
    }

    pub(super) fn callers_id(&self) -> Option<&str> {
        self.callers_id.as_deref()
    }

    pub(super) fn client_id(&self) -> Option<&str> {
        self.noted.client_id.get().map(String::as_str)
    }
}

/// The caller's own `X-Request-Id`, if it is harmless in a log.
fn callers_id(headers: &HeaderMap) -> Option<Arc<str>> {
    let id = headers.get("x-request-id")?.to_str().ok()?;
    let harmless = (8..=64).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    harmless.then(|| id.into())
}

fn hex(bytes: [u8; 8]) -> String {
    format!("{:016x}", u64::from_be_bytes(bytes))
}

impl<S: Sync> FromRequestParts<S> for RequestInfo {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        // A router that is tested without its envelope has no information to give.
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(|| Self {
            id: "unknown".into(),
            address: Ipv4Addr::UNSPECIFIED.into(),
            callers_id: None,
            noted: Arc::default(),
        }))
    }
}
