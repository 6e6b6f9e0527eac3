//! Authorization codes' rows.
//!
//! A code is redeemed exactly when its grant goes from pending to active, in one transaction; so the grant's
//! row is the lock for both.

use doorward_oauth::time::UnixSeconds;
use tokio_postgres::types::ToSql;

use super::errors::{Fallible, Fault};
use super::statements::{Connection, find as row, run, statements};
use super::{PostgresStore, grants, issuances};
use crate::rules::audit;
use crate::rules::codes::{self, CLOCK_TOLERANCE, Found, Redemption};
use crate::{Code, Digest, EndReason, Grant, GrantState, RedeemCode, RedeemOutcome, Result};

macro_rules! activate {
    ($dpop_jkt:literal) => {
        concat!(
            "UPDATE access_grant AS g SET state = 'active', generation = $2, generation_at = $3, \
             refresh_expires_at = $4, last_used_at = $3, dpop_jkt = ",
            $dpop_jkt,
            " WHERE g.id = $1 AND g.state = 'pending'"
        )
    };
}

statements! {
    BY_DIGEST = concat!(
        "SELECT ", grants::grant_columns!(), ", c.digest, c.grant_id, c.client_id, c.redirect_uri, \
         c.code_challenge, c.stay_connected, c.dpop_jkt, c.expires_at, c.redeemed_at, ", grants::stands!(),
        " FROM code c JOIN access_grant g ON g.id = c.grant_id WHERE c.digest = $1"
    );
    LOCK = "SELECT 1 FROM access_grant g WHERE g.id = (SELECT grant_id FROM code WHERE digest = $1) FOR UPDATE";
    /// All of a redemption, when nothing speaks against it; no row otherwise. $6: the latest time of approval.
    REDEEM_AT_ONCE = concat!(
        "WITH activated AS (", activate!("$15"), " AND g.created_at <= $6 \
         AND EXISTS (SELECT 1 FROM code c WHERE c.digest = $5 AND c.grant_id = g.id AND c.redeemed_at IS NULL \
         AND c.expires_at > $3) AND ", grants::stands!(), " RETURNING ", grants::grant_columns!(), "), \
         redeemed AS (UPDATE code SET redeemed_at = $3 WHERE digest = $5 AND EXISTS (SELECT 1 FROM activated)), \
         recorded AS (INSERT INTO issuance (", issuances::columns!(), ") \
         SELECT $7, $1, $8, $9, $10, $11, $12, $13, $14, NULL FROM activated) \
         SELECT ", grants::grant_columns!(), " FROM activated g"
    );
    REDEEM = "UPDATE code SET redeemed_at = $2 WHERE digest = $1 AND redeemed_at IS NULL";
    ACTIVATE = activate!("$5");
}

pub(super) async fn find(db: &Connection, digest: &Digest) -> Fallible<Option<(Code, Grant)>> {
    Ok(load(db, digest).await?.map(|found| (found.code, found.grant)))
}

/// One statement for a redemption against which nothing speaks; step by step, with the grant locked, otherwise.
pub(super) async fn redeem(store: &PostgresStore, redeem: &RedeemCode) -> Result<RedeemOutcome> {
    let at_once = store
        .attempt(|db| async move { redeem_at_once(&db, redeem).await })
        .await;
    let lost = match at_once {
        Ok(Some(grant)) => return Ok(RedeemOutcome::Redeemed(Box::new(grant))),
        Ok(None) => false,
        Err(Fault::Refused(error)) => return Err(error),
        Err(Fault::Contended(_) | Fault::Lost(_)) => true,
    };
    store
        .act(|db| async move {
            let outcome = redeem_by_steps(&db, redeem, lost).await?;
            let draft = audit::redeemed(redeem, &outcome);
            Ok((outcome, draft))
        })
        .await
}

async fn redeem_at_once(db: &Connection, redeem: &RedeemCode) -> Fallible<Option<Grant>> {
    let issuance = &redeem.issuance;
    let generation = i64::from(redeem.refresh.is_some());
    let refresh_expires_at = redeem.refresh.map(|policy| (redeem.now + policy.absolute_ttl).0);
    let latest = (redeem.now + CLOCK_TOLERANCE).0;
    let scopes = issuance.scopes.to_string();
    let revoked_at = issuance.revoked_at.map(|time| time.0);
    let params: [&(dyn ToSql + Sync); 15] = [
        &issuance.grant.0,
        &generation,
        &redeem.now.0,
        &refresh_expires_at,
        &redeem.digest.as_slice(),
        &latest,
        &issuance.jti,
        &issuance.client_id,
        &issuance.subject,
        &issuance.resource,
        &scopes,
        &issuance.issued_at.0,
        &issuance.expires_at.0,
        &revoked_at,
        &redeem.dpop_jkt,
    ];
    row(db, REDEEM_AT_ONCE, &params, grants::read).await
}

/// `lost`: the answer to an earlier attempt of this very call may have been lost.
async fn redeem_by_steps(db: &Connection, redeem: &RedeemCode, lost: bool) -> Fallible<RedeemOutcome> {
    row(db, LOCK, &[&redeem.digest.as_slice()], |_| Ok(())).await?;
    let Some(found) = load(db, &redeem.digest).await? else {
        return Ok(RedeemOutcome::Unknown);
    };
    let grant = found.grant.clone();
    match codes::redeem(found, redeem)? {
        Redemption::Refused(outcome) => Ok(outcome),
        Redemption::Replay
            if lost
                && grant.state == GrantState::Active
                && issuances::is_recorded(db, &redeem.issuance).await? =>
        {
            Ok(RedeemOutcome::Redeemed(Box::new(grant)))
        }
        Redemption::Replay => {
            if redeem.replay_ends_grant {
                grants::end(db, grant.id, EndReason::CodeReplayed, redeem.now).await?;
            }
            Ok(RedeemOutcome::Replayed)
        }
        Redemption::Activate(grant) => {
            run(db, REDEEM, &[&redeem.digest.as_slice(), &redeem.now.0]).await?;
            let refresh_expires_at = grant.refresh_expires_at.map(|time| time.0);
            let generation = i64::from(grant.generation);
            let params: [&(dyn ToSql + Sync); 5] = [
                &grant.id.0,
                &generation,
                &redeem.now.0,
                &refresh_expires_at,
                &grant.dpop_jkt,
            ];
            run(db, ACTIVATE, &params).await?;
            issuances::insert(db, &redeem.issuance).await?;
            Ok(RedeemOutcome::Redeemed(grant))
        }
    }
}

/// The grant that ended by that, and why.
pub(super) async fn burn(
    db: &Connection,
    digest: &Digest,
    now: UnixSeconds,
) -> Fallible<Option<(Grant, EndReason)>> {
    row(db, LOCK, &[&digest.as_slice()], |_| Ok(())).await?;
    let Some(Found { code, grant, .. }) = load(db, digest).await? else {
        return Ok(None);
    };
    let reason = codes::burn_reason(&code);
    let ended = grants::end(db, grant.id, reason, now).await?;
    Ok((ended > 0).then_some((grant, reason)))
}

async fn load(db: &Connection, digest: &Digest) -> Fallible<Option<Found>> {
    row(db, BY_DIGEST, &[&digest.as_slice()], |columns| {
        let grant = grants::read(columns)?;
        let code = Code {
            digest: columns.bytes()?,
            grant: columns.grant()?,
            client_id: columns.plain()?,
            redirect_uri: columns.plain()?,
            code_challenge: columns.plain()?,
            stay_connected: columns.plain()?,
            dpop_jkt: columns.plain()?,
            expires_at: columns.time()?,
            redeemed_at: columns.maybe_time()?,
        };
        Ok(Found {
            code,
            grant,
            stands: columns.plain()?,
        })
    })
    .await
}
