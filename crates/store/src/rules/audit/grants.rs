//! What happens to grants, and to what was given out under them.

use super::{Draft, Drafted, bounded};
use crate::rules::grants::Whose;
use crate::rules::words::Word as _;
use crate::{
    Approval, ApprovalOutcome, AuditAction, EndReason, Ended, Grant, GrantFilter, Issuance, RedeemCode,
    RedeemOutcome, RotateOutcome, RotateRefresh, SecretsForgotten, SpendOutcome,
};

/// What came of an earlier identical post was written down then. A refusal changes nothing: the server writes it down, once
/// in a while.
pub(crate) fn approved(approval: &Approval, outcome: &ApprovalOutcome) -> Drafted {
    let ApprovalOutcome::Approved(approved) = outcome else {
        return None;
    };
    let draft = Draft::new(AuditAction::GrantApproved)
        .of_grant(&approval.grant)
        .with("scope", bounded(approval.grant.scopes.to_string()))
        .with("more_resources", approval.grant.more_resources.clone())
        .with("asked", approval.asked)
        .with("device", approval.code.redirect_uri.is_empty());
    approved.fresh.then_some(draft)
}

/// A redeemed code is told of by its token.
pub(crate) fn redeemed(redeem: &RedeemCode, outcome: &RedeemOutcome) -> Drafted {
    if !redeem.replay_ends_grant || *outcome != RedeemOutcome::Replayed {
        return None;
    }
    let draft = Draft::new(AuditAction::CodeReplayed)
        .refused("used_before")
        .proven();
    Some(of_issuance(draft, &redeem.issuance))
}

/// A code that its own client presented wrongly; `ended`: the grant, when it ended by that.
pub(crate) fn burned(ended: Option<&(Grant, EndReason)>) -> Drafted {
    let (grant, reason) = ended?;
    let action = match reason {
        EndReason::CodeReplayed => AuditAction::CodeReplayed,
        _ => AuditAction::CodeBurned,
    };
    let why = match reason {
        EndReason::CodeReplayed => "used_before",
        _ => "code_verifier",
    };
    Some(Draft::new(action).of_grant(grant).refused(why).proven())
}

pub(crate) fn device_denied(client_id: Option<&str>) -> Drafted {
    Some(
        Draft::new(AuditAction::DeviceDenied)
            .client(client_id?)
            .refused("access_denied"),
    )
}

/// A rotation is told of by its token.
pub(crate) fn rotated(rotate: &RotateRefresh, outcome: &RotateOutcome) -> Drafted {
    if *outcome != RotateOutcome::Reused {
        return None;
    }
    let draft = Draft::new(AuditAction::RefreshTokenReused).refused("older_than_retry_window");
    Some(of_issuance(
        draft.proven().with("generation", rotate.generation),
        &rotate.issuance,
    ))
}

fn of_issuance(draft: Draft, issuance: &Issuance) -> Draft {
    Draft {
        grant: Some(issuance.grant),
        subject: Some(issuance.subject.clone()),
        resource: Some(issuance.resource.clone()),
        ..draft.client(&issuance.client_id)
    }
}

/// `one`: the grant, when a filter names one.
pub(crate) fn grants_ended(whose: &Whose, one: Option<&Grant>, reason: EndReason, ended: u64) -> Drafted {
    if ended == 0 {
        return None;
    }
    let draft = match reason {
        EndReason::CodeReplayed => Draft::new(AuditAction::CodeReplayed)
            .refused("used_before")
            .proven(),
        _ => Draft::new(AuditAction::GrantEnded),
    };
    let draft = match (one, whose) {
        (Some(grant), _) => draft.of_grant(grant),
        (None, Whose::OfIssuer(slug)) => draft.target(slug),
        (None, Whose::Matching(filter)) => of_filter(draft, filter),
    };
    Some(draft.with("reason", reason.word()).with("grants_ended", ended))
}

fn of_filter(draft: Draft, filter: &GrantFilter) -> Draft {
    Draft {
        client_id: filter.client_id.clone(),
        resource: filter.resource.clone(),
        subject: filter.user.map(|user| user.0.to_string()),
        ..draft
    }
}

/// What people allowed before, and no live grant rests on.
pub(crate) fn consents_forgotten(filter: &GrantFilter, one: Option<&Grant>, forgotten: u64) -> Drafted {
    let draft = Draft::new(AuditAction::ConsentForgotten);
    let draft = match one {
        Some(grant) => draft.of_grant(grant),
        None => of_filter(draft, filter),
    };
    (forgotten > 0).then(|| draft.with("consents_forgotten", forgotten))
}

/// After the database was put back to an earlier state: everything that was given out. It begins with this.
pub(crate) fn everything_ended() -> Draft {
    Draft::new(AuditAction::EverythingEnded)
}

/// After a copy was put in the place of the database. `ended`: what of it, where that was asked for.
pub(crate) fn database_restored(ended: Option<&Ended>) -> Draft {
    let draft = Draft::new(AuditAction::DatabaseRestored);
    match ended {
        Some(ended) => with_the_rest(draft.with("grants_ended", ended.grants), ended),
        None => draft,
    }
}

/// Whoever starts next makes others. It begins with this, and the grants end after it.
pub(crate) fn secrets_replaced(forgotten: &SecretsForgotten) -> Draft {
    let draft = Draft::new(AuditAction::ServerSecretsReplaced)
        .with("signing_keys", forgotten.signing_keys)
        .with("server_secrets", forgotten.server_secrets);
    with_the_rest(draft, &forgotten.ended)
}

/// What ended beside grants.
fn with_the_rest(draft: Draft, ended: &Ended) -> Draft {
    draft
        .with("sessions_ended", ended.sessions)
        .with("devices_ended", ended.devices)
        .with("consents_forgotten", ended.consents)
        .with("initial_tokens_forgotten", ended.initial_tokens)
}

/// The database is served under another name than before.
pub(crate) fn issuer_changed(before: &str, issuer: &str) -> Draft {
    let draft = Draft::new(AuditAction::IssuerChanged).target(issuer);
    draft.with("before", bounded(before.to_owned()))
}

pub(crate) fn spent(outcome: SpendOutcome) -> Drafted {
    (outcome != SpendOutcome::Spent)
        .then(|| Draft::new(AuditAction::AssertionReplayed).refused("used_before"))
}

pub(crate) fn token_revoked(before: Option<&Issuance>) -> Drafted {
    // Who revokes a token again changes nothing.
    let issuance = before.filter(|issuance| issuance.revoked_at.is_none())?;
    Some(of_issuance(
        Draft::new(AuditAction::TokenRevoked).target(&issuance.jti),
        issuance,
    ))
}
