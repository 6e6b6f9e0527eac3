//! For servers made with axum.

use std::convert::Infallible;
use std::task::{Context, Poll};

use ::axum::Router;
use ::axum::body::Body;
use ::axum::extract::FromRequestParts;
use ::axum::response::IntoResponse;
use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::Full;
use tower_layer::Layer;
use tower_service::Service;

use crate::claims::{Claims, MissingScope};
use crate::guard::Guard;
use crate::visit::below;

impl Guard {
    /// A router with the MCP server behind the guard at `path` and the resource metadata where clients look for it.
    ///
    /// With one slash after it, the path leads to the same server, which sees it without: clients have it so from people. Not where
    /// `path` ends in a slash or in a wildcard itself.
    ///
    /// `path` is where this process serves the MCP server. It differs from the path of the resource only behind a
    /// proxy that rewrites paths; the metadata is always served at the paths that the public URL prescribes, and proofs
    /// of possession are for the public URL. Of a path that ends in a wildcard, what is before it counts. Where the wildcard
    /// takes in the path of the resource as it is, nothing is taken to be rewritten; say
    /// [`served_at`](crate::GuardLayer::served_at) to a layer of your own if it is.
    ///
    /// The service gets the body whole, as [`Full<Bytes>`](Full), never fails, and can be shared between threads. One that wants
    /// axum's body gets it with `map_request`; one that is no [`Sync`], such as a boxed one, is boxed by tower's
    /// `BoxCloneSyncService`:
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use axum::body::{Body, Bytes};
    /// use http::{Request, Response};
    /// use http_body_util::Full;
    /// use tower::util::BoxCloneSyncService;
    /// use tower::{ServiceExt, service_fn};
    /// # use doorward_guard::Guard;
    /// # let guard = Guard::builder("https://as.example", "https://mcp.example/mcp").build()?;
    ///
    /// let service = service_fn(async |request: Request<Body>| Ok(Response::new(request.into_body())));
    /// let service = service.map_request(|request: Request<Full<Bytes>>| request.map(Body::new));
    /// let app = guard.protect("/mcp", BoxCloneSyncService::new(service));
    /// # let _: axum::Router = app;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// As [`Router::route_service`], when `path` is no route, for example because it does not begin with a slash. `path` with a
    /// slash at its end leads there too: a router that has a route of its own there cannot be merged with this one. Nor can the
    /// routers of two guards that both serve their metadata at the root of the host: turn that off for all but one with
    /// [`root_metadata`](crate::GuardBuilder::root_metadata).
    pub fn protect<S, R>(&self, path: &str, service: S) -> Router
    where
        S: Service<Request<Full<Bytes>>, Response = Response<R>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
        R: http_body::Body<Data = Bytes> + Send + 'static,
        R::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let layer = match self.served_at(path) {
            Some(served_at) => self.layer().served_at(served_at),
            None => self.layer(),
        };
        let mut router = Router::new();
        if !path.ends_with('/') && !path.contains("{*") {
            let inside = layer.layer(WithoutSlash(service.clone()));
            router = router.route_service(&format!("{path}/"), inside);
        }
        router = router.route_service(path, layer.layer(service));
        for metadata_path in self.metadata_paths() {
            router = router.route_service(metadata_path, self.metadata_service());
        }
        router
    }

    /// Where a route serves the resource, if that can be told from it.
    fn served_at<'p>(&self, route: &'p str) -> Option<&'p str> {
        let Some((before, _)) = route.split_once("{*") else {
            return Some(route);
        };
        let before = before.trim_end_matches('/');
        below(self.0.verifier.resource.path(), before)
            .is_none()
            .then_some(before)
    }
}

/// A service that is told of a path without the slash at its end.
#[derive(Debug, Clone)]
struct WithoutSlash<S>(S);

impl<S, B> Service<Request<B>> for WithoutSlash<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        if let Some(uri) = without_slash(request.uri()) {
            *request.uri_mut() = uri;
        }
        self.0.call(request)
    }
}

fn without_slash(uri: &Uri) -> Option<Uri> {
    let path = uri.path().strip_suffix('/')?;
    let query = uri.query().map_or(String::new(), |query| format!("?{query}"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{path}{query}").parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// The claims of the request's token. Only works behind a guard.
impl<S: Send + Sync> FromRequestParts<S> for Claims {
    type Rejection = NotGuarded;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, NotGuarded> {
        parts.extensions.get::<Self>().cloned().ok_or(NotGuarded)
    }
}

/// The handler that asks for [`Claims`] is not behind a guard: a mistake of the program, answered with `500`.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the route is not behind a guard")]
pub struct NotGuarded;

impl IntoResponse for NotGuarded {
    fn into_response(self) -> Response<Body> {
        tracing::error!("a handler asks for Claims on a route without a guard");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

impl IntoResponse for MissingScope {
    fn into_response(self) -> Response<Body> {
        self.response().map(Body::from)
    }
}
