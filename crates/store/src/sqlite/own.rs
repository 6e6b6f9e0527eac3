//! Tokens that clients get for themselves: the rows behind `rules::own`.

use doorward_oauth::time::UnixSeconds;
use rusqlite::{Connection, params};

use super::issuances;
use super::statements::{Run, statements};
use super::values::Columns;
use crate::rules::json;
use crate::rules::own::{Standing, refuse_incoherent};
use crate::{Grant, IssueOwn, OwnOutcome, Result};

statements! {
    /// The client, whether the resource is there, and the own grant, if there is one.
    STANDING = "SELECT k.disabled, r.uri IS NOT NULL, g.id, g.scopes, g.last_used_at FROM client k \
                LEFT JOIN resource r ON r.uri = ?3 \
                LEFT JOIN access_grant g ON g.client_id = ?1 AND g.subject = ?2 AND g.resource = ?3 \
                AND g.user_id = x'00000000000000000000000000000000' AND g.state = 'active' WHERE k.client_id = ?1";
    INSERT = "INSERT INTO access_grant (id, user_id, subject, client_id, resource, scopes, state, created_at, \
              authenticated_at, methods, generation, generation_at, earlier, refresh_salt, last_used_at) \
              VALUES (?1, x'00000000000000000000000000000000', ?2, ?3, ?4, ?5, 'active', ?6, ?7, ?8, 0, ?6, x'', ?9, ?10)";
    TOUCH = "UPDATE access_grant SET scopes = ?2, last_used_at = max(last_used_at, ?3) WHERE id = ?1";
}

pub(super) fn issue(db: &Connection, issue: &IssueOwn) -> Result<OwnOutcome> {
    refuse_incoherent(issue)?;
    let grant = &issue.grant;
    let standing = match standing(db, grant)? {
        Parties::ClientGone => return Ok(OwnOutcome::ClientGone),
        Parties::ResourceGone => return Ok(OwnOutcome::ResourceGone),
        Parties::Stand(standing) => standing,
    };
    let id = if let Some(standing) = standing {
        if standing.needs_touch(issue) {
            touch(db, &standing, grant, issue.now)?;
        }
        standing.id
    } else {
        insert(db, grant)?;
        grant.id
    };
    issuances::insert_under(db, id, &issue.issuance)?;
    Ok(OwnOutcome::Issued(id))
}

/// Whether client and resource stand, and the own grant.
enum Parties {
    ClientGone,
    ResourceGone,
    Stand(Option<Standing>),
}

fn standing(db: &Connection, grant: &Grant) -> Result<Parties> {
    let key = params![grant.client_id, grant.subject, grant.resource];
    let found = db.find(STANDING, key, |row| {
        let mut columns = Columns::new(row);
        let (client_disabled, resource_exists) = (columns.plain()?, columns.plain()?);
        let id = columns.maybe_grant()?;
        Ok(match (client_disabled, resource_exists, id) {
            (true, ..) => Parties::ClientGone,
            (_, false, _) => Parties::ResourceGone,
            (.., None) => Parties::Stand(None),
            (.., Some(id)) => Parties::Stand(Some(Standing {
                id,
                scopes: columns.scopes()?,
                last_used_at: columns.time()?,
            })),
        })
    })?;
    Ok(found.unwrap_or(Parties::ClientGone))
}

fn insert(db: &Connection, grant: &Grant) -> Result<()> {
    db.run(
        INSERT,
        params![
            grant.id.0.as_bytes(),
            grant.subject,
            grant.client_id,
            grant.resource,
            grant.scopes.to_string(),
            grant.created_at.0,
            grant.authenticated_at.0,
            json(&grant.methods)?,
            grant.refresh_salt,
            grant.last_used_at.0,
        ],
    )?;
    Ok(())
}

fn touch(db: &Connection, standing: &Standing, grant: &Grant, now: UnixSeconds) -> Result<()> {
    db.run(
        TOUCH,
        params![standing.id.0.as_bytes(), grant.scopes.to_string(), now.0],
    )?;
    Ok(())
}
