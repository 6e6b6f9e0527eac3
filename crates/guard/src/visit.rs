//! The way of a request through the guard, without a framework: the head first, then the body, then the answer.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use doorward_oauth::dpop::Proof;
use doorward_oauth::scope::ScopeSet;
use futures_util::future::{BoxFuture, select};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri};

use crate::audit::{Scene, Verdict, report};
use crate::claims::Claims;
use crate::credentials::{self, Credentials};
use crate::dpop::{DPOP, DPOP_NONCE, Scheme};
use crate::guard::{Guard, Inner};
use crate::lists::{self, EventFilter};
use crate::message::headers::Mirrored;
use crate::message::{Envelope, encoding};
use crate::origin::{self, Checked};
use crate::reason::Reason;
use crate::refusal::Refusal;
use crate::sessions::Principal;
use crate::verify::Rejection;

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How long a timer runs before the clock is asked again.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

/// A finished answer: status, headers and the whole body.
pub type Answer = Response<Bytes>;

/// All of a request but its body.
#[derive(Debug, Clone, Copy)]
pub struct Head<'r> {
    /// As sent.
    pub method: &'r Method,
    /// Path and query as sent, not decoded.
    pub uri: &'r Uri,
    /// As sent.
    pub headers: &'r HeaderMap,
    /// Where this process serves the resource, if that differs from the path of the resource's public URL.
    pub served_at: Option<&'r str>,
}

impl Head<'_> {
    /// The path that the client asked for, byte for byte as it was sent, except that a proxy's rewriting is undone.
    pub(crate) fn public_path(&self, resource_path: &str) -> Cow<'_, str> {
        let path = self.uri.path();
        match self.served_at.and_then(|served_at| below(path, served_at)) {
            Some("") => Cow::Owned(resource_path.to_owned()),
            Some(below) => Cow::Owned(format!("{}{below}", resource_path.trim_end_matches('/'))),
            None => Cow::Borrowed(path),
        }
    }
}

/// What `path` adds to `served_at`; `None` when it lies elsewhere.
pub(crate) fn below<'p>(path: &'p str, served_at: &str) -> Option<&'p str> {
    if path == served_at {
        return Some("");
    }
    path.strip_prefix(served_at.trim_end_matches('/'))
        .filter(|below| below.starts_with('/'))
}

/// Why the body of a request could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    page: Option<HeaderValue>,
    mirrored: Mirrored,
    /// What the route needs besides.
    route: ScopeSet,
    /// To be spent.
    proof: Option<Proof>,
    next_nonce: Option<HeaderValue>,
    /// Whether the answer may be, or hold, a list.
    lists: bool,
}

impl Guard {
    /// The first half of the way of a request: all that its head tells. Next are [`Visit::authorize`] with the body,
    /// [`Visit::strip`] before the request goes on, and [`Visit::leave`] with the head of the answer.
    ///
    /// Completes at once, without a tokio runtime, unless keys or revocations must be waited for.
    ///
    /// # Errors
    /// The finished answer, when the request may not go on: a refusal, or the answer to a CORS preflight.
    pub async fn admit(&self, head: Head<'_>) -> Result<Visit, Answer> {
        let guard = &self.0;
        let page = match guard.origins.check(head.headers) {
            Checked::Refused => return Err(guard.refuse(&Refusal::Origin, Scene::default())),
            Checked::Allowed(origin) if origin::is_preflight(head.method, head.headers) => {
                return Err(preflight(origin));
            }
            Checked::Allowed(origin) => Some(origin),
            Checked::Absent => None,
        };
        let mut known = None;
        match guard.admit(&head, &mut known).await {
            Ok((session, proof)) => Ok(Visit {
                guard: Arc::clone(guard),
                method: head.method.clone(),
                // There are claims whenever there is no refusal.
                claims: known.ok_or_else(|| guard.refuse(&Refusal::NoCredentials, Scene::default()))?,
                session,
                page,
                mirrored: Mirrored::read(head.headers),
                route: ScopeSet::new(),
                proof,
                next_nonce: None,
                lists: *head.method == Method::GET,
            }),
            Err(refusal) => {
                let scene = Scene {
                    claims: known.as_ref(),
                    messages: &[],
                };
                Err(guard.refuse_page(&refusal, scene, page))
            }
        }
    }

    /// The resource metadata (RFC 9728), if `path` is one at which it must be served, for any method: `405` for others than
    /// `GET`, `HEAD` and `OPTIONS`. The answer to `HEAD` has the body that the answer to `GET` has.
    pub fn metadata_answer(&self, method: &Method, path: &str) -> Option<Answer> {
        self.metadata_paths()
            .contains(&path)
            .then(|| self.metadata_service().answer(method))
    }

    /// Verifies a token together with a proof (RFC 9449), for servers that do not speak HTTP here. `path` is the one of the
    /// public URL. The proof is spent: it counts once. Scopes are not looked at.
    ///
    /// # Errors
    /// [`Denied`], which says why, and whether a nonce is all that is missing.
    pub async fn verify_dpop(
        &self,
        token: &str,
        proof: &str,
        method: &Method,
        path: &str,
    ) -> Result<Claims, Denied> {
        let guard = &self.0;
        let spend = async {
            if !guard.dpop.is_on() {
                return Err(Refusal::InvalidToken(Rejection::NotSenderConstrained));
            }
            let claims = guard.verifier.verify(token).await?;
            let Some(bound_to) = &claims.key_thumbprint else {
                return Err(Refusal::InvalidToken(Rejection::NotSenderConstrained));
            };
            let now = guard.clock.now();
            let request = (method.as_str(), path);
            let proof = guard.dpop.check_proof(proof, token, bound_to, request, now)?;
            guard.revocations.check(&claims, token).await?;
            guard.dpop.spend(&proof, guard.clock.now()).await?;
            Ok(claims.under(&guard.terms))
        };
        spend.await.map_err(|refusal| Denied::new(&refusal))
    }
}

impl Inner {
    /// The checks that need the head alone, in order. `known` is set as soon as the token turns out to be good.
    async fn admit(
        &self,
        head: &Head<'_>,
        known: &mut Option<Claims>,
    ) -> Result<(Option<Vec<u8>>, Option<Proof>), Refusal> {
        // The token first: who has none makes nobody check proofs.
        let (scheme, token) = match credentials::read(head.headers, head.uri, self.dpop.is_on()) {
            Credentials::None => return Err(Refusal::NoCredentials),
            Credentials::Malformed => return Err(Refusal::MalformedCredentials),
            Credentials::Bearer(token) => (Scheme::Bearer, token),
            Credentials::Dpop(token) => (Scheme::Dpop, token),
        };
        let claims = self.verifier.verify(token).await?;
        let claims = known.insert(claims.under(&self.terms));
        let now = self.clock.now();
        let proof = self.dpop.check(scheme, token, claims, head, now)?;
        self.revocations.check(claims, token).await?;
        self.terms.login.check(claims, now).map_err(Refusal::Login)?;
        let session = self.check_session(head.headers, claims)?;
        if !encoding::is_plain(head.headers) {
            return Err(Refusal::Encoding);
        }
        let announced = head
            .headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > self.max_body as u64) {
            return Err(Refusal::BodyTooLarge);
        }
        Ok((session, proof))
    }

    /// A session id is no credential: it only works with a token of the principal that began the session.
    fn check_session(&self, headers: &HeaderMap, claims: &Claims) -> Result<Option<Vec<u8>>, Refusal> {
        let Some(sessions) = &self.sessions else {
            return Ok(None);
        };
        let mut values = headers.get_all(SESSION_ID).iter();
        match (values.next(), values.next()) {
            // An event id is a handle to a stream. Without a session, nobody can tell whose.
            (None, _) if headers.contains_key(LAST_EVENT_ID) => Err(Refusal::ForeignSession),
            (None, _) => Ok(None),
            (Some(id), None)
                if sessions.belongs_to(id.as_bytes(), Principal::of(claims), self.clock.now()) =>
            {
                Ok(Some(id.as_bytes().to_vec()))
            }
            _ => Err(Refusal::ForeignSession),
        }
    }

    /// Everything that a refusal brings about: the answer, a line in the log, counts, audit.
    fn refuse(&self, refusal: &Refusal, scene: Scene<'_>) -> Answer {
        let error_id = self.error_ids.next();
        let answer = refusal.render(&self.terms, &error_id);
        refusal.log(answer.status(), &error_id);
        let reason = refusal.reason();
        self.metrics.refuse(reason);
        if let Some(hook) = &self.audit {
            let verdict = Verdict::Refused {
                reason,
                error_id: &error_id,
                needed: match refusal {
                    Refusal::InsufficientScope { needed } => Some(needed),
                    _ => None,
                },
            };
            report(&**hook, self.clock.now(), scene, verdict);
        }
        answer
    }

    /// The same, for a page that may read the answer.
    fn refuse_page(&self, refusal: &Refusal, scene: Scene<'_>, page: Option<HeaderValue>) -> Answer {
        let mut answer = self.refuse(refusal, scene);
        if let Some(origin) = page {
            origin::allow(answer.headers_mut(), origin);
        }
        answer
    }
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

    /// The second half: what the whole body asks for. Spends the proof, last: what is refused for another reason spends
    /// nothing.
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
                self.lists |= messages.iter().any(|message| message.asks_for_a_list());
                Ok(())
            }
            Err(refusal) => Err(guard.refuse_page(&refusal, scene, self.page.clone())),
        }
    }

    /// The body is read whatever the method: a service may look at it.
    async fn decide(
        &mut self,
        body: &[u8],
        messages: &mut Vec<crate::message::Message>,
    ) -> Result<(), Refusal> {
        if body.len() > self.max_body() {
            return Err(Refusal::BodyTooLarge);
        }
        if self.method == Method::POST || !body.is_empty() {
            let envelope = Envelope::parse(body).map_err(Refusal::Message)?;
            let checked = self.mirrored.check(&envelope);
            let id = envelope.id().cloned();
            *messages = envelope.messages;
            checked.map_err(|_| Refusal::HeaderMismatch { id })?;
        }
        let scopes = &self.guard.terms.scopes;
        scopes
            .check(&self.claims.scopes, &self.route, messages)
            .map_err(|needed| Refusal::InsufficientScope { needed })?;
        if let Some(proof) = self.proof.take() {
            let now = self.guard.clock.now();
            self.guard.dpop.spend(&proof, now).await?;
            self.next_nonce = self.guard.dpop.next_nonce(&proof, now);
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
        self.guard.refuse_page(&refusal, scene, self.page.clone())
    }

    /// Takes token and proof out of the headers: they are for this server alone, and nothing behind the guard can pass them
    /// on.
    pub fn strip(&self, headers: &mut HeaderMap) {
        credentials::strip(headers);
        headers.remove(DPOP);
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
            headers.insert(DPOP_NONCE, nonce.clone());
        }
        if let Some(origin) = &self.page {
            origin::allow(headers, origin.clone());
        }
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

    /// Completes when an event stream with which the request is answered must end: the token has ended, or it is known that
    /// it was revoked. `None` when streams may outlive it
    /// (see [`end_streams_with_token`](crate::GuardBuilder::end_streams_with_token)). Needs a tokio runtime.
    pub fn ended(&self) -> Option<BoxFuture<'static, ()>> {
        if !self.guard.end_streams {
            return None;
        }
        let clock = Arc::clone(&self.guard.clock);
        let end = self.claims.expires_at + self.guard.skew;
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

fn preflight(origin: HeaderValue) -> Answer {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    origin::allow_preflight(answer.headers_mut(), origin);
    answer
}

/// Why a token does not count together with its proof. See [`Guard::verify_dpop`].
#[derive(Debug, Clone, thiserror::Error)]
#[error("the access token does not count together with its proof: {}", reason.as_str())]
pub struct Denied {
    reason: Reason,
    retry_after: Option<Duration>,
    nonce: Option<HeaderValue>,
}

impl Denied {
    fn new(refusal: &Refusal) -> Self {
        Self {
            reason: refusal.reason(),
            retry_after: refusal.retry_after(),
            nonce: refusal.nonce().cloned(),
        }
    }

    /// Why.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// When it is worth trying again, if nobody can tell now.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The nonce with which the client must make another proof, if that is all that is wrong: a value for `DPoP-Nonce`.
    pub fn nonce(&self) -> Option<&HeaderValue> {
        self.nonce.as_ref()
    }
}

impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visit")
            .field("method", &self.method)
            .field("claims", &self.claims)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("terms", &self.terms)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public_path(path: &'static str, served_at: Option<&str>, resource_path: &str) -> String {
        let head = Head {
            method: &Method::GET,
            uri: &Uri::from_static(path),
            headers: &HeaderMap::new(),
            served_at,
        };
        head.public_path(resource_path).into_owned()
    }

    /// INTEROP-008: a proxy that adds or removes a prefix.
    #[test]
    fn the_rewriting_of_a_proxy_is_undone() {
        for (path, served_at, resource_path, expected) in [
            ("/mcp", None, "/mcp", "/mcp"),
            ("/mcp/a%2Fb?x=1", None, "/mcp", "/mcp/a%2Fb"),
            ("/mcp", Some("/mcp"), "/api/mcp", "/api/mcp"),
            ("/mcp/x", Some("/mcp"), "/api/mcp", "/api/mcp/x"),
            ("/mcp/", Some("/mcp"), "/api/mcp", "/api/mcp/"),
            ("/mcpx", Some("/mcp"), "/api/mcp", "/mcpx"),
            ("/", Some("/"), "", ""),
            ("/", Some("/"), "/mcp", "/mcp"),
            ("/x", Some("/"), "/mcp/", "/mcp/x"),
            ("/mcp/x", Some("/mcp/{*rest}"), "/mcp", "/mcp/x"),
        ] {
            assert_eq!(
                public_path(path, served_at, resource_path),
                expected,
                "{path} {served_at:?}"
            );
        }
    }
}
