//! Grants on the word of a trusted issuer: no code, no refresh token, and for workloads neither person nor client.

use doorward_oauth::scope::ScopeSet;
use doorward_oauth::time::UnixSeconds;

use super::own::TOUCH_EVERY;
use crate::{GrantId, GrantState, IssueAsserted, Result, StoreError};

pub(crate) fn refuse_incoherent(issue: &IssueAsserted) -> Result<()> {
    let IssueAsserted { grant, issuance, .. } = issue;
    let asserted = grant.trusted_issuer.is_some()
        && grant.user.is_nobody() == issue.linked.is_none()
        && grant.state == GrantState::Active
        && grant.generation == 0
        && grant.more_resources.is_empty();
    let one = grant.client_id == issuance.client_id
        && grant.subject == issuance.subject
        && grant.resource == issuance.resource
        && issuance.parent.is_none();
    if asserted && one {
        return Ok(());
    }
    Err(StoreError::Invalid(
        "a grant on an issuer's word is active, without refresh tokens, and of the same client, subject and resource as its token",
    ))
}

/// The grant that is there.
pub(crate) struct Standing {
    pub(crate) id: GrantId,
    pub(crate) scopes: ScopeSet,
    pub(crate) last_used_at: UnixSeconds,
    pub(crate) authenticated_at: UnixSeconds,
}

impl Standing {
    /// Whether its row has to be written.
    pub(crate) fn needs_touch(&self, issue: &IssueAsserted) -> bool {
        self.scopes != issue.grant.scopes
            || self.authenticated_at != issue.grant.authenticated_at
            || issue.now.since(self.last_used_at) >= TOUCH_EVERY
    }
}
