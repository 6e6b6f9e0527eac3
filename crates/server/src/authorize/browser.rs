//! The browser: a random cookie that says nothing about the person. Pending requests and CSRF tokens are
//! bound to it.

use std::time::Duration;

use axum::response::Response;
use http::{HeaderMap, HeaderValue, header};

use crate::context::Context;
use crate::http::cookies::{Cookie, CookiePolicy};
use crate::http::csrf::BrowserId;
use crate::http::error::PageError;

/// As long as browsers keep a cookie.
const LIFETIME: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// The browser of a request, and the cookie that makes it one if it was none.
pub(crate) struct Browser {
    /// Names it.
    pub(crate) id: BrowserId,
    cookie: Option<HeaderValue>,
}

impl Browser {
    /// The browser that sent these headers; a new one when it has no cookie yet.
    pub(crate) fn of(ctx: &Context, headers: &HeaderMap) -> Result<Self, PageError> {
        if let Some(id) = Self::known(ctx, headers)? {
            return Ok(Self { id, cookie: None });
        }
        let id = BrowserId::generate(ctx.random.as_ref());
        let cookie = CookiePolicy::for_issuer(&ctx.issuer).set(Cookie::Browser, id.as_str(), Some(LIFETIME));
        Ok(Self { id, cookie: Some(cookie) })
    }

    /// The browser that sent these headers, if it was here before.
    pub(crate) fn known(ctx: &Context, headers: &HeaderMap) -> Result<Option<BrowserId>, PageError> {
        Ok(BrowserId::read(CookiePolicy::for_issuer(&ctx.issuer), headers)?)
    }

    /// Adds the cookie to an answer, if it is new.
    pub(crate) fn mark(self, mut response: Response) -> Response {
        if let Some(cookie) = self.cookie {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        response
    }
}
