//! What a person's approval has to be, and what the same request gets the second time.

use crate::{
    Approval, ApprovalOutcome, Approved, ClientSource, Digest, GrantId, GrantState, Result, StoreError,
    UserId,
};

pub(crate) fn refuse_incoherent(approval: &Approval) -> Result<()> {
    let Approval {
        grant, code, client, ..
    } = approval;
    let fresh = grant.state == GrantState::Pending && grant.generation == 0 && code.redeemed_at.is_none();
    let one = code.grant == grant.id && code.client_id == grant.client_id;
    let snapshot = client.as_ref().is_none_or(|client| {
        client.client_id == grant.client_id && client.source == ClientSource::MetadataDocument
    });
    if fresh && one && snapshot {
        return Ok(());
    }
    Err(StoreError::Invalid(
        "an approval is a new pending grant, its own code, and a metadata document's snapshot at most",
    ))
}

/// What an earlier post of the same request left.
pub(crate) struct Earlier {
    pub(crate) digest: Digest,
    pub(crate) grant: GrantId,
    pub(crate) user: UserId,
    /// Redeemed, ended or expired: the request's code does not work any more, and it gets no other.
    pub(crate) used_up: bool,
}

pub(crate) fn repeat(approval: &Approval, earlier: &Earlier) -> Result<ApprovalOutcome> {
    // Somebody else, or another code: not the same request after all.
    if earlier.user != approval.grant.user || earlier.digest != approval.code.digest {
        return Err(StoreError::Conflict);
    }
    if earlier.used_up {
        return Ok(ApprovalOutcome::AlreadyRedeemed);
    }
    Ok(ApprovalOutcome::Approved(Approved {
        grant: earlier.grant,
        fresh: false,
    }))
}
