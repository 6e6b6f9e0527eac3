//! The log of revocations, which triggers write.

use doorward_oauth::time::UnixSeconds;
use rusqlite::{Connection, params};

use super::statements::{Run, statements};
use super::values::Columns;
use crate::revocations::stored;
use crate::rules::revocations::{Place, Row, page, past};
use crate::{Result, RevocationPage, StoreError};

statements! {
    AFTER = "SELECT position, grant_id, jti, client_id, revoked_at FROM revocation WHERE position > ?1 \
             ORDER BY position LIMIT ?2";
    LOG = "SELECT name, forgotten, (SELECT max(position) FROM revocation) FROM revocation_log WHERE id = 1";
    OLDEST = "SELECT position, revoked_at FROM revocation \
              WHERE position > (SELECT forgotten FROM revocation_log WHERE id = 1) ORDER BY position LIMIT ?1";
    FORGET = "DELETE FROM revocation WHERE position <= ?1";
    FORGOTTEN = "UPDATE revocation_log SET forgotten = ?1 WHERE id = 1 AND forgotten < ?1";
}

/// The entries first: what is forgotten in between is then seen to be.
pub(super) fn list(db: &Connection, after: u64, limit: u32) -> Result<RevocationPage> {
    let rows = db.list(AFTER, params![stored(after), limit], |row| {
        let mut columns = Columns::new(row);
        Ok(Row {
            position: columns.plain()?,
            grant: columns.maybe_grant()?,
            jti: columns.plain()?,
            client_id: columns.plain()?,
            revoked_at: columns.time()?,
        })
    })?;
    let place = db.find(LOG, [], |row| {
        let mut columns = Columns::new(row);
        Ok(Place {
            log: columns.plain()?,
            forgotten: columns.plain()?,
            last: columns.plain()?,
        })
    })?;
    page(
        rows,
        place.ok_or_else(|| StoreError::Internal("the log of revocations is gone".to_owned()))?,
    )
}

pub(super) fn forget(db: &Connection, before: UnixSeconds, limit: u32) -> Result<u64> {
    let oldest = db.list(OLDEST, [limit], |row| {
        let mut columns = Columns::new(row);
        Ok((columns.plain()?, columns.time()?))
    })?;
    let Some(position) = past(&oldest, before) else {
        return Ok(0);
    };
    db.run(FORGOTTEN, [position])?;
    Ok(db.run(FORGET, [position])? as u64)
}
