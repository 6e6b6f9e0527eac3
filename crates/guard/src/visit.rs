//! The way of a request through the guard, without a framework: the head first, then the body, then the answer.

mod admit;
mod denied;
mod head;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use doorward_oauth::dpop::Proof;
use doorward_oauth::scope::ScopeSet;
use doorward_oauth::time::UnixSeconds;
use futures_util::future::{BoxFuture, select};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use crate::audit::{Scene, Verdict, report};
use crate::claims::Claims;
use crate::credentials;
use crate::dpop::{DPOP, DPOP_NONCE};
use crate::guard::Inner;
use crate::lists::{self, EventFilter};
use crate::message::headers::Mirrored;
use crate::message::{Envelope, Message};
use crate::origin;
use crate::refusal::Refusal;
use crate::sessions::Principal;

pub use denied::Denied;
pub use head::Head;
pub(crate) use head::below;

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// How long a timer runs before the clock is asked again.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

/// A finished answer: status, headers and the whole body.
pub type Answer = Response<Bytes>;

/// Why the body of a request could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyFault {
    /// Larger than [`Visit::max_body`]: `413`.
    TooLarge,
    /// It broke off: `400`.
    Unreadable,
    /// It did not arrive in time: `408`.
    TooSlow,
}

/// A request whose head is good.
pub struct Visit {
    guard: Arc<Inner>,
    method: Method,
    claims: Claims,
    session: Option<Vec<u8>>,
    /// The page that sent the request.
    page: Option<Box<HeaderValue>>,
    mirrored: Mirrored,
    /// What the route needs besides.
    route: ScopeSet,
    /// To be spent. It stays afterwards: whoever asks again has a proof that was used.
    proof: Option<Box<Proof>>,
    /// Whether there is one to take out of the headers.
    has_proof: bool,
    next_nonce: Option<Box<HeaderValue>>,
    /// Whether the answer may be, or hold, a list.
    lists: bool,
}

impl Visit {
    /// Whose token it is, and what it says.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The largest body, in bytes.
    pub fn max_body(&self) -> usize {
        self.guard.max_body
    }

    /// Scopes that the route of this request needs besides.
    pub fn require(&mut self, scopes: &ScopeSet) {
        self.route.extend(scopes.iter().cloned());
    }

    /// Whether [`authorize`](Self::authorize) may have to wait: there is a proof to be spent. Else it completes at once. Stays
    /// `true` when it was spent.
    pub fn has_proof_to_spend(&self) -> bool {
        self.proof.is_some()
    }

    /// The second half: what the whole body asks for. Spends the proof, last: what is refused for another reason spends
    /// nothing.
    ///
    /// To be asked once. A request with a proof never passes a second time; one that broke off, or for which the replay store
    /// could not be asked, may be asked for again, and spends its proof then.
    ///
    /// Completes at once, without a tokio runtime, unless a shared replay store must be waited for.
    ///
    /// # Errors
    /// The finished answer, when the request may not go on.
    pub async fn authorize(&mut self, body: &[u8]) -> Result<(), Answer> {
        let mut messages = Vec::new();
        let decided = self.decide(body, &mut messages).await;
        let scene = Scene {
            claims: Some(&self.claims),
            messages: &messages,
        };
        let guard = &self.guard;
        match decided {
            Ok(()) => {
                guard.metrics.allow();
                if let Some(hook) = &guard.audit {
                    report(&**hook, guard.clock.now(), scene, Verdict::Allowed);
                }
                self.lists |= messages.iter().any(Message::asks_for_a_list);
                Ok(())
            }
            Err(refusal) => Err(guard.refuse_page(&refusal, scene, self.page.as_deref().cloned())),
        }
    }

    /// The body is read whatever the method: a service may look at it.
    async fn decide<'b>(&mut self, body: &'b [u8], messages: &mut Vec<Message<'b>>) -> Result<(), Refusal> {
        if body.len() > self.max_body() {
            return Err(Refusal::BodyTooLarge);
        }
        if self.method == Method::POST || !body.is_empty() {
            let envelope = Envelope::parse(body).map_err(Refusal::Message)?;
            let checked = self.mirrored.check(&envelope);
            let mismatch = checked.map_err(|_| Refusal::HeaderMismatch {
                id: envelope.id().cloned(),
            });
            *messages = envelope.messages;
            mismatch?;
        }
        let scopes = &self.guard.terms.scopes;
        scopes
            .check(&self.claims.scopes, &self.route, messages)
            .map_err(|needed| Refusal::InsufficientScope { needed })?;
        if let Some(proof) = &self.proof {
            // Boxed: most requests have none.
            let spent = Box::pin(spend(&self.guard, proof, body)).await;
            self.next_nonce = spent?.map(Box::new);
        }
        Ok(())
    }

    /// The answer to a request whose body could not be read.
    pub fn refuse_body(&self, fault: BodyFault) -> Answer {
        let refusal = match fault {
            BodyFault::TooLarge => Refusal::BodyTooLarge,
            BodyFault::Unreadable => Refusal::BodyUnreadable,
            BodyFault::TooSlow => Refusal::BodyTooSlow,
        };
        let scene = Scene {
            claims: Some(&self.claims),
            messages: &[],
        };
        self.guard
            .refuse_page(&refusal, scene, self.page.as_deref().cloned())
    }

    /// Takes token and proof out of the headers: they are for this server alone, and nothing behind the guard can pass them
    /// on.
    pub fn strip(&self, headers: &mut HeaderMap) {
        credentials::strip(headers);
        if self.has_proof {
            headers.remove(DPOP);
        }
        if self.filters_lists() {
            // What is compressed cannot be looked into.
            headers.remove(http::header::ACCEPT_ENCODING);
        }
    }

    /// Completes the head of the answer, and learns from it which session began or ended.
    pub fn leave(&self, status: StatusCode, headers: &mut HeaderMap) {
        if let Some(sessions) = &self.guard.sessions {
            if let Some(session) = &self.session {
                if status == StatusCode::NOT_FOUND || (self.method == Method::DELETE && status.is_success()) {
                    sessions.forget(session);
                }
            } else if let Some(id) = headers.get(SESSION_ID).filter(|_| status.is_success()) {
                let principal = Principal::of(&self.claims);
                sessions.learn(id.as_bytes(), principal, self.guard.clock.now());
            }
        }
        if let Some(nonce) = &self.next_nonce {
            headers.insert(DPOP_NONCE, HeaderValue::clone(nonce));
        }
        if let Some(origin) = &self.page {
            origin::allow(headers, HeaderValue::clone(origin));
        }
    }

    /// Whether [`leave`](Self::leave) adds to the head of the answer. Where it does not, it looks at nothing in it but
    /// `Mcp-Session-Id`.
    pub fn adds_headers(&self) -> bool {
        self.next_nonce.is_some() || self.page.is_some()
    }

    /// Whether the answer may hold a list that must pass [`filter_list`](Self::filter_list) (JSON) or
    /// [`event_filter`](Self::event_filter) (an event stream).
    /// See [`hide_unavailable`](crate::GuardBuilder::hide_unavailable).
    pub fn filters_lists(&self) -> bool {
        self.lists && self.guard.terms.scopes.hides_unavailable()
    }

    /// The body of a JSON answer without what the token may not call; `None` when it stays as it is.
    pub fn filter_list(&self, body: &[u8]) -> Option<Bytes> {
        let hidden = self.guard.terms.scopes.hidden(&self.claims.scopes);
        lists::filter(body, &hidden)
    }

    /// The same for an event stream, part by part.
    pub fn event_filter(&self) -> EventFilter {
        let terms = Arc::clone(&self.guard.terms);
        EventFilter::new(terms, self.claims.clone(), self.guard.max_body)
    }

    /// Whether the token has ended since, with the clock skew that the guard allows.
    pub fn has_expired(&self) -> bool {
        self.end() <= self.guard.clock.now()
    }

    fn end(&self) -> UnixSeconds {
        self.claims.expires_at + self.guard.skew
    }

    /// Completes when an event stream with which the request is answered must end: the token has ended, or it is known that
    /// it was revoked. `None` when streams may outlive it
    /// (see [`end_streams_with_token`](crate::GuardBuilder::end_streams_with_token)). Needs a tokio runtime.
    pub fn ended(&self) -> Option<BoxFuture<'static, ()>> {
        if !self.guard.end_streams {
            return None;
        }
        let clock = Arc::clone(&self.guard.clock);
        let end = self.end();
        let expired = Box::pin(async move {
            loop {
                let left = end.since(clock.now());
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
            }
        });
        Some(match self.guard.revocations.revoked(&self.claims) {
            Some(revoked) => Box::pin(async move {
                select(revoked, expired).await;
            }),
            None => expired,
        })
    }
}

/// Lets the proof of a request count, and gives the nonce that goes with the answer.
async fn spend(guard: &Inner, proof: &Proof, body: &[u8]) -> Result<Option<HeaderValue>, Refusal> {
    let dpop = &guard.dpop;
    dpop.check_content(proof, body)?;
    let now = guard.clock.now();
    dpop.spend(proof, now).await?;
    Ok(dpop.next_nonce(proof, now))
}

impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visit")
            .field("method", &self.method)
            .field("claims", &self.claims)
            .finish_non_exhaustive()
    }
}
