//! Records of issued access tokens.

use doorward_oauth::time::UnixSeconds;
use rusqlite::{Connection, params};

use super::statements::{Run, statements};
use super::values::Columns;
use crate::{GrantId, Issuance, Result, TokenStanding};

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
    INSERT = concat!("INSERT INTO issuance (", columns!(), ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)");
    BY_JTI = concat!("SELECT ", columns!(), " FROM issuance WHERE jti = ?1");
    STANDING = "SELECT i.revoked_at, i.grant_id, g.client_id, g.state \
                FROM issuance i JOIN access_grant g ON g.id = i.grant_id WHERE i.jti = ?1";
    REVOKE = "WITH RECURSIVE tree (jti) AS (SELECT ?1 UNION SELECT i.jti FROM tree t JOIN issuance i ON i.parent = t.jti) \
              UPDATE issuance SET revoked_at = coalesce(revoked_at, ?2) WHERE jti IN (SELECT jti FROM tree)";
}

pub(super) fn insert(db: &Connection, issuance: &Issuance) -> Result<()> {
    insert_under(db, issuance.grant, issuance)
}

/// The record of a token under the grant that was chosen for it.
pub(super) fn insert_under(db: &Connection, grant: GrantId, issuance: &Issuance) -> Result<()> {
    db.run(
        INSERT,
        params![
            issuance.jti,
            grant.0.as_bytes(),
            issuance.client_id,
            issuance.subject,
            issuance.resource,
            issuance.scopes.to_string(),
            issuance.issued_at.0,
            issuance.expires_at.0,
            issuance.revoked_at.map(|time| time.0),
            issuance.parent,
        ],
    )?;
    Ok(())
}

pub(super) fn find(db: &Connection, jti: &str) -> Result<Option<Issuance>> {
    Ok(db.find(BY_JTI, [jti], |row| read(&mut Columns::new(row)))?)
}

pub(super) fn standing(db: &Connection, jti: &str) -> Result<Option<TokenStanding>> {
    Ok(db.find(STANDING, [jti], |row| {
        let mut columns = Columns::new(row);
        Ok(TokenStanding {
            revoked_at: columns.maybe_time()?,
            grant: columns.grant()?,
            granted_to: columns.plain()?,
            state: columns.word()?,
        })
    })?)
}

/// Reads [`columns`].
pub(super) fn read(columns: &mut Columns<'_>) -> rusqlite::Result<Issuance> {
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

/// The token as it was, if there is such a one; the first revocation's time stays. What was exchanged from it goes with it.
pub(super) fn revoke(db: &Connection, jti: &str, now: UnixSeconds) -> Result<Option<Issuance>> {
    let before = find(db, jti)?;
    db.run(REVOKE, params![jti, now.0])?;
    Ok(before)
}
