//! What counts once.

use doorward_oauth::time::UnixSeconds;
use rusqlite::{Connection, params};

use super::statements::{Run, statements};
use crate::rules::spent::is_twice;
use crate::{Result, Spend, SpendOutcome};

statements! {
    ENDED_BEFORE = "SELECT ended_before FROM revocation_log WHERE id = 1";
    IS_SPENT = "SELECT 1 FROM spent WHERE digest = ?1";
    SPEND = "INSERT INTO spent (digest, expires_at) VALUES (?1, ?2)";
}

/// All or none: the one writer looks at every one of them first.
pub(super) fn spend(db: &Connection, spends: &[Spend]) -> Result<SpendOutcome> {
    let ended_before = db
        .find(ENDED_BEFORE, [], |row| row.get(0))?
        .map_or(UnixSeconds(0), UnixSeconds);
    for (place, spend) in spends.iter().enumerate() {
        if spend.made_at <= ended_before
            || is_twice(spends, place)
            || db.find(IS_SPENT, params![spend.digest], |_| Ok(()))?.is_some()
        {
            return Ok(SpendOutcome::UsedBefore(place));
        }
    }
    for spend in spends {
        db.run(SPEND, params![spend.digest, spend.until.0])?;
    }
    Ok(SpendOutcome::Spent)
}
