//! Tokens that clients get for themselves: the rows behind `rules::own`.

use doorward_oauth::time::UnixSeconds;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::errors::{Fallible, Fault};
use super::statements::{Connection, find as row, run, statements};
use super::values::only;
use super::work::lock;
use super::{PostgresStore, clients, grants, issuances, resources};
use crate::rules::own::{Standing, TOUCH_EVERY, refuse_incoherent};
use crate::rules::{json, sha256};
use crate::{Grant, GrantId, Issuance, IssueOwn, OwnOutcome, Result};

macro_rules! standing {
    () => {
        "FROM access_grant g WHERE g.client_id = $1 AND g.subject = $2 AND g.resource = $3 \
         AND g.user_id = '00000000-0000-0000-0000-000000000000' AND g.state = 'active'"
    };
}

statements! {
    /// All of it, when the grant is there and needs no writing; no row otherwise. Nothing is locked: what is recorded
    /// under a grant that ends meanwhile is worth nothing. $6: used later than this.
    ISSUE_AT_ONCE = concat!(
        "WITH used AS (SELECT g.id ", standing!(), " AND g.scopes = $5 AND g.last_used_at > $6 AND ",
        grants::stands!(), "), \
         recorded AS (INSERT INTO issuance (", issuances::columns!(), ") \
         SELECT $4, id, $1, $2, $3, $7, $8, $9, $10, NULL FROM used) \
         SELECT id FROM used"
    );
    FIND = concat!("SELECT g.id, g.scopes, g.last_used_at ", standing!());
    INSERT = "INSERT INTO access_grant (id, user_id, subject, client_id, resource, scopes, state, created_at, \
              authenticated_at, methods, generation, generation_at, earlier, refresh_salt, last_used_at) \
              VALUES ($1, '00000000-0000-0000-0000-000000000000', $2, $3, $4, $5, 'active', $6, $7, $8, 0, $6, '{}', $9, $10)";
    TOUCH = "UPDATE access_grant SET scopes = $2, last_used_at = greatest(last_used_at, $3) WHERE id = $1";
}

/// One statement while the grant stands as it has to; step by step otherwise.
pub(super) async fn issue(store: &PostgresStore, issue: &IssueOwn) -> Result<OwnOutcome> {
    refuse_incoherent(issue)?;
    let at_once = store
        .attempt(|db| async move { issue_at_once(&db, issue).await })
        .await;
    let lost = match at_once {
        Ok(Some(id)) => return Ok(OwnOutcome::Issued(id)),
        Ok(None) => false,
        Err(Fault::Refused(error)) => return Err(error),
        Err(Fault::Contended(_) | Fault::Lost(_)) => true,
    };
    store
        .transaction(|db| async move { issue_by_steps(&db, issue, lost).await })
        .await
}

async fn issue_at_once(db: &Connection, issue: &IssueOwn) -> Fallible<Option<GrantId>> {
    let (grant, issuance) = (&issue.grant, &issue.issuance);
    let granted = grant.scopes.to_string();
    let scopes = issuance.scopes.to_string();
    let used_after = (issue.now - TOUCH_EVERY).0;
    let revoked_at = issuance.revoked_at.map(|time| time.0);
    let params: [&(dyn ToSql + Sync); 10] = [
        &grant.client_id,
        &grant.subject,
        &grant.resource,
        &issuance.jti,
        &granted,
        &used_after,
        &scopes,
        &issuance.issued_at.0,
        &issuance.expires_at.0,
        &revoked_at,
    ];
    let id = row(db, ISSUE_AT_ONCE, &params, only::<Uuid>).await?;
    Ok(id.map(GrantId))
}

/// `lost`: the answer to an earlier attempt of this very call may have been lost.
async fn issue_by_steps(db: &Connection, issue: &IssueOwn, lost: bool) -> Fallible<OwnOutcome> {
    let grant = &issue.grant;
    if clients::hold(db, &grant.client_id, false).await? != Some(false) {
        return Ok(OwnOutcome::ClientGone);
    }
    if !resources::hold(db, &grant.resource).await? {
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
