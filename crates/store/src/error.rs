//! Why an operation could not be done.

/// Why an operation could not be done. Nothing of a failed operation is kept.
///
/// What a request did wrong (a replayed code, an old refresh token) is an outcome, not an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Too many operations wait already. Try again: nothing was done.
    #[error("the store is busy: too many operations are waiting")]
    Busy,
    /// The storage cannot be used now: disk full, locked by another process, read-only, unreachable,
    /// closed. Nothing was done. Credentials are not wrong because of it: answer 503, never
    /// `invalid_grant`.
    #[error("the storage is unavailable: {0}")]
    Unavailable(String),
    /// The database file cannot be read everywhere, and why. What lies elsewhere in it still works; nothing was done.
    #[error(
        "the database is damaged: {0}; stop the server and put a backup in its place (`doorward restore`)"
    )]
    Damaged(String),
    /// What should be unique is taken.
    #[error("the name or identifier is taken")]
    Conflict,
    /// What should be changed is not there.
    #[error("no such record")]
    NotFound,
    /// The caller handed in something that cannot be right, for example a page token that no page gave.
    #[error("{0}")]
    Invalid(&'static str),
    /// The store refuses to start on this database, and why.
    #[error("{0}")]
    Unusable(String),
    /// A fault of this program: a row that does not decode, a statement that does not run.
    #[error("the store failed: {0}")]
    Internal(String),
}

impl StoreError {
    /// Whether the same operation may succeed later, without a change of the request: answer 503 with `Retry-After`.
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Busy | Self::Unavailable(_) | Self::Damaged(_))
    }
}
