//! What is refused because as many are served at one time as may be. Nothing is broken then, and strangers can bring it
//! about: it must not fill the log with errors.

use std::fmt;

use super::failure::Failure;

/// What there is no room for. Its text is what the log says (`internal`), and marks the refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// A large body, in memory.
    Body,
    /// Something that has to be fetched: a client's metadata document or keys.
    Fetch,
    /// The hash of a password.
    Password,
    /// Who follows the feed of revocations.
    Follower,
}

/// With what every text begins, and no other text for the log does.
const NO_ROOM: &str = "no room for ";

impl fmt::Display for NoRoom {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(NO_ROOM)?;
        formatter.write_str(match self {
            Self::Body => "the body: too many large ones at once, from this address or from all",
            Self::Fetch => {
                "what has to be fetched of the client: too much is being fetched at once, for this address or for all"
            }
            Self::Password => {
                "the check of the password: too many are being checked at once, for this address or for all"
            }
            Self::Follower => "another follower of revocations: more than events.max_connections",
        })
    }
}

impl std::error::Error for NoRoom {}

impl Failure {
    /// Whether nothing is broken, and there was no room.
    pub(super) fn is_for_want_of_room(&self) -> bool {
        self.internal
            .as_ref()
            .is_some_and(|internal| internal.starts_with(NO_ROOM))
    }
}
