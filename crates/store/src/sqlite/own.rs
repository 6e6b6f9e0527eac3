//! Tokens that clients get for themselves: the rows behind `rules::own`.

use doorward_oauth::time::UnixSeconds;
use rusqlite::{Connection, params};

use super::statements::{Run, statements};
use super::values::Columns;
use super::{clients, issuances, resources};
use crate::rules::json;
use crate::rules::own::{Standing, refuse_incoherent};
use crate::{Grant, Issuance, IssueOwn, OwnOutcome, Result};

statements! {
    FIND = "SELECT g.id, g.scopes, g.last_used_at FROM access_grant g WHERE g.client_id = ?1 AND g.subject = ?2 \
            AND g.resource = ?3 AND g.user_id = x'00000000000000000000000000000000' AND g.state = 'active'";
    INSERT = "INSERT INTO access_grant (id, user_id, subject, client_id, resource, scopes, state, created_at, \
              authenticated_at, methods, generation, generation_at, earlier, refresh_salt, last_used_at) \
              VALUES (?1, x'00000000000000000000000000000000', ?2, ?3, ?4, ?5, 'active', ?6, ?7, ?8, 0, ?6, x'', ?9, ?10)";
    TOUCH = "UPDATE access_grant SET scopes = ?2, last_used_at = max(last_used_at, ?3) WHERE id = ?1";
}

pub(super) fn issue(db: &Connection, issue: &IssueOwn) -> Result<OwnOutcome> {
    refuse_incoherent(issue)?;
    let grant = &issue.grant;
    if clients::is_disabled(db, &grant.client_id)? != Some(false) {
        return Ok(OwnOutcome::ClientGone);
    }
    if !resources::exists(db, &grant.resource)? {
        return Ok(OwnOutcome::ResourceGone);
    }
    let id = if let Some(standing) = find(db, grant)? {
        if standing.needs_touch(issue) {
            touch(db, &standing, grant, issue.now)?;
        }
        standing.id
    } else {
        insert(db, grant)?;
        grant.id
    };
    let issuance = Issuance {
        grant: id,
        ..issue.issuance.clone()
    };
    issuances::insert(db, &issuance)?;
    Ok(OwnOutcome::Issued(id))
}

fn find(db: &Connection, grant: &Grant) -> Result<Option<Standing>> {
    let key = params![grant.client_id, grant.subject, grant.resource];
    Ok(db.find(FIND, key, |row| {
        let mut columns = Columns::new(row);
        Ok(Standing {
            id: columns.grant()?,
            scopes: columns.scopes()?,
            last_used_at: columns.time()?,
        })
    })?)
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
