//! Errors as they leave the server: OAuth JSON for programs, a page for people.
//!
//! An error says what to change and never what happened inside. Its id is the id of the request; the
//! envelope writes it into the answer, and into the log with the internal text.

use std::borrow::Cow;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use doorward_jose::JoseError;
use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_oauth::parameters::{Duplicate, ParametersError};
use doorward_store::StoreError;

use super::failure::{Failure, Form, code_for};

pub(crate) use super::failure::UNKNOWN_ENDPOINT;
use crate::keys::KeyError;

/// An error of an endpoint that programs call: JSON as RFC 6749 §5.2, under the status of its code unless
/// another is given.
#[derive(Debug)]
pub(crate) struct TokenError {
    error: OAuthError,
    status: Option<StatusCode>,
    /// Seconds.
    retry_after: Option<u64>,
}

impl TokenError {
    /// The error under another status than its code's.
    pub(crate) const fn with_status(status: StatusCode, error: OAuthError) -> Self {
        Self {
            error,
            status: Some(status),
            retry_after: None,
        }
    }

    /// 429: nothing is wrong with the request, but it comes too often.
    pub(crate) const fn come_back_after(seconds: u64, error: OAuthError) -> Self {
        Self {
            error,
            status: Some(StatusCode::TOO_MANY_REQUESTS),
            retry_after: Some(seconds),
        }
    }

    /// Whether it has this code.
    pub(crate) fn is(&self, code: ErrorCode) -> bool {
        self.error.code == code
    }

    /// The same under the other code, where it has the one.
    pub(crate) fn with_code(mut self, one: ErrorCode, other: ErrorCode) -> Self {
        if self.is(one) {
            self.error.code = other;
        }
        self
    }

    /// The same where another error came first: the log says what that was.
    pub(crate) fn after(mut self, first: &Self) -> Self {
        if let Some(first) = &first.error.internal {
            let own = self.error.internal.unwrap_or_default();
            self.error.internal = Some(format!("{own}; {first}"));
        }
        self
    }

    /// Something broke in here.
    pub(crate) fn internal(internal: impl std::fmt::Display) -> Self {
        OAuthError::new(ErrorCode::ServerError, OUR_FAULT)
            .with_internal(internal)
            .into()
    }
}

/// The title of every refusal that has a sentence of its own.
const CANNOT_BE_COMPLETED: &str = "This request cannot be completed";
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
    code: &'static str,
    internal: Option<String>,
    store: bool,
    quotes: bool,
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
            code: code_for(status),
            internal: None,
            store: false,
            quotes: false,
        }
    }

    /// The message quotes what was sent, which may be a secret: the log does not have it.
    #[must_use]
    pub(crate) const fn quoting(mut self) -> Self {
        self.quotes = true;
        self
    }

    /// The same under another code than its status's.
    #[must_use]
    pub(crate) const fn with_code(mut self, code: &'static str) -> Self {
        self.code = code;
        self
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
            "The server cannot do this at the moment; try again in a moment.",
        )
    }
}

impl From<OAuthError> for PageError {
    fn from(error: OAuthError) -> Self {
        let status = StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::BAD_REQUEST);
        Self {
            status,
            title: CANNOT_BE_COMPLETED.into(),
            store: is_store_fault(&error),
            message: error.description,
            code: error.code.as_str(),
            internal: error.internal,
            quotes: false,
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

impl From<Duplicate> for PageError {
    fn from(error: Duplicate) -> Self {
        OAuthError::from(error).into()
    }
}

impl From<ParametersError> for PageError {
    fn from(error: ParametersError) -> Self {
        OAuthError::from(error).into()
    }
}

impl From<TokenError> for PageError {
    fn from(TokenError { error, status, .. }: TokenError) -> Self {
        let page = Self::from(error);
        Self {
            status: status.unwrap_or(page.status),
            ..page
        }
    }
}

impl From<TokenError> for OAuthError {
    fn from(error: TokenError) -> Self {
        error.error
    }
}

impl From<OAuthError> for TokenError {
    fn from(error: OAuthError) -> Self {
        Self {
            error,
            status: None,
            retry_after: None,
        }
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

/// A key cannot be used, or nobody knows whether it may be: the request is not at fault.
impl From<KeyError> for TokenError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Store(error) => error.into(),
            // Whoever keeps the key could not be asked, or did not sign.
            KeyError::Jose(error) if error != JoseError::SigningFailed => Self::internal(error),
            error => OAuthError::new(
                ErrorCode::TemporarilyUnavailable,
                "The server's signing keys cannot be used at the moment; try again in a moment.",
            )
            .with_internal(error)
            .into(),
        }
    }
}

/// A credential is not wrong because the store is busy: 503, never `invalid_grant`.
impl From<StoreError> for TokenError {
    fn from(error: StoreError) -> Self {
        let sentence = if error.is_temporary() {
            "The server cannot do this at the moment; try again in a moment."
        } else {
            OUR_FAULT
        };
        store_fault(&error, sentence).into()
    }
}

/// What a failure of the store is to the caller: 503 when trying again may help, else 500.
pub(crate) fn store_fault(error: &StoreError, sentence: impl Into<Cow<'static, str>>) -> OAuthError {
    let code = if error.is_temporary() {
        ErrorCode::TemporarilyUnavailable
    } else {
        ErrorCode::ServerError
    };
    OAuthError::new(code, sentence).with_internal(format_args!("{STORE_FAULT}{error}"))
}

/// Marks internal text that comes from the store, so that the fault is counted.
const STORE_FAULT: &str = "store: ";

fn is_store_fault(error: &OAuthError) -> bool {
    error
        .internal
        .as_ref()
        .is_some_and(|internal| internal.starts_with(STORE_FAULT))
}

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
            quotes: self.quotes,
            retry_after: None,
            form: Form::Page,
        }
        .into_response()
    }
}

impl IntoResponse for TokenError {
    fn into_response(self) -> Response {
        let Self {
            error,
            status,
            retry_after,
        } = self;
        let status = status
            .or_else(|| StatusCode::from_u16(error.code.status()).ok())
            .unwrap_or(StatusCode::BAD_REQUEST);
        Failure {
            status,
            code: error.code.as_str(),
            title: CANNOT_BE_COMPLETED.into(),
            store: is_store_fault(&error),
            message: error.description,
            internal: error.internal,
            quotes: false,
            retry_after,
            form: Form::Json,
        }
        .into_response()
    }
}

/// An error that goes to the client by a redirect, which looks like a success: for the log and the metrics.
#[derive(Debug, Clone)]
pub(crate) struct SentBack {
    pub(super) code: &'static str,
    /// Whether it is no refusal, but a fault of the server.
    pub(super) is_fault: bool,
    pub(super) message: String,
}

impl From<&OAuthError> for SentBack {
    fn from(error: &OAuthError) -> Self {
        Self {
            code: error.code.as_str(),
            is_fault: error.status() >= 500,
            message: error.safe_description().into_owned(),
        }
    }
}
