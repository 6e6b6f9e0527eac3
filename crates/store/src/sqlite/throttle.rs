//! The sign-in throttle: free attempts, then a growing wait, then forgotten.

use doorward_oauth::time::UnixSeconds;
use rusqlite::{Connection, params};

use super::statements::{Run, statements};
use crate::rules::throttle::{Attempt, Attempts, attempt, digests};
use crate::{Digest, LoginThrottle, Result, ThrottlePolicy};

statements! {
    FIND = "SELECT attempts, last_at FROM login_throttle WHERE key_digest = ?1";
    COUNT = "INSERT INTO login_throttle (key_digest, attempts, last_at, forget_at) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (key_digest) DO UPDATE SET attempts = excluded.attempts, last_at = excluded.last_at, \
             forget_at = excluded.forget_at";
    CLEAR = "DELETE FROM login_throttle WHERE key_digest = ?1";
    GIVE_BACK = "UPDATE login_throttle SET attempts = attempts - 1 WHERE key_digest = ?1 AND attempts > 0";
}

/// Counts one attempt on each key, or none at all when one of them has to wait.
pub(super) fn begin(
    db: &Connection,
    keys: &[String],
    policy: ThrottlePolicy,
    now: UnixSeconds,
) -> Result<LoginThrottle> {
    let mut stored = Vec::with_capacity(keys.len());
    for key in digests(keys) {
        stored.push((key, find(db, &key)?));
    }
    let Attempt {
        answer,
        changed,
        forget_at,
    } = attempt(stored, policy, now);
    for (key, Attempts { count, last_at }) in changed {
        db.run(COUNT, params![key, count, last_at.0, forget_at.0])?;
    }
    Ok(answer)
}

/// Forgets all attempts of some keys, and one of each of others.
pub(super) fn clear(db: &Connection, all_of: &[String], one_of: &[String]) -> Result<()> {
    for key in digests(all_of) {
        db.run(CLEAR, [key])?;
    }
    for key in digests(one_of) {
        db.run(GIVE_BACK, [key])?;
    }
    Ok(())
}

fn find(db: &Connection, key: &Digest) -> Result<Option<Attempts>> {
    Ok(db.find(FIND, [key], |row| {
        Ok(Attempts {
            count: row.get(0)?,
            last_at: UnixSeconds(row.get(1)?),
        })
    })?)
}
