//! The sign-in throttle's rows.

use doorward_oauth::time::UnixSeconds;

use super::errors::Fallible;
use super::statements::{Connection, list, run, statements};
use super::work::lock;
use crate::rules::throttle::{Attempt, Attempts, attempt, digests};
use crate::{Digest, LoginThrottle, ThrottlePolicy};

statements! {
    FIND = "SELECT key_digest, attempts, last_at FROM login_throttle WHERE key_digest = ANY ($1)";
    COUNT = "INSERT INTO login_throttle (key_digest, attempts, last_at, forget_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (key_digest) DO UPDATE SET attempts = excluded.attempts, last_at = excluded.last_at, \
             forget_at = excluded.forget_at";
    CLEAR = "DELETE FROM login_throttle WHERE key_digest = ANY ($1)";
    GIVE_BACK = "UPDATE login_throttle SET attempts = attempts - 1 WHERE key_digest = ANY ($1) AND attempts > 0";
}

/// Counts one attempt on each key, or none at all when one of them has to wait. A key may have no row yet, so
/// the keys themselves are locked.
pub(super) async fn begin(
    db: &Connection,
    keys: &[String],
    policy: ThrottlePolicy,
    now: UnixSeconds,
) -> Fallible<LoginThrottle> {
    let keys = digests(keys);
    lock(db, &keys).await?;
    let rows = list(db, FIND, &[&slices(&keys)], |columns| {
        let key: Digest = columns.bytes()?;
        let attempts = Attempts {
            count: columns.number()?,
            last_at: columns.time()?,
        };
        Ok((key, attempts))
    })
    .await?;
    let stored = keys.into_iter().map(|key| {
        let row = rows.iter().find(|(of, _)| *of == key);
        (key, row.map(|(_, attempts)| *attempts))
    });
    let Attempt {
        answer,
        changed,
        forget_at,
    } = attempt(stored.collect(), policy, now);
    for (key, Attempts { count, last_at }) in changed {
        run(
            db,
            COUNT,
            &[&key.as_slice(), &i64::from(count), &last_at.0, &forget_at.0],
        )
        .await?;
    }
    Ok(answer)
}

/// Forgets all attempts of some keys, and one of each of others.
pub(super) async fn clear(db: &Connection, all_of: &[String], one_of: &[String]) -> Fallible<()> {
    // In one order with everybody else who takes several.
    lock(db, &digests(&[all_of, one_of].concat())).await?;
    run(db, CLEAR, &[&slices(&digests(all_of))]).await?;
    if !one_of.is_empty() {
        run(db, GIVE_BACK, &[&slices(&digests(one_of))]).await?;
    }
    Ok(())
}

fn slices(keys: &[Digest]) -> Vec<&[u8]> {
    keys.iter().map(Digest::as_slice).collect()
}
