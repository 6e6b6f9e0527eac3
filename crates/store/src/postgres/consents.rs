//! What people allowed before.

use doorward_oauth::scope::ScopeSet;
use uuid::Uuid;

use super::errors::Fallible;
use super::statements::{Connection, Sql, find as row, run, statements};
use super::values::{Columns, can_all_be_stored, can_be_stored, only};
use super::writes::{Write, values};
use crate::rules::consents::ConsentsOf;
use crate::rules::grants::AT_A_TIME;
use crate::rules::{consents, json};
use crate::{Consent, Grant, GrantFilter, UserId};

macro_rules! select {
    () => {
        "SELECT scopes, fingerprint, redirect_uris, granted_at FROM consent \
         WHERE user_id = $1 AND client_id = $2 AND resource = $3"
    };
}

statements! {
    FIND = select!();
    FIND_TO_WRITE = concat!(select!(), " FOR UPDATE");
    ADD = "INSERT INTO consent (user_id, client_id, resource, scopes, fingerprint, redirect_uris, granted_at) \
           VALUES ($1, $2, $3, $4, $5, $6, $7)";
    CHANGE = "UPDATE consent SET scopes = $4, fingerprint = $5, redirect_uris = $6, granted_at = $7 \
              WHERE user_id = $1 AND client_id = $2 AND resource = $3";
    FORGET_CLIENT = "DELETE FROM consent WHERE client_id = $1";
    FORGET_RESOURCE = "DELETE FROM consent WHERE resource = $1";
    /// One that comes after so many.
    MORE_OF_CLIENT = "SELECT TRUE FROM consent WHERE client_id = $1 LIMIT 1 OFFSET $2";
    MORE_OF_RESOURCE = "SELECT TRUE FROM consent WHERE resource = $1 LIMIT 1 OFFSET $2";
    FIND_TO_HOLD = concat!(select!(), " FOR KEY SHARE");
    FORGET_PERSON = "DELETE FROM consent WHERE user_id = $1";
    FORGET_SOME_OF_PERSON = "DELETE FROM consent WHERE ctid = ANY (ARRAY(SELECT ctid FROM consent WHERE user_id = $1 \
                             AND client_id = coalesce($2, client_id) AND resource = coalesce($3, resource) LIMIT $4))";
    FORGET_SOME_OF_CLIENT = "DELETE FROM consent WHERE ctid = ANY (ARRAY(SELECT ctid FROM consent WHERE client_id = $1 \
                             AND resource = coalesce($2, resource) LIMIT $3))";
    FORGET_SOME_OF_RESOURCE = "DELETE FROM consent WHERE ctid = ANY (ARRAY(SELECT ctid FROM consent WHERE resource = $1 LIMIT $2))";
    FORGET_GRANTS = "DELETE FROM consent WHERE (user_id, client_id, resource) IN \
                     (SELECT user_id, client_id, resource FROM access_grant WHERE id = ANY ($1))";
}

fn read(columns: &mut Columns<'_>) -> Fallible<Consent> {
    Ok(Consent {
        scopes: columns.scopes()?,
        fingerprint: columns.plain()?,
        redirect_uris: columns.json()?,
        granted_at: columns.time()?,
    })
}

pub(super) async fn find(
    db: &Connection,
    user: UserId,
    client_id: &str,
    resource: &str,
) -> Fallible<Option<Consent>> {
    if !can_be_stored(client_id) || !can_be_stored(resource) {
        return Ok(None);
    }
    row(db, FIND, &[&user.0, &client_id, &resource], read).await
}

/// Adds to what was allowed before, as [`hold_to_write`] found it: two approvals of one person at the same time both count.
pub(super) fn merging(
    grant: &Grant,
    before: Option<Consent>,
    new: &Consent,
    declined: &ScopeSet,
) -> Fallible<Write> {
    let sql = if before.is_some() { CHANGE } else { ADD };
    let consent = consents::merge(before, new, declined);
    let values = values![
        grant.user.0,
        grant.client_id.clone(),
        grant.resource.clone(),
        consent.scopes.to_string(),
        consent.fingerprint,
        json(&consent.redirect_uris)?,
        consent.granted_at.0,
    ];
    Ok(Write::new(sql, values).or_again("a consent was given at the same time"))
}

/// The statement for those of a client, or for those on a resource, and which it is.
fn of(consents: &ConsentsOf, of_client: Sql, on_resource: Sql) -> (Sql, &str) {
    match consents {
        ConsentsOf::Client(client_id) => (of_client, client_id),
        ConsentsOf::Resource(uri) => (on_resource, uri),
    }
}

/// The rest, in the transaction in which client or resource goes.
pub(super) async fn forget(db: &Connection, consents: &ConsentsOf) -> Fallible<()> {
    let (sql, which) = of(consents, FORGET_CLIENT, FORGET_RESOURCE);
    run(db, sql, &[&which]).await.map(drop)
}

/// Whether there are more than are forgotten in one transaction.
pub(super) async fn are_many(db: &Connection, consents: &ConsentsOf) -> Fallible<bool> {
    let (sql, which) = of(consents, MORE_OF_CLIENT, MORE_OF_RESOURCE);
    let more = row(db, sql, &[&which, &i64::from(AT_A_TIME)], only::<bool>).await?;
    Ok(more.is_some())
}

/// Some of those that grants of this person, this client or on this resource were or would be given on; how many. There may be
/// more as long as there was one: others may have taken some of the same.
pub(super) async fn forget_some(db: &Connection, whose: &GrantFilter) -> Fallible<u64> {
    let GrantFilter {
        user,
        client_id,
        resource,
        ..
    } = whose;
    if !can_all_be_stored([client_id, resource]) {
        return Ok(0);
    }
    let some = i64::from(AT_A_TIME);
    match (user, client_id, resource) {
        (Some(user), client_id, resource) => {
            run(db, FORGET_SOME_OF_PERSON, &[&user.0, client_id, resource, &some]).await
        }
        (None, Some(client_id), resource) => {
            run(db, FORGET_SOME_OF_CLIENT, &[client_id, resource, &some]).await
        }
        (None, None, Some(resource)) => run(db, FORGET_SOME_OF_RESOURCE, &[resource, &some]).await,
        (None, None, None) => Ok(0),
    }
}

/// All that the person allowed.
pub(super) async fn forget_person(db: &Connection, user: UserId) -> Fallible<()> {
    run(db, FORGET_PERSON, &[&user.0]).await.map(drop)
}

/// What an approval rests on, if anything; it stays until the end of the transaction.
pub(super) async fn hold(db: &Connection, grant: &Grant) -> Fallible<Option<Consent>> {
    held(db, FIND_TO_HOLD, grant).await
}

/// The same of what an approval changes: nobody else changes it before.
pub(super) async fn hold_to_write(db: &Connection, grant: &Grant) -> Fallible<Option<Consent>> {
    held(db, FIND_TO_WRITE, grant).await
}

async fn held(db: &Connection, sql: Sql, grant: &Grant) -> Fallible<Option<Consent>> {
    row(db, sql, &[&grant.user.0, &grant.client_id, &grant.resource], read).await
}

/// The person is asked again the next time. How many were remembered.
pub(super) async fn forget_grants(db: &Connection, grants: &[Uuid]) -> Fallible<u64> {
    run(db, FORGET_GRANTS, &[&grants]).await
}
