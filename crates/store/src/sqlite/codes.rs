//! Authorization codes: each works once.

use std::time::Duration;

use doorward_oauth::time::UnixSeconds;
use rusqlite::{Connection, params};

use super::statements::{Run, statements};
use super::values::Columns;
use super::{grants, issuances};
use crate::{Code, Digest, EndReason, Grant, GrantState, RedeemCode, RedeemOutcome, Result, StoreError};

/// A code that was made later than now by more than this was made before the clock went back; by how much,
/// nobody knows, so its lifetime says nothing.
const CLOCK_TOLERANCE: Duration = Duration::from_mins(1);

statements! {
    BY_DIGEST = concat!(
        "SELECT ", grants::grant_columns!(), ", c.digest, c.grant_id, c.client_id, c.redirect_uri, \
         c.code_challenge, c.stay_connected, c.expires_at, c.redeemed_at, ", grants::stands!(),
        " FROM code c JOIN access_grant g ON g.id = c.grant_id ", grants::joined_with_its_parties!(),
        " WHERE c.digest = ?1"
    );
    REDEEM = "UPDATE code SET redeemed_at = ?2 WHERE digest = ?1 AND redeemed_at IS NULL";
    ACTIVATE = "UPDATE access_grant SET state = 'active', generation = ?2, generation_at = ?3, \
                refresh_expires_at = ?4, last_used_at = ?3 WHERE id = ?1 AND state = 'pending'";
}

struct Found {
    code: Code,
    grant: Grant,
    /// Person, client and resource are there and enabled.
    stands: bool,
}

pub(super) fn find(db: &Connection, digest: &Digest) -> Result<Option<(Code, Grant)>> {
    Ok(load(db, digest)?.map(|found| (found.code, found.grant)))
}

pub(super) fn redeem(db: &Connection, redeem: &RedeemCode) -> Result<RedeemOutcome> {
    let Some(Found {
        code,
        mut grant,
        stands,
    }) = load(db, &redeem.digest)?
    else {
        return Ok(RedeemOutcome::Unknown);
    };
    if redeem.issuance.grant != grant.id {
        return Err(StoreError::Invalid(
            "the access token to be recorded belongs to another grant",
        ));
    }
    if code.redeemed_at.is_some() {
        // RFC 6749 §4.1.2: everything issued from the code goes.
        grants::end(db, grant.id, EndReason::CodeReplayed, redeem.now)?;
        return Ok(RedeemOutcome::Replayed);
    }
    let in_time = redeem.now < code.expires_at && grant.created_at <= redeem.now + CLOCK_TOLERANCE;
    if grant.state != GrantState::Pending || !stands || !in_time {
        return Ok(RedeemOutcome::Refused(grant.state));
    }
    grant.state = GrantState::Active;
    grant.generation = u32::from(redeem.refresh.is_some());
    grant.generation_at = redeem.now;
    grant.refresh_expires_at = redeem.refresh.map(|policy| redeem.now + policy.absolute_ttl);
    grant.last_used_at = redeem.now;
    let redeemed = db.run(REDEEM, params![redeem.digest, redeem.now.0])?;
    let activated = db.run(
        ACTIVATE,
        params![
            grant.id.0.as_bytes(),
            grant.generation,
            redeem.now.0,
            grant.refresh_expires_at.map(|time| time.0)
        ],
    )?;
    if (redeemed, activated) != (1, 1) {
        return Err(StoreError::Internal(
            "a code changed in the middle of its redemption".to_owned(),
        ));
    }
    issuances::insert(db, &redeem.issuance)?;
    Ok(RedeemOutcome::Redeemed(Box::new(grant)))
}

pub(super) fn burn(db: &Connection, digest: &Digest, now: UnixSeconds) -> Result<()> {
    if let Some(Found { code, grant, .. }) = load(db, digest)? {
        let reason = if code.redeemed_at.is_some() {
            EndReason::CodeReplayed
        } else {
            EndReason::CodeBurned
        };
        grants::end(db, grant.id, reason, now)?;
    }
    Ok(())
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
