//! Removes what is past its use, a little at a time. Nodes that sweep at the same time share the work.

use doorward_oauth::time::UnixSeconds;

use super::errors::Fallible;
use super::statements::{Connection, Sql, run, statements};
use crate::rules::sweep::Kind;

/// Deletes the rows that a subquery finds by an index; $1 is the time before which they are past use. A row that
/// somebody works on is left for the next time.
macro_rules! delete {
    ($table:literal, $key:literal, $past:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " WHERE ",
            $key,
            " = ANY (ARRAY(SELECT ",
            $key,
            " FROM ",
            $table,
            " WHERE ",
            $past,
            " LIMIT $2 FOR UPDATE SKIP LOCKED))"
        )
    };
}

statements! {
    SESSIONS = delete!("session", "id", "expires_at < $1");
    THROTTLES = delete!("login_throttle", "key_digest", "forget_at < $1");
    ISSUANCES = delete!("issuance", "jti", "expires_at < $1");
    CODES = delete!("code", "digest", "expires_at < $1");
    ENDED_GRANTS = delete!("access_grant", "id", "state = 'ended' AND ended_at < $1");
    PENDING_GRANTS = delete!("access_grant", "id", "state = 'pending' AND created_at < $1");
    EXPIRED_GRANTS = delete!("access_grant", "id", "state = 'active' AND refresh_expires_at < $1");
    /// By the time of approval (the index), then exactly; a clock may have gone back a minute in between.
    GRANTS_WITHOUT_REFRESH = delete!(
        "access_grant", "id",
        "state = 'active' AND refresh_expires_at IS NULL AND created_at < $1::bigint + 60 AND last_used_at < $1"
    );
}

pub(super) async fn remove(db: &Connection, kind: Kind, past: UnixSeconds, limit: u32) -> Fallible<u64> {
    run(db, statement(kind), &[&past.0, &i64::from(limit)]).await
}

const fn statement(kind: Kind) -> Sql {
    match kind {
        Kind::Sessions => SESSIONS,
        Kind::Throttles => THROTTLES,
        Kind::Issuances => ISSUANCES,
        Kind::Codes => CODES,
        Kind::EndedGrants => ENDED_GRANTS,
        Kind::PendingGrants => PENDING_GRANTS,
        Kind::ExpiredGrants => EXPIRED_GRANTS,
        Kind::GrantsWithoutRefresh => GRANTS_WITHOUT_REFRESH,
    }
}
