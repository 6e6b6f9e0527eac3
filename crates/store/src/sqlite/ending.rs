//! Ends everything that was given out, after the database was put back to an earlier state.

use doorward_oauth::time::UnixSeconds;
use rusqlite::{Connection, params};
use uuid::Uuid;

use super::SqliteStore;
use super::grants::end_those;
use super::statements::{Run, statements};
use super::values::Columns;
use crate::rules::words::Word;
use crate::{EndReason, Ended, GrantId, Result};

/// Grants in one transaction.
const BATCH: u32 = 200;

statements! {
    BEGIN_LOG = "UPDATE revocation_log SET name = lower(hex(randomblob(8))) WHERE id = 1";
    MADE_BEFORE = "UPDATE revocation_log SET ended_before = ?1 WHERE id = 1";
    SESSIONS scans = "DELETE FROM session WHERE TRUE";
    DEVICES scans = "DELETE FROM device_authorization WHERE TRUE";
    CONSENTS scans = "DELETE FROM consent WHERE TRUE";
    INITIAL_TOKENS scans = "DELETE FROM initial_access_token WHERE uses_left IS NOT NULL";
    LIVE = "SELECT id FROM access_grant WHERE id > ?1 AND state <> 'ended' ORDER BY id LIMIT ?2";
    END = end_those!("id > ?1 AND id <= ?2", "?3", "?4");
}

/// Another log of revocations: whoever followed the one before reads it from its beginning.
pub(super) fn begin_log(db: &Connection) -> Result<()> {
    db.run(BEGIN_LOG, [])?;
    Ok(())
}

/// All but the grants.
pub(super) fn begin(db: &Connection, now: UnixSeconds) -> Result<Ended> {
    begin_log(db)?;
    db.run(MADE_BEFORE, [now.0])?;
    Ok(Ended {
        grants: 0,
        sessions: db.run(SESSIONS, [])? as u64,
        devices: db.run(DEVICES, [])? as u64,
        consents: db.run(CONSENTS, [])? as u64,
        initial_tokens: db.run(INITIAL_TOKENS, [])? as u64,
    })
}

/// A batch of grants after this one; how many were ended, and the last of them, `None` when there was none.
fn grants(db: &Connection, after: GrantId, now: UnixSeconds) -> Result<(u64, Option<GrantId>)> {
    let live = db.list(LIVE, params![after.0.as_bytes(), BATCH], |row| {
        Columns::new(row).grant()
    })?;
    let Some(last) = live.last() else {
        return Ok((0, None));
    };
    let reason = EndReason::RevokedByAdmin.word();
    let ended = db.run(END, params![after.0.as_bytes(), last.0.as_bytes(), reason, now.0])?;
    Ok((ended as u64, Some(*last)))
}

impl SqliteStore {
    /// The grants, some at a time; how many were ended.
    pub(super) async fn end_every_grant(&self, now: UnixSeconds) -> Result<u64> {
        let mut ended = 0;
        let mut after = Some(GrantId(Uuid::nil()));
        while let Some(start) = after {
            let (grants, last) = self.write(move |db| self::grants(db, start, now)).await?;
            ended += grants;
            after = last;
        }
        Ok(ended)
    }
}

/// All of it, in the transaction of the caller.
pub(super) fn everything(db: &Connection, now: UnixSeconds) -> Result<Ended> {
    let mut ended = begin(db, now)?;
    let mut after = GrantId(Uuid::nil());
    loop {
        let (grants, last) = self::grants(db, after, now)?;
        ended.grants += grants;
        match last {
            Some(last) => after = last,
            None => return Ok(ended),
        }
    }
}
