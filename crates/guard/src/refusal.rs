//! The answers to requests that do not pass: fixed sentences outside, the reason and an error id in the log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use doorward_jose::base64url;
use doorward_oauth::error::ErrorCode;
use doorward_oauth::scope::ScopeSet;
use doorward_oauth::time::Outage;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::challenge::Challenges;
use crate::dpop::DpopRefusal;
use crate::login::LoginFault;
use crate::message::Malformed;
use crate::reason::Reason;
use crate::terms::Terms;
use crate::verify::{Rejection, VerifyError};

/// Why a request does not reach the MCP server.
#[derive(Debug)]
pub(crate) enum Refusal {
    Origin,
    NoCredentials,
    MalformedCredentials,
    InvalidToken(Rejection),
    Dpop(DpopRefusal),
    Uncheckable { retry_after: Duration },
    Login(LoginFault),
    InsufficientScope { needed: ScopeSet },
    ForeignSession,
    BodyTooLarge,
    BodyUnreadable,
    BodyTooSlow,
    Encoding,
    Message(Malformed),
    HeaderMismatch { id: Option<Value> },
}

/// The sentences that clients see.
mod text {
    pub(super) const ORIGIN: &str =
        "Requests from this origin are not allowed. Add it to the allowed origins of the MCP server.";
    pub(super) const NO_CREDENTIALS: &str =
        "Send an access token for this MCP server in the Authorization header.";
    pub(super) const MALFORMED: &str = "Send exactly one access token, as `Authorization: Bearer <token>`, and none in the query or in a form; say `Content-Type: application/json` of a body that is JSON.";
    pub(super) const INVALID_TOKEN: &str =
        "The access token is not valid for this MCP server. Get a new one from its authorization server.";
    pub(super) const BOUND: &str = "The access token is bound to a key. It only counts as `Authorization: DPoP <token>` \
         with a proof, where the challenges name that scheme.";
    pub(super) const NOT_BOUND: &str = "The access token is not bound to a key. Send it as `Authorization: Bearer <token>` \
         without a proof, where the challenges name that scheme, or get one that is bound.";
    pub(super) const UNAVAILABLE: &str =
        "Access tokens cannot be checked right now. Try again a little later.";
    pub(super) const LOGIN_TOO_OLD: &str =
        "The sign-in behind the access token is too long ago for this MCP server. Sign in again.";
    pub(super) const LOGIN_TOO_WEAK: &str = "The sign-in behind the access token is not strong enough for this MCP server. \
         Sign in in one of the ways in the challenge.";
    pub(super) const INSUFFICIENT: &str = "The access token does not have every scope that this request needs. Ask for the scopes in the challenge.";
    pub(super) const SESSION: &str = "There is no such session. Send a new initialize request.";
    pub(super) const TOO_LARGE: &str = "The request body is larger than this MCP server takes.";
    pub(super) const UNREADABLE: &str = "The request body could not be read.";
    pub(super) const TOO_SLOW: &str = "The request body did not arrive in time.";
    pub(super) const ENCODING: &str =
        "Send the body as UTF-8, without a content encoding: Content-Type: application/json.";
    pub(super) const NOT_JSON: &str = "Parse error: the body must be one JSON document";
    pub(super) const NOT_A_MESSAGE: &str = "Invalid request: the body must be a JSON-RPC message without repeated \
         members, with parameters by name";
    pub(super) const MISMATCH: &str = "Header mismatch: MCP-Protocol-Version, Mcp-Method and Mcp-Name must be present \
         and equal the body";
}

impl From<VerifyError> for Refusal {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Rejected(rejection) => Self::InvalidToken(rejection),
            VerifyError::KeysUnavailable { retry_after }
            | VerifyError::IntrospectionUnavailable { retry_after } => Self::Uncheckable { retry_after },
        }
    }
}

impl Refusal {
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Origin => Reason::Origin,
            Self::NoCredentials => Reason::NoCredentials,
            Self::MalformedCredentials => Reason::MalformedCredentials,
            Self::InvalidToken(rejection) => Reason::Token(*rejection),
            Self::Dpop(refusal) => refusal.reason(),
            Self::Uncheckable { .. } => Reason::TokensUncheckable,
            Self::Login(LoginFault::TooOld) => Reason::LoginTooOld,
            Self::Login(LoginFault::TooWeak) => Reason::LoginTooWeak,
            Self::InsufficientScope { .. } => Reason::InsufficientScope,
            Self::ForeignSession => Reason::Session,
            Self::BodyTooLarge => Reason::BodyTooLarge,
            Self::BodyUnreadable => Reason::BodyUnreadable,
            Self::BodyTooSlow => Reason::BodyTooSlow,
            Self::Encoding => Reason::Encoding,
            Self::Message(Malformed::NotJson) => Reason::NotJson,
            Self::Message(Malformed::NotAMessage) => Reason::NotAMessage,
            Self::HeaderMismatch { .. } => Reason::HeaderMismatch,
        }
    }

    /// When it is worth trying again, if that is a matter of time.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Uncheckable { retry_after }
            | Self::Dpop(DpopRefusal::ReplaysUnavailable { retry_after }) => Some(*retry_after),
            _ => None,
        }
    }

    /// The nonce for another proof, if that is all that is wrong.
    pub(crate) fn nonce(&self) -> Option<&HeaderValue> {
        match self {
            Self::Dpop(DpopRefusal::Nonce { nonce, .. }) => Some(nonce),
            _ => None,
        }
    }

    /// `uncheckable` counts those that nobody can decide: a fault of the service, which meets every request.
    pub(crate) fn log(&self, status: StatusCode, error_id: &str, uncheckable: &Outage) {
        let (status, reason) = (status.as_u16(), self.reason().as_str());
        match self {
            // How every client begins.
            Self::NoCredentials | Self::Dpop(DpopRefusal::Nonce { .. }) => {
                tracing::debug!(error_id, status, reason, "request refused");
            }
            Self::Uncheckable { .. } | Self::Dpop(DpopRefusal::ReplaysUnavailable { .. }) => {
                if let Some(requests) = uncheckable.failed(Instant::now().into_std()) {
                    tracing::warn!(error_id, status, reason, requests, "request refused");
                } else {
                    tracing::debug!(error_id, status, reason, "request refused");
                }
            }
            Self::InsufficientScope { needed } => {
                tracing::info!(error_id, status, reason, %needed, "request refused");
            }
            _ => tracing::info!(error_id, status, reason, "request refused"),
        }
    }

    pub(crate) fn render(&self, terms: &Terms, error_id: &str) -> Response<Bytes> {
        let challenges = &terms.challenges;
        let oauth = |status, error: &str, description| {
            json_response(
                status,
                &json!({"error": error, "error_description": description, "error_id": error_id}),
            )
        };
        let jsonrpc = |code: i32, message, id: Option<&Value>| {
            let error = json!({"code": code, "message": message, "data": {"error_id": error_id}});
            json_response(
                StatusCode::BAD_REQUEST,
                &json!({"jsonrpc": "2.0", "id": id, "error": error}),
            )
        };
        match self {
            Self::Origin => oauth(StatusCode::FORBIDDEN, "forbidden_origin", text::ORIGIN),
            Self::NoCredentials => {
                let response = oauth(StatusCode::UNAUTHORIZED, "unauthorized", text::NO_CREDENTIALS);
                challenging(response, &challenges.bare())
            }
            Self::MalformedCredentials => {
                let response = oauth(StatusCode::BAD_REQUEST, "invalid_request", text::MALFORMED);
                challenging(
                    response,
                    &challenges.error(ErrorCode::InvalidRequest, text::MALFORMED),
                )
            }
            Self::InvalidToken(rejection) => {
                let sentence = match rejection {
                    Rejection::SenderConstrained => text::BOUND,
                    Rejection::NotSenderConstrained => text::NOT_BOUND,
                    _ => text::INVALID_TOKEN,
                };
                let response = oauth(StatusCode::UNAUTHORIZED, "invalid_token", sentence);
                challenging(response, &challenges.error(ErrorCode::InvalidToken, sentence))
            }
            Self::Dpop(refusal) => refusal.render(challenges, error_id),
            Self::Uncheckable { retry_after } => {
                let mut response = oauth(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "temporarily_unavailable",
                    text::UNAVAILABLE,
                );
                response
                    .headers_mut()
                    .insert(RETRY_AFTER, HeaderValue::from(retry_after.as_secs().max(1)));
                response
            }
            Self::Login(fault) => {
                let error = ErrorCode::InsufficientUserAuthentication;
                let sentence = match fault {
                    LoginFault::TooOld => text::LOGIN_TOO_OLD,
                    LoginFault::TooWeak => text::LOGIN_TOO_WEAK,
                };
                let response = oauth(StatusCode::UNAUTHORIZED, error.as_str(), sentence);
                challenging(response, &challenges.login(&terms.login, sentence))
            }
            Self::InsufficientScope { needed } => {
                insufficient_scope(Some(challenges), needed, Some(error_id))
            }
            Self::ForeignSession => oauth(StatusCode::NOT_FOUND, "session_not_found", text::SESSION),
            Self::BodyTooLarge => oauth(
                StatusCode::PAYLOAD_TOO_LARGE,
                "request_too_large",
                text::TOO_LARGE,
            ),
            Self::BodyUnreadable => oauth(StatusCode::BAD_REQUEST, "invalid_request", text::UNREADABLE),
            Self::BodyTooSlow => oauth(StatusCode::REQUEST_TIMEOUT, "request_timeout", text::TOO_SLOW),
            Self::Encoding => oauth(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                text::ENCODING,
            ),
            Self::Message(Malformed::NotJson) => jsonrpc(-32700, text::NOT_JSON, None),
            Self::Message(Malformed::NotAMessage) => jsonrpc(-32600, text::NOT_A_MESSAGE, None),
            Self::HeaderMismatch { id } => jsonrpc(-32020, text::MISMATCH, id.as_ref()),
        }
    }
}

/// `403 insufficient_scope` with the challenge for `needed`.
pub(crate) fn insufficient_scope(
    challenges: Option<&Challenges>,
    needed: &ScopeSet,
    error_id: Option<&str>,
) -> Response<Bytes> {
    let mut body = json!({
        "error": "insufficient_scope",
        "error_description": text::INSUFFICIENT,
        "scope": needed.to_string(),
    });
    if let (Some(members), Some(id)) = (body.as_object_mut(), error_id) {
        members.insert("error_id".to_owned(), Value::from(id));
    }
    let response = json_response(StatusCode::FORBIDDEN, &body);
    match challenges {
        Some(challenges) => challenging(
            response,
            &challenges.insufficient_scope(needed, text::INSUFFICIENT),
        ),
        None => response,
    }
}

pub(crate) fn json_response(status: StatusCode, body: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(crate) fn challenging(mut response: Response<Bytes>, challenges: &[String]) -> Response<Bytes> {
    // A challenge is made of checked URLs and scope tokens, so it always is header text.
    for value in challenges
        .iter()
        .filter_map(|challenge| HeaderValue::from_str(challenge).ok())
    {
        response.headers_mut().append(WWW_AUTHENTICATE, value);
    }
    response
}

/// Short names for refusals, to find them in the log. Unique, not secret.
#[derive(Debug)]
pub(crate) struct ErrorIds {
    seed: u64,
    issued: AtomicU64,
}

impl ErrorIds {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            issued: AtomicU64::new(0),
        }
    }

    pub(crate) fn next(&self) -> String {
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        let mut text = [0; 16];
        text[..8].copy_from_slice(&self.seed.to_be_bytes());
        text[8..].copy_from_slice(&number.to_be_bytes());
        base64url::encode(&doorward_jose::sha256(&text)[..9])
    }
}
