//! Refresh tokens: derived from grant and generation, so only the current generation is stored.
//!
//! With `g` the current generation: `g` itself moves on to `g + 1`; `g - 1` gets `g` again, because nobody has
//! shown yet that the answer with `g` arrived; an older one gets the successor that it got before as long as it
//! was superseded within the retry window, and ends the grant after that (RFC 9700 §4.14.2).

use std::time::Duration;

use doorward_oauth::time::UnixSeconds;

use crate::{Grant, GrantState, Result, RotateOutcome, RotateRefresh, StoreError};

/// How many earlier generations are remembered at most.
pub(crate) const REMEMBERED: usize = 16;

/// When the generations before the current one were reached, newest first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Earlier(pub(crate) Vec<UnixSeconds>);

/// What a rotation comes to.
pub(crate) enum Rotation {
    /// Nothing changes.
    Refused(RotateOutcome),
    /// The present generation was shown: grant and memory as they have to be from now on.
    MoveOn(Grant, Earlier),
    /// An older one may have its successor again: the grant with a new time of last use.
    Retry(Grant),
    /// An older one may not: the grant has to end.
    Reused,
}

pub(crate) fn refuse_incoherent(rotate: &RotateRefresh) -> Result<()> {
    if rotate.issuance.grant == rotate.grant {
        return Ok(());
    }
    Err(StoreError::Invalid(
        "the access token to be recorded belongs to another grant",
    ))
}

/// A rotation that was made for a grant is of that grant.
pub(crate) fn refuse_another(grant: &Grant, rotate: &RotateRefresh) -> Result<()> {
    if rotate.grant == grant.id {
        return Ok(());
    }
    Err(StoreError::Invalid("the rotation is of another grant"))
}

/// `stands`: person, client and resource are there and enabled.
pub(crate) fn rotate(
    mut grant: Grant,
    mut earlier: Earlier,
    stands: bool,
    rotate: &RotateRefresh,
) -> Result<Rotation> {
    if grant.state == GrantState::Ended {
        return Ok(Rotation::Refused(RotateOutcome::Ended));
    }
    if rotate.generation == 0 || rotate.generation > grant.generation {
        return Ok(Rotation::Refused(RotateOutcome::Unknown));
    }
    if !stands {
        return Ok(Rotation::Refused(RotateOutcome::Ended));
    }
    if is_expired(&grant, rotate) {
        return Ok(Rotation::Refused(RotateOutcome::Expired));
    }
    grant.last_used_at = grant.last_used_at.max(rotate.now);
    if rotate.generation < grant.generation {
        let may_retry = may_retry(&grant, &earlier, rotate);
        return Ok(if may_retry {
            Rotation::Retry(grant)
        } else {
            Rotation::Reused
        });
    }
    // Never back: a clock that stepped back for a while must not make the grant look idle when it recovers.
    let reached_at = grant.generation_at.max(rotate.now);
    earlier.push(grant.generation_at, reached_at, rotate.policy.retry_window);
    grant.generation = grant
        .generation
        .checked_add(1)
        .ok_or(StoreError::Invalid("this grant has no generations left"))?;
    grant.generation_at = reached_at;
    Ok(Rotation::MoveOn(grant, earlier))
}

/// The answer to a rotation that was recorded.
pub(crate) fn rotated(grant: Grant, rotate: &RotateRefresh, retry: bool) -> RotateOutcome {
    RotateOutcome::Rotated {
        grant: Box::new(grant),
        successor: rotate.generation + 1,
        retry,
    }
}

fn is_expired(grant: &Grant, rotate: &RotateRefresh) -> bool {
    let idle = rotate.now.since(grant.generation_at) > rotate.policy.idle_ttl;
    idle || grant.refresh_expires_at.is_none_or(|end| rotate.now >= end)
}

fn may_retry(grant: &Grant, earlier: &Earlier, rotate: &RotateRefresh) -> bool {
    // How far behind the predecessor of the current generation.
    let behind = (grant.generation - rotate.generation - 1) as usize;
    let Some(before_that) = behind.checked_sub(1) else {
        return true;
    };
    let window = rotate.policy.retry_window;
    // Generation p was superseded when p + 1 was reached. A clock that went back counts as no time at all.
    !window.is_zero()
        && earlier
            .0
            .get(before_that)
            .is_some_and(|superseded_at| rotate.now.since(*superseded_at) <= window)
}

impl Earlier {
    fn push(&mut self, reached_at: UnixSeconds, now: UnixSeconds, window: Duration) {
        self.0.insert(0, reached_at);
        self.0.truncate(REMEMBERED);
        // When the newest is too old, all of them are. Which of the others is too old is looked at when it comes back.
        if now.since(reached_at) > window {
            self.0.clear();
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|time| time.0.to_be_bytes()).collect()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let (times, _) = bytes.as_chunks::<8>();
        Self(
            times
                .iter()
                .map(|time| UnixSeconds(i64::from_be_bytes(*time)))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded_in_number_and_in_time() {
        let window = Duration::from_mins(2);
        let mut earlier = Earlier(Vec::new());
        for second in 0..100 {
            earlier.push(UnixSeconds(second), UnixSeconds(second + 1), window);
        }
        assert_eq!(earlier.0.len(), REMEMBERED);
        assert_eq!(earlier.0[0], UnixSeconds(99));
        assert_eq!(Earlier::from_bytes(&earlier.to_bytes()), earlier);

        earlier.push(UnixSeconds(150), UnixSeconds(270), window);
        assert_eq!(earlier.0[..2], [UnixSeconds(150), UnixSeconds(99)]);
        assert_eq!(earlier.0.len(), REMEMBERED);
        earlier.push(UnixSeconds(270), UnixSeconds(391), window);
        assert_eq!(earlier.0, []);
    }
}
