//! The answer to an authorization request: a redirect to the client, with `iss` in it always (RFC 9207 §2).

use doorward_oauth::error::OAuthError;
use doorward_oauth::redirect;
use http::header::{CACHE_CONTROL, LOCATION, REFERRER_POLICY};
use http::{HeaderValue, StatusCode};

use axum::response::{IntoResponse as _, Response};

use crate::context::Context;
use crate::http::error::{PageError, SentBack};

/// The code for the client (OAuth 2.1 §4.1.2).
pub(crate) fn success(
    ctx: &Context,
    redirect_uri: &str,
    state: Option<&str>,
    code: &str,
) -> Result<Response, PageError> {
    see_other(&success_location(ctx, redirect_uri, state, code))
}

/// The address with the code.
pub(crate) fn success_location(ctx: &Context, redirect_uri: &str, state: Option<&str>, code: &str) -> String {
    let mut pairs = vec![("code", code)];
    pairs.extend(state.map(|state| ("state", state)));
    pairs.push(("iss", ctx.issuer.as_str()));
    redirect::location(redirect_uri, &pairs)
}

/// An error for the client (OAuth 2.1 §4.1.2.1).
pub(crate) fn error(
    ctx: &Context,
    redirect_uri: &str,
    state: Option<&str>,
    error: &OAuthError,
) -> Result<Response, PageError> {
    let description = error.safe_description();
    let mut pairs = vec![
        ("error", error.code.as_str()),
        ("error_description", &*description),
    ];
    pairs.extend(state.map(|state| ("state", state)));
    pairs.push(("iss", ctx.issuer.as_str()));
    let mut response = see_other(&redirect::location(redirect_uri, &pairs))?;
    response.extensions_mut().insert(SentBack::from(error));
    Ok(response)
}

/// A redirect to one of our own pages.
pub(crate) fn own_page(ctx: &Context, path: &str, handle: &str) -> Result<Response, PageError> {
    see_other(&redirect::location(
        &format!("{}{path}", ctx.issuer.path()),
        &[("request", handle)],
    ))
}

/// 303: the browser goes on with `GET`, and never sends a password or decision along (RFC 9700 §4.12).
pub(crate) fn see_other(location: &str) -> Result<Response, PageError> {
    let location = HeaderValue::from_str(location).map_err(|error| PageError::internal(error.to_string()))?;
    let headers = [
        (LOCATION, location),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}
