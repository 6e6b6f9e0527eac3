//! The log of revocations, which triggers write at the commit.

use doorward_oauth::time::UnixSeconds;

use super::errors::Fallible;
use super::statements::{Connection, get, list as rows, run, statements};
use crate::RevocationPage;
use crate::revocations::stored;
use crate::rules::revocations::{Place, Row, page, past};

statements! {
    AFTER = "SELECT position, grant_id, jti, client_id, revoked_at FROM revocation WHERE position > $1 \
             ORDER BY position LIMIT $2";
    /// The log's name holds the history that its positions belong to: after a failover to a standby that had not got
    /// everything, a position that was told may be given again, to another revocation. A log that was moved here has its old
    /// name (before an `@`) as long as the history goes on that it was moved into.
    LOG = "SELECT split_part(name, '@', 1) || replace(left(pg_walfile_name(pg_current_wal_lsn()), 8), split_part(name, '@', 2), ''), forgotten, (SELECT max(position) FROM revocation) FROM revocation_log WHERE id = 1";
    OLDEST = "SELECT position, revoked_at FROM revocation \
              WHERE position > (SELECT forgotten FROM revocation_log WHERE id = 1) ORDER BY position LIMIT $1";
    FORGET = "DELETE FROM revocation WHERE position <= $1";
    FORGOTTEN = "UPDATE revocation_log SET forgotten = $1 WHERE id = 1 AND forgotten < $1";
}

/// The entries first: what is forgotten in between is then seen to be.
pub(super) async fn list(db: &Connection, after: u64, limit: u32) -> Fallible<RevocationPage> {
    let found = rows(db, AFTER, &[&stored(after), &i64::from(limit)], |columns| {
        Ok(Row {
            position: columns.plain()?,
            grant: columns.maybe_grant()?,
            jti: columns.plain()?,
            client_id: columns.plain()?,
            revoked_at: columns.time()?,
        })
    })
    .await?;
    let place = get(db, LOG, &[], |columns| {
        Ok(Place {
            log: columns.plain()?,
            forgotten: columns.plain()?,
            last: columns.plain()?,
        })
    })
    .await?;
    Ok(page(found, place)?)
}

pub(super) async fn forget(db: &Connection, before: UnixSeconds, limit: u32) -> Fallible<u64> {
    let oldest = rows(db, OLDEST, &[&i64::from(limit)], |columns| {
        Ok((columns.plain()?, columns.time()?))
    })
    .await?;
    let Some(position) = past(&oldest, before) else {
        return Ok(0);
    };
    run(db, FORGOTTEN, &[&position]).await?;
    run(db, FORGET, &[&position]).await
}
