//! An error on its way out: how it is worded, and rendered for who asked.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use doorward_oauth::error::error_text;
use serde_json::json;

use crate::pages::ErrorPage;

/// An error on its way out; the envelope finishes it.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) title: Cow<'static, str>,
    pub(super) message: Cow<'static, str>,
    pub(super) internal: Option<String>,
    pub(super) store: bool,
    /// Whether the message quotes what was sent.
    pub(super) quotes: bool,
    /// Seconds; one second where nobody says more.
    pub(super) retry_after: Option<u64>,
    pub(super) form: Form,
}

/// What the endpoint speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// JSON only.
    Json,
    /// Pages, and JSON for who asks for nothing else.
    Page,
    /// Pages only for who asks for them.
    ByAccept,
}

impl Failure {
    /// The failure for an answer that a library made without saying more than a status.
    pub(super) fn from_status(status: StatusCode) -> Self {
        let (title, message) = words_for(status);
        Self {
            status,
            code: code_for(status),
            title: title.into(),
            message: message.into(),
            internal: None,
            store: false,
            quotes: false,
            retry_after: None,
            form: Form::ByAccept,
        }
    }

    pub(super) fn panicked(internal: String) -> Self {
        Self::from_status(StatusCode::INTERNAL_SERVER_ERROR).with_internal(internal)
    }

    /// Adds what only the log may know.
    pub(super) fn with_internal(self, internal: String) -> Self {
        Self {
            internal: Some(internal),
            ..self
        }
    }

    /// Writes the body and the headers that belong to it into `response`. `pages` is the issuer's path on a
    /// server that has pages.
    pub(super) fn render(&self, response: &mut Response, request: Asked, id: &str, pages: Option<&str>) {
        let base = pages.filter(|_| match self.form {
            Form::Json => false,
            Form::Page => request.html || !request.json,
            Form::ByAccept => request.html,
        });
        let (kind, body) = if let Some(base) = base {
            let page = ErrorPage {
                base: base.to_owned(),
                title: self.title.to_string(),
                message: self.message.to_string(),
                error_id: id.to_owned(),
            };
            ("text/html; charset=utf-8", page.html())
        } else {
            let body =
                json!({ "error": self.code, "error_description": plain(&self.message), "error_id": id });
            ("application/json", body.to_string())
        };
        let headers = response.headers_mut();
        headers.remove(CONTENT_LENGTH);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let comes_back = matches!(
            self.status,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
        );
        if comes_back && !headers.contains_key(RETRY_AFTER) {
            headers.insert(RETRY_AFTER, HeaderValue::from(self.retry_after.unwrap_or(1)));
        }
        // RFC 9110 §15.5.2: with every 401.
        if self.status == StatusCode::UNAUTHORIZED && !headers.contains_key(WWW_AUTHENTICATE) {
            let challenge = match self.code {
                // RFC 6750 §3.
                "invalid_token" => "Bearer error=\"invalid_token\"",
                _ => "Basic realm=\"doorward\"",
            };
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        *response.status_mut() = self.status;
        *response.body_mut() = Body::from(body);
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        self.render(
            &mut response,
            Asked {
                html: false,
                json: false,
            },
            "",
            Some(""),
        );
        response.extensions_mut().insert(self);
        response
    }
}

/// What the request says about the answer it can read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    html: bool,
    json: bool,
}

impl Asked {
    pub(super) fn new(headers: &HeaderMap) -> Self {
        let accept = headers
            .get(ACCEPT)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        Self {
            html: accept.contains("text/html"),
            json: accept.contains("application/json"),
        }
    }
}

/// In the character set of `error_description`; 1 KiB is enough for a sentence.
fn plain(text: &str) -> Cow<'_, str> {
    let end = text.char_indices().nth(1024).map_or(text.len(), |(end, _)| end);
    error_text(&text[..end])
}

/// Where nothing is served: not the code of a record that is not there, which a program may take for the answer.
pub(crate) const UNKNOWN_ENDPOINT: &str = "unknown_endpoint";

/// The answer to a path that nobody serves.
pub(super) async fn not_found() -> Failure {
    Failure {
        code: UNKNOWN_ENDPOINT,
        ..Failure::from_status(StatusCode::NOT_FOUND)
    }
}

pub(super) fn code_for(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "invalid_token",
        StatusCode::FORBIDDEN => "access_denied",
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::CONFLICT => "conflict",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        StatusCode::PRECONDITION_FAILED => "precondition_failed",
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => "temporarily_unavailable",
        status if status.is_server_error() => "server_error",
        _ => "invalid_request",
    }
}

fn words_for(status: StatusCode) -> (&'static str, &'static str) {
    match status {
        StatusCode::NOT_FOUND => (
            "There is nothing here",
            "Check the address, or start from the application that you want to connect; for programs the server's metadata names every endpoint.",
        ),
        StatusCode::METHOD_NOT_ALLOWED => (
            "This address works differently",
            "Use one of the methods that the Allow header names.",
        ),
        StatusCode::REQUEST_TIMEOUT => ("The request took too long", "Send the whole request at once."),
        StatusCode::PAYLOAD_TOO_LARGE => ("The request is too large", "Send a smaller request body."),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => (
            "The request has the wrong content type",
            "Send the content type that the endpoint reads.",
        ),
        StatusCode::MISDIRECTED_REQUEST => (
            "This is not the server you asked for",
            "Use the server under its own name, as its issuer says.",
        ),
        StatusCode::TOO_MANY_REQUESTS => (
            "Too many requests",
            "Wait as long as the Retry-After header says.",
        ),
        StatusCode::SERVICE_UNAVAILABLE => ("Not available right now", "Try again in a moment."),
        status if status.is_server_error() => (
            "Something went wrong",
            "The fault is on the server's side; give the error id to its operator.",
        ),
        _ => (
            "This request cannot be read",
            "Check the request against the endpoint's documentation.",
        ),
    }
}
