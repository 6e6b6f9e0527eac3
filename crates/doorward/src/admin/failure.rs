//! Why a command failed, as scripts tell it: by the exit code, and with `--json` by an object on standard error.

use std::fmt;
use std::process::ExitCode;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::out;

/// What `doorward admin --help` says of them.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  it was done
  1  anything else
  2  the command line cannot be used; nothing was sent
  3  the server does not answer, or not to the end, or says to try again later (HTTP 429, 502, 503, 504)
  4  the admin key is missing or refused (HTTP 401, 403)
  5  there is no such record (HTTP 404, `not_found`)
  6  a conflict with what is there (HTTP 409, 412)
  7  token-exchange explain: the exchange would not be allowed

With --json, why is one line of JSON on standard error: what the API answered (error, error_description, error_id) and
its HTTP status; a command line that cannot be read at all is still told in words.";

/// The exchange that was asked about would not be allowed.
pub const NOT_ALLOWED: u8 = 7;

/// What kind of failure.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Other,
    Usage,
    Away,
    Key,
    NotFound,
    Conflict,
}

impl Kind {
    /// What an answer means. A page of somebody else's server that is not there is no record of Doorward's, and neither is a
    /// path that nobody serves.
    fn of(status: StatusCode, answer: &Value) -> Self {
        let from_doorward = answer.is_object();
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Self::Key,
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Self::Away,
            StatusCode::NOT_FOUND if answer["error"] == "not_found" => Self::NotFound,
            StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED if from_doorward => Self::Conflict,
            _ => Self::Other,
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::Other => 1,
            Self::Usage => 2,
            Self::Away => 3,
            Self::Key => 4,
            Self::NotFound => 5,
            Self::Conflict => 6,
        }
    }

    /// The `error` of what the API did not answer.
    const fn word(self) -> &'static str {
        match self {
            Self::Other => "failed",
            Self::Usage => "usage",
            Self::Away => "unavailable",
            Self::Key => "unauthorized",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
        }
    }
}

/// Why a command failed.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    sentence: String,
    status: Option<StatusCode>,
    answer: Value,
}

impl Failure {
    /// Of something that was not answered.
    pub fn new(kind: Kind, sentence: impl Into<String>) -> Self {
        Self {
            kind,
            sentence: sentence.into(),
            status: None,
            answer: Value::Null,
        }
    }

    /// Of what was typed.
    pub fn usage(sentence: impl Into<String>) -> Self {
        Self::new(Kind::Usage, sentence)
    }

    /// Of an answer; `answer` is its body when that is an error of the admin API, else null.
    pub fn answered(status: StatusCode, answer: Value, sentence: impl Into<String>) -> Self {
        Self {
            kind: Kind::of(status, &answer),
            sentence: sentence.into(),
            status: Some(status),
            answer,
        }
    }

    /// Whether the record is not the one any more that was read.
    pub fn is_not_as_read(&self) -> bool {
        self.status == Some(StatusCode::PRECONDITION_FAILED)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for Failure {}

/// Tells why a command failed; the exit code that says so.
pub fn tell(error: &anyhow::Error, json: bool) -> ExitCode {
    let failure = error.downcast_ref::<Failure>();
    let kind = failure.map_or(Kind::Other, |failure| failure.kind);
    if json {
        out::complaint(object(error, kind, failure));
    } else {
        out::error(error);
    }
    ExitCode::from(kind.code())
}

fn object(error: &anyhow::Error, kind: Kind, failure: Option<&Failure>) -> Value {
    let answer = failure
        .map(|failure| &failure.answer)
        .filter(|answer| answer.is_object());
    let mut object = answer
        .cloned()
        .unwrap_or_else(|| json!({"error": kind.word(), "error_description": out::with_causes(error)}));
    if let Some(status) = failure.and_then(|failure| failure.status) {
        object["status"] = status.as_u16().into();
    }
    object
}
