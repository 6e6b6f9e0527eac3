//! The browser: a random cookie that says nothing about the person. Pending requests and CSRF tokens are
//! bound to it.

use axum::response::Response;
use doorward_jose::{base64url, sha256};
use http::{HeaderMap, HeaderValue, header};

use super::pending::{LIFETIME as REQUEST_LIFETIME, Pending, start_again};
use crate::context::Context;
use crate::http::cookies::{Cookie, CookiePolicy, LONGEST_AGE};
use crate::http::csrf::BrowserId;
use crate::http::error::PageError;

/// Stands between the tag and the sealed request in a handle; not in base64url.
const SEPARATOR: char = '.';

/// The browser of a request, and the cookies that make it one if it was none.
pub(crate) struct Browser {
    /// Names it.
    pub(crate) id: BrowserId,
    is_new: bool,
}

impl Browser {
    /// The browser that sent these headers; a new one when it has no cookie yet.
    pub(crate) fn of(ctx: &Context, headers: &HeaderMap) -> Result<Self, PageError> {
        Ok(match Self::known(ctx, headers)? {
            Some(id) => Self { id, is_new: false },
            None => Self {
                id: BrowserId::generate(ctx.random.as_ref()),
                is_new: true,
            },
        })
    }

    /// The browser that sent these headers, if it was here before.
    pub(crate) fn known(ctx: &Context, headers: &HeaderMap) -> Result<Option<BrowserId>, PageError> {
        Ok(BrowserId::read(&policy(ctx), headers)?)
    }

    /// Adds the cookie to an answer, if it is new.
    pub(crate) fn mark(self, ctx: &Context, mut response: Response) -> Response {
        if self.is_new {
            let cookie = policy(ctx).set(Cookie::Browser, self.id.as_str(), Some(LONGEST_AGE));
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        response
    }

    /// The handle of a request in this browser: the tag of the browser's id, and the sealed request.
    pub(crate) fn handle(&self, ctx: &Context, pending: &Pending) -> Result<String, PageError> {
        Ok(format!(
            "{}{SEPARATOR}{}",
            tag(&self.id),
            pending.seal(ctx, &self.id)?
        ))
    }

    /// The cookie that a first request needs besides: applications open several tabs at once in a browser that
    /// has not been here, and each answer sets another [`Cookie::Browser`].
    pub(crate) fn tab_cookie(&self, ctx: &Context) -> Option<HeaderValue> {
        let cookie = |tag: &str| policy(ctx).set(Cookie::Tab(tag), self.id.as_str(), Some(REQUEST_LIFETIME));
        self.is_new.then(|| cookie(&tag(&self.id)))
    }

    /// Opens a handle, and says for which of the browser's ids it was made.
    pub(crate) fn open(
        ctx: &Context,
        headers: &HeaderMap,
        handle: &str,
    ) -> Result<(BrowserId, Pending), PageError> {
        let (tag_of_handle, sealed) = handle.split_once(SEPARATOR).ok_or_else(start_again)?;
        let tab = BrowserId::read_as(Cookie::Tab(tag_of_handle), &policy(ctx), headers)?;
        let id = Self::known(ctx, headers)?
            .into_iter()
            .chain(tab)
            .find(|id| tag(id) == tag_of_handle)
            .ok_or_else(start_again)?;
        let pending = Pending::open(ctx, &id, sealed)?;
        Ok((id, pending))
    }
}

/// Tells the ids of one browser apart, and says nothing about them.
fn tag(id: &BrowserId) -> String {
    let mut tag = base64url::encode(&sha256(id.as_str().as_bytes()));
    tag.truncate(8);
    tag
}

fn policy(ctx: &Context) -> CookiePolicy {
    CookiePolicy::for_issuer(&ctx.issuer)
}
