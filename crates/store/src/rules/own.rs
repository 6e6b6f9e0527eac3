//! A client's own grant: no person, no code, no refresh token.

use std::time::Duration;

use doorward_oauth::scope::ScopeSet;
use doorward_oauth::time::UnixSeconds;

use crate::{GrantId, GrantState, IssueOwn, Result, StoreError};

/// The last use of an own grant is written down at most this often: every token of the client uses the same row.
pub(crate) const TOUCH_EVERY: Duration = Duration::from_mins(1);

pub(crate) fn refuse_incoherent(issue: &IssueOwn) -> Result<()> {
    let IssueOwn { grant, issuance, .. } = issue;
    let own = grant.user.is_nobody() && grant.state == GrantState::Active && grant.generation == 0;
    let one = grant.client_id == issuance.client_id
        && grant.subject == issuance.subject
        && grant.resource == issuance.resource
        && issuance.parent.is_none();
    if own && one {
        return Ok(());
    }
    Err(StoreError::Invalid(
        "a client's own grant is active, of nobody, without refresh tokens, and of the same client, subject and resource as its token",
    ))
}

/// The own grant that is there.
pub(crate) struct Standing {
    pub(crate) id: GrantId,
    pub(crate) scopes: ScopeSet,
    pub(crate) last_used_at: UnixSeconds,
}

impl Standing {
    /// Whether its row has to be written.
    pub(crate) fn needs_touch(&self, issue: &IssueOwn) -> bool {
        self.scopes != issue.grant.scopes || issue.now.since(self.last_used_at) >= TOUCH_EVERY
    }
}
