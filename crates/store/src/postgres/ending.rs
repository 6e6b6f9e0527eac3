//! Ends everything that was given out, after the database was put back to an earlier state.

use std::time::Duration;

use doorward_oauth::time::UnixSeconds;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::PostgresStore;
use super::errors::Fallible;
use super::grants::end_those;
use super::statements::{Connection, list, run, statements};
use super::values::only;
use super::work;
use crate::rules::words::Word;
use crate::{EndReason, Ended, GrantId, Result, StoreError};

/// Grants in one transaction.
const BATCH: i64 = 200;
const PAUSE: Duration = Duration::from_millis(500);
/// How long it is tried to wait for those who write grants.
const WAIT_FOR_OTHERS: Duration = Duration::from_mins(2);

statements! {
    BEGIN_ANEW = "UPDATE revocation_log SET name = left(md5(gen_random_uuid()::text), 16), ended_before = $1 WHERE id = 1";
    SESSIONS scans = "DELETE FROM session";
    DEVICES scans = "DELETE FROM device_authorization";
    CONSENTS scans = "DELETE FROM consent";
    INITIAL_TOKENS scans = "DELETE FROM initial_access_token WHERE uses_left IS NOT NULL";
    WAIT_BRIEFLY = work::WAIT_BRIEFLY;
    /// Also for those who only read grants to write them, which is how a grant on an issuer's word begins.
    LOCK_GRANTS = "LOCK TABLE access_grant IN EXCLUSIVE MODE";
    LIVE = "SELECT id FROM access_grant WHERE id > $1 AND state <> 'ended' ORDER BY id LIMIT $2";
    END = end_those!("id > $1 AND id <= $2", "$3", "$4");
}

/// All but the grants.
pub(super) async fn begin(db: &Connection, now: UnixSeconds) -> Fallible<Ended> {
    run(db, BEGIN_ANEW, &[&now.0]).await?;
    Ok(Ended {
        grants: 0,
        sessions: run(db, SESSIONS, &[]).await?,
        devices: run(db, DEVICES, &[]).await?,
        consents: run(db, CONSENTS, &[]).await?,
        initial_tokens: run(db, INITIAL_TOKENS, &[]).await?,
    })
}

/// Waits until every grant is written that was on its way when it began; whoever comes later knows that everything ended.
/// While something holds the table for long, it lets others pass and tries again.
async fn wait_for_others(store: &PostgresStore) -> Result<()> {
    let until = Instant::now() + WAIT_FOR_OTHERS;
    loop {
        let waited = store.transaction(|db| async move {
            run(&db, WAIT_BRIEFLY, &[]).await?;
            run(&db, LOCK_GRANTS, &[]).await.map(drop)
        });
        match waited.await {
            Err(StoreError::Unavailable(_)) if Instant::now() < until => sleep(PAUSE).await,
            outcome => return outcome,
        }
    }
}

impl PostgresStore {
    /// The grants, some at a time, with those that are being written; how many were ended.
    pub(super) async fn end_every_grant(&self, now: UnixSeconds) -> Result<u64> {
        wait_for_others(self).await?;
        let mut ended = 0;
        let mut after = Some(GrantId(Uuid::nil()));
        while let Some(start) = after {
            let (grants, last) = self
                .transaction(|db| async move { self::grants(&db, start, now).await })
                .await?;
            ended += grants;
            after = last;
        }
        Ok(ended)
    }
}

/// A batch of grants after this one; how many were ended, and the last of them, `None` when there was none.
async fn grants(db: &Connection, after: GrantId, now: UnixSeconds) -> Fallible<(u64, Option<GrantId>)> {
    let live = list(db, LIVE, &[&after.0, &BATCH], only::<Uuid>).await?;
    let Some(last) = live.last() else {
        return Ok((0, None));
    };
    let reason = EndReason::RevokedByAdmin.word();
    let ended = run(db, END, &[&after.0, last, &reason, &now.0]).await?;
    Ok((ended, Some(GrantId(*last))))
}
