//! What people allowed before.

use doorward_oauth::scope::ScopeSet;
use rusqlite::{Connection, params};

use super::statements::{Run, Sql, statements};
use super::values::Columns;
use crate::rules::consents::ConsentsOf;
use crate::rules::grants::AT_A_TIME;
use crate::rules::{consents, json};
use crate::{Consent, Grant, GrantFilter, GrantId, Result, UserId};

statements! {
    FIND = "SELECT scopes, fingerprint, redirect_uris, granted_at FROM consent \
            WHERE user_id = ?1 AND client_id = ?2 AND resource = ?3";
    KEEP = "INSERT INTO consent (user_id, client_id, resource, scopes, fingerprint, redirect_uris, granted_at) \
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (user_id, client_id, resource) DO UPDATE SET \
            scopes = excluded.scopes, fingerprint = excluded.fingerprint, \
            redirect_uris = excluded.redirect_uris, granted_at = excluded.granted_at";
    FORGET_CLIENT = "DELETE FROM consent WHERE client_id = ?1";
    FORGET_RESOURCE = "DELETE FROM consent WHERE resource = ?1";
    /// One that comes after so many.
    MORE_OF_CLIENT = "SELECT 1 FROM consent WHERE client_id = ?1 LIMIT 1 OFFSET ?2";
    MORE_OF_RESOURCE = "SELECT 1 FROM consent WHERE resource = ?1 LIMIT 1 OFFSET ?2";
    FORGET_PERSON = "DELETE FROM consent WHERE user_id = ?1";
    FORGET_SOME_OF_PERSON = "DELETE FROM consent WHERE (user_id, client_id, resource) IN \
                             (SELECT user_id, client_id, resource FROM consent WHERE user_id = ?1 \
                              AND client_id = coalesce(?2, client_id) AND resource = coalesce(?3, resource) LIMIT ?4)";
    FORGET_SOME_OF_CLIENT = "DELETE FROM consent WHERE (user_id, client_id, resource) IN \
                             (SELECT user_id, client_id, resource FROM consent WHERE client_id = ?1 \
                              AND resource = coalesce(?2, resource) LIMIT ?3)";
    FORGET_SOME_OF_RESOURCE = "DELETE FROM consent WHERE (user_id, client_id, resource) IN \
                               (SELECT user_id, client_id, resource FROM consent WHERE resource = ?1 LIMIT ?2)";
    FORGET_GRANT = "DELETE FROM consent WHERE (user_id, client_id, resource) = \
                    (SELECT user_id, client_id, resource FROM access_grant WHERE id = ?1)";
}

pub(super) fn find(
    db: &Connection,
    user: UserId,
    client_id: &str,
    resource: &str,
) -> Result<Option<Consent>> {
    Ok(
        db.find(FIND, params![user.0.as_bytes(), client_id, resource], |row| {
            let mut columns = Columns::new(row);
            Ok(Consent {
                scopes: columns.scopes()?,
                fingerprint: columns.plain()?,
                redirect_uris: columns.json()?,
                granted_at: columns.time()?,
            })
        })?,
    )
}

/// Adds to what was allowed before; starts afresh when the client is not what it was (its fingerprint).
pub(super) fn merge(db: &Connection, grant: &Grant, new: &Consent, declined: &ScopeSet) -> Result<()> {
    let before = find(db, grant.user, &grant.client_id, &grant.resource)?;
    let Consent {
        scopes,
        fingerprint,
        redirect_uris,
        granted_at,
    } = consents::merge(before, new, declined);
    let redirect_uris = json(&redirect_uris)?;
    db.run(
        KEEP,
        params![
            grant.user.0.as_bytes(),
            grant.client_id,
            grant.resource,
            scopes.to_string(),
            fingerprint,
            redirect_uris,
            granted_at.0,
        ],
    )?;
    Ok(())
}

/// The statement for those of a client, or for those on a resource, and which it is.
fn of(consents: &ConsentsOf, of_client: Sql, on_resource: Sql) -> (Sql, &str) {
    match consents {
        ConsentsOf::Client(client_id) => (of_client, client_id),
        ConsentsOf::Resource(uri) => (on_resource, uri),
    }
}

/// The rest, in the transaction in which client or resource goes.
pub(super) fn forget(db: &Connection, consents: &ConsentsOf) -> Result<()> {
    let (sql, which) = of(consents, FORGET_CLIENT, FORGET_RESOURCE);
    db.run(sql, [which])?;
    Ok(())
}

/// Whether there are more than are forgotten in one transaction.
pub(super) fn are_many(db: &Connection, consents: &ConsentsOf) -> Result<bool> {
    let (sql, which) = of(consents, MORE_OF_CLIENT, MORE_OF_RESOURCE);
    Ok(db.find(sql, params![which, AT_A_TIME], |_| Ok(()))?.is_some())
}

/// Some of those that grants of this person, this client or on this resource were or would be given on; how many.
pub(super) fn forget_some(db: &Connection, whose: &GrantFilter) -> Result<u64> {
    let GrantFilter {
        user,
        client_id,
        resource,
        ..
    } = whose;
    let forgotten = match (user, client_id, resource) {
        (Some(user), client_id, resource) => db.run(
            FORGET_SOME_OF_PERSON,
            params![user.0.as_bytes(), client_id, resource, AT_A_TIME],
        ),
        (None, Some(client_id), resource) => {
            db.run(FORGET_SOME_OF_CLIENT, params![client_id, resource, AT_A_TIME])
        }
        (None, None, Some(resource)) => db.run(FORGET_SOME_OF_RESOURCE, params![resource, AT_A_TIME]),
        (None, None, None) => Ok(0),
    };
    Ok(forgotten? as u64)
}

/// All that the person allowed.
pub(super) fn forget_person(db: &Connection, user: UserId) -> Result<()> {
    db.run(FORGET_PERSON, [user.0.as_bytes()])?;
    Ok(())
}

/// The person is asked again the next time. Whether something was remembered.
pub(super) fn forget_grant(db: &Connection, grant: GrantId) -> Result<bool> {
    Ok(db.run(FORGET_GRANT, [grant.0.as_bytes()])? > 0)
}
