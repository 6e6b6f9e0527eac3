//! Reading answers strictly: JSON objects without repeated members, every member of the type the standard gives it.

use std::time::Duration;

use doorward_jose::json;
use doorward_oauth::error::error_text;
use doorward_oauth::time::UnixSeconds;
use http::HeaderMap;
use http::header::RETRY_AFTER;
use serde_json::{Map, Value};

use super::breaker::MAX_PAUSE;
use super::consent::ConsentRequired;
use super::error::{ClientError, Refusal};
use crate::fetch::FormResponse;

/// The longest text of the server that is kept, in characters.
const MAX_TEXT: usize = 512;

/// The members of an answer.
pub(crate) struct Members(pub(crate) Map<String, Value>);

impl Members {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ClientError> {
        json::from_slice(body)
            .map(Self)
            .map_err(|_| ClientError::Protocol("the answer is no JSON object, or repeats a member"))
    }

    /// A text; a member that is there and none is `wrong`.
    pub(crate) fn text(&self, name: &str, wrong: &'static str) -> Result<Option<&str>, ClientError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(ClientError::Protocol(wrong)),
        }
    }

    /// A whole number that is not negative.
    pub(crate) fn number(&self, name: &str, wrong: &'static str) -> Result<Option<u64>, ClientError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(value) => value.as_u64().map(Some).ok_or(ClientError::Protocol(wrong)),
        }
    }

    /// A point in time, whole seconds.
    pub(crate) fn time(&self, name: &str, wrong: &'static str) -> Result<Option<UnixSeconds>, ClientError> {
        let number = self.number(name, wrong)?;
        number
            .map(|seconds| i64::try_from(seconds).map(UnixSeconds))
            .transpose()
            .map_err(|_| ClientError::Protocol(wrong))
    }
}

/// The members of a `200`; everything else becomes the error that it means.
pub(crate) fn success(answer: &FormResponse, issuer_is_loopback: bool) -> Result<Members, ClientError> {
    check_status(answer, issuer_is_loopback)?;
    Members::parse(&answer.body)
}

/// `Ok` for a `200`, whatever its body.
pub(crate) fn check_status(answer: &FormResponse, issuer_is_loopback: bool) -> Result<(), ClientError> {
    match answer.status {
        200 => Ok(()),
        status @ (429 | 500..) => Err(ClientError::Server {
            status,
            retry_after: retry_after(&answer.headers),
        }),
        status @ 400..=499 => Err(refusal(status, &answer.body, issuer_is_loopback)),
        _ => Err(ClientError::Protocol("the status is neither 200 nor an error")),
    }
}

fn refusal(status: u16, body: &[u8], issuer_is_loopback: bool) -> ClientError {
    const NO_ERROR: ClientError = ClientError::Protocol("the error answer is no JSON object with `error`");
    let Ok(members) = Members::parse(body) else {
        return NO_ERROR;
    };
    let Some(code) = members.0.get("error").and_then(Value::as_str) else {
        return NO_ERROR;
    };
    if matches!(code, "consent_required" | "interaction_required") {
        return ClientError::ConsentRequired(ConsentRequired::read(code, &members.0, issuer_is_loopback));
    }
    ClientError::refused(Refusal {
        status,
        code: printable(code),
        description: described(&members.0),
    })
}

/// `error_description`, fit for a log.
pub(crate) fn described(members: &Map<String, Value>) -> Option<String> {
    let description = members.get("error_description").and_then(Value::as_str)?;
    Some(printable(description)).filter(|text| !text.is_empty())
}

/// Printable ASCII, cut.
pub(crate) fn printable(text: &str) -> String {
    let short: String = text.chars().take(MAX_TEXT).collect();
    error_text(&short).into_owned()
}

/// `Retry-After` in seconds (RFC 9110 §10.2.3), within bounds. A date is not read: it would need the server's clock to be right.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_PAUSE))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderValue;

    use super::*;

    fn answer(status: u16, body: &'static str) -> FormResponse {
        FormResponse {
            status,
            headers: HeaderMap::new(),
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    fn failure(status: u16, body: &'static str) -> ClientError {
        success(&answer(status, body), false).err().unwrap()
    }

    #[test]
    fn error_codes_become_their_own_errors() {
        for (code, matches) in [
            (
                "invalid_request",
                (|error| matches!(error, ClientError::InvalidRequest(_))) as fn(&ClientError) -> bool,
            ),
            ("invalid_client", |error| {
                matches!(error, ClientError::InvalidClient(_))
            }),
            ("invalid_grant", |error| {
                matches!(error, ClientError::InvalidGrant(_))
            }),
            ("unauthorized_client", |error| {
                matches!(error, ClientError::UnauthorizedClient(_))
            }),
            ("unsupported_grant_type", |error| {
                matches!(error, ClientError::UnsupportedGrantType(_))
            }),
            ("invalid_scope", |error| {
                matches!(error, ClientError::InvalidScope(_))
            }),
            ("invalid_target", |error| {
                matches!(error, ClientError::InvalidTarget(_))
            }),
            ("access_denied", |error| {
                matches!(error, ClientError::AccessDenied(_))
            }),
            ("invalid_dpop_proof", |error| {
                matches!(error, ClientError::InvalidDpopProof(_))
            }),
            ("consent_required", |error| {
                matches!(error, ClientError::ConsentRequired(_))
            }),
            ("interaction_required", |error| {
                matches!(error, ClientError::ConsentRequired(_))
            }),
            ("slow_down", |error| matches!(error, ClientError::Refused(_))),
        ] {
            let body = format!(r#"{{"error":"{code}","error_description":"why"}}"#);
            let answer = FormResponse {
                body: body.into(),
                ..answer(400, "")
            };
            let error = success(&answer, false).err().unwrap();
            assert!(matches(&error), "{code}: {error:?}");
            assert_eq!(error.code(), Some(code));
        }
    }

    #[test]
    fn what_is_no_oauth_answer_is_a_protocol_error() {
        for (status, body) in [
            (200, ""),
            (200, "<html>"),
            (200, "[]"),
            (200, r#"{"a":1,"a":2}"#),
            (201, "{}"),
            (204, ""),
            (400, "<html>"),
            (400, "{}"),
            (400, r#"{"error":5}"#),
            (400, r#"{"error":"a","error":"b"}"#),
            (404, "Not found"),
        ] {
            assert!(
                matches!(failure(status, body), ClientError::Protocol(_)),
                "{status} {body}"
            );
        }
    }

    #[test]
    fn retry_after_is_read_in_seconds() {
        let mut busy = answer(503, r#"{"error":"temporarily_unavailable"}"#);
        busy.headers.insert(RETRY_AFTER, HeaderValue::from_static("120"));
        let error = success(&busy, false).err().unwrap();
        assert_eq!(error.retry_after(), Some(Duration::from_mins(2)));
        busy.headers
            .insert(RETRY_AFTER, HeaderValue::from_static("99999999"));
        let error = success(&busy, false).err().unwrap();
        assert_eq!(error.retry_after(), Some(Duration::from_mins(5)));
        for unreadable in ["-1", "soon", "1.5", "Sat, 21 Nov 2026 10:00:00 GMT"] {
            busy.headers
                .insert(RETRY_AFTER, HeaderValue::from_static(unreadable));
            assert_eq!(
                success(&busy, false).err().unwrap().retry_after(),
                None,
                "{unreadable}"
            );
        }
    }

    #[test]
    fn the_servers_words_are_cut_and_made_printable() {
        let body = format!(
            r#"{{"error":"in\u001bvalid","error_description":"{}\n\""}}"#,
            "x".repeat(2000)
        );
        let answer = FormResponse {
            body: body.into(),
            ..answer(400, "")
        };
        let text = success(&answer, false).err().unwrap().to_string();
        assert!(
            text.len() < 700 && text.bytes().all(|byte| (0x20..0x7f).contains(&byte)),
            "{text}"
        );
    }
}
