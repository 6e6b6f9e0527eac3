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

/// An object that begins with a long text in which nothing is escaped, as a compact JWS is; `rest` has the other members.
pub(crate) fn bytes_after(name: &str, plain: &str, rest: &impl Serialize) -> Result<Bytes, TokenError> {
    // Every byte is looked at, without a branch for each.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !plain.bytes().fold(true, |all, byte| all & is_plain(byte)) {
        return Err(TokenError::internal("a token that is no compact JWS"));
    }
    let mut text = Vec::with_capacity(LENGTH);
    for part in ["{\"", name, "\":\"", plain, "\""] {
        text.extend_from_slice(part.as_bytes());
    }
    let begin = text.len();
    serde_json::to_writer(&mut text, rest).map_err(TokenError::internal)?;
    // Its members go on where the text ends.
    if let Some(brace) = text.get_mut(begin) {
        *brace = b',';
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_comes_before_the_other_members() {
        let rest = serde_json::json!({ "expires_in": 300, "scope": "a \"b\"" });
        let found = bytes_after("access_token", "eyJ-_.09azAZ", &rest).unwrap();
        assert_eq!(
            found,
            r#"{"access_token":"eyJ-_.09azAZ","expires_in":300,"scope":"a \"b\""}"#
        );
        for evil in ["a\"b", "a\\", "a\n", "é", " "] {
            assert!(bytes_after("access_token", evil, &rest).is_err(), "{evil:?}");
        }
    }
}
