//! Signing keys, server secrets and operators' keys.

use deadpool_postgres::Transaction;
use doorward_oauth::time::UnixSeconds;
use uuid::Uuid;

use super::errors::{Fallible, Fault};
use super::statements::{Connection, Params, find as row, list, run, statements};
use super::values::Columns;
use crate::rules::keys::{Replaced, Successor, leaving, may_follow, stopped_before, successor};
use crate::{
    AdminKey, Digest, Ended, Reseal, Sealed, SealedKind, SealedSecret, SecretsForgotten, SecretsInUse,
    SigningKeyRecord, StoreError,
};

statements! {
    /// Signing keys and admin keys change one at a time; readers do not wait.
    LOCK_SIGNING_KEYS = "LOCK TABLE signing_key IN SHARE ROW EXCLUSIVE MODE";
    LOCK_ADMIN_KEYS = "LOCK TABLE admin_key IN SHARE ROW EXCLUSIVE MODE";
    SIGNING_KEYS scans = "SELECT key_id, algorithm, sealed_private_key, created_at, signs_from, revoked_at \
                          FROM signing_key ORDER BY ordinal DESC";
    ADD_SIGNING_KEY = "INSERT INTO signing_key (key_id, algorithm, sealed_private_key, created_at, signs_from, revoked_at) \
                       VALUES ($1, $2, $3, $4, $5, $6)";
    REVOKE = "UPDATE signing_key SET revoked_at = $2 WHERE key_id = $1 AND revoked_at IS NULL";
    BRING_FORWARD = "UPDATE signing_key SET signs_from = $2 WHERE key_id = $1";
    DELETE_SIGNING_KEYS = "DELETE FROM signing_key WHERE key_id = ANY ($1)";
    SEALED_KEYS = "SELECT key_id, sealed_private_key FROM signing_key WHERE key_id > $1 ORDER BY key_id LIMIT $2";
    SEALED_SECRETS = "SELECT purpose, sealed FROM server_secret WHERE purpose > $1 ORDER BY purpose LIMIT $2";
    RESEAL_KEY = "UPDATE signing_key SET sealed_private_key = $3 WHERE key_id = $1 AND sealed_private_key = $2";
    RESEAL_SECRET = "UPDATE server_secret SET sealed = $3 WHERE purpose = $1 AND sealed = $2";
    SECRET = "SELECT sealed FROM server_secret WHERE purpose = $1";
    PROPOSE_SECRET = "INSERT INTO server_secret (purpose, sealed) VALUES ($1, $2) ON CONFLICT (purpose) DO NOTHING";
    FORGET_KEYS scans = "DELETE FROM signing_key";
    FORGET_SECRETS scans = "DELETE FROM server_secret";
    /// On any schema, since all of it is as old as the first one.
    IN_USE scans = "SELECT (SELECT count(*) FROM signing_key), (SELECT count(*) FROM access_grant WHERE state <> 'ended'), \
                    (SELECT count(*) FROM session), (SELECT count(*) FROM client WHERE secrets <> '[]' AND source = 'admin'), \
                    (SELECT count(*) FROM client WHERE secrets <> '[]' AND source = 'dynamic')";
    CLIENTS_WITH_SECRETS scans = "SELECT client_id, metadata FROM client WHERE secrets <> '[]' AND source = 'admin' \
                                  ORDER BY client_id LIMIT $1";
    ADMIN_KEYS scans = "SELECT digest, name, created_at FROM admin_key ORDER BY created_at DESC, name";
    ADD_ADMIN_KEY = "INSERT INTO admin_key (digest, name, created_at) VALUES ($1, $2, $3)";
    ADMIN_KEY = "SELECT digest, name, created_at FROM admin_key WHERE digest = $1";
    DELETE_ADMIN_KEY = "DELETE FROM admin_key WHERE digest = $1";
}

pub(super) async fn signing_keys(db: &Connection) -> Fallible<Vec<SigningKeyRecord>> {
    list(db, SIGNING_KEYS, &[], read_signing_key).await
}

/// The same before anything else is done with the database.
pub(super) async fn all_signing_keys(db: &Transaction<'_>) -> Fallible<Vec<SigningKeyRecord>> {
    let rows = db.query(SIGNING_KEYS.text(), &[]).await?;
    rows.iter()
        .map(|row| read_signing_key(&mut Columns::new(row)))
        .collect()
}

fn read_signing_key(columns: &mut Columns<'_>) -> Fallible<SigningKeyRecord> {
    Ok(SigningKeyRecord {
        key_id: columns.plain()?,
        algorithm: columns.plain()?,
        sealed_private_key: columns.plain()?,
        created_at: columns.time()?,
        signs_from: columns.time()?,
        revoked_at: columns.maybe_time()?,
    })
}

/// The keys as they stand until this transaction ends.
async fn locked_signing_keys(db: &Connection) -> Fallible<Vec<SigningKeyRecord>> {
    run(db, LOCK_SIGNING_KEYS, &[]).await?;
    signing_keys(db).await
}

pub(super) async fn add_signing_key(
    db: &Connection,
    key: &SigningKeyRecord,
    newest: Option<&str>,
) -> Fallible<Vec<SigningKeyRecord>> {
    let keys = locked_signing_keys(db).await?;
    if !may_follow(&keys, newest) {
        return Ok(keys);
    }
    add(db, key).await?;
    signing_keys(db).await
}

async fn add(db: &Connection, key: &SigningKeyRecord) -> Fallible<()> {
    let values: Params<'_> = &[
        &key.key_id,
        &key.algorithm,
        &key.sealed_private_key,
        &key.created_at.0,
        &key.signs_from.0,
        &key.revoked_at.map(|time| time.0),
    ];
    run(db, ADD_SIGNING_KEY, values).await.map(drop)
}

pub(super) async fn replace_signing_key(
    db: &Connection,
    revoked: Option<&str>,
    spare: &SigningKeyRecord,
    now: UnixSeconds,
) -> Fallible<Replaced> {
    let before = locked_signing_keys(db).await?;
    let successor = successor(&before, revoked, now)?;
    if let Some(revoked) = revoked {
        run(db, REVOKE, &[&revoked, &now.0]).await?;
    }
    match successor {
        Successor::None => {}
        Successor::Waiting(key_id) => {
            run(db, BRING_FORWARD, &[&key_id, &now.0]).await?;
        }
        Successor::Spare => add(db, spare).await?,
    }
    let after = signing_keys(db).await?;
    Ok(Replaced { before, after })
}

pub(super) async fn delete_signing_keys(db: &Connection, before: UnixSeconds) -> Fallible<u64> {
    let keys = signing_keys(db).await?;
    let past: Vec<&str> = stopped_before(&keys, before).collect();
    if past.is_empty() {
        return Ok(0);
    }
    run(db, DELETE_SIGNING_KEYS, &[&past]).await
}

pub(super) async fn sealed(
    db: &Connection,
    kind: SealedKind,
    after: &str,
    limit: u32,
) -> Fallible<Vec<Sealed>> {
    let statement = match kind {
        SealedKind::SigningKey => SEALED_KEYS,
        SealedKind::ServerSecret => SEALED_SECRETS,
    };
    list(db, statement, &[&after, &i64::from(limit)], |columns| {
        Ok(Sealed {
            kind,
            name: columns.plain()?,
            bytes: columns.plain()?,
        })
    })
    .await
}

pub(super) async fn reseal(db: &Connection, changes: &[Reseal]) -> Fallible<u64> {
    let mut resealed = 0;
    for Reseal { before, after } in changes {
        let statement = match before.kind {
            SealedKind::SigningKey => RESEAL_KEY,
            SealedKind::ServerSecret => RESEAL_SECRET,
        };
        resealed += run(db, statement, &[&before.name, &before.bytes, after]).await?;
    }
    Ok(resealed)
}

pub(super) async fn find_secret(db: &Connection, purpose: &str) -> Fallible<Option<SealedSecret>> {
    row(db, SECRET, &[&purpose], |columns| {
        columns.plain().map(SealedSecret)
    })
    .await
}

pub(super) async fn secret(
    db: &Connection,
    purpose: &str,
    proposed: &SealedSecret,
) -> Fallible<SealedSecret> {
    run(db, PROPOSE_SECRET, &[&purpose, &proposed.0]).await?;
    find_secret(db, purpose)
        .await?
        .ok_or_else(|| Fault::Contended("a stored secret is not there".to_owned()))
}

/// All of them; what they are for ends elsewhere.
pub(super) async fn forget(db: &Connection) -> Fallible<SecretsForgotten> {
    run(db, LOCK_SIGNING_KEYS, &[]).await?;
    Ok(SecretsForgotten {
        signing_keys: run(db, FORGET_KEYS, &[]).await?,
        server_secrets: run(db, FORGET_SECRETS, &[]).await?,
        ended: Ended::default(),
    })
}

pub(super) async fn in_use(db: &Transaction<'_>, clients: u32) -> Fallible<SecretsInUse> {
    let mut first_clients = Vec::new();
    for row in db
        .query(CLIENTS_WITH_SECRETS.text(), &[&i64::from(clients)])
        .await?
    {
        first_clients.push((row.try_get(0)?, row.try_get(1)?));
    }
    let counted = db.query_one(IN_USE.text(), &[]).await?;
    let count = |column: usize| counted.try_get::<_, i64>(column).map(i64::unsigned_abs);
    Ok(SecretsInUse {
        signing_keys: count(0)?,
        grants: count(1)?,
        sessions: count(2)?,
        clients: count(3)?,
        self_registered: count(4)?,
        first_clients,
    })
}

pub(super) async fn add_admin_key(db: &Connection, key: &AdminKey, only_if_none: bool) -> Fallible<bool> {
    run(db, LOCK_ADMIN_KEYS, &[]).await?;
    let keys = admin_keys(db).await?;
    if only_if_none && !keys.is_empty() {
        return Ok(false);
    }
    if keys
        .iter()
        .any(|other| other.name.eq_ignore_ascii_case(&key.name))
    {
        return Err(StoreError::Conflict.into());
    }
    run(
        db,
        ADD_ADMIN_KEY,
        &[&key.digest.as_slice(), &key.name, &key.created_at.0],
    )
    .await?;
    Ok(true)
}

pub(super) async fn admin_key(db: &Connection, digest: &Digest) -> Fallible<Option<AdminKey>> {
    row(db, ADMIN_KEY, &[&digest.as_slice()], read_admin_key).await
}

pub(super) async fn admin_keys(db: &Connection) -> Fallible<Vec<AdminKey>> {
    list(db, ADMIN_KEYS, &[], read_admin_key).await
}

pub(super) async fn delete_admin_key(db: &Connection, id: Uuid, all: bool) -> Fallible<Option<AdminKey>> {
    run(db, LOCK_ADMIN_KEYS, &[]).await?;
    let keys = admin_keys(db).await?;
    let leaving = leaving(&keys, id, all)?;
    if let Some(key) = leaving {
        run(db, DELETE_ADMIN_KEY, &[&key.digest.as_slice()]).await?;
    }
    Ok(leaving.cloned())
}

fn read_admin_key(columns: &mut Columns<'_>) -> Fallible<AdminKey> {
    Ok(AdminKey {
        digest: columns.bytes()?,
        name: columns.plain()?,
        created_at: columns.time()?,
    })
}
