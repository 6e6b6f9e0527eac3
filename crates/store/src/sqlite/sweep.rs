//! Removes what is past its use, a little at a time: the writer has other callers.

use std::time::Duration;

use doorward_oauth::time::UnixSeconds;
use rusqlite::{Connection, params};

use super::statements::{Run, Sql, statements};
use crate::Result;

/// Deletes the rows that a subquery finds by an index; ?1 is the time before which they are past use.
macro_rules! delete {
    ($table:literal, $key:literal, $past:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " WHERE ",
            $key,
            " IN (SELECT ",
            $key,
            " FROM ",
            $table,
            " WHERE ",
            $past,
            " LIMIT ?2)"
        )
    };
}

statements! {
    SESSIONS = delete!("session", "id", "expires_at < ?1");
    THROTTLES = delete!("login_throttle", "key_digest", "forget_at < ?1");
    ISSUANCES = delete!("issuance", "jti", "expires_at < ?1");
    /// A redeemed code outlives its use, so that a replay is noticed.
    CODES = delete!("code", "digest", "expires_at < ?1");
    ENDED_GRANTS = delete!("access_grant", "id", "state = 'ended' AND ended_at < ?1");
    PENDING_GRANTS = delete!("access_grant", "id", "state = 'pending' AND created_at < ?1");
    EXPIRED_GRANTS = delete!("access_grant", "id", "state = 'active' AND refresh_expires_at < ?1");
    /// Registered by itself and then never allowed by anybody: whoever can reach the server can make such rows. One that
    /// an operator disabled stays, or it would be enabled by registering again.
    UNUSED_CLIENTS = "DELETE FROM client WHERE client_id IN (SELECT k.client_id FROM client k \
                      WHERE k.source = 'dynamic' AND k.updated_at < ?1 AND k.disabled = 0 \
                      AND NOT EXISTS (SELECT 1 FROM access_grant g WHERE g.client_id = k.client_id) \
                      AND NOT EXISTS (SELECT 1 FROM consent c WHERE c.client_id = k.client_id) LIMIT ?2)";
    GRANTS_WITHOUT_REFRESH = delete!("access_grant", "id", "state = 'active' AND refresh_expires_at IS NULL AND last_used_at < ?1");
}

/// One kind after the other; the caller runs each as an operation of its own.
pub(super) fn kinds(now: UnixSeconds, retain: Duration) -> [(Sql, UnixSeconds); 9] {
    let retained = now - retain;
    [
        (SESSIONS, now),
        (THROTTLES, now),
        (ISSUANCES, retained),
        (CODES, retained),
        (ENDED_GRANTS, retained),
        (PENDING_GRANTS, retained),
        (EXPIRED_GRANTS, retained),
        (GRANTS_WITHOUT_REFRESH, retained),
        (UNUSED_CLIENTS, retained),
    ]
}

pub(super) fn remove(db: &Connection, sql: Sql, past: UnixSeconds, limit: u32) -> Result<u64> {
    Ok(db.run(sql, params![past.0, limit])? as u64)
}
