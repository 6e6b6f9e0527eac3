//! Errors as they leave the server: OAuth JSON for programs, a page for people.
//!
//! An error says what to change and never what happened inside. Its id is the id of the request; the
//! envelope writes it into the answer, and into the log with the internal text.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use doorward_jose::JoseError;
use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_oauth::parameters::{Duplicate, ParametersError};
use doorward_store::StoreError;
use serde_json::json;

use crate::pages::ErrorPage;

/// An error of an endpoint that programs call: JSON as RFC 6749 §5.2, under the status of its code unless
/// another is given.
#[derive(Debug)]
pub(crate) struct TokenError(pub(crate) OAuthError, pub(crate) Option<StatusCode>);

impl TokenError {
    /// The error under another status than its code's.
    pub(crate) const fn with_status(status: StatusCode, error: OAuthError) -> Self {
        Self(error, Some(status))
    }

    /// Something broke in here.
    pub(crate) fn internal(internal: impl Into<String>) -> Self {
        let mut public = OAuthError::new(ErrorCode::ServerError, OUR_FAULT);
        public.internal = Some(internal.into());
        public.into()
    }
}

const OUR_FAULT: &str = "The fault is on the server's side; give the error id to its operator.";

/// An error of an endpoint that people visit: a page, or JSON for who asks for it. Never a redirect.
#[derive(Debug, Clone)]
pub(crate) struct PageError {
    /// The HTTP status.
    pub(crate) status: StatusCode,
    /// What happened, in a few words.
    pub(crate) title: Cow<'static, str>,
    /// What to do about it, in a sentence.
    pub(crate) message: Cow<'static, str>,
    code: Cow<'static, str>,
    internal: Option<String>,
    store: bool,
}

impl PageError {
    /// An error with a heading and the sentence that says what to do.
    pub(crate) fn new(
        status: StatusCode,
        title: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            title: title.into(),
            message: message.into(),
            code: code_for(status).into(),
            internal: None,
            store: false,
        }
    }

    /// Adds what only the log may know.
    #[must_use]
    pub(crate) fn with_internal(mut self, internal: impl Into<String>) -> Self {
        self.internal = Some(internal.into());
        self
    }

    /// Something broke in here.
    pub(crate) fn internal(internal: impl Into<String>) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Something went wrong",
            "The fault is on our side. Try again; if it happens again, give the error id to the operator.",
        )
        .with_internal(internal)
    }

    fn unavailable() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "Not available right now",
            "The server cannot do this at the moment. Nothing was changed; try again in a moment.",
        )
    }
}

impl From<OAuthError> for PageError {
    fn from(error: OAuthError) -> Self {
        let status = StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::BAD_REQUEST);
        Self {
            status,
            title: "This request cannot be completed".into(),
            message: error.description,
            code: error.code.as_str().into(),
            internal: error.internal,
            store: false,
        }
    }
}

impl From<StoreError> for PageError {
    fn from(error: StoreError) -> Self {
        let page = if error.is_temporary() {
            Self::unavailable()
        } else {
            Self::internal("")
        };
        Self {
            store: true,
            ..page.with_internal(error.to_string())
        }
    }
}

impl From<TokenError> for PageError {
    fn from(TokenError(error, status): TokenError) -> Self {
        let page = Self::from(error);
        Self {
            status: status.unwrap_or(page.status),
            ..page
        }
    }
}

impl From<OAuthError> for TokenError {
    fn from(error: OAuthError) -> Self {
        Self(error, None)
    }
}

impl From<Duplicate> for TokenError {
    fn from(error: Duplicate) -> Self {
        OAuthError::from(error).into()
    }
}

impl From<ParametersError> for TokenError {
    fn from(error: ParametersError) -> Self {
        OAuthError::from(error).into()
    }
}

/// A token that cannot be signed: the key is at fault, not the request.
impl From<JoseError> for TokenError {
    fn from(error: JoseError) -> Self {
        Self::internal(error.to_string())
    }
}

/// A credential is not wrong because the store is busy: 503, never `invalid_grant`.
impl From<StoreError> for TokenError {
    fn from(error: StoreError) -> Self {
        let internal = format!("{STORE_FAULT}{error}");
        if !error.is_temporary() {
            return Self::internal(internal);
        }
        let mut public = OAuthError::new(
            ErrorCode::TemporarilyUnavailable,
            "The server cannot do this at the moment; try again in a moment.",
        );
        public.internal = Some(internal);
        public.into()
    }
}

/// Marks internal text that comes from the store, so that the fault is counted.
const STORE_FAULT: &str = "store: ";

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let (code, title, message) = (self.code, self.title, self.message);
        Failure {
            status: self.status,
            code,
            title,
            message,
            internal: self.internal,
            store: self.store,
            form: Form::Page,
        }
        .into_response()
    }
}

impl IntoResponse for TokenError {
    fn into_response(self) -> Response {
        let Self(error, status) = self;
        let status = status
            .or_else(|| StatusCode::from_u16(error.code.status()).ok())
            .unwrap_or(StatusCode::BAD_REQUEST);
        Failure {
            status,
            code: error.code.as_str().into(),
            title: "This request cannot be completed".into(),
            store: error
                .internal
                .as_ref()
                .is_some_and(|text| text.starts_with(STORE_FAULT)),
            message: error.description,
            internal: error.internal,
            form: Form::Json,
        }
        .into_response()
    }
}

/// An error on its way out; the envelope finishes it.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    pub(super) code: Cow<'static, str>,
    title: Cow<'static, str>,
    message: Cow<'static, str>,
    pub(super) internal: Option<String>,
    pub(super) store: bool,
    form: Form,
}

/// What the endpoint speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
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
            code: code_for(status).into(),
            title: title.into(),
            message: message.into(),
            internal: None,
            store: false,
            form: Form::ByAccept,
        }
    }

    pub(super) fn panicked(internal: String) -> Self {
        Self {
            internal: Some(internal),
            ..Self::from_status(StatusCode::INTERNAL_SERVER_ERROR)
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
        if self.status == StatusCode::SERVICE_UNAVAILABLE && !headers.contains_key(RETRY_AFTER) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        // RFC 6749 §5.2: the scheme the client used is named in the answer to its failed authentication.
        if self.status == StatusCode::UNAUTHORIZED && request.tried_basic {
            headers.insert(
                WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"doorward\""),
            );
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
                tried_basic: false,
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
    tried_basic: bool,
}

impl Asked {
    pub(super) fn new(headers: &HeaderMap) -> Self {
        let accept = headers
            .get(ACCEPT)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let authorization = headers
            .get("authorization")
            .map(HeaderValue::as_bytes)
            .unwrap_or_default();
        Self {
            html: accept.contains("text/html"),
            json: accept.contains("application/json"),
            tried_basic: authorization
                .get(..5)
                .is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"basic")),
        }
    }
}

/// RFC 6749 §5.2 allows `%x20-21 / %x23-5B / %x5D-7E` in `error_description`; 1 KiB is enough for a sentence.
fn plain(text: &str) -> String {
    text.chars()
        .take(1024)
        .map(|c| match c {
            '"' => '\'',
            ' '..='~' if c != '\\' => c,
            _ => '?',
        })
        .collect()
}

/// The answer to a path that nobody serves.
pub(super) async fn not_found() -> Failure {
    Failure::from_status(StatusCode::NOT_FOUND)
}

fn code_for(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "invalid_token",
        StatusCode::FORBIDDEN => "access_denied",
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::CONFLICT => "conflict",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        StatusCode::TOO_MANY_REQUESTS => "slow_down",
        StatusCode::SERVICE_UNAVAILABLE => "temporarily_unavailable",
        status if status.is_server_error() => "server_error",
        _ => "invalid_request",
    }
}

fn words_for(status: StatusCode) -> (&'static str, &'static str) {
    match status {
        StatusCode::NOT_FOUND => (
            "There is nothing here",
            "Check the address; the server's metadata names every endpoint.",
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
