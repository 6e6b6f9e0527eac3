//! Tokens that clients get for themselves: the rows behind `rules::own`.

use std::sync::Arc;

use doorward_oauth::time::UnixSeconds;
use tokio_postgres::types::ToSql;

use super::errors::Fallible;
use super::statements::{Connection, find as row, run, statements};
use super::together::{Meeting, Together, column, find_each};
use super::work::lock;
use super::{Engine, PostgresStore, clients, grants, issuances, resources};
use crate::rules::own::{Standing, TOUCH_EVERY, refuse_incoherent};
use crate::rules::{json, sha256};
use crate::{Grant, GrantId, Issuance, IssueOwn, OwnOutcome, Result};

/// The live grant of a client's own. Given: the SQL of client, subject and resource.
macro_rules! own_grant {
    ($client:literal, $subject:literal, $resource:literal) => {
        concat!(
            "FROM access_grant g WHERE g.client_id = ",
            $client,
            " AND g.subject = ",
            $subject,
            " AND g.resource = ",
            $resource,
            " AND g.user_id = '00000000-0000-0000-0000-000000000000' AND g.state = 'active'"
        )
    };
}

statements! {
    /// All of it for each whose grant is there and needs no writing; no row for the others. Nothing is locked: what is
    /// recorded under a grant that ends meanwhile is worth nothing. `OFFSET 0`: see `together`.
    /// $6: used later than this.
    ISSUE_AT_ONCE = concat!(
        "WITH used AS (SELECT a.*, s.id FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], \
         $7::text[], $8::bigint[], $9::bigint[], $10::bigint[]) WITH ORDINALITY AS a (client_id, subject, resource, jti, \
         granted, used_after, scopes, issued_at, expires_at, revoked_at, place) CROSS JOIN LATERAL (SELECT g.id ",
        own_grant!("a.client_id", "a.subject", "a.resource"), " AND g.scopes = a.granted AND g.last_used_at > a.used_after AND ",
        grants::stands!(), " OFFSET 0) s), \
         recorded AS (INSERT INTO issuance (", issuances::columns!(), ") \
         SELECT jti, id, client_id, subject, resource, scopes, issued_at, expires_at, revoked_at, NULL FROM used) \
         SELECT id, place FROM used"
    );
    FIND = concat!("SELECT g.id, g.scopes, g.last_used_at ", own_grant!("$1", "$2", "$3"));
    INSERT = "INSERT INTO access_grant (id, user_id, subject, client_id, resource, scopes, state, created_at, \
              authenticated_at, methods, generation, generation_at, earlier, refresh_salt, last_used_at) \
              VALUES ($1, '00000000-0000-0000-0000-000000000000', $2, $3, $4, $5, 'active', $6, $7, $8, 0, $6, '{}', $9, $10)";
    TOUCH = "UPDATE access_grant SET scopes = $2, last_used_at = greatest(last_used_at, $3) WHERE id = $1";
}

/// One statement while the grant stands as it has to, and for those that it meets; step by step otherwise.
pub(super) async fn issue(store: &PostgresStore, issue: Arc<IssueOwn>) -> Result<OwnOutcome> {
    refuse_incoherent(&issue)?;
    let lost = match store.engine.together(Arc::clone(&issue)).await {
        Ok(Some(id)) => return Ok(OwnOutcome::Issued(id)),
        Ok(None) => false,
        Err(fault) => fault.may_have_happened()?,
    };
    let issue = &*issue;
    store
        .transaction(|db| async move { issue_by_steps(&db, issue, lost).await })
        .await
}

impl Together for Arc<IssueOwn> {
    type Answer = Option<GrantId>;

    fn meeting(engine: &Engine) -> &Meeting<Self> {
        &engine.own_tokens
    }

    async fn all(db: &Connection, asked: &[Self]) -> Fallible<Vec<Option<GrantId>>> {
        let params: [&(dyn ToSql + Sync); 10] = [
            &column(asked, |issue| issue.grant.client_id.as_str()),
            &column(asked, |issue| issue.grant.subject.as_str()),
            &column(asked, |issue| issue.grant.resource.as_str()),
            &column(asked, |issue| issue.issuance.jti.as_str()),
            &column(asked, |issue| issue.grant.scopes.to_string()),
            &column(asked, |issue| (issue.now - TOUCH_EVERY).0),
            &column(asked, |issue| issue.issuance.scopes.to_string()),
            &column(asked, |issue| issue.issuance.issued_at.0),
            &column(asked, |issue| issue.issuance.expires_at.0),
            &column(asked, |issue| issue.issuance.revoked_at.map(|time| time.0)),
        ];
        find_each(db, ISSUE_AT_ONCE, &params, asked.len(), |columns| {
            columns.plain().map(GrantId)
        })
        .await
    }
}

/// `lost`: the answer to an earlier attempt of this very call may have been lost.
async fn issue_by_steps(db: &Connection, issue: &IssueOwn, lost: bool) -> Fallible<OwnOutcome> {
    let grant = &issue.grant;
    let resource = resources::hold(db, &grant.resource).await?;
    let client = clients::hold(db, &grant.client_id, false).await?;
    if client.is_none_or(|client| client.disabled) {
        return Ok(OwnOutcome::ClientGone);
    }
    if !resource {
        return Ok(OwnOutcome::ResourceGone);
    }
    // Two first tokens at once: the second one finds the grant of the first.
    let name = [&grant.client_id, &grant.subject, &grant.resource]
        .map(String::as_str)
        .join("\0");
    lock(db, &[sha256(name.as_bytes())]).await?;
    let id = if let Some(standing) = find(db, grant).await? {
        if standing.needs_touch(issue) {
            touch(db, &standing, grant, issue.now).await?;
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
    if !(lost && issuances::is_recorded(db, &issuance).await?) {
        issuances::insert(db, &issuance).await?;
    }
    Ok(OwnOutcome::Issued(id))
}

async fn find(db: &Connection, grant: &Grant) -> Fallible<Option<Standing>> {
    let params: [&(dyn ToSql + Sync); 3] = [&grant.client_id, &grant.subject, &grant.resource];
    row(db, FIND, &params, |columns| {
        Ok(Standing {
            id: columns.grant()?,
            scopes: columns.scopes()?,
            last_used_at: columns.time()?,
        })
    })
    .await
}

async fn insert(db: &Connection, grant: &Grant) -> Fallible<()> {
    let (scopes, methods) = (grant.scopes.to_string(), json(&grant.methods)?);
    let params: [&(dyn ToSql + Sync); 10] = [
        &grant.id.0,
        &grant.subject,
        &grant.client_id,
        &grant.resource,
        &scopes,
        &grant.created_at.0,
        &grant.authenticated_at.0,
        &methods,
        &grant.refresh_salt.as_slice(),
        &grant.last_used_at.0,
    ];
    run(db, INSERT, &params).await.map(drop)
}

async fn touch(db: &Connection, standing: &Standing, grant: &Grant, now: UnixSeconds) -> Fallible<()> {
    run(db, TOUCH, &[&standing.id.0, &grant.scopes.to_string(), &now.0])
        .await
        .map(drop)
}
