//! What goes because its time is over.

use super::{Draft, Drafted};
use crate::AuditAction;
use crate::rules::sweep::Kind;

/// One for all that go in one transaction: a client, and a grant that nobody ended. What ended before was told then, and of
/// what counts once nobody knows after its time.
pub(crate) fn removed(kind: Kind, rows: u64) -> Drafted {
    let (action, what) = match kind {
        Kind::UnusedClients => (AuditAction::ClientExpired, "clients"),
        Kind::PendingGrants | Kind::ExpiredGrants | Kind::GrantsWithoutRefresh => {
            (AuditAction::GrantExpired, "grants")
        }
        Kind::Sessions
        | Kind::Throttles
        | Kind::Spent
        | Kind::Devices
        | Kind::Issuances
        | Kind::Codes
        | Kind::EndedGrants
        | Kind::InitialAccessTokens
        | Kind::TransactionMarks => return None,
    };
    let draft = Draft::new(action).with("kind", kind.name());
    (rows > 0).then(|| draft.with(what, rows))
}
