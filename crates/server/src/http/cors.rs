//! Browser clients on other origins: the public JSON endpoints answer them, never with credentials.

use std::time::Duration;

use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, Method};
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
