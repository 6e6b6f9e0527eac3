//! The guard as a tower layer.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use doorward_oauth::scope::ScopeSet;
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
use crate::wait;

mod body;
mod unread;

pub use body::GuardBody;

/// The longest time that a body may take to arrive: an open request holds memory here.
const BODY_TIMEOUT: Duration = Duration::from_mins(1);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Puts the guard before a service. Made by [`Guard::layer`].
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
    /// proofs are made for the path of the resource's public URL. [`Guard::protect`] says it by itself.
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
    ready: Option<S>,
}

#[derive(Debug)]
struct Shared<S> {
    layer: GuardLayer,
    /// Only cloned, once for each request.
    inner: S,
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
        let inner = self.ready.get_or_insert_with(|| shared.inner.clone());
        inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        // The clone that was polled ready is the one to call.
        let inner = self.ready.take();
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let (visit, body) = match shared.layer.admit(&mut parts, body).await {
                Ok(admitted) => admitted,
                Err(answer) => return Ok(answer.map(GuardBody::whole)),
            };
            let request = Request::from_parts(parts, Full::new(body));
            let claims = visit.claims();
            let span = tracing::debug_span!("guarded_request", client_id = %claims.client_id, grant_id = claims.grant_id);
            let mut inner = inner.unwrap_or_else(|| shared.inner.clone());
            let response = inner.call(request).instrument(span).await?;
            Ok(leave(&visit, response).await)
        })
    }
}

impl GuardLayer {
    /// All checks, in order. What is left, and comes out, may reach the service.
    async fn admit<B>(&self, parts: &mut Parts, body: B) -> Result<(Visit, Bytes), Answer>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let mut visit = match self.guard.admit(self.head(parts)).await {
            Ok(visit) => visit,
            Err(answer) => return Err(unread::discard(answer, parts.version, body).await),
        };
        visit.require(&self.route);
        let body = match read(body, visit.max_body()).await {
            Ok(body) => body,
            Err(fault) => return Err(unread::last(visit.refuse_body(fault), parts.version)),
        };
        visit.authorize(&body).await?;
        if let Some(token) = SubjectToken::of(&self.guard, &parts.headers) {
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
    let whole = wait::at_most(BODY_TIMEOUT, body::read(body, max)).await;
    whole.unwrap_or(Err(BodyFault::TooSlow))
}

/// The answer of the service, on its way out.
async fn leave<R>(visit: &Visit, response: Response<R>) -> Response<GuardBody<R>>
where
    R: Body<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    let (mut parts, body) = response.into_parts();
    visit.leave(parts.status, &mut parts.headers);
    let essence = essence(&parts.headers);
    let is = |wanted: &str| essence.is_some_and(|essence| essence.eq_ignore_ascii_case(wanted));
    let (is_json, is_stream) = (is("application/json"), is("text/event-stream"));
    if !visit.filters_lists() || !(is_json || is_stream) {
        let ended = if is_stream { visit.ended() } else { None };
        return Response::from_parts(parts, GuardBody::through(body, ended, None));
    }
    if parts.headers.contains_key(CONTENT_ENCODING) {
        return withheld(visit);
    }
    parts.headers.remove(CONTENT_LENGTH);
    if is_stream {
        let body = GuardBody::through(body, visit.ended(), Some(visit.event_filter()));
        return Response::from_parts(parts, body);
    }
    let Ok(body) = read(body, visit.max_body()).await else {
        return withheld(visit);
    };
    let body = visit.filter_list(&body).unwrap_or(body);
    Response::from_parts(parts, GuardBody::whole(body))
}

/// The media type without its parameters (RFC 9110 §8.3.1).
fn essence(headers: &HeaderMap) -> Option<&str> {
    let media_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    media_type.split(';').next().map(str::trim)
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
