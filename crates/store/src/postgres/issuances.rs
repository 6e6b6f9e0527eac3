//! Records of issued access tokens.

use doorward_oauth::time::UnixSeconds;

use super::errors::Fallible;
use super::statements::{Connection, find as row, get, run, statements};
use super::values::{Columns, can_be_stored, only};
use crate::{Issuance, TokenStanding};

macro_rules! columns {
    () => {
        "jti, grant_id, client_id, subject, resource, scopes, issued_at, expires_at, revoked_at, parent"
    };
    // Of the table with this name.
    ("i") => {
        "i.jti, i.grant_id, i.client_id, i.subject, i.resource, i.scopes, i.issued_at, i.expires_at, i.revoked_at, i.parent"
    };
}
pub(super) use columns;

statements! {
    INSERT = concat!("INSERT INTO issuance (", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)");
    BY_JTI = concat!("SELECT ", columns!(), " FROM issuance WHERE jti = $1");
    STANDING = "SELECT i.revoked_at, i.grant_id, g.client_id, g.state \
                FROM issuance i JOIN access_grant g ON g.id = i.grant_id WHERE i.jti = $1";
    IS_RECORDED = "SELECT EXISTS (SELECT 1 FROM issuance WHERE jti = $1 AND grant_id = $2)";
    /// Nobody exchanges a token of the grant meanwhile.
    LOCK_GRANT = "SELECT 1 FROM access_grant g WHERE g.id = (SELECT grant_id FROM issuance WHERE jti = $1) FOR UPDATE";
    REVOKE = "WITH RECURSIVE tree (jti) AS (SELECT $1::text COLLATE \"C\" UNION SELECT i.jti FROM tree t JOIN issuance i ON i.parent = t.jti) \
              UPDATE issuance SET revoked_at = coalesce(revoked_at, $2) WHERE jti = ANY (ARRAY(SELECT jti FROM tree))";
}

pub(super) async fn insert(db: &Connection, issuance: &Issuance) -> Fallible<()> {
    run(
        db,
        INSERT,
        &[
            &issuance.jti,
            &issuance.grant.0,
            &issuance.client_id,
            &issuance.subject,
            &issuance.resource,
            &issuance.scopes.to_string(),
            &issuance.issued_at.0,
            &issuance.expires_at.0,
            &issuance.revoked_at.map(|time| time.0),
            &issuance.parent,
        ],
    )
    .await
    .map(drop)
}

pub(super) async fn find(db: &Connection, jti: &str) -> Fallible<Option<Issuance>> {
    if !can_be_stored(jti) {
        return Ok(None);
    }
    row(db, BY_JTI, &[&jti], read).await
}

pub(super) async fn standing(db: &Connection, jti: &str) -> Fallible<Option<TokenStanding>> {
    if !can_be_stored(jti) {
        return Ok(None);
    }
    row(db, STANDING, &[&jti], |columns| {
        Ok(TokenStanding {
            revoked_at: columns.maybe_time()?,
            grant: columns.grant()?,
            granted_to: columns.plain()?,
            state: columns.word()?,
        })
    })
    .await
}

/// Reads [`columns`].
pub(super) fn read(columns: &mut Columns<'_>) -> Fallible<Issuance> {
    Ok(Issuance {
        jti: columns.plain()?,
        grant: columns.grant()?,
        client_id: columns.plain()?,
        subject: columns.plain()?,
        resource: columns.plain()?,
        scopes: columns.scopes()?,
        issued_at: columns.time()?,
        expires_at: columns.time()?,
        revoked_at: columns.maybe_time()?,
        parent: columns.plain()?,
    })
}

/// Whether this very token was recorded: an attempt whose answer was lost did happen.
pub(super) async fn is_recorded(db: &Connection, issuance: &Issuance) -> Fallible<bool> {
    get(db, IS_RECORDED, &[&issuance.jti, &issuance.grant.0], only).await
}

/// Whether there is such a token; the first revocation's time stays. What was exchanged from it goes with it.
pub(super) async fn revoke(db: &Connection, jti: &str, now: UnixSeconds) -> Fallible<bool> {
    if !can_be_stored(jti) {
        return Ok(false);
    }
    row(db, LOCK_GRANT, &[&jti], |_| Ok(())).await?;
    Ok(run(db, REVOKE, &[&jti, &now.0]).await? > 0)
}
