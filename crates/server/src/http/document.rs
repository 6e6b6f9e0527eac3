//! Documents that are the same for everybody: serialised once, answered many times.

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use doorward_jose::{base64url, sha256};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

/// Documents may be cached for this long. Keys rotate less often than tokens live, and an unknown `kid`
/// makes every careful client ask again.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=300");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A JSON document and its tag.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    body: Bytes,
    tag: HeaderValue,
}

impl Document {
    /// # Errors
    /// The value cannot be JSON.
    pub(crate) fn of(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        let body = serde_json::to_vec(value)?;
        let tag = format!("\"{}\"", base64url::encode(&sha256(&body)[..12]));
        Ok(Self {
            body: body.into(),
            tag: HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("\"\"")),
        })
    }

    pub(super) fn body(&self) -> Bytes {
        self.body.clone()
    }

    /// How many bytes it has.
    pub(crate) fn length(&self) -> usize {
        self.body.len()
    }

    /// The answer, which may be cached, and which is not sent again to who has it (RFC 9110 §13.1.2).
    pub(crate) fn answer(&self, headers: &HeaderMap) -> Response {
        let known = headers.get_all(header::IF_NONE_MATCH).iter().any(|tags| {
            tags.to_str().is_ok_and(|tags| {
                tags.split(',').map(str::trim).any(|known| {
                    known == "*" || known.trim_start_matches("W/").as_bytes() == self.tag.as_bytes()
                })
            })
        });
        let cache = [(header::CACHE_CONTROL, CACHE), (header::ETAG, self.tag.clone())];
        if known {
            return (StatusCode::NOT_MODIFIED, cache).into_response();
        }
        (cache, [(header::CONTENT_TYPE, JSON)], self.body.clone()).into_response()
    }
}
