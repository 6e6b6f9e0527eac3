//! Browser clients on other origins: the public JSON endpoints answer them, never with credentials.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{ACCESS_CONTROL_EXPOSE_HEADERS, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::response::Response;
use tower::Service as _;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::config::Cors;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The layer for metadata, JWKS, token, register, revoke and introspect; nothing else gets it.
pub(crate) fn layer(settings: &Cors) -> CorsLayer {
    let origins = if settings.allowed_origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(
            settings
                .allowed_origins
                .iter()
                .filter_map(|origin| HeaderValue::from_str(origin).ok()),
        )
    };
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::DELETE,
        ])
        // Clients send `Authorization`, `MCP-Protocol-Version`, `DPoP` and whatever comes next.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([
            WWW_AUTHENTICATE,
            RETRY_AFTER,
            X_REQUEST_ID,
            HeaderName::from_static("dpop-nonce"),
        ])
        .max_age(Duration::from_hours(2))
}

/// The routes with this layer. An answer that no endpoint gave (what was refused before, or what took too long) has not been
/// through it.
pub(crate) struct OpenRoutes {
    routes: Vec<String>,
    /// Its answers have the headers of the layer, and nothing else.
    blank: Router,
}

impl OpenRoutes {
    pub(crate) fn new(settings: &Cors, routes: Vec<String>) -> Self {
        Self {
            routes,
            blank: Router::new().fallback(|| async {}).layer(layer(settings)),
        }
    }

    /// Adds the layer's headers to an answer on one of the routes, unless they are there.
    pub(super) async fn complete(&self, route: &str, origin: HeaderValue, response: &mut Response) {
        let is_complete = response.headers().contains_key(ACCESS_CONTROL_EXPOSE_HEADERS);
        if is_complete || !self.routes.iter().any(|open| open == route) {
            return;
        }
        let mut request = Request::new(Body::empty());
        request.headers_mut().insert(ORIGIN, origin);
        match self.blank.clone().call(request).await {
            Ok(blank) => response.headers_mut().extend(blank.headers().clone()),
            Err(never) => match never {},
        }
    }
}
