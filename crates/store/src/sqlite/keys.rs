//! Signing keys, server secrets and operators' keys.

use doorward_oauth::time::UnixSeconds;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::statements::{Run, statements};
use super::values::Columns;
use crate::rules::keys::{Replaced, Successor, leaving, may_follow, stopped_before, successor};
use crate::{
    AdminKey, Digest, Ended, Reseal, Result, Sealed, SealedKind, SealedSecret, SecretsForgotten,
    SecretsInUse, SigningKeyRecord, StoreError,
};

statements! {
    SIGNING_KEYS scans = "SELECT key_id, algorithm, sealed_private_key, created_at, signs_from, revoked_at \
                          FROM signing_key ORDER BY ordinal DESC";
    ADD_SIGNING_KEY = "INSERT INTO signing_key (key_id, algorithm, sealed_private_key, created_at, signs_from, revoked_at) \
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    REVOKE = "UPDATE signing_key SET revoked_at = ?2 WHERE key_id = ?1 AND revoked_at IS NULL";
    BRING_FORWARD = "UPDATE signing_key SET signs_from = ?2 WHERE key_id = ?1";
    DELETE_SIGNING_KEY = "DELETE FROM signing_key WHERE key_id = ?1";
    SEALED_KEYS = "SELECT key_id, sealed_private_key FROM signing_key WHERE key_id > ?1 ORDER BY key_id LIMIT ?2";
    SEALED_SECRETS = "SELECT purpose, sealed FROM server_secret WHERE purpose > ?1 ORDER BY purpose LIMIT ?2";
    RESEAL_KEY = "UPDATE signing_key SET sealed_private_key = ?3 WHERE key_id = ?1 AND sealed_private_key = ?2";
    RESEAL_SECRET = "UPDATE server_secret SET sealed = ?3 WHERE purpose = ?1 AND sealed = ?2";
    SECRET = "SELECT sealed FROM server_secret WHERE purpose = ?1";
    PROPOSE_SECRET = "INSERT INTO server_secret (purpose, sealed) VALUES (?1, ?2) ON CONFLICT (purpose) DO NOTHING";
    FORGET_KEYS scans = "DELETE FROM signing_key WHERE TRUE";
    FORGET_SECRETS scans = "DELETE FROM server_secret WHERE TRUE";
    /// On any schema, since all of it is as old as the first one.
    IN_USE scans = "SELECT (SELECT count(*) FROM signing_key), (SELECT count(*) FROM access_grant WHERE state <> 'ended'), \
                    (SELECT count(*) FROM session), (SELECT count(*) FROM client WHERE secrets <> '[]' AND source = 'admin'), \
                    (SELECT count(*) FROM client WHERE secrets <> '[]' AND source = 'dynamic')";
    CLIENTS_WITH_SECRETS scans = "SELECT client_id, metadata FROM client WHERE secrets <> '[]' AND source = 'admin' \
                                  ORDER BY client_id LIMIT ?1";
    ADMIN_KEYS scans = "SELECT digest, name, created_at FROM admin_key ORDER BY created_at DESC, name";
    ADD_ADMIN_KEY = "INSERT INTO admin_key (digest, name, created_at) VALUES (?1, ?2, ?3)";
    ADMIN_KEY = "SELECT digest, name, created_at FROM admin_key WHERE digest = ?1";
    DELETE_ADMIN_KEY = "DELETE FROM admin_key WHERE digest = ?1";
}

pub(super) fn signing_keys(db: &Connection) -> Result<Vec<SigningKeyRecord>> {
    Ok(db.list(SIGNING_KEYS, [], |row| {
        let mut columns = Columns::new(row);
        Ok(SigningKeyRecord {
            key_id: columns.plain()?,
            algorithm: columns.plain()?,
            sealed_private_key: columns.plain()?,
            created_at: columns.time()?,
            signs_from: columns.time()?,
            revoked_at: columns.maybe_time()?,
        })
    })?)
}

pub(super) fn add_signing_key(
    db: &Connection,
    key: &SigningKeyRecord,
    newest: Option<&str>,
) -> Result<Vec<SigningKeyRecord>> {
    let keys = signing_keys(db)?;
    if !may_follow(&keys, newest) {
        return Ok(keys);
    }
    add(db, key)?;
    signing_keys(db)
}

fn add(db: &Connection, key: &SigningKeyRecord) -> Result<()> {
    db.run(
        ADD_SIGNING_KEY,
        params![
            key.key_id,
            key.algorithm,
            key.sealed_private_key,
            key.created_at.0,
            key.signs_from.0,
            key.revoked_at.map(|time| time.0)
        ],
    )?;
    Ok(())
}

pub(super) fn replace_signing_key(
    db: &Connection,
    revoked: Option<&str>,
    spare: &SigningKeyRecord,
    now: UnixSeconds,
) -> Result<Replaced> {
    let before = signing_keys(db)?;
    let successor = successor(&before, revoked, now)?;
    if let Some(revoked) = revoked {
        db.run(REVOKE, params![revoked, now.0])?;
    }
    match successor {
        Successor::None => {}
        Successor::Waiting(key_id) => {
            db.run(BRING_FORWARD, params![key_id, now.0])?;
        }
        Successor::Spare => add(db, spare)?,
    }
    let after = signing_keys(db)?;
    Ok(Replaced { before, after })
}

pub(super) fn delete_signing_keys(db: &Connection, before: UnixSeconds) -> Result<u64> {
    let keys = signing_keys(db)?;
    let mut removed = 0;
    for key_id in stopped_before(&keys, before) {
        removed += db.run(DELETE_SIGNING_KEY, [key_id])? as u64;
    }
    Ok(removed)
}

pub(super) fn sealed(db: &Connection, kind: SealedKind, after: &str, limit: u32) -> Result<Vec<Sealed>> {
    let statement = match kind {
        SealedKind::SigningKey => SEALED_KEYS,
        SealedKind::ServerSecret => SEALED_SECRETS,
    };
    Ok(db.list(statement, params![after, limit], |row| {
        let mut columns = Columns::new(row);
        Ok(Sealed {
            kind,
            name: columns.plain()?,
            bytes: columns.plain()?,
        })
    })?)
}

/// Everything that is encrypted under the master key; on any schema, since these columns are as old as the first one.
pub(super) fn all_sealed(db: &Connection) -> Result<Vec<Sealed>> {
    let mut all = Vec::new();
    for kind in SealedKind::ALL {
        all.extend(sealed(db, kind, "", u32::MAX)?);
    }
    Ok(all)
}

pub(super) fn reseal(db: &Connection, changes: &[Reseal]) -> Result<u64> {
    let mut resealed = 0;
    for Reseal { before, after } in changes {
        let statement = match before.kind {
            SealedKind::SigningKey => RESEAL_KEY,
            SealedKind::ServerSecret => RESEAL_SECRET,
        };
        resealed += db.run(statement, params![before.name, before.bytes, after])? as u64;
    }
    Ok(resealed)
}

pub(super) fn find_secret(db: &Connection, purpose: &str) -> Result<Option<SealedSecret>> {
    Ok(db.find(SECRET, [purpose], |row| row.get(0).map(SealedSecret))?)
}

pub(super) fn secret(db: &Connection, purpose: &str, proposed: &SealedSecret) -> Result<SealedSecret> {
    db.run(PROPOSE_SECRET, params![purpose, proposed.0])?;
    find_secret(db, purpose)?.ok_or_else(|| StoreError::Internal("a stored secret is not there".to_owned()))
}

/// All of them; what they are for ends elsewhere.
pub(super) fn forget(db: &Connection) -> Result<SecretsForgotten> {
    Ok(SecretsForgotten {
        signing_keys: db.run(FORGET_KEYS, [])? as u64,
        server_secrets: db.run(FORGET_SECRETS, [])? as u64,
        ended: Ended::default(),
    })
}

pub(super) fn in_use(db: &Connection, clients: u32) -> Result<SecretsInUse> {
    let first_clients = db.list(CLIENTS_WITH_SECRETS, [clients], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    let counted = db.find(IN_USE, [], |row| {
        let count = |column: usize| row.get::<_, i64>(column).map(i64::unsigned_abs);
        Ok(SecretsInUse {
            signing_keys: count(0)?,
            grants: count(1)?,
            sessions: count(2)?,
            clients: count(3)?,
            self_registered: count(4)?,
            first_clients,
        })
    })?;
    counted.ok_or_else(|| StoreError::Internal("nothing was counted".to_owned()))
}

pub(super) fn add_admin_key(db: &Connection, key: &AdminKey, only_if_none: bool) -> Result<bool> {
    let keys = admin_keys(db)?;
    if only_if_none && !keys.is_empty() {
        return Ok(false);
    }
    if keys
        .iter()
        .any(|other| other.name.eq_ignore_ascii_case(&key.name))
    {
        return Err(StoreError::Conflict);
    }
    db.run(ADD_ADMIN_KEY, params![key.digest, key.name, key.created_at.0])?;
    Ok(true)
}

pub(super) fn admin_key(db: &Connection, digest: &Digest) -> Result<Option<AdminKey>> {
    Ok(db.find(ADMIN_KEY, [digest], read_admin_key)?)
}

pub(super) fn admin_keys(db: &Connection) -> Result<Vec<AdminKey>> {
    Ok(db.list(ADMIN_KEYS, [], read_admin_key)?)
}

pub(super) fn delete_admin_key(db: &Connection, id: Uuid, all: bool) -> Result<Option<AdminKey>> {
    let keys = admin_keys(db)?;
    let leaving = leaving(&keys, id, all)?;
    if let Some(key) = leaving {
        db.run(DELETE_ADMIN_KEY, [key.digest])?;
    }
    Ok(leaving.cloned())
}

fn read_admin_key(row: &Row<'_>) -> rusqlite::Result<AdminKey> {
    let mut columns = Columns::new(row);
    Ok(AdminKey {
        digest: columns.plain()?,
        name: columns.plain()?,
        created_at: columns.time()?,
    })
}
