//! JSON for programs.

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use serde::Serialize;

use super::error::TokenError;

/// Headers that most answers have in the end: their list need not grow.
const HEADERS: usize = 12;
/// Bytes that most answers with a token have at the most.
const LENGTH: usize = 1536;

/// An answer that nobody may store (RFC 6749 §5.1).
pub(crate) fn answer(body: impl Into<Bytes>) -> Response {
    let mut headers = HeaderMap::with_capacity(HEADERS);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let mut response = Response::new(Body::from(body.into()));
    *response.headers_mut() = headers;
    response
}

/// A value as JSON.
pub(crate) fn bytes(value: &impl Serialize) -> Result<Bytes, TokenError> {
    let mut text = Vec::with_capacity(LENGTH);
    serde_json::to_writer(&mut text, value).map_err(TokenError::internal)?;
    Ok(text.into())
}
