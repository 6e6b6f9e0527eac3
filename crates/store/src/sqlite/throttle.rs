//! The sign-in throttle: free attempts, then a growing wait, then forgotten.

use std::time::Duration;

use doorward_oauth::time::UnixSeconds;
use rusqlite::{Connection, params};

use super::statements::{Run, statements};
use super::values::sha256;
use crate::{Digest, LoginThrottle, Result, ThrottlePolicy};

statements! {
    FIND = "SELECT attempts, last_at FROM login_throttle WHERE key_digest = ?1";
    COUNT = "INSERT INTO login_throttle (key_digest, attempts, last_at, forget_at) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (key_digest) DO UPDATE SET attempts = excluded.attempts, last_at = excluded.last_at, \
             forget_at = excluded.forget_at";
    CLEAR = "DELETE FROM login_throttle WHERE key_digest = ?1";
}

#[derive(Clone, Copy)]
struct Attempts {
    count: u32,
    last_at: UnixSeconds,
}

/// Counts one attempt on each key, or none at all when one of them has to wait.
pub(super) fn begin(
    db: &Connection,
    keys: &[String],
    policy: ThrottlePolicy,
    now: UnixSeconds,
) -> Result<LoginThrottle> {
    let mut rows = Vec::with_capacity(keys.len());
    for key in digests(keys) {
        rows.push((key, remembered(db, &key, policy, now)?));
    }
    let wait = rows
        .iter()
        .map(|(_, attempts)| wait(*attempts, policy, now))
        .max()
        .unwrap_or_default();
    for (key, attempts) in rows {
        let count = if wait.is_zero() {
            attempts.count.saturating_add(1)
        } else {
            attempts.count
        };
        // A refused attempt is not counted. Only a clock that went back is followed, or the wait would last
        // until the old time comes round again.
        if wait.is_zero() || attempts.last_at > now {
            let forget_at = now + policy.forget_after;
            db.run(COUNT, params![key, count, now.0, forget_at.0])?;
        }
    }
    Ok(if wait.is_zero() {
        LoginThrottle::Allowed
    } else {
        LoginThrottle::Wait(wait.as_secs())
    })
}

pub(super) fn clear(db: &Connection, keys: &[String]) -> Result<()> {
    for key in digests(keys) {
        db.run(CLEAR, [key])?;
    }
    Ok(())
}

fn remembered(db: &Connection, key: &Digest, policy: ThrottlePolicy, now: UnixSeconds) -> Result<Attempts> {
    let row = db.find(FIND, [key], |row| {
        Ok(Attempts {
            count: row.get(0)?,
            last_at: UnixSeconds(row.get(1)?),
        })
    })?;
    let fresh = Attempts {
        count: 0,
        last_at: now,
    };
    Ok(row
        .filter(|attempts| now.since(attempts.last_at) < policy.forget_after)
        .unwrap_or(fresh))
}

/// How long from now the next attempt has to wait.
fn wait(attempts: Attempts, policy: ThrottlePolicy, now: UnixSeconds) -> Duration {
    let Some(beyond) = attempts.count.checked_sub(policy.free_attempts) else {
        return Duration::ZERO;
    };
    let factor = 1_u32.checked_shl(beyond).unwrap_or(u32::MAX);
    let whole = policy.first_wait.saturating_mul(factor).min(policy.longest_wait);
    whole.saturating_sub(now.since(attempts.last_at))
}

/// Rows are keyed by digest: of one size, and no list of who tried to sign in.
fn digests(keys: &[String]) -> Vec<Digest> {
    let mut digests: Vec<Digest> = keys.iter().map(|key| sha256(key.as_bytes())).collect();
    digests.sort_unstable();
    digests.dedup();
    digests
}
