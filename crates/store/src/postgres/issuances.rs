//! Records of issued access tokens.

use doorward_oauth::time::UnixSeconds;

use super::errors::Fallible;
use super::statements::{Connection, find as row, get, run, statements};
use super::values::{can_be_stored, only};
use crate::Issuance;

macro_rules! columns {
    () => {
        "jti, grant_id, client_id, subject, resource, scopes, issued_at, expires_at, revoked_at"
    };
}
pub(super) use columns;

statements! {
    INSERT = concat!("INSERT INTO issuance (", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)");
    BY_JTI = concat!("SELECT ", columns!(), " FROM issuance WHERE jti = $1");
    IS_RECORDED = "SELECT EXISTS (SELECT 1 FROM issuance WHERE jti = $1 AND grant_id = $2)";
    REVOKE = "UPDATE issuance SET revoked_at = coalesce(revoked_at, $2) WHERE jti = $1";
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
        ],
    )
    .await
    .map(drop)
}

pub(super) async fn find(db: &Connection, jti: &str) -> Fallible<Option<Issuance>> {
    if !can_be_stored(jti) {
        return Ok(None);
    }
    row(db, BY_JTI, &[&jti], |columns| {
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
        })
    })
    .await
}

/// Whether this very token was recorded: an attempt whose answer was lost did happen.
pub(super) async fn is_recorded(db: &Connection, issuance: &Issuance) -> Fallible<bool> {
    get(db, IS_RECORDED, &[&issuance.jti, &issuance.grant.0], only).await
}

/// Whether there is such a token; the first revocation's time stays.
pub(super) async fn revoke(db: &Connection, jti: &str, now: UnixSeconds) -> Fallible<bool> {
    if !can_be_stored(jti) {
        return Ok(false);
    }
    Ok(run(db, REVOKE, &[&jti, &now.0]).await? == 1)
}
