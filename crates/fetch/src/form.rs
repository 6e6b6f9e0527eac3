//! Forms that are posted, and what comes back.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// A form to post. `Debug` shows neither body nor headers: both carry secrets.
#[derive(Clone, Copy)]
pub struct FormRequest<'a> {
    /// Where to; the same rules as for documents hold.
    pub url: &'a str,
    /// The form, encoded as `application/x-www-form-urlencoded`.
    pub body: &'a str,
    /// Headers besides `Accept`, `Accept-Encoding`, `Content-Type`, `Host` and `User-Agent`.
    pub headers: &'a [(HeaderName, HeaderValue)],
}

impl fmt::Debug for FormRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FormRequest")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// What the server answered, whatever its status. `Debug` shows no body and no headers.
#[derive(Clone, PartialEq, Eq)]
pub struct FormAnswer {
    /// The status; never a redirect.
    pub status: StatusCode,
    /// The headers, at most 64.
    pub headers: HeaderMap,
    /// The body, of any content type.
    pub body: Bytes,
}

impl fmt::Debug for FormAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FormAnswer")
            .field("status", &self.status)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
