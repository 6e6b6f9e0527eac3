//! Signing keys, server secrets and operators' keys.

use doorward_oauth::time::UnixSeconds;

use super::errors::{Fallible, Fault};
use super::statements::{Connection, find as row, get, list, run, statements};
use super::values::only;
use crate::rules::words::Word;
use crate::{AdminKey, Digest, SealedSecret, SigningKeyRecord, SigningKeyState};

statements! {
    /// Signing keys and admin keys change one at a time; readers do not wait.
    LOCK_SIGNING_KEYS = "LOCK TABLE signing_key IN SHARE ROW EXCLUSIVE MODE";
    LOCK_ADMIN_KEYS = "LOCK TABLE admin_key IN SHARE ROW EXCLUSIVE MODE";
    SIGNING_KEYS scans = "SELECT key_id, algorithm, sealed_private_key, state, created_at, retired_at \
                          FROM signing_key ORDER BY ordinal DESC";
    HAS_ACTIVE = "SELECT EXISTS (SELECT 1 FROM signing_key WHERE state = 'active')";
    RETIRE = "UPDATE signing_key SET state = 'previous', retired_at = $1 WHERE state = 'active'";
    ADD_SIGNING_KEY = "INSERT INTO signing_key (key_id, algorithm, sealed_private_key, state, created_at) \
                       VALUES ($1, $2, $3, $4, $5)";
    DELETE_RETIRED scans = "DELETE FROM signing_key WHERE state = 'previous' AND retired_at < $1";
    SECRET = "SELECT sealed FROM server_secret WHERE purpose = $1";
    PROPOSE_SECRET = "INSERT INTO server_secret (purpose, sealed) VALUES ($1, $2) ON CONFLICT (purpose) DO NOTHING";
    HAS_ADMIN_KEY scans = "SELECT EXISTS (SELECT 1 FROM admin_key)";
    ADD_ADMIN_KEY = "INSERT INTO admin_key (digest, name, created_at) VALUES ($1, $2, $3)";
    ADMIN_KEY = "SELECT digest, name, created_at FROM admin_key WHERE digest = $1";
}

pub(super) async fn signing_keys(db: &Connection) -> Fallible<Vec<SigningKeyRecord>> {
    list(db, SIGNING_KEYS, &[], |columns| {
        Ok(SigningKeyRecord {
            key_id: columns.plain()?,
            algorithm: columns.plain()?,
            sealed_private_key: columns.plain()?,
            state: columns.word()?,
            created_at: columns.time()?,
            retired_at: columns.maybe_time()?,
        })
    })
    .await
}

pub(super) async fn add_signing_key(
    db: &Connection,
    key: &SigningKeyRecord,
    only_if_none: bool,
    now: UnixSeconds,
) -> Fallible<Vec<SigningKeyRecord>> {
    run(db, LOCK_SIGNING_KEYS, &[]).await?;
    let has_active: bool = get(db, HAS_ACTIVE, &[], only).await?;
    if !(only_if_none && has_active) {
        run(db, RETIRE, &[&now.0]).await?;
        let active = SigningKeyState::Active.word();
        run(
            db,
            ADD_SIGNING_KEY,
            &[
                &key.key_id,
                &key.algorithm,
                &key.sealed_private_key,
                &active,
                &key.created_at.0,
            ],
        )
        .await?;
    }
    signing_keys(db).await
}

pub(super) async fn delete_signing_keys(db: &Connection, before: UnixSeconds) -> Fallible<u64> {
    run(db, DELETE_RETIRED, &[&before.0]).await
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

pub(super) async fn add_admin_key(db: &Connection, key: &AdminKey, only_if_none: bool) -> Fallible<bool> {
    run(db, LOCK_ADMIN_KEYS, &[]).await?;
    if only_if_none && get(db, HAS_ADMIN_KEY, &[], only::<bool>).await? {
        return Ok(false);
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
    row(db, ADMIN_KEY, &[&digest.as_slice()], |columns| {
        Ok(AdminKey {
            digest: columns.bytes()?,
            name: columns.plain()?,
            created_at: columns.time()?,
        })
    })
    .await
}
