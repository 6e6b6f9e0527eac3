//! Tokens on the word of a trusted issuer: the rows behind `rules::asserted`.

use rusqlite::{Connection, params};

use super::statements::{Run, statements};
use super::values::Columns;
use super::{clients, issuances, resources, spent, trusted_issuers, users};
use crate::rules::asserted::{Standing, refuse_incoherent};
use crate::rules::json;
use crate::{AssertedOutcome, Grant, Issuance, IssueAsserted, Result, SpendOutcome};

statements! {
    FIND = "SELECT g.id, g.scopes, g.last_used_at, g.authenticated_at FROM access_grant g \
            WHERE g.trusted_issuer = ?1 AND g.client_id = ?2 AND g.subject = ?3 AND g.resource = ?4 \
            AND g.state = 'active'";
    ENDED_SINCE = "SELECT EXISTS (SELECT 1 FROM access_grant g WHERE g.trusted_issuer = ?1 AND g.client_id = ?2 \
                   AND g.subject = ?3 AND g.resource = ?4 AND g.state = 'ended' AND g.ended_at >= ?5) \
                   OR EXISTS (SELECT 1 FROM revocation_log WHERE id = 1 AND ended_before >= ?5)";
    INSERT = "INSERT INTO access_grant (id, user_id, subject, client_id, resource, scopes, state, created_at, \
              authenticated_at, methods, generation, generation_at, earlier, refresh_salt, last_used_at, trusted_issuer) \
              VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'active', ?7, ?8, ?9, 0, ?7, x'', ?10, ?11, ?12)";
    TOUCH = "UPDATE access_grant SET scopes = ?2, last_used_at = max(last_used_at, ?3), authenticated_at = ?4, \
             methods = ?5 WHERE id = ?1";
}

pub(super) fn issue(db: &Connection, issue: &IssueAsserted) -> Result<AssertedOutcome> {
    refuse_incoherent(issue)?;
    if let Some(refused) = refusal(db, issue)? {
        return Ok(refused);
    }
    if let SpendOutcome::UsedBefore(place) = spent::spend(db, &issue.spends)? {
        return Ok(AssertedOutcome::UsedBefore(place));
    }
    if let Some(client) = &issue.client {
        clients::keep_snapshot(db, client)?;
    }
    let grant = &issue.grant;
    let id = if let Some(standing) = find(db, grant)? {
        if standing.needs_touch(issue) {
            touch(db, &standing, issue)?;
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
    Ok(AssertedOutcome::Issued(id))
}

fn refusal(db: &Connection, issue: &IssueAsserted) -> Result<Option<AssertedOutcome>> {
    let grant = &issue.grant;
    let slug = grant.trusted_issuer.as_deref().unwrap_or_default();
    let issuer = trusted_issuers::find(db, slug)?;
    if issuer.is_none_or(|issuer| issuer.disabled || issuer.terms != issue.terms) {
        return Ok(Some(AssertedOutcome::IssuerGone));
    }
    if let Some(linked) = &issue.linked {
        let link = trusted_issuers::find_link(db, slug, linked)?;
        if link.is_none_or(|link| link.user != grant.user) {
            return Ok(Some(AssertedOutcome::PersonGone));
        }
        if users::find(db, grant.user)?.is_none_or(|person| person.disabled) {
            return Ok(Some(AssertedOutcome::PersonGone));
        }
        let client = clients::standing(db, &grant.client_id)?;
        if client.map_or(issue.client.is_none(), |client| client.disabled) {
            return Ok(Some(AssertedOutcome::ClientGone));
        }
    }
    if !resources::exists(db, &grant.resource)? {
        return Ok(Some(AssertedOutcome::ResourceGone));
    }
    let key = params![
        grant.trusted_issuer,
        grant.client_id,
        grant.subject,
        grant.resource,
        issue.made_at.0
    ];
    let ended: Option<bool> = db.find(ENDED_SINCE, key, |row| row.get(0))?;
    Ok(ended.unwrap_or(false).then_some(AssertedOutcome::EndedSince))
}

fn find(db: &Connection, grant: &Grant) -> Result<Option<Standing>> {
    let key = params![
        grant.trusted_issuer,
        grant.client_id,
        grant.subject,
        grant.resource
    ];
    Ok(db.find(FIND, key, |row| {
        let mut columns = Columns::new(row);
        Ok(Standing {
            id: columns.grant()?,
            scopes: columns.scopes()?,
            last_used_at: columns.time()?,
            authenticated_at: columns.time()?,
        })
    })?)
}

fn insert(db: &Connection, grant: &Grant) -> Result<()> {
    db.run(
        INSERT,
        params![
            grant.id.0.as_bytes(),
            grant.user.0.as_bytes(),
            grant.subject,
            grant.client_id,
            grant.resource,
            grant.scopes.to_string(),
            grant.created_at.0,
            grant.authenticated_at.0,
            json(&grant.methods)?,
            grant.refresh_salt,
            grant.last_used_at.0,
            grant.trusted_issuer,
        ],
    )?;
    Ok(())
}

fn touch(db: &Connection, standing: &Standing, issue: &IssueAsserted) -> Result<()> {
    let grant = &issue.grant;
    db.run(
        TOUCH,
        params![
            standing.id.0.as_bytes(),
            grant.scopes.to_string(),
            issue.now.0,
            grant.authenticated_at.0,
            json(&grant.methods)?,
        ],
    )?;
    Ok(())
}
