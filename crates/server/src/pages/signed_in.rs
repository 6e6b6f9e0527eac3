//! What is shown when nothing waits after signing in or out.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::{assets, display};

/// The person is signed in, and no client waits.
#[derive(Debug, Clone, Template)]
#[template(path = "signed_in.html")]
pub(crate) struct SignedInPage {
    /// The issuer's path, `""` or `/t`: what every link starts with.
    pub(crate) base: String,
    /// The e-mail address of the person who is signed in.
    pub(crate) account: String,
    /// The CSRF token of the form that signs out.
    pub(crate) csrf_token: String,
}

/// The person has signed out.
#[derive(Debug, Clone, Template)]
#[template(path = "logged_out.html")]
pub(crate) struct LoggedOutPage {
    /// The issuer's path, `""` or `/t`: what every link starts with.
    pub(crate) base: String,
}

impl SignedInPage {
    /// The page as an answer.
    pub(crate) fn render_response(&self, status: StatusCode) -> Response {
        super::respond(self, status, None)
    }

    #[cfg(test)]
    pub(crate) fn sample() -> Self {
        Self {
            base: String::new(),
            account: "ada@example.com".to_owned(),
            csrf_token: "csrf-token".to_owned(),
        }
    }
}

impl LoggedOutPage {
    /// The page as an answer.
    pub(crate) fn render_response(&self, status: StatusCode) -> Response {
        super::respond(self, status, None)
    }

    #[cfg(test)]
    pub(crate) fn sample() -> Self {
        Self { base: String::new() }
    }
}
