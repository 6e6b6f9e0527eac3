//! Token exchange: what the new token rests on.

use crate::{ExchangeOutcome, ExchangeToken, GrantState, Issuance, Result, StoreError};

/// The subject token's record, and what stands of the rest.
pub(crate) struct Subject {
    pub(crate) issuance: Issuance,
    pub(crate) state: GrantState,
    /// Person, client and resource of the grant are there and enabled.
    pub(crate) stands: bool,
    /// The client that exchanges is there and enabled.
    pub(crate) client: bool,
    /// The new token's resource is there.
    pub(crate) resource: bool,
}

/// Why the exchange is refused; `None` when the new token may be recorded.
pub(crate) fn refusal(
    subject: Option<&Subject>,
    exchange: &ExchangeToken,
) -> Result<Option<ExchangeOutcome>> {
    let Some(subject) = subject else {
        return Ok(Some(ExchangeOutcome::SubjectGone));
    };
    let (parent, child) = (&subject.issuance, &exchange.issuance);
    let hangs_under_it = child.parent.as_ref() == Some(&parent.jti)
        && child.grant == parent.grant
        && child.subject == parent.subject
        && child.expires_at <= parent.expires_at
        && parent.scopes.contains_all(&child.scopes);
    if !hangs_under_it {
        return Err(StoreError::Invalid(
            "an exchanged token names its parent, has its grant and subject, and neither more scopes nor a later end",
        ));
    }
    let usable = parent.revoked_at.is_none() && exchange.now < parent.expires_at;
    if !usable || subject.state != GrantState::Active || !subject.stands {
        return Ok(Some(ExchangeOutcome::SubjectGone));
    }
    if !subject.client {
        return Ok(Some(ExchangeOutcome::ClientGone));
    }
    if !subject.resource {
        return Ok(Some(ExchangeOutcome::ResourceGone));
    }
    Ok(None)
}
