//! The guard as a tower layer.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use doorward_oauth::scope::ScopeSet;
use futures_util::future::poll_immediate;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::Full;
use tower_layer::Layer;
use tower_service::Service;
use tracing::Instrument as _;

use crate::builder::{BuildError, GuardBuilder, scope_set};
use crate::client::SubjectToken;
use crate::guard::Guard;
use crate::refusal::json_response;
use crate::visit::{self, Answer, BodyFault, Head, Visit};

mod body;
mod unread;

pub use body::GuardBody;
use body::Partly;

/// The longest time that a body may take to arrive: an open request holds memory here.
const BODY_TIMEOUT: Duration = Duration::from_mins(1);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Puts the guard before a service. Made by [`Guard::layer`].
///
/// The service is cloned when there is no clone to spare. A clone serves one request after the other: as soon as its `call`
/// has returned a future, it is polled ready again for the next request, which may be that of another user. So what a
/// service keeps in itself after a call is met by whichever request comes next. Keep what belongs to one request in the
/// request's extensions, or in the future.
///
/// # Limits
///
/// A limit for everybody, strangers included, belongs outside of the guard. One inside, such as tower's `ConcurrencyLimit`,
/// gives its permit away as soon as it is polled ready, before the guard has seen the request: it counts requests whose token
/// is being checked or whose body is on its way. Whoever is turned away on the head gives the permit back before the rest of
/// the body is waited for. Where a limit must count nobody but those who were let in, give the guard an axum router that has
/// the limit as a layer: a router is always ready, and polls what is inside when the guard has decided.
#[derive(Debug, Clone)]
pub struct GuardLayer {
    guard: Guard,
    served_at: Option<Arc<str>>,
    route: Arc<ScopeSet>,
}

impl GuardLayer {
    pub(crate) fn new(guard: Guard) -> Self {
        Self {
            guard,
            served_at: None,
            route: Arc::default(),
        }
    }

    /// Where this process serves the resource. Needed with [`DPoP`](crate::DpopPolicy) behind a proxy that rewrites paths:
    /// proofs are made for the path of the resource's public URL. `Guard::protect` (feature `axum`) says it by itself.
    /// Default: at the path of the public URL.
    #[must_use]
    pub fn served_at(mut self, path: impl Into<Arc<str>>) -> Self {
        self.served_at = Some(path.into());
        self
    }

    /// The scopes that every request on this route needs, besides those of the guard. Default: none.
    ///
    /// # Errors
    /// [`BuildError::Scope`] or [`BuildError::OfflineAccess`] for what is no scope of a resource.
    pub fn require<S: Into<String>>(
        mut self,
        scopes: impl IntoIterator<Item = S>,
    ) -> Result<Self, BuildError> {
        let scopes: Vec<String> = scopes.into_iter().map(Into::into).collect();
        self.route = Arc::new(self.route.union(&scope_set(&scopes)?));
        Ok(self)
    }
}

impl GuardBuilder {
    /// Whether an event stream that is open when its token ends, or turns out to be revoked, ends with it. The client then
    /// comes back with a new token. Default: `true`.
    #[must_use]
    pub fn end_streams_with_token(mut self, end: bool) -> Self {
        self.end_streams = end;
        self
    }
}

impl<S> Layer<S> for GuardLayer {
    type Service = GuardService<S>;

    fn layer(&self, inner: S) -> GuardService<S> {
        GuardService {
            shared: Arc::new(Shared {
                layer: self.clone(),
                inner,
                spare: Mutex::new(None),
            }),
            ready: None,
        }
    }
}

/// A service behind the guard.
///
/// Takes requests with any body. The service inside gets the body whole, because the guard reads it to see which
/// tools are called; [`Claims`](crate::Claims) are among the request's extensions, `Authorization` and `DPoP` are not
/// among its headers. Event streams in its answers end with the token.
#[derive(Debug)]
pub struct GuardService<S> {
    shared: Arc<Shared<S>>,
    /// The clone that is polled until it is ready, and takes the next call.
    ready: Option<Box<S>>,
}

#[derive(Debug)]
struct Shared<S> {
    layer: GuardLayer,
    /// Only cloned.
    inner: S,
    /// A clone that has taken its call. The next request has it, which costs less than another clone: MCP servers hold their
    /// settings.
    spare: Mutex<Option<Box<S>>>,
}

impl<S: Clone> Shared<S> {
    #[expect(
        clippy::unnecessary_box_returns,
        reason = "it moves often, and services are large"
    )]
    fn take(&self) -> Box<S> {
        let spare = self.spare.try_lock().ok().and_then(|mut spare| spare.take());
        spare.unwrap_or_else(|| Box::new(self.inner.clone()))
    }

    fn put_back(&self, inner: Box<S>) {
        if let Ok(mut spare) = self.spare.try_lock() {
            *spare = Some(inner);
        }
    }
}

impl<S> Clone for GuardService<S> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            ready: None,
        }
    }
}

impl<S, B, R> Service<Request<B>> for GuardService<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
    R: Body<Data = Bytes> + Send,
    R::Error: Into<BoxError>,
{
    type Response = Response<GuardBody<R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let shared = &self.shared;
        let inner = self.ready.get_or_insert_with(|| shared.take());
        inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        // The clone that was polled ready is the one to call.
        let mut ready = self.ready.take();
        // Taken apart outside of the future, which would have room for both, the whole and the parts. It is made for every
        // request, so its size matters: what few requests wait for is boxed apart.
        let (mut parts, body) = request.into_parts();
        Box::pin(async move {
            let (visit, body) = match shared.layer.admit(&mut parts, body, &mut ready).await {
                Ok(admitted) => admitted,
                Err(answer) => return Ok(answer.map(GuardBody::whole)),
            };
            let claims = visit.claims();
            let span = tracing::debug_span!("guarded_request", client_id = %claims.client_id, grant_id = claims.grant_id);
            let answering = {
                let mut inner = ready.unwrap_or_else(|| shared.take());
                let answering = inner.call(Request::from_parts(parts, Full::new(body)));
                shared.put_back(inner);
                answering
            };
            let response = answering.instrument(span).await?;
            Ok(leave(&visit, response).await)
        })
    }
}

impl GuardLayer {
    /// All checks, in order. What is left, and comes out, may reach the service, of which a clone is `ready`.
    async fn admit<B, S>(
        &self,
        parts: &mut Parts,
        body: B,
        ready: &mut Option<Box<S>>,
    ) -> Result<(Visit, Bytes), Answer>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let mut visit = match self.guard.admit(self.head(parts)).await {
            Ok(visit) => visit,
            Err(answer) => {
                // That it is ready may be a permit, for which others wait.
                *ready = None;
                return Err(Box::pin(unread::discard(answer, parts.version, body)).await);
            }
        };
        visit.require(&self.route);
        let body = match read(body, visit.max_body()).await {
            Ok(body) => body,
            Err(fault) => return Err(unread::last(visit.refuse_body(fault), parts.version)),
        };
        visit.authorize(&body).await?;
        if let Some(token) = SubjectToken::of(&self.guard, visit.claims(), &parts.headers) {
            parts.extensions.insert(token);
        }
        visit.strip(&mut parts.headers);
        parts.extensions.insert(visit.claims().clone());
        Ok((visit, body))
    }

    fn head<'r>(&'r self, parts: &'r Parts) -> Head<'r> {
        let served_at = self.served_at.as_deref();
        let is_below = served_at.is_some_and(|at| visit::below(parts.uri.path(), at).is_some());
        Head {
            method: &parts.method,
            uri: if is_below { &parts.uri } else { original_uri(parts) },
            headers: &parts.headers,
            served_at: served_at.filter(|_| is_below),
        }
    }
}

/// Routers that are nested cut the path off that they have matched.
fn original_uri(parts: &Parts) -> &Uri {
    #[cfg(feature = "axum")]
    if let Some(original) = parts.extensions.get::<::axum::extract::OriginalUri>() {
        return original;
    }
    &parts.uri
}

async fn read<B>(body: B, max: usize) -> Result<Bytes, BodyFault>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let mut body = pin!(body);
    let mut read = Partly::new(max);
    // Most bodies are there together with their heads.
    match poll_immediate(read.rest(body.as_mut())).await {
        Some(whole) => whole,
        None => Box::pin(tokio::time::timeout(BODY_TIMEOUT, read.rest(body)))
            .await
            .unwrap_or(Err(BodyFault::TooSlow)),
    }
}

/// The answer of the service, on its way out.
async fn leave<R>(visit: &Visit, mut response: Response<R>) -> Response<GuardBody<R>>
where
    R: Body<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    let status = response.status();
    visit.leave(status, response.headers_mut());
    let media_type = MediaType::of(response.headers());
    if visit.filters_lists() && media_type != MediaType::Other {
        return Box::pin(leave_out(visit, response, media_type)).await;
    }
    let is_stream = media_type == MediaType::EventStream;
    let ended = if is_stream { visit.ended() } else { None };
    response.map(|body| GuardBody::through(body, ended, None))
}

/// An answer that may hold a list, without what the token may not call.
async fn leave_out<R>(visit: &Visit, response: Response<R>, media_type: MediaType) -> Response<GuardBody<R>>
where
    R: Body<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    let (mut parts, body) = response.into_parts();
    if parts.headers.contains_key(CONTENT_ENCODING) {
        return withheld(visit);
    }
    parts.headers.remove(CONTENT_LENGTH);
    if media_type == MediaType::EventStream {
        let body = GuardBody::through(body, visit.ended(), Some(visit.event_filter()));
        return Response::from_parts(parts, body);
    }
    let Ok(body) = read(body, visit.max_body()).await else {
        return withheld(visit);
    };
    let body = visit.filter_list(&body).unwrap_or(body);
    Response::from_parts(parts, GuardBody::whole(body))
}

/// What an answer is, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq)]
enum MediaType {
    Json,
    EventStream,
    Other,
}

impl MediaType {
    /// By the media type without its parameters (RFC 9110 §8.3.1).
    fn of(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(CONTENT_TYPE) else {
            return Self::Other;
        };
        // As nearly every answer has it.
        if value == "application/json" {
            return Self::Json;
        }
        let text = value.to_str().unwrap_or_default();
        let essence = text.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("application/json") {
            Self::Json
        } else if essence.eq_ignore_ascii_case("text/event-stream") {
            Self::EventStream
        } else {
            Self::Other
        }
    }
}

/// A list that cannot be looked into may hold what the token may not call.
fn withheld<R>(visit: &Visit) -> Response<GuardBody<R>> {
    tracing::error!(
        "a list of the MCP server is compressed or too large to be looked into, and was withheld"
    );
    let body = serde_json::json!({
        "error": "server_error",
        "error_description": "The list of the MCP server could not be read.",
    });
    let mut response = json_response(StatusCode::INTERNAL_SERVER_ERROR, &body).map(GuardBody::whole);
    visit.leave(response.status(), response.headers_mut());
    response
}
