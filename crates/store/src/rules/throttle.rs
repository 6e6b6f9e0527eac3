//! The sign-in throttle: free attempts, then a growing wait, then forgotten.

use std::time::Duration;

use doorward_oauth::time::UnixSeconds;

use super::sha256;
use crate::{Digest, LoginThrottle, ThrottlePolicy};

/// The attempts on one key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempts {
    pub(crate) count: u32,
    pub(crate) last_at: UnixSeconds,
}

/// What one attempt on some keys comes to.
pub(crate) struct Attempt {
    pub(crate) answer: LoginThrottle,
    /// What is remembered from now on, where that changed.
    pub(crate) changed: Vec<(Digest, Attempts)>,
    /// When it is forgotten.
    pub(crate) forget_at: UnixSeconds,
}

/// Counts one attempt on each key, or none at all when one of them has to wait.
pub(crate) fn attempt(
    stored: Vec<(Digest, Option<Attempts>)>,
    policy: ThrottlePolicy,
    now: UnixSeconds,
) -> Attempt {
    let rows: Vec<_> = stored
        .into_iter()
        .map(|(key, attempts)| (key, remembered(attempts, policy, now)))
        .collect();
    let wait = rows
        .iter()
        .map(|(_, attempts)| wait(*attempts, policy, now))
        .max()
        .unwrap_or_default();
    let allowed = wait.is_zero();
    let changed = rows
        .into_iter()
        // A refused attempt is not counted. Only a clock that went back is followed, or the wait would last
        // until the old time comes round again.
        .filter(|(_, attempts)| allowed || attempts.last_at > now)
        .map(|(key, attempts)| {
            let count = attempts.count.saturating_add(u32::from(allowed));
            (key, Attempts { count, last_at: now })
        })
        .collect();
    Attempt {
        answer: if allowed {
            LoginThrottle::Allowed
        } else {
            LoginThrottle::Wait(wait.as_secs())
        },
        changed,
        forget_at: now + policy.forget_after,
    }
}

fn remembered(stored: Option<Attempts>, policy: ThrottlePolicy, now: UnixSeconds) -> Attempts {
    let fresh = Attempts {
        count: 0,
        last_at: now,
    };
    stored
        .filter(|attempts| now.since(attempts.last_at) < policy.forget_after)
        .unwrap_or(fresh)
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
pub(crate) fn digests(keys: &[String]) -> Vec<Digest> {
    let mut digests: Vec<Digest> = keys.iter().map(|key| sha256(key.as_bytes())).collect();
    digests.sort_unstable();
    digests.dedup();
    digests
}
