//! Removes what is past its use, a little at a time: the writer has other callers.

use doorward_oauth::time::UnixSeconds;
use rusqlite::{Connection, params};

use super::consents;
use super::statements::{Run, statements};
use crate::Result;
use crate::rules::consents::ConsentsOf;
use crate::rules::grants::AT_A_TIME;
use crate::rules::sweep::{CLIENTS, END_OF_CLIENTS, Kind, Round};

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
    SPENT = delete!("spent", "digest", "expires_at < ?1");
    DEVICES = delete!("device_authorization", "digest", "expires_at < ?1");
    ISSUANCES = delete!("issuance", "jti", "expires_at < ?1");
    CODES = delete!("code", "digest", "expires_at < ?1");
    ENDED_GRANTS = delete!("access_grant", "id", "state = 'ended' AND ended_at < ?1");
    PENDING_GRANTS = delete!("access_grant", "id", "state = 'pending' AND created_at < ?1");
    EXPIRED_GRANTS = delete!("access_grant", "id", "state = 'active' AND refresh_expires_at < ?1");
    GRANTS_WITHOUT_REFRESH = delete!("access_grant", "id", "state = 'active' AND refresh_expires_at IS NULL AND last_used_at < ?1");
    INITIAL_ACCESS_TOKENS = delete!("initial_access_token", "id", "expires_at < ?1");
    END_OF_STEP = "SELECT client_id FROM client WHERE client_id > ?1 ORDER BY client_id LIMIT 1 OFFSET ?2";
    /// `+`: by the name alone.
    UNUSED_CLIENTS = "SELECT k.client_id FROM client k \
                      WHERE k.client_id > ?3 AND k.client_id <= ?4 \
                      AND +k.source = 'dynamic' AND +k.updated_at < ?1 AND k.disabled = 0 \
                      AND NOT EXISTS (SELECT 1 FROM access_grant g WHERE g.client_id = k.client_id) \
                      AND NOT EXISTS (SELECT 1 FROM consent c WHERE c.client_id = k.client_id AND c.granted_at >= ?1) LIMIT ?2";
    REMOVE_CLIENT = "DELETE FROM client WHERE client_id = ?1";
}

pub(super) fn remove(
    db: &Connection,
    kind: Kind,
    past: UnixSeconds,
    limit: u32,
    round: &Round<String>,
) -> Result<u64> {
    let sql = match kind {
        Kind::Sessions => SESSIONS,
        Kind::Throttles => THROTTLES,
        Kind::Spent => SPENT,
        Kind::Devices => DEVICES,
        Kind::Issuances => ISSUANCES,
        Kind::Codes => CODES,
        Kind::EndedGrants => ENDED_GRANTS,
        Kind::PendingGrants => PENDING_GRANTS,
        Kind::ExpiredGrants => EXPIRED_GRANTS,
        Kind::GrantsWithoutRefresh => GRANTS_WITHOUT_REFRESH,
        Kind::InitialAccessTokens => INITIAL_ACCESS_TOKENS,
        Kind::UnusedClients => return remove_unused_clients(db, past, limit, round),
        Kind::TransactionMarks => return Ok(0),
    };
    Ok(db.run(sql, params![past.0, limit])? as u64)
}

fn remove_unused_clients(
    db: &Connection,
    past: UnixSeconds,
    limit: u32,
    round: &Round<String>,
) -> Result<u64> {
    let after = round.after();
    let last: Option<String> = db.find(END_OF_STEP, params![after, CLIENTS - 1], |row| row.get(0))?;
    let until = last.as_deref().unwrap_or(END_OF_CLIENTS);
    let unused: Vec<String> = db.list(UNUSED_CLIENTS, params![past.0, limit, after, until], |row| {
        row.get(0)
    })?;
    let mut removed = 0;
    for client_id in &unused {
        // What people allowed it long ago goes with it: some at a time, and the client last.
        let of_client = ConsentsOf::client(client_id).filter();
        if consents::forget_some(db, &of_client)? < u64::from(AT_A_TIME) {
            removed += db.run(REMOVE_CLIENT, [client_id])? as u64;
        }
    }
    round.advance(last, removed, limit);
    Ok(removed)
}
