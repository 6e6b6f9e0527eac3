//! `[audit]`

use super::Span;
use super::section::section;

section! {
    /// What was changed and refused, and by whom.
    pub struct Audit in "audit" {
        /// How long an event is kept, at least an hour. On PostgreSQL it goes with the partition that it lies in, as soon as all of that is older. The tokens in the audit list are kept for `storage.retention`.
        retention: Span = Span::days(90),
    }
}
