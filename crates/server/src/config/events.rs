//! `[events]`

use super::Span;
use super::section::section;

section! {
    /// The feed of revocations, which resource servers follow.
    pub struct Events in "events" {
        /// The most connections at a time, up to 4096; a further one is told to try again.
        max_connections: u32 = 1024,
        /// How long a connection may last before it is ended, so that the client proves again who it is.
        connection_ttl: Span = Span::hours(1),
    }
}
