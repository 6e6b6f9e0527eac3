//! Authorization codes: each works once.

use doorward_oauth::time::UnixSeconds;
use rusqlite::{Connection, params};

use super::statements::{Run, statements};
use super::values::Columns;
use super::{grants, issuances};
use crate::rules::codes::{self, Found, Redemption};
use crate::{Code, Digest, EndReason, Grant, RedeemCode, RedeemOutcome, Result, StoreError};

statements! {
    BY_DIGEST = concat!(
        "SELECT ", grants::grant_columns!(), ", c.digest, c.grant_id, c.client_id, c.redirect_uri, \
         c.code_challenge, c.stay_connected, c.dpop_jkt, c.expires_at, c.redeemed_at, ", grants::stands!(),
        " FROM code c JOIN access_grant g ON g.id = c.grant_id ", grants::joined_with_its_parties!(),
        " WHERE c.digest = ?1"
    );
    REDEEM = "UPDATE code SET redeemed_at = ?2 WHERE digest = ?1 AND redeemed_at IS NULL";
    ACTIVATE = "UPDATE access_grant SET state = 'active', generation = ?2, generation_at = ?3, \
                refresh_expires_at = ?4, last_used_at = ?3, dpop_jkt = ?5 WHERE id = ?1 AND state = 'pending'";
}

pub(super) fn find(db: &Connection, digest: &Digest) -> Result<Option<(Code, Grant)>> {
    Ok(load(db, digest)?.map(|found| (found.code, found.grant)))
}

pub(super) fn redeem(db: &Connection, redeem: &RedeemCode) -> Result<RedeemOutcome> {
    let Some(found) = load(db, &redeem.digest)? else {
        return Ok(RedeemOutcome::Unknown);
    };
    let id = found.grant.id;
    match codes::redeem(found, redeem)? {
        Redemption::Refused(outcome) => Ok(outcome),
        Redemption::Replay => {
            if redeem.replay_ends_grant {
                grants::end(db, id, EndReason::CodeReplayed, redeem.now)?;
            }
            Ok(RedeemOutcome::Replayed)
        }
        Redemption::Activate(grant) => {
            activate(db, redeem, &grant)?;
            issuances::insert(db, &redeem.issuance)?;
            Ok(RedeemOutcome::Redeemed(grant))
        }
    }
}

fn activate(db: &Connection, redeem: &RedeemCode, grant: &Grant) -> Result<()> {
    let redeemed = db.run(REDEEM, params![redeem.digest, redeem.now.0])?;
    let activated = db.run(
        ACTIVATE,
        params![
            grant.id.0.as_bytes(),
            grant.generation,
            redeem.now.0,
            grant.refresh_expires_at.map(|time| time.0),
            grant.dpop_jkt
        ],
    )?;
    if (redeemed, activated) == (1, 1) {
        return Ok(());
    }
    Err(StoreError::Internal(
        "a code changed in the middle of its redemption".to_owned(),
    ))
}

/// The grant that ended by that, and why.
pub(super) fn burn(db: &Connection, digest: &Digest, now: UnixSeconds) -> Result<Option<(Grant, EndReason)>> {
    let Some(Found { code, grant, .. }) = load(db, digest)? else {
        return Ok(None);
    };
    let reason = codes::burn_reason(&code);
    let ended = grants::end(db, grant.id, reason, now)?;
    Ok((ended > 0).then_some((grant, reason)))
}

fn load(db: &Connection, digest: &Digest) -> Result<Option<Found>> {
    Ok(db.find(BY_DIGEST, [digest], |row| {
        let mut columns = Columns::new(row);
        let grant = grants::read(&mut columns)?;
        let code = Code {
            digest: columns.plain()?,
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
    })?)
}
