//! Signing in.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::{assets, display};

/// The page that asks for e-mail address and password.
#[derive(Debug, Clone, Template)]
#[template(path = "login.html")]
pub(crate) struct LoginPage {
    /// The issuer's path, `""` or `/t`: what every link starts with.
    pub(crate) base: String,
    /// The sealed request that goes on after signing in.
    pub(crate) request: String,
    /// The form's CSRF token.
    pub(crate) csrf_token: String,
    /// The address to fill in, from `login_hint` or the attempt before.
    pub(crate) email: String,
    /// What went wrong with the attempt before; the same words whatever it was.
    pub(crate) error: Option<String>,
    /// The client that sent the person here; `None` when nobody did.
    pub(crate) client_name: Option<String>,
    /// The MCP server the client wants to use.
    pub(crate) resource_name: Option<String>,
}

impl LoginPage {
    /// The page as an answer. `redirect_uri` is the client's, to which signing in may lead at once.
    pub(crate) fn render_response(&self, status: StatusCode, redirect_uri: Option<&str>) -> Response {
        super::respond(self, status, redirect_uri)
    }

    #[cfg(test)]
    pub(crate) fn sample() -> Self {
        Self {
            base: String::new(),
            request: "sealed-request".to_owned(),
            csrf_token: "csrf-token".to_owned(),
            email: "ada@example.com".to_owned(),
            error: Some("E-mail address or password is not right. Try again.".to_owned()),
            client_name: Some("Example Editor".to_owned()),
            resource_name: Some("Team files".to_owned()),
        }
    }
}
