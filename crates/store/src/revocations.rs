//! The log of what was revoked, for those who check tokens without asking.
//!
//! The database itself writes it (triggers), in the transaction that revokes: whatever ends a grant, on whatever
//! node, of whatever version, is in the log exactly when it happened.

use doorward_oauth::time::UnixSeconds;

use crate::{ClientId, GrantId};

/// What does not work any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revoked {
    /// Every token of this grant, those exchanged from its tokens included.
    Grant(GrantId),
    /// One access token, by its `jti`.
    Token(String),
    /// Every token of this client that was issued until then: the client was disabled, and its grants were not
    /// ended.
    Client(ClientId),
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Its place in the log: greater than that of every entry committed before. Numbers may be left out.
    pub position: u64,
    /// What was revoked.
    pub revoked: Revoked,
    /// When.
    pub revoked_at: UnixSeconds,
}

/// A stretch of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationPage {
    /// Names the log: another database is another log, and positions of one say nothing about the other.
    pub log: String,
    /// Every entry up to this position is forgotten.
    pub forgotten: u64,
    /// The position of the newest entry; `forgotten` when there is none.
    pub last: u64,
    /// The entries, in order.
    pub items: Vec<Revocation>,
}

/// A position as the databases store it; greater than every real one when it does not fit.
pub(crate) fn stored(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}
