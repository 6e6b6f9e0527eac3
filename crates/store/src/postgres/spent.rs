//! What counts once.

use tokio_postgres::types::ToSql;

use super::PostgresStore;
use super::errors::{Fallible, Fault};
use super::statements::{Connection, list, run, statements};
use super::values::only;
use super::work::unknown;
use crate::rules::audit;
use crate::rules::spent::is_twice;
use crate::{Result, Spend, SpendOutcome};

statements! {
    /// Nothing for what was used up before, and for what may have been: it was made before everything was ended.
    SPEND = "INSERT INTO spent (digest, expires_at) \
             SELECT $1::bytea, $2::bigint FROM revocation_log WHERE id = 1 AND ended_before < $3::bigint \
             ON CONFLICT DO NOTHING";
    /// The same for several, none of them twice; gives those that it used up. In the order of the digests, so that nobody
    /// waits in a circle.
    SPEND_EACH = "INSERT INTO spent AS s (digest, expires_at) \
                  SELECT a.digest, a.until FROM unnest($1::bytea[], $2::bigint[], $3::bigint[]) AS a (digest, until, made_at) \
                  CROSS JOIN revocation_log l WHERE l.id = 1 AND l.ended_before < a.made_at ORDER BY a.digest \
                  ON CONFLICT DO NOTHING RETURNING s.digest";
    GIVE_BACK = "DELETE FROM spent WHERE digest = ANY ($1)";
}

/// One statement for one thing; a transaction for several, and where a refusal is written down.
pub(super) async fn spend(store: &PostgresStore, spends: &[Spend]) -> Result<SpendOutcome> {
    if let ([spend], None) = (spends, &store.hands) {
        return spend_at_once(store, spend).await;
    }
    store
        .act(|db| async move {
            let spent = spend_each(&db, spends).await?;
            Ok((spent, audit::spent(spent)))
        })
        .await
}

/// Again when the connection is lost. What is found used up then may have been used up here: it counts neither as used now
/// nor as used before.
async fn spend_at_once(store: &PostgresStore, spend: &Spend) -> Result<SpendOutcome> {
    let mut tries = store.tries();
    let mut lost: Option<String> = None;
    loop {
        let attempt = store.attempt(|db| async move {
            let digest = spend.digest.as_slice();
            run(&db, SPEND, &[&digest, &spend.until.0, &spend.made_at.0]).await
        });
        match (attempt.await, lost) {
            (Ok(0), Some(why)) => return Err(unknown(&why)),
            (Ok(0), None) => return Ok(SpendOutcome::UsedBefore(0)),
            (Ok(_), _) => return Ok(SpendOutcome::Spent),
            (Err(fault), before) => {
                lost = match &fault {
                    Fault::Lost(why) => Some(why.clone()),
                    Fault::Refused(_) | Fault::Contended(_) => before,
                };
                tries.again(fault).await?;
            }
        }
    }
}

/// All or none.
pub(super) async fn spend_each(db: &Connection, spends: &[Spend]) -> Fallible<SpendOutcome> {
    if spends.is_empty() {
        return Ok(SpendOutcome::Spent);
    }
    if let Some(place) = (0..spends.len()).find(|place| is_twice(spends, *place)) {
        return Ok(SpendOutcome::UsedBefore(place));
    }
    let digests: Vec<&[u8]> = spends.iter().map(|spend| spend.digest.as_slice()).collect();
    let until: Vec<i64> = spends.iter().map(|spend| spend.until.0).collect();
    let made_at: Vec<i64> = spends.iter().map(|spend| spend.made_at.0).collect();
    let params: [&(dyn ToSql + Sync); 3] = [&digests, &until, &made_at];
    let used = list(db, SPEND_EACH, &params, only::<Vec<u8>>).await?;
    let is_used = |spend: &Spend| used.iter().any(|digest| digest == spend.digest.as_slice());
    let Some(place) = spends.iter().position(|spend| !is_used(spend)) else {
        return Ok(SpendOutcome::Spent);
    };
    run(db, GIVE_BACK, &[&used]).await?;
    Ok(SpendOutcome::UsedBefore(place))
}
