//! The pages people see. They are complete without a script, and nothing in them is written by a script.

mod assets;
mod consent;
mod device;
mod display;
mod error;
mod login;
mod signed_in;

use askama::Template;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};

pub(crate) use assets::router as assets;
pub(crate) use consent::{ConsentDevice, ConsentPage, ConsentResource, ConsentScope, ConsentWarning};
pub(crate) use device::{DeviceDonePage, DevicePage, HandOverPage};
pub(crate) use error::ErrorPage;
pub(crate) use login::LoginPage;
pub(crate) use signed_in::{LoggedOutPage, SignedInPage};

use crate::http::headers::{CROSS_ORIGIN_OPENER_POLICY, opener_policy, page_policy};

/// The page as an answer. `redirect_uri` is the one to which the page's form may lead, if any: browsers
/// must be told that the form may end there, and whether somebody waits for a popup to get there.
fn respond(page: &impl Template, status: StatusCode, redirect_uri: Option<&str>) -> Response {
    let mut response = (status, html(page)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, page_policy(redirect_uri));
    headers.insert(CROSS_ORIGIN_OPENER_POLICY, opener_policy(redirect_uri));
    response
}

/// The page's text. Rendering into memory fails only when a value's own `Display` does, and ours do not.
fn html(page: &impl Template) -> String {
    page.render().unwrap_or_else(|error| {
        tracing::error!(%error, "a page cannot be rendered");
        String::new()
    })
}

#[cfg(test)]
mod tests;
