//! Authorization codes: each works once.

use std::time::Duration;

use crate::{Code, EndReason, Grant, GrantState, RedeemCode, RedeemOutcome, Result, StoreError};

/// A code that was made later than now by more than this was made before the clock went back; by how much,
/// nobody knows, so its lifetime says nothing.
pub(crate) const CLOCK_TOLERANCE: Duration = Duration::from_mins(1);

/// A code and what it stands on.
pub(crate) struct Found {
    pub(crate) code: Code,
    pub(crate) grant: Grant,
    /// Person, client and resource are there and enabled.
    pub(crate) stands: bool,
}

/// What a redemption comes to.
pub(crate) enum Redemption {
    /// Nothing changes.
    Refused(RedeemOutcome),
    /// It was redeemed before: its grant has to end.
    Replay,
    /// The grant as it has to be from now on.
    Activate(Box<Grant>),
}

pub(crate) fn redeem(found: Found, redeem: &RedeemCode) -> Result<Redemption> {
    let Found {
        code,
        mut grant,
        stands,
    } = found;
    if redeem.issuance.grant != grant.id {
        return Err(StoreError::Invalid(
            "the access token to be recorded belongs to another grant",
        ));
    }
    if code.redeemed_at.is_some() {
        // RFC 6749 §4.1.2: everything issued from the code goes.
        return Ok(Redemption::Replay);
    }
    let in_time = redeem.now < code.expires_at && grant.created_at <= redeem.now + CLOCK_TOLERANCE;
    if grant.state != GrantState::Pending || !stands || !in_time {
        return Ok(Redemption::Refused(RedeemOutcome::Refused(grant.state)));
    }
    grant.state = GrantState::Active;
    grant.generation = u32::from(redeem.refresh.is_some());
    grant.generation_at = redeem.now;
    grant.refresh_expires_at = redeem.refresh.map(|policy| redeem.now + policy.absolute_ttl);
    grant.last_used_at = redeem.now;
    grant.dpop_jkt.clone_from(&redeem.dpop_jkt);
    Ok(Redemption::Activate(Box::new(grant)))
}

/// Why the grant of a code ends that its own client presented wrongly.
pub(crate) const fn burn_reason(code: &Code) -> EndReason {
    if code.redeemed_at.is_some() {
        EndReason::CodeReplayed
    } else {
        EndReason::CodeBurned
    }
}
