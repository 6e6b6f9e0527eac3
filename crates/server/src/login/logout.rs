//! `/logout`: ends the browser's session. Grants stay: what was connected stays connected.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode, header};

use super::endpoint::{foreign_form, signed_in_page};
use super::sessions;
use crate::authorize::Browser;
use crate::context::Context;
use crate::http::csrf;
use crate::http::error::PageError;
use crate::http::form;
use crate::http::request::RequestInfo;
use crate::pages::LoggedOutPage;

/// What the CSRF token of the form is for.
pub(crate) const FORM: &str = "logout";

/// `GET /logout`: the page that asks.
pub(crate) async fn get(State(ctx): State<Arc<Context>>, headers: HeaderMap) -> Result<Response, PageError> {
    match sessions::current(&ctx, &headers).await? {
        Some(signed_in) => signed_in_page(&ctx, &headers, &signed_in.user),
        None => Ok(logged_out(&ctx)),
    }
}

/// `POST /logout`.
pub(crate) async fn post(
    State(ctx): State<Arc<Context>>,
    info: RequestInfo,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, PageError> {
    let parameters = form::parse(&headers, &body)?;
    let browser = Browser::known(&ctx, &headers)?.ok_or_else(foreign_form)?;
    let token = parameters.get("csrf_token")?.unwrap_or_default();
    if !csrf::same_origin(&headers, &ctx.issuer) || !csrf::check(&ctx.secrets, &browser, FORM, token) {
        return Err(foreign_form());
    }
    let cookie = sessions::end(&ctx, &info, &headers).await?;
    let mut response = logged_out(&ctx);
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(response)
}

fn logged_out(ctx: &Context) -> Response {
    LoggedOutPage {
        base: ctx.issuer.path().to_owned(),
    }
    .render_response(StatusCode::OK)
}
