//! `[audit]`

use super::Span;
use super::section::section;

section! {
    /// What was changed and refused, and by whom.
    pub struct Audit in "audit" {
        /// How long an event is kept, at least an hour. The tokens in the audit list are kept for `storage.retention`.
        retention: Span = Span::days(90),
    }
}
