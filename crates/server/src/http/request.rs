//! What is known of a request before an endpoint sees it.

use std::borrow::Cow;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::extract::{FromRequestParts, MatchedPath, Request};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use doorward_store::{Actor, ActorKind, ClientId};

use crate::issue::Issued;
use crate::random::Random;
use crate::shown;

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
    route: OnceLock<Route>,
    /// As the request names it.
    client_id: OnceLock<String>,
    /// Whether the client of that name is there, and let the request pass as its own.
    client_is_known: AtomicBool,
    issued: OnceLock<Issued>,
    actor: OnceLock<Actor>,
    mistaken: OnceLock<Mistaken>,
    told: AtomicBool,
}

/// For whom somebody showed a credential that is none of theirs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Mistaken {
    /// A client that an operator made.
    Client(ClientId),
    /// An operator.
    Operator,
}

/// The path as the router has it.
#[derive(Debug)]
enum Route {
    Found(MatchedPath),
    Known(Arc<str>),
}

impl RequestInfo {
    pub(crate) fn new(id: Arc<str>, headers: &HeaderMap, address: IpAddr) -> Self {
        Self {
            id,
            address,
            callers_id: callers_id(headers).map(Into::into),
            noted: Arc::default(),
        }
    }

    /// Notes the route that the router has found for this request.
    pub(super) fn note_route(request: &Request) {
        let extensions = request.extensions();
        if let (Some(info), Some(route)) = (extensions.get::<Self>(), extensions.get::<MatchedPath>()) {
            let _ = info.noted.route.set(Route::Found(route.clone()));
        }
    }

    /// Notes the route of a request that needs no router.
    pub(super) fn note_known_route(&self, route: &Arc<str>) {
        let _ = self.noted.route.set(Route::Known(Arc::clone(route)));
    }

    /// The path as the router has it.
    pub(crate) fn route(&self) -> &str {
        match self.noted.route.get() {
            Some(Route::Found(route)) => route.as_str(),
            Some(Route::Known(route)) => route,
            None => "unmatched",
        }
    }

    /// Puts the client that a request names into its log line, as somebody whom anybody can name.
    pub(crate) fn note_claimed_client(&self, client_id: &str) {
        // The first note stands: later ones come from code that resolves the same client again.
        let _ = self.noted.client_id.set(bounded(client_id));
    }

    /// Puts the client into the request's log line.
    pub(crate) fn note_client(&self, client_id: &str) {
        self.note_claimed_client(client_id);
        self.noted.client_is_known.store(true, Ordering::Relaxed);
    }

    /// Puts the token that this request is answered with into its log line.
    pub(crate) fn note_issued(&self, issued: Issued) {
        let _ = self.noted.issued.set(issued);
    }

    /// Notes who asks, once that is proven: what they are refused is written down. Who let themselves in (a client that
    /// registered itself) proves nothing by a secret of their own.
    pub(crate) fn note_actor(&self, actor: Actor) {
        if actor.is_proven() {
            let _ = self.noted.actor.set(actor);
        }
    }

    /// Notes for whom a credential was shown that is wrong.
    pub(crate) fn note_mistaken(&self, mistaken: Mistaken) {
        let _ = self.noted.mistaken.set(mistaken);
    }

    /// Notes that it is written down, or counted, why this request is refused.
    pub(crate) fn note_told(&self) {
        self.noted.told.store(true, Ordering::Relaxed);
    }

    /// Who was refused, when that is still to be written down.
    pub(super) fn untold(&self) -> Option<&Actor> {
        self.noted.actor.get().filter(|_| !self.is_told())
    }

    /// Whether it is written down, or counted, why this request is refused.
    pub(super) fn is_told(&self) -> bool {
        self.noted.told.load(Ordering::Relaxed)
    }

    /// What kind of actor asks, as far as that is proven.
    pub(super) fn actor_kind(&self) -> ActorKind {
        self.noted.actor.get().map_or(ActorKind::Anyone, Actor::kind)
    }

    /// For whom a credential was shown that is wrong.
    pub(super) fn mistaken(&self) -> Option<&Mistaken> {
        self.noted.mistaken.get()
    }

    pub(super) fn callers_id(&self) -> Option<&str> {
        self.callers_id.as_deref()
    }

    /// The client, when it is known.
    pub(super) fn client_id(&self) -> Option<&str> {
        let is_known = self.noted.client_is_known.load(Ordering::Relaxed);
        self.named().filter(|_| is_known)
    }

    /// The client that is named, as long as it is not known, as the log shows it.
    pub(super) fn claimed_client_id(&self) -> Option<Cow<'_, str>> {
        let is_known = self.noted.client_is_known.load(Ordering::Relaxed);
        self.named().filter(|_| !is_known).map(shown::client_id)
    }

    /// The name of the operator's key.
    pub(super) fn admin_key(&self) -> Option<&str> {
        match self.noted.actor.get() {
            Some(Actor::AdminKey(name)) => Some(name),
            _ => None,
        }
    }

    fn named(&self) -> Option<&str> {
        self.noted.client_id.get().map(String::as_str)
    }

    pub(super) fn issued(&self) -> Option<&Issued> {
        self.noted.issued.get()
    }
}

/// What a stranger wrote, short enough for a line.
fn bounded(text: &str) -> String {
    const LONGEST: usize = 256;
    if text.len() <= LONGEST {
        text.to_owned()
    } else {
        text.chars().take(LONGEST).collect()
    }
}

/// The caller's own `X-Request-Id`, if it is harmless in a log.
pub(super) fn callers_id(headers: &HeaderMap) -> Option<&str> {
    let id = headers.get("x-request-id")?.to_str().ok()?;
    let harmless = (8..=64).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    harmless.then_some(id)
}

/// Makes the names of requests, of randomness that is taken for many at a time.
pub(super) struct RequestIds {
    random: Arc<dyn Random>,
    left: Mutex<Vec<[u8; 8]>>,
}

impl RequestIds {
    /// Names for which randomness is taken at a time.
    const MANY: usize = 64;

    pub(super) fn new(random: Arc<dyn Random>) -> Self {
        Self {
            random,
            left: Mutex::default(),
        }
    }

    /// The next one: 16 hexadecimal digits.
    pub(super) fn next(&self) -> Arc<str> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if left.is_empty() {
            let mut bytes = [[0; 8]; Self::MANY];
            self.random.fill(bytes.as_flattened_mut());
            left.extend_from_slice(&bytes);
        }
        let bytes = left.pop().unwrap_or_default();
        drop(left);
        hex(bytes)
    }
}

fn hex(bytes: [u8; 8]) -> Arc<str> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 16];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    str::from_utf8(&text).unwrap_or_default().into()
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
