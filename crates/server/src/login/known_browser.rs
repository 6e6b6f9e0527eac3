//! Browsers in which a person signed in before. A cookie proves it, for one person and one browser; it opens
//! nothing, it only gives that browser its own count of attempts (see [`super::throttle`]).

use doorward_jose::base64url;
use doorward_store::User;
use http::{HeaderMap, HeaderValue};

use crate::context::Context;
use crate::http::cookies::{Cookie, CookiePolicy, LONGEST_AGE};
use crate::http::csrf::BrowserId;
use crate::http::error::PageError;

const PURPOSE: &str = "known-browser";

/// The cookie after a right password.
pub(crate) fn cookie(ctx: &Context, browser: &BrowserId, user: &User) -> HeaderValue {
    let mac = ctx
        .secrets
        .mac(PURPOSE, &[user.id.0.as_bytes(), browser.as_str().as_bytes()]);
    CookiePolicy::for_issuer(&ctx.issuer).set(Cookie::Known, &base64url::encode(&mac), Some(LONGEST_AGE))
}

/// The cookie's value, if it proves that this person signed in in this browser before.
pub(crate) fn proof(
    ctx: &Context,
    headers: &HeaderMap,
    browser: &BrowserId,
    user: Option<&User>,
) -> Result<Option<String>, PageError> {
    let Some(user) = user else {
        return Ok(None);
    };
    let value = CookiePolicy::for_issuer(&ctx.issuer).read(Cookie::Known, headers)?;
    Ok(value.filter(|value| {
        base64url::decode(value).is_ok_and(|mac| {
            ctx.secrets.verify_mac(
                PURPOSE,
                &[user.id.0.as_bytes(), browser.as_str().as_bytes()],
                &mac,
            )
        })
    }))
}
