//! For servers made with axum.

use std::convert::Infallible;

use ::axum::Router;
use ::axum::body::Body;
use ::axum::extract::FromRequestParts;
use ::axum::response::IntoResponse;
use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower_layer::Layer;
use tower_service::Service;

use crate::claims::{Claims, MissingScope};
use crate::guard::Guard;

impl Guard {
    /// A router with the MCP server behind the guard at `path` and the resource metadata where clients look for it.
    ///
    /// `path` is where this process serves the MCP server. It differs from the path of the resource only behind a
    /// proxy that rewrites paths; the metadata is always served at the paths that the public URL prescribes, and proofs
    /// of possession are for the public URL.
    ///
    /// # Panics
    /// As [`Router::route_service`], when `path` is no route, for example because it does not begin with a slash.
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
        let mut router = Router::new().route_service(path, self.layer().served_at(path).layer(service));
        for metadata_path in self.metadata_paths() {
            router = router.route_service(metadata_path, self.metadata_service());
        }
        router
    }
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
