//! Identity assertions for other servers: what they rest on.

use doorward_oauth::time::UnixSeconds;

use crate::{Grant, GrantState, IdJagOutcome, Issuance, IssueIdJag, RefreshShown, Result, StoreError};

/// The grant of what was shown, and what stands of the rest.
pub(crate) struct Subject {
    pub(crate) grant: Grant,
    /// Person, client and resource of the grant are there and enabled.
    pub(crate) stands: bool,
    /// The client that asks is there and enabled.
    pub(crate) client: bool,
    /// The other server is there and enabled.
    pub(crate) audience: bool,
    /// The access token that was shown, if one was, and it is on record.
    pub(crate) token: Option<Issuance>,
}

/// Why there is no assertion; `None` when it may be recorded.
pub(crate) fn refusal(subject: Option<&Subject>, issue: &IssueIdJag) -> Result<Option<IdJagOutcome>> {
    let Some(subject) = subject else {
        return Ok(Some(IdJagOutcome::SubjectGone));
    };
    let grant = &subject.grant;
    let works = match (&issue.refresh, &subject.token) {
        (Some(shown), None) => refresh_works(grant, shown, issue)?,
        (None, Some(token)) => token_works(grant, token, issue)?,
        (None, None) => false,
        (Some(_), Some(_)) => return Err(INCOHERENT),
    };
    if !works || grant.state != GrantState::Active || !subject.stands {
        return Ok(Some(IdJagOutcome::SubjectGone));
    }
    if !subject.client {
        return Ok(Some(IdJagOutcome::ClientGone));
    }
    if !subject.audience {
        return Ok(Some(IdJagOutcome::AudienceGone));
    }
    Ok(None)
}

const INCOHERENT: StoreError = StoreError::Invalid(
    "an assertion has grant and subject of the one token that was shown for it, and ends no later",
);

fn token_works(grant: &Grant, token: &Issuance, issue: &IssueIdJag) -> Result<bool> {
    let child = &issue.issuance;
    let hangs_under_it = child.parent.as_ref() == Some(&token.jti)
        && child.grant == token.grant
        && child.grant == grant.id
        && child.subject == token.subject
        && child.expires_at <= token.expires_at;
    if !hangs_under_it {
        return Err(INCOHERENT);
    }
    Ok(token.revoked_at.is_none() && issue.now < token.expires_at)
}

/// The present generation alone: an older one has been replaced, and who holds it may be somebody else.
fn refresh_works(grant: &Grant, shown: &RefreshShown, issue: &IssueIdJag) -> Result<bool> {
    let child = &issue.issuance;
    let Some(end) = refresh_end(grant, shown) else {
        return Ok(false);
    };
    let of_the_grant = child.parent.is_none()
        && child.grant == grant.id
        && child.subject == grant.subject
        && child.client_id == grant.client_id
        && child.expires_at <= end;
    if !of_the_grant {
        return Err(INCOHERENT);
    }
    Ok(shown.generation > 0 && shown.generation == grant.generation && issue.now < end)
}

/// When the present refresh token of a grant ends, if it has one.
fn refresh_end(grant: &Grant, shown: &RefreshShown) -> Option<UnixSeconds> {
    let idle = grant.generation_at + shown.policy.idle_ttl;
    grant.refresh_expires_at.map(|end| end.min(idle))
}
