//! `[login]`

use super::Span;
use super::section::section;

section! {
    /// Signing in. Wrong passwords make the next attempt wait: for the account, for an address after 20 times as many, and for the /48 of an IPv6 address after 80 times as many. Nobody is locked out for good, and a browser in which the person signed in before waits for its own attempts alone.
    pub struct Login in "login" {
        /// How many attempts come without a wait, at least one.
        free_attempts: u32 = 5,
        /// The wait after the last free attempt; it doubles with every further one.
        first_wait: Span = Span::seconds(2),
        /// The longest wait.
        longest_wait: Span = Span::minutes(15),
        /// Attempts are forgotten after this long without one.
        forget_after: Span = Span::hours(1),
    }
}
