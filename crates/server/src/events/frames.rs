//! The events as text (the WHATWG HTML standard, §9.2 "Server-sent events"), and the cursor that names a place in
//! the log.

use std::fmt::Write as _;

use doorward_store::{Revocation, Revoked};
use serde::Serialize;

/// A place in the log: what a client sends back as `Last-Event-ID`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) log: String,
    pub(super) position: u64,
}

impl Cursor {
    /// `None` for what this server never wrote.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (log, position) = text.split_once('-')?;
        let plain = !position.is_empty() && position.bytes().all(|byte| byte.is_ascii_digit());
        Some(Self {
            log: log.to_owned(),
            position: position.parse().ok().filter(|_| plain)?,
        })
    }
}

/// The `data` of a `revocation`: one of the first three members.
#[derive(Serialize)]
struct Data<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    gid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    revoked_at: i64,
}

/// Tells how long to wait before connecting again, in milliseconds; clients spread it by themselves.
pub(super) const OPENING: &str = "retry: 1000\n\n";
/// Keeps the connection alive, and proves that it is.
pub(super) const HEARTBEAT: &str = ": alive\n\n";

/// A signing key came or went: whoever keeps the key set reads it again.
pub(super) const KEYS: &str = "event: keys\ndata: {}\n\n";

/// The place that the client named is unknown here. The whole log that is kept follows.
pub(super) fn reset(text: &mut String) {
    text.push_str("event: reset\ndata: {}\n\n");
}

/// Everything up to this place has been told.
pub(super) fn ready(text: &mut String, log: &str, position: u64) {
    // Writing to a string cannot fail.
    let _ = write!(text, "id: {log}-{position}\nevent: ready\ndata: {{}}\n\n");
}

pub(super) fn revocation(text: &mut String, log: &str, entry: &Revocation) {
    let (mut gid, mut jti, mut client_id) = (None, None, None);
    match &entry.revoked {
        Revoked::Grant(id) => gid = Some(id.0.to_string()),
        Revoked::Token(id) => jti = Some(id.as_str()),
        Revoked::Client(id) => client_id = Some(id.as_str()),
    }
    let data = Data {
        gid,
        jti,
        client_id,
        revoked_at: entry.revoked_at.0,
    };
    // JSON text holds no line breaks, so nothing in it can end the event.
    let data = serde_json::to_string(&data).unwrap_or_default();
    let position = entry.position;
    let _ = write!(text, "id: {log}-{position}\nevent: revocation\ndata: {data}\n\n");
}

#[cfg(test)]
mod tests {
    use doorward_store::{GrantId, UnixSeconds};
    use uuid::Uuid;

    use super::*;

    fn text(revoked: Revoked) -> String {
        let mut text = String::new();
        let entry = Revocation {
            position: 7,
            revoked,
            revoked_at: UnixSeconds(1_800_000_000),
        };
        revocation(&mut text, "0a1b", &entry);
        text
    }

    #[test]
    fn an_event_names_what_was_revoked() {
        assert_eq!(
            text(Revoked::Grant(GrantId(Uuid::nil()))),
            "id: 0a1b-7\nevent: revocation\ndata: {\"gid\":\"00000000-0000-0000-0000-000000000000\",\"revoked_at\":1800000000}\n\n"
        );
        assert_eq!(
            text(Revoked::Token("t".to_owned())),
            "id: 0a1b-7\nevent: revocation\ndata: {\"jti\":\"t\",\"revoked_at\":1800000000}\n\n"
        );
    }

    #[test]
    fn no_identifier_can_end_an_event() {
        let text = text(Revoked::Client("a\n\nevent: reset\ndata: {}\r\n".to_owned()));
        assert_eq!(text.lines().count(), 4);
        assert!(text.contains(r#""client_id":"a\n\nevent: reset\ndata: {}\r\n""#));
    }

    #[test]
    fn a_cursor_reads_back_and_nothing_else_is_one() {
        let cursor = Cursor {
            log: "0a1b".to_owned(),
            position: 7,
        };
        assert_eq!(Cursor::parse("0a1b-7"), Some(cursor));
        for text in [
            "",
            "7",
            "-",
            "0a1b-",
            "0a1b-+7",
            "0a1b-7 ",
            "0a1b--7",
            "0a1b-18446744073709551616",
        ] {
            assert_eq!(Cursor::parse(text), None, "{text}");
        }
    }
}
