//! Refresh tokens: derived from grant and generation, so only the current generation is stored.
//!
//! With `g` the current generation: `g` itself moves on to `g + 1`; `g - 1` gets `g` again, because nobody has
//! shown yet that the answer with `g` arrived; an older one gets the successor that it got before as long as it
//! was superseded within the retry window, and ends the grant after that (RFC 9700 §4.14.2).

use std::time::Duration;

use doorward_oauth::time::UnixSeconds;
use rusqlite::{Connection, params};

use super::statements::{Run, statements};
use super::values::Columns;
use super::{grants, issuances};
use crate::{EndReason, Grant, GrantState, Result, RotateOutcome, RotateRefresh, StoreError};

/// How many earlier generations are remembered at most.
const REMEMBERED: usize = 16;

statements! {
    BY_ID = concat!(
        "SELECT ", grants::grant_columns!(), ", g.earlier, ", grants::stands!(), " FROM access_grant g ",
        grants::joined_with_its_parties!(), " WHERE g.id = ?1"
    );
    ROTATE = "UPDATE access_grant SET generation = ?3, generation_at = ?4, earlier = ?5, last_used_at = ?6 \
              WHERE id = ?1 AND state = 'active' AND generation = ?2";
    TOUCH = "UPDATE access_grant SET last_used_at = ?2 WHERE id = ?1 AND state = 'active'";
}

/// When the generations before the current one were reached, newest first.
#[derive(Debug, PartialEq, Eq)]
struct Earlier(Vec<UnixSeconds>);

pub(super) fn rotate(db: &Connection, rotate: &RotateRefresh) -> Result<RotateOutcome> {
    if rotate.issuance.grant != rotate.grant {
        return Err(StoreError::Invalid(
            "the access token to be recorded belongs to another grant",
        ));
    }
    let Some((mut grant, earlier, stands)) = load(db, rotate)? else {
        return Ok(RotateOutcome::Unknown);
    };
    if grant.state == GrantState::Ended {
        return Ok(RotateOutcome::Ended);
    }
    if rotate.generation == 0 || rotate.generation > grant.generation {
        return Ok(RotateOutcome::Unknown);
    }
    if !stands {
        return Ok(RotateOutcome::Ended);
    }
    if is_expired(&grant, rotate) {
        return Ok(RotateOutcome::Expired);
    }
    grant.last_used_at = grant.last_used_at.max(rotate.now);
    let retry = rotate.generation < grant.generation;
    let successor = if !retry {
        move_on(db, &mut grant, earlier, rotate)?
    } else if may_retry(&grant, &earlier, rotate) {
        db.run(TOUCH, params![grant.id.0.as_bytes(), grant.last_used_at.0])?;
        rotate.generation + 1
    } else {
        grants::end(db, grant.id, EndReason::RefreshTokenReused, rotate.now)?;
        return Ok(RotateOutcome::Reused);
    };
    issuances::insert(db, &rotate.issuance)?;
    Ok(RotateOutcome::Rotated {
        grant: Box::new(grant),
        successor,
        retry,
    })
}

fn is_expired(grant: &Grant, rotate: &RotateRefresh) -> bool {
    let idle = rotate.now.since(grant.generation_at) > rotate.policy.idle_ttl;
    idle || grant.refresh_expires_at.is_none_or(|end| rotate.now >= end)
}

/// The present generation was shown: the next one is reached.
fn move_on(db: &Connection, grant: &mut Grant, mut earlier: Earlier, rotate: &RotateRefresh) -> Result<u32> {
    let successor = grant
        .generation
        .checked_add(1)
        .ok_or(StoreError::Invalid("this grant has no generations left"))?;
    // Never back: a clock that stepped back for a while must not make the grant look idle when it recovers.
    let reached_at = grant.generation_at.max(rotate.now);
    earlier.push(grant.generation_at, reached_at, rotate.policy.retry_window);
    let changed = db.run(
        ROTATE,
        params![
            grant.id.0.as_bytes(),
            grant.generation,
            successor,
            reached_at.0,
            earlier.to_bytes(),
            grant.last_used_at.0
        ],
    )?;
    if changed != 1 {
        return Err(StoreError::Internal(
            "a grant changed in the middle of a rotation".to_owned(),
        ));
    }
    grant.generation = successor;
    grant.generation_at = reached_at;
    Ok(successor)
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
        // Newest first: what follows the first one that is too old is older still.
        let keep = self
            .0
            .iter()
            .take_while(|time| now.since(**time) <= window)
            .count();
        self.0.truncate(keep);
    }

    fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|time| time.0.to_be_bytes()).collect()
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        let (times, _) = bytes.as_chunks::<8>();
        Self(
            times
                .iter()
                .map(|time| UnixSeconds(i64::from_be_bytes(*time)))
                .collect(),
        )
    }
}

fn load(db: &Connection, rotate: &RotateRefresh) -> Result<Option<(Grant, Earlier, bool)>> {
    Ok(db.find(BY_ID, [rotate.grant.0.as_bytes()], |row| {
        let mut columns = Columns::new(row);
        let grant = grants::read(&mut columns)?;
        let earlier = Earlier::from_bytes(&columns.plain::<Vec<u8>>()?);
        Ok((grant, earlier, columns.plain()?))
    })?)
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

        earlier.push(UnixSeconds(150), UnixSeconds(219), window);
        assert_eq!(earlier.0, [UnixSeconds(150), UnixSeconds(99)]);
    }
}
