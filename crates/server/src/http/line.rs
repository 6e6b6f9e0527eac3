//! The line of a request in the log.

use std::borrow::Cow;
use std::net::IpAddr;

use axum::http::StatusCode;
use doorward_oauth::error::error_text;

use super::error::SentBack;
use super::failure::Failure;
use super::request::RequestInfo;

/// One event a request: never query strings, bodies, cookies or credentials. What strangers wrote is
/// escaped (`?`).
pub(super) struct Line<'a> {
    pub(super) id: &'a str,
    pub(super) callers_id: Option<&'a str>,
    pub(super) address: IpAddr,
    /// What was found out, where somebody looked.
    pub(super) info: Option<&'a RequestInfo>,
    pub(super) method: &'static str,
    pub(super) route: &'a str,
    pub(super) seconds: f64,
}

/// Of a sentence, in bytes: none of ours is as long, but one that quotes may be.
const LONGEST_SENTENCE: usize = 400;

/// In place of a sentence with values of a body, where secrets stand.
const QUOTES: &str = "The caller was told what is wrong with the request.";

/// What a caller was told who did not get what was asked for.
#[derive(Default)]
pub(super) struct Told<'a> {
    pub(super) error: Option<&'static str>,
    /// Our own sentence. Some quote what was sent, escaped and cut.
    error_description: Option<Cow<'a, str>>,
    /// What only the log is told.
    internal: Option<&'a str>,
}

impl<'a> Told<'a> {
    pub(super) fn of(failure: Option<&'a Failure>, sent_back: Option<&'a SentBack>) -> Self {
        let (error, message) = match (failure, sent_back) {
            (Some(failure), _) if failure.quotes => (failure.code, QUOTES),
            (Some(failure), _) => (failure.code, failure.message.as_ref()),
            (None, Some(sent_back)) => (sent_back.code, sent_back.message.as_str()),
            (None, None) => return Self::default(),
        };
        Self {
            error: Some(error),
            error_description: Some(error_text(cut(message, LONGEST_SENTENCE))),
            internal: failure.and_then(|failure| failure.internal.as_deref()),
        }
    }
}

/// The beginning, whole characters of it.
fn cut(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

impl Line<'_> {
    pub(super) fn log(&self, status: StatusCode, told: &Told<'_>, intended: bool) {
        let Self {
            method,
            route,
            info,
            address,
            ..
        } = *self;
        let status = status.as_u16();
        let (request_id, caller_request_id) = (self.id, self.callers_id);
        let client_id = info.and_then(RequestInfo::client_id);
        let claimed_client_id = info.and_then(RequestInfo::claimed_client_id);
        let claimed_client_id = claimed_client_id.as_deref();
        let admin_key = info.and_then(RequestInfo::admin_key);
        let issued = info.and_then(RequestInfo::issued);
        let grant = issued.and_then(|issued| issued.grant.as_deref());
        let jti = issued.map(|issued| issued.jti.as_str());
        let Told {
            error,
            error_description,
            internal,
        } = told;
        let (error, error_description, internal) = (*error, error_description.as_deref(), *internal);
        let ms = (self.seconds * 1e6).round() / 1e3;
        if status >= 500 && !intended {
            tracing::error!(
                target: "doorward::request",
                request_id, caller_request_id, method, route, status, ms, %address, client_id, claimed_client_id, admin_key, grant, jti,
                error, error_description, internal, "request failed",
            );
        } else {
            tracing::info!(
                target: "doorward::request",
                request_id, caller_request_id, method, route, status, ms, %address, client_id, claimed_client_id, admin_key, grant, jti,
                error, error_description, internal, "request",
            );
        }
    }
}
