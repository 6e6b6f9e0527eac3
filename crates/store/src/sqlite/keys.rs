//! Signing keys, server secrets and operators' keys.

use doorward_oauth::time::UnixSeconds;
use rusqlite::{Connection, params};

use super::statements::{Run, statements};
use super::values::Columns;
use crate::rules::words::Word;
use crate::{AdminKey, Digest, Result, SealedSecret, SigningKeyRecord, SigningKeyState, StoreError};

statements! {
    SIGNING_KEYS scans = "SELECT key_id, algorithm, sealed_private_key, state, created_at, retired_at \
                          FROM signing_key ORDER BY ordinal DESC";
    HAS_ACTIVE = "SELECT EXISTS (SELECT 1 FROM signing_key WHERE state = 'active')";
    RETIRE = "UPDATE signing_key SET state = 'previous', retired_at = ?1 WHERE state = 'active'";
    ADD_SIGNING_KEY = "INSERT INTO signing_key (key_id, algorithm, sealed_private_key, state, created_at, retired_at) \
                       VALUES (?1, ?2, ?3, ?4, ?5, NULL)";
    DELETE_RETIRED scans = "DELETE FROM signing_key WHERE state = 'previous' AND retired_at < ?1";
    SECRET = "SELECT sealed FROM server_secret WHERE purpose = ?1";
    PROPOSE_SECRET = "INSERT INTO server_secret (purpose, sealed) VALUES (?1, ?2) ON CONFLICT (purpose) DO NOTHING";
    HAS_ADMIN_KEY scans = "SELECT EXISTS (SELECT 1 FROM admin_key)";
    ADD_ADMIN_KEY = "INSERT INTO admin_key (digest, name, created_at) VALUES (?1, ?2, ?3)";
    ADMIN_KEY = "SELECT digest, name, created_at FROM admin_key WHERE digest = ?1";
}

pub(super) fn signing_keys(db: &Connection) -> Result<Vec<SigningKeyRecord>> {
    Ok(db.list(SIGNING_KEYS, [], |row| {
        let mut columns = Columns::new(row);
        Ok(SigningKeyRecord {
            key_id: columns.plain()?,
            algorithm: columns.plain()?,
            sealed_private_key: columns.plain()?,
            state: columns.word()?,
            created_at: columns.time()?,
            retired_at: columns.maybe_time()?,
        })
    })?)
}

pub(super) fn add_signing_key(
    db: &Connection,
    key: &SigningKeyRecord,
    only_if_none: bool,
    now: UnixSeconds,
) -> Result<Vec<SigningKeyRecord>> {
    let has_active = db.find(HAS_ACTIVE, [], |row| row.get(0))?.unwrap_or(false);
    if !(only_if_none && has_active) {
        db.run(RETIRE, [now.0])?;
        let active = SigningKeyState::Active.word();
        db.run(
            ADD_SIGNING_KEY,
            params![
                key.key_id,
                key.algorithm,
                key.sealed_private_key,
                active,
                key.created_at.0
            ],
        )?;
    }
    signing_keys(db)
}

pub(super) fn delete_signing_keys(db: &Connection, before: UnixSeconds) -> Result<u64> {
    Ok(db.run(DELETE_RETIRED, [before.0])? as u64)
}

pub(super) fn find_secret(db: &Connection, purpose: &str) -> Result<Option<SealedSecret>> {
    Ok(db.find(SECRET, [purpose], |row| row.get(0).map(SealedSecret))?)
}

pub(super) fn secret(db: &Connection, purpose: &str, proposed: &SealedSecret) -> Result<SealedSecret> {
    db.run(PROPOSE_SECRET, params![purpose, proposed.0])?;
    find_secret(db, purpose)?.ok_or_else(|| StoreError::Internal("a stored secret is not there".to_owned()))
}

pub(super) fn add_admin_key(db: &Connection, key: &AdminKey, only_if_none: bool) -> Result<bool> {
    let exists = db.find(HAS_ADMIN_KEY, [], |row| row.get(0))?.unwrap_or(false);
    if only_if_none && exists {
        return Ok(false);
    }
    db.run(ADD_ADMIN_KEY, params![key.digest, key.name, key.created_at.0])?;
    Ok(true)
}

pub(super) fn admin_key(db: &Connection, digest: &Digest) -> Result<Option<AdminKey>> {
    Ok(db.find(ADMIN_KEY, [digest], |row| {
        let mut columns = Columns::new(row);
        Ok(AdminKey {
            digest: columns.plain()?,
            name: columns.plain()?,
            created_at: columns.time()?,
        })
    })?)
}
