//! The way of a request through the guard, as a tower layer.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use doorward_oauth::dpop::Proof;
use doorward_oauth::scope::ScopeSet;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Either, Full, LengthLimitError, Limited};
use tower_layer::Layer;
use tower_service::Service;

use crate::claims::Claims;
use crate::credentials::{self, Credentials};
use crate::dpop::{self, DPOP, DPOP_NONCE, Scheme};
use crate::guard::{Guard, Inner};
use crate::message::{Envelope, headers};
use crate::origin::{self, Checked};
use crate::refusal::Refusal;
use crate::sessions::Principal;
use crate::verify::VerifyError;

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The longest time that a body may take to arrive: an open request holds memory here.
const BODY_TIMEOUT: Duration = Duration::from_mins(1);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Puts the guard before a service. Made by [`Guard::layer`].
#[derive(Debug, Clone)]
pub struct GuardLayer {
    guard: Guard,
    served_at: Option<Arc<str>>,
}

impl GuardLayer {
    pub(crate) fn new(guard: Guard) -> Self {
        Self {
            guard,
            served_at: None,
        }
    }

    /// Where this process serves the resource. Needed with [`DPoP`](crate::DpopPolicy) behind a proxy that rewrites paths:
    /// proofs are made for the path of the resource's public URL. [`Guard::protect`] says it by itself.
    /// Default: at the path of the public URL.
    #[must_use]
    pub fn served_at(mut self, path: impl Into<Arc<str>>) -> Self {
        self.served_at = Some(path.into());
        self
    }
}

impl<S> Layer<S> for GuardLayer {
    type Service = GuardService<S>;

    fn layer(&self, inner: S) -> GuardService<S> {
        GuardService {
            guard: self.guard.clone(),
            served_at: self.served_at.clone(),
            inner,
        }
    }
}

/// A service behind the guard.
///
/// Takes requests with any body. The service inside gets the body whole, because the guard reads it to see which
/// tools are called; [`Claims`] are among the request's extensions, `Authorization` and `DPoP` are not among its headers.
#[derive(Debug, Clone)]
pub struct GuardService<S> {
    guard: Guard,
    served_at: Option<Arc<str>>,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for GuardService<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
    R: Body<Data = Bytes>,
{
    type Response = Response<Either<Full<Bytes>, R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let guard = Arc::clone(&self.guard.0);
        let served_at = self.served_at.clone();
        // The service that was polled ready is the one to call.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            let page = match guard.origins.check(request.headers()) {
                Checked::Refused => return Ok(guard.refuse(Refusal::Origin)),
                Checked::Allowed(origin) if origin::is_preflight(request.method(), request.headers()) => {
                    return Ok(preflight(origin));
                }
                Checked::Allowed(origin) => Some(origin),
                Checked::Absent => None,
            };
            let mut response = match guard.admit(request, served_at.as_deref()).await {
                Err(refusal) => guard.refuse(refusal),
                Ok((request, visit)) => {
                    let mut response = inner.call(request).await?;
                    guard.leave(&visit, &response);
                    if let Some(nonce) = visit.next_nonce {
                        response.headers_mut().insert(DPOP_NONCE, nonce);
                    }
                    response.map(Either::Right)
                }
            };
            if let Some(origin) = page {
                origin::allow(response.headers_mut(), origin);
            }
            Ok(response)
        })
    }
}

/// What is remembered of a request while it is answered.
struct Visit {
    method: Method,
    principal: Principal,
    session: Option<Vec<u8>>,
    next_nonce: Option<HeaderValue>,
}

impl Inner {
    /// All checks, in order. What comes out may reach the service.
    async fn admit<B>(
        &self,
        request: Request<B>,
        served_at: Option<&str>,
    ) -> Result<(Request<Full<Bytes>>, Visit), Refusal>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let (mut parts, body) = request.into_parts();
        let (claims, proof) = self.authenticate(&parts, served_at).await?;
        let principal = Principal::new(&claims.issuer, &claims.client_id, &claims.subject);
        let session = self.check_session(&parts, principal)?;
        check_encoding(&parts.headers)?;
        let body = self.read_body(&parts, body).await?;
        self.authorize(&parts, &body, &claims)?;
        let mut next_nonce = None;
        if let Some(proof) = &proof {
            let now = self.clock.now();
            self.dpop.spend(proof, now).await?;
            next_nonce = self.dpop.next_nonce(proof, now);
        }
        // The token is for this server alone: nothing behind the guard can pass it on.
        credentials::strip(&mut parts.headers);
        parts.headers.remove(DPOP);
        parts.extensions.insert(claims.under(&self.challenges));
        let visit = Visit {
            method: parts.method.clone(),
            principal,
            session,
            next_nonce,
        };
        Ok((Request::from_parts(parts, Full::new(body)), visit))
    }

    /// The token first: who has none makes nobody check proofs. A proof that comes out is yet to be spent.
    async fn authenticate(
        &self,
        parts: &Parts,
        served_at: Option<&str>,
    ) -> Result<(Claims, Option<Proof>), Refusal> {
        let (scheme, token) = match credentials::read(&parts.headers, &parts.uri, self.dpop.is_on()) {
            Credentials::None => return Err(Refusal::NoCredentials),
            Credentials::Malformed => return Err(Refusal::MalformedCredentials),
            Credentials::Bearer(token) => (Scheme::Bearer, token),
            Credentials::Dpop(token) => (Scheme::Dpop, token),
        };
        let claims = self.verifier.verify(token).await.map_err(|error| match error {
            VerifyError::Rejected(rejection) => Refusal::InvalidToken(rejection),
            VerifyError::KeysUnavailable { retry_after }
            | VerifyError::IntrospectionUnavailable { retry_after } => {
                Refusal::KeysUnavailable { retry_after }
            }
        })?;
        let request = dpop::Request { parts, served_at };
        let now = self.clock.now();
        let proof = self.dpop.check(scheme, token, &claims, &request, now)?;
        Ok((claims, proof))
    }

    /// A session id is no credential: it only works with a token of the principal that began the session.
    fn check_session(&self, parts: &Parts, principal: Principal) -> Result<Option<Vec<u8>>, Refusal> {
        let Some(sessions) = &self.sessions else {
            return Ok(None);
        };
        let mut values = parts.headers.get_all(SESSION_ID).iter();
        match (values.next(), values.next()) {
            // An event id is a handle to a stream. Without a session, nobody can tell whose.
            (None, _) if parts.headers.contains_key(LAST_EVENT_ID) => Err(Refusal::ForeignSession),
            (None, _) => Ok(None),
            (Some(id), None) if sessions.belongs_to(id.as_bytes(), principal, self.clock.now()) => {
                Ok(Some(id.as_bytes().to_vec()))
            }
            _ => Err(Refusal::ForeignSession),
        }
    }

    async fn read_body<B>(&self, parts: &Parts, body: B) -> Result<Bytes, Refusal>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let announced = parts
            .headers
            .get(http::header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok());
        if announced
            .and_then(|length| length.parse::<u64>().ok())
            .is_some_and(|length| length > self.max_body as u64)
        {
            return Err(Refusal::BodyTooLarge);
        }
        let whole = Limited::new(body, self.max_body).collect();
        match tokio::time::timeout(BODY_TIMEOUT, whole).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::BodyTooLarge),
            Ok(Err(_)) => Err(Refusal::BodyUnreadable),
            Err(_) => Err(Refusal::BodyTooSlow),
        }
    }

    /// The scopes of every message in the body, which is read whatever the method: a service may look at it.
    fn authorize(&self, parts: &Parts, body: &[u8], claims: &Claims) -> Result<(), Refusal> {
        let mut besides = ScopeSet::new();
        if parts.method == Method::POST || !body.is_empty() {
            let envelope = Envelope::parse(body).map_err(Refusal::Message)?;
            headers::check(&parts.headers, &envelope).map_err(|_| Refusal::HeaderMismatch {
                id: envelope.id().cloned(),
            })?;
            let tools = envelope.messages.iter().filter_map(|message| message.tool());
            for scopes in tools.filter_map(|tool| self.tool_scopes.get(tool)) {
                besides.extend(scopes.iter().cloned());
            }
        }
        let needed = self.challenges.needed(&besides);
        if claims.scopes.contains_all(&needed) {
            Ok(())
        } else {
            Err(Refusal::InsufficientScope { needed })
        }
    }

    /// Learns from the answer which session began or ended.
    fn leave<R>(&self, visit: &Visit, response: &Response<R>) {
        let Some(sessions) = &self.sessions else {
            return;
        };
        let status = response.status();
        if let Some(session) = &visit.session {
            if status == StatusCode::NOT_FOUND || (visit.method == Method::DELETE && status.is_success()) {
                sessions.forget(session);
            }
        } else if let Some(id) = response.headers().get(SESSION_ID).filter(|_| status.is_success()) {
            sessions.learn(id.as_bytes(), visit.principal, self.clock.now());
        }
    }

    fn refuse<R: Body<Data = Bytes>>(&self, refusal: Refusal) -> Response<Either<Full<Bytes>, R>> {
        refusal
            .into_response(&self.challenges, &self.error_ids)
            .map(Either::Left)
    }
}

/// The guard reads the body as UTF-8 (RFC 8259 §8.1), so nobody behind it may be told to read it as something else: in
/// another character set, or decompressed, the same bytes can be another message.
fn check_encoding(headers: &HeaderMap) -> Result<(), Refusal> {
    let texts = |name| {
        let values = headers.get_all(name).iter();
        values.map(|value| value.to_str().map_err(|_| Refusal::Encoding))
    };
    for encoding in texts(CONTENT_ENCODING) {
        if !encoding?.trim().eq_ignore_ascii_case("identity") {
            return Err(Refusal::Encoding);
        }
    }
    for content_type in texts(CONTENT_TYPE) {
        for parameter in content_type?.split(';').skip(1) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let charset = value.trim().trim_matches('"');
            let is_utf8 = ["utf-8", "utf8", "us-ascii"]
                .iter()
                .any(|known| charset.eq_ignore_ascii_case(known));
            if name.trim().eq_ignore_ascii_case("charset") && !is_utf8 {
                return Err(Refusal::Encoding);
            }
        }
    }
    Ok(())
}

fn preflight<R>(origin: http::HeaderValue) -> Response<Either<Full<Bytes>, R>> {
    let mut response = Response::new(Either::Left(Full::default()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    origin::allow_preflight(response.headers_mut(), origin);
    response
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("resource", &self.verifier.resource)
            .finish_non_exhaustive()
    }
}
