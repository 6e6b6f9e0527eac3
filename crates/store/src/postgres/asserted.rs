//! Tokens on the word of a trusted issuer: the rows behind `rules::asserted`.

use tokio_postgres::types::ToSql;

use super::errors::{Fallible, Fault};
use super::spent::spend_each;
use super::statements::{Connection, find as row, get, run, statements};
use super::values::only;
use super::work::lock;
use super::{clients, issuances, resources, trusted_issuers, users};
use crate::rules::asserted::{Standing, refuse_incoherent};
use crate::rules::clients::is_news;
use crate::rules::{json, sha256};
use crate::{AssertedOutcome, Client, Grant, Issuance, IssueAsserted, SpendOutcome};

statements! {
    FIND = "SELECT g.id, g.scopes, g.last_used_at, g.authenticated_at FROM access_grant g \
            WHERE g.trusted_issuer = $1 AND g.client_id = $2 AND g.subject = $3 AND g.resource = $4 \
            AND g.state = 'active' FOR NO KEY UPDATE";
    ENDED_SINCE = "SELECT EXISTS (SELECT 1 FROM access_grant g WHERE g.trusted_issuer = $1 AND g.client_id = $2 \
                   AND g.subject = $3 AND g.resource = $4 AND g.state = 'ended' AND g.ended_at >= $5) \
                   OR EXISTS (SELECT 1 FROM revocation_log WHERE id = 1 AND ended_before >= $5)";
    INSERT = "INSERT INTO access_grant (id, user_id, subject, client_id, resource, scopes, state, created_at, \
              authenticated_at, methods, generation, generation_at, earlier, refresh_salt, last_used_at, trusted_issuer) \
              VALUES ($1, $2, $3, $4, $5, $6, 'active', $7, $8, $9, 0, $7, '{}', $10, $11, $12)";
    TOUCH = "UPDATE access_grant SET scopes = $2, last_used_at = greatest(last_used_at, $3), authenticated_at = $4, \
             methods = $5 WHERE id = $1";
}

pub(super) async fn issue(db: &Connection, issue: &IssueAsserted) -> Fallible<AssertedOutcome> {
    refuse_incoherent(issue)?;
    let grant = &issue.grant;
    // Two first tokens at once: the second one finds the grant of the first. Before any row is locked: whoever waits
    // here with the client's row in hand would stop the one that is about to write it.
    let issuer = grant.trusted_issuer.as_deref().unwrap_or_default();
    let name = [issuer, &grant.client_id, &grant.subject, &grant.resource].join("\0");
    lock(db, &[sha256(name.as_bytes())]).await?;
    let news = news(db, issue).await?;
    if let Some(refused) = gone(db, issue, news.is_some()).await? {
        return Ok(refused);
    }
    // First the live one, locked: whoever ends it was before, and shows below, or waits.
    let standing = find(db, grant).await?;
    if ended_since(db, issue).await? {
        return Ok(AssertedOutcome::EndedSince);
    }
    if let SpendOutcome::UsedBefore(place) = spend_each(db, &issue.spends).await? {
        return Ok(AssertedOutcome::UsedBefore(place));
    }
    if let Some(snapshot) = news {
        clients::keep_snapshot(db, snapshot).await?;
    }
    let id = if let Some(standing) = standing {
        if standing.needs_touch(issue) {
            touch(db, &standing, issue).await?;
        }
        standing.id
    } else {
        insert(db, grant).await?;
        grant.id
    };
    let issuance = Issuance {
        grant: id,
        ..issue.issuance.clone()
    };
    issuances::insert(db, &issuance).await?;
    Ok(AssertedOutcome::Issued(id))
}

/// The snapshot of the client, where it is another one than the stored one.
async fn news<'i>(db: &Connection, issue: &'i IssueAsserted) -> Fallible<Option<&'i Client>> {
    let Some(snapshot) = &issue.client else {
        return Ok(None);
    };
    let stored = clients::find(db, &snapshot.client_id).await?;
    Ok(Some(snapshot).filter(|snapshot| is_news(stored.as_ref(), snapshot)))
}

async fn gone(db: &Connection, issue: &IssueAsserted, news: bool) -> Fallible<Option<AssertedOutcome>> {
    let grant = &issue.grant;
    let of_person = !grant.user.is_nobody();
    if of_person && !users::hold(db, grant.user).await? {
        return Ok(Some(AssertedOutcome::PersonGone));
    }
    if !resources::hold(db, &grant.resource).await? {
        return Ok(Some(AssertedOutcome::ResourceGone));
    }
    if of_person {
        let client = clients::hold(db, &grant.client_id, news).await?;
        if client.is_none() && issue.client.is_some() && !news {
            return Err(Fault::Contended(
                "a client was removed at its first token".to_owned(),
            ));
        }
        if client.map_or(issue.client.is_none(), |client| client.disabled) {
            return Ok(Some(AssertedOutcome::ClientGone));
        }
    }
    let issuer = grant.trusted_issuer.as_deref().unwrap_or_default();
    if !trusted_issuers::hold(db, issuer, &issue.terms).await? {
        return Ok(Some(AssertedOutcome::IssuerGone));
    }
    if let Some(linked) = &issue.linked
        && !trusted_issuers::hold_link(db, issuer, linked, grant.user).await?
    {
        return Ok(Some(AssertedOutcome::PersonGone));
    }
    Ok(None)
}

async fn find(db: &Connection, grant: &Grant) -> Fallible<Option<Standing>> {
    let params: [&(dyn ToSql + Sync); 4] = [
        &grant.trusted_issuer,
        &grant.client_id,
        &grant.subject,
        &grant.resource,
    ];
    row(db, FIND, &params, |columns| {
        Ok(Standing {
            id: columns.grant()?,
            scopes: columns.scopes()?,
            last_used_at: columns.time()?,
            authenticated_at: columns.time()?,
        })
    })
    .await
}

async fn ended_since(db: &Connection, issue: &IssueAsserted) -> Fallible<bool> {
    let grant = &issue.grant;
    let params: [&(dyn ToSql + Sync); 5] = [
        &grant.trusted_issuer,
        &grant.client_id,
        &grant.subject,
        &grant.resource,
        &issue.made_at.0,
    ];
    get(db, ENDED_SINCE, &params, only).await
}

async fn insert(db: &Connection, grant: &Grant) -> Fallible<()> {
    let (scopes, methods) = (grant.scopes.to_string(), json(&grant.methods)?);
    let params: [&(dyn ToSql + Sync); 12] = [
        &grant.id.0,
        &grant.user.0,
        &grant.subject,
        &grant.client_id,
        &grant.resource,
        &scopes,
        &grant.created_at.0,
        &grant.authenticated_at.0,
        &methods,
        &grant.refresh_salt.as_slice(),
        &grant.last_used_at.0,
        &grant.trusted_issuer,
    ];
    run(db, INSERT, &params).await.map(drop)
}

async fn touch(db: &Connection, standing: &Standing, issue: &IssueAsserted) -> Fallible<()> {
    let grant = &issue.grant;
    let (scopes, methods) = (grant.scopes.to_string(), json(&grant.methods)?);
    run(
        db,
        TOUCH,
        &[
            &standing.id.0,
            &scopes,
            &issue.now.0,
            &grant.authenticated_at.0,
            &methods,
        ],
    )
    .await
    .map(drop)
}
