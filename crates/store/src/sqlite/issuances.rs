//! Records of issued access tokens.

use doorward_oauth::time::UnixSeconds;
use rusqlite::{Connection, params};

use super::statements::{Run, statements};
use super::values::Columns;
use crate::{Issuance, Result};

macro_rules! columns {
    () => {
        "jti, grant_id, client_id, subject, resource, scopes, issued_at, expires_at, revoked_at"
    };
}

statements! {
    INSERT = concat!("INSERT INTO issuance (", columns!(), ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)");
    BY_JTI = concat!("SELECT ", columns!(), " FROM issuance WHERE jti = ?1");
    REVOKE = "UPDATE issuance SET revoked_at = coalesce(revoked_at, ?2) WHERE jti = ?1";
}

pub(super) fn insert(db: &Connection, issuance: &Issuance) -> Result<()> {
    db.run(
        INSERT,
        params![
            issuance.jti,
            issuance.grant.0.as_bytes(),
            issuance.client_id,
            issuance.subject,
            issuance.resource,
            issuance.scopes.to_string(),
            issuance.issued_at.0,
            issuance.expires_at.0,
            issuance.revoked_at.map(|time| time.0),
        ],
    )?;
    Ok(())
}

pub(super) fn find(db: &Connection, jti: &str) -> Result<Option<Issuance>> {
    Ok(db.find(BY_JTI, [jti], |row| {
        let mut columns = Columns::new(row);
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
    })?)
}

/// Whether there is such a token; the first revocation's time stays.
pub(super) fn revoke(db: &Connection, jti: &str, now: UnixSeconds) -> Result<bool> {
    Ok(db.run(REVOKE, params![jti, now.0])? == 1)
}
