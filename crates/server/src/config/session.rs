//! `[session]`

use super::Span;
use super::section::section;

section! {
    /// How long a person stays signed in in a browser.
    pub struct Session in "session" {
        /// How long without a visit.
        idle_ttl: Span = Span::hours(12),
        /// How long in all.
        absolute_ttl: Span = Span::days(7),
    }
}
