//! Removes what is past its use, a little at a time. Nodes that sweep at the same time share the work.

use doorward_oauth::time::UnixSeconds;

use super::errors::Fallible;
use super::statements::{Connection, find, list, run, statements};
use super::values::only;
use super::{consents, work};
use crate::rules::consents::ConsentsOf;
use crate::rules::grants::AT_A_TIME;
use crate::rules::sweep::{CLIENTS, END_OF_CLIENTS, Kind, Round};

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

macro_rules! unused {
    ($past:literal) => {
        concat!(
            "NOT EXISTS (SELECT 1 FROM access_grant g WHERE g.client_id = k.client_id) \
             AND NOT EXISTS (SELECT 1 FROM consent c WHERE c.client_id = k.client_id AND c.granted_at >= ",
            $past,
            ")"
        )
    };
}

statements! {
    SESSIONS = delete!("session", "id", "expires_at < $1");
    THROTTLES = delete!("login_throttle", "key_digest", "forget_at < $1");
    SPENT = delete!("spent", "digest", "expires_at < $1");
    DEVICES = delete!("device_authorization", "digest", "expires_at < $1");
    /// The others go with their partitions.
    ISSUANCES = delete!("issuance_default", "jti", "expires_at < $1");
    CODES = delete!("code", "digest", "expires_at < $1");
    ENDED_GRANTS = delete!("access_grant", "id", "state = 'ended' AND ended_at < $1");
    PENDING_GRANTS = delete!("access_grant", "id", "state = 'pending' AND created_at < $1");
    EXPIRED_GRANTS = delete!("access_grant", "id", "state = 'active' AND refresh_expires_at < $1");
    /// Grants of which a last use would be written into an index by every use: they are looked at in the order of their making,
    /// so many at a time, $3 to $4.
    GRANTS_WITHOUT_REFRESH = delete!(
        "access_grant", "id",
        "state = 'active' AND refresh_expires_at IS NULL AND created_at > $3 AND created_at <= $4 AND last_used_at < $1"
    );
    /// $3: none was made later that can be past its use.
    END_OF_GRANTS = "SELECT created_at FROM access_grant WHERE state = 'active' AND refresh_expires_at IS NULL \
                     AND created_at > $1 AND created_at <= $3 ORDER BY created_at LIMIT 1 OFFSET $2";
    INITIAL_ACCESS_TOKENS = delete!("initial_access_token", "id", "expires_at < $1");
    UNUSED_CLIENTS = concat!(
        "SELECT k.client_id FROM client k WHERE k.client_id > $3 AND k.client_id <= $4 \
         AND k.source = 'dynamic' AND k.updated_at < $1 AND NOT k.disabled AND ",
        unused!("$1"), " ORDER BY k.client_id LIMIT $2 FOR UPDATE SKIP LOCKED"
    );
    END_OF_STEP = "SELECT client_id FROM client WHERE client_id > $1 ORDER BY client_id LIMIT 1 OFFSET $2";
    REMOVE_UNUSED_CLIENTS = concat!("DELETE FROM client k WHERE k.client_id = ANY ($1) AND ", unused!("$2"));
}

/// How many grants without refresh tokens are looked at, whether they are in use or not.
const GRANTS: i64 = 20_000;
/// A clock may have gone back a little between the making of a grant and its last use, in seconds.
const STEP_BACK: i64 = 60;

/// How far this node has come with what is looked for everywhere.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    clients: Round<String>,
    grants: Round<i64>,
}

impl Rounds {
    pub(super) fn are_under_way(&self, kind: Kind) -> bool {
        match kind {
            Kind::UnusedClients => self.clients.is_under_way(),
            Kind::GrantsWithoutRefresh => self.grants.is_under_way(),
            _ => false,
        }
    }
}

pub(super) async fn remove(
    db: &Connection,
    kind: Kind,
    past: UnixSeconds,
    limit: u32,
    rounds: &Rounds,
) -> Fallible<u64> {
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
        Kind::InitialAccessTokens => INITIAL_ACCESS_TOKENS,
        Kind::GrantsWithoutRefresh => {
            return remove_grants_without_refresh(db, past, limit, &rounds.grants).await;
        }
        Kind::UnusedClients => return remove_unused_clients(db, past, limit, &rounds.clients).await,
        Kind::TransactionMarks => return work::forget_marks(db, limit).await,
    };
    run(db, sql, &[&past.0, &i64::from(limit)]).await
}

async fn remove_grants_without_refresh(
    db: &Connection,
    past: UnixSeconds,
    limit: u32,
    round: &Round<i64>,
) -> Fallible<u64> {
    let (after, latest) = (round.after(), past.0.saturating_add(STEP_BACK));
    // Whoever was made in the same second is looked at with the last one.
    let last = find(db, END_OF_GRANTS, &[&after, &(GRANTS - 1), &latest], only::<i64>).await?;
    let until = last.unwrap_or(latest);
    let removed = run(
        db,
        GRANTS_WITHOUT_REFRESH,
        &[&past.0, &i64::from(limit), &after, &until],
    )
    .await?;
    round.advance(last, removed, limit);
    Ok(removed)
}

/// Two statements: the second one sees what was approved before the first one had its locks.
async fn remove_unused_clients(
    db: &Connection,
    past: UnixSeconds,
    limit: u32,
    round: &Round<String>,
) -> Fallible<u64> {
    let after = round.after();
    let step = i64::from(CLIENTS - 1);
    let last = find(db, END_OF_STEP, &[&after, &step], only::<String>).await?;
    let until = last.as_deref().unwrap_or(END_OF_CLIENTS);
    let most = i64::from(limit);
    let unused = list(
        db,
        UNUSED_CLIENTS,
        &[&past.0, &most, &after, &until],
        only::<String>,
    )
    .await?;
    let mut bare = Vec::new();
    for client_id in unused {
        // What people allowed it long ago goes with it: some at a time, and the client last.
        let of_client = ConsentsOf::client(&client_id).filter();
        if consents::forget_some(db, &of_client).await? < u64::from(AT_A_TIME) {
            bare.push(client_id);
        }
    }
    let removed = if bare.is_empty() {
        0
    } else {
        run(db, REMOVE_UNUSED_CLIENTS, &[&bare, &past.0]).await?
    };
    round.advance(last, removed, limit);
    Ok(removed)
}
