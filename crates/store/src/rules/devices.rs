//! What a device that polls is told (RFC 8628 §3.5).

use doorward_oauth::time::UnixSeconds;

use crate::PollOutcome;

/// Times are whole seconds: a poll on time may look one second early.
const TOLERANCE: u64 = 1;
/// However often a device polls too soon, it need not wait longer than this.
const LONGEST_WAIT: u32 = 60;

/// A device without a code.
pub(crate) struct Waiting {
    pub(crate) client_id: String,
    pub(crate) wait: u32,
    pub(crate) polled_at: Option<UnixSeconds>,
    pub(crate) denied: bool,
    pub(crate) expires_at: UnixSeconds,
}

/// The answer, and the wait from now on when the poll has to be written down.
pub(crate) fn poll(
    waiting: Option<Waiting>,
    client_id: &str,
    slower: u32,
    now: UnixSeconds,
) -> (PollOutcome, Option<u32>) {
    let Some(waiting) = waiting.filter(|waiting| waiting.client_id == client_id) else {
        return (PollOutcome::Unknown, None);
    };
    if now >= waiting.expires_at {
        return (PollOutcome::Expired, None);
    }
    if waiting.denied {
        return (PollOutcome::Denied, None);
    }
    // A clock that went back counts as no time at all.
    let too_soon = waiting
        .polled_at
        .is_some_and(|before| now.since(before).as_secs() + TOLERANCE < u64::from(waiting.wait));
    if too_soon {
        let wait = waiting
            .wait
            .saturating_add(slower)
            .min(LONGEST_WAIT.max(waiting.wait));
        (PollOutcome::SlowDown, Some(wait))
    } else {
        (PollOutcome::Pending, Some(waiting.wait))
    }
}
