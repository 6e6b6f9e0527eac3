//! Devices that wait for a person.

use doorward_oauth::time::UnixSeconds;

use super::errors::Fallible;
use super::statements::{Connection, find as row, statements};
use super::values::only;
use super::writes::{Write, Writes, values};
use crate::rules::devices::Waiting;
use crate::rules::json;
use crate::{DeviceAuthorization, Digest};

statements! {
    INSERT = "INSERT INTO device_authorization (digest, user_code, client_id, resources, scopes, fingerprint, address, \
              wait, denied, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    /// A user code is free again as soon as its device has given up.
    FORGET_EXPIRED = "DELETE FROM device_authorization WHERE user_code = $1 AND expires_at <= $2";
    BY_USER_CODE = "SELECT digest, user_code, client_id, resources, scopes, fingerprint, address, wait, denied, \
                    created_at, expires_at FROM device_authorization WHERE user_code = $1 AND expires_at > $2";
    DENY = "UPDATE device_authorization SET denied = TRUE WHERE digest = $1 AND expires_at > $2 \
            AND NOT EXISTS (SELECT 1 FROM code c WHERE c.digest = $1) RETURNING client_id";
    /// Whoever answers a device holds its row: of two answers one counts.
    HOLD = "SELECT denied FROM device_authorization WHERE digest = $1 FOR NO KEY UPDATE";
    WAITING = "SELECT client_id, wait, polled_at, denied, expires_at FROM device_authorization WHERE digest = $1 FOR UPDATE";
    POLLED = "UPDATE device_authorization SET polled_at = $2, wait = $3 WHERE digest = $1";
}

pub(super) fn begin(device: &DeviceAuthorization) -> Fallible<Writes> {
    let user_code = device.user_code.to_vec();
    let forget = values![user_code.clone(), device.created_at.0];
    let insert = values![
        device.digest.to_vec(),
        user_code,
        device.client_id.clone(),
        json(&device.resources)?,
        device.scopes.to_string(),
        device.fingerprint.clone(),
        device.address.clone(),
        i64::from(device.wait),
        device.denied,
        device.created_at.0,
        device.expires_at.0,
    ];
    let writes = [Write::new(FORGET_EXPIRED, forget), Write::new(INSERT, insert)];
    Ok(writes.into_iter().collect())
}

pub(super) async fn by_user_code(
    db: &Connection,
    user_code: &Digest,
    now: UnixSeconds,
) -> Fallible<Option<DeviceAuthorization>> {
    row(db, BY_USER_CODE, &[&user_code.as_slice(), &now.0], |columns| {
        Ok(DeviceAuthorization {
            digest: columns.bytes()?,
            user_code: columns.bytes()?,
            client_id: columns.plain()?,
            resources: columns.json()?,
            scopes: columns.scopes()?,
            fingerprint: columns.plain()?,
            address: columns.plain()?,
            wait: columns.number()?,
            denied: columns.plain()?,
            created_at: columns.time()?,
            expires_at: columns.time()?,
        })
    })
    .await
}

/// Whether the device's row, which is held from now on, says that somebody said no.
pub(super) async fn hold_denied(db: &Connection, digest: &Digest) -> Fallible<bool> {
    let denied = row(db, HOLD, &[&digest.as_slice()], only).await?;
    Ok(denied.unwrap_or(false))
}

/// Whose device it is, if that still counts. After [`hold_denied`], in a statement that sees what was approved before the row was
/// free.
pub(super) async fn deny(db: &Connection, digest: &Digest, now: UnixSeconds) -> Fallible<Option<String>> {
    row(db, DENY, &[&digest.as_slice(), &now.0], only).await
}

/// Of several polls at once each waits for the one before.
pub(super) async fn hold_waiting(db: &Connection, digest: &Digest) -> Fallible<Option<Waiting>> {
    row(db, WAITING, &[&digest.as_slice()], |columns| {
        Ok(Waiting {
            client_id: columns.plain()?,
            wait: columns.number()?,
            polled_at: columns.maybe_time()?,
            denied: columns.plain()?,
            expires_at: columns.time()?,
        })
    })
    .await
}

/// That a device asked, and how long it waits from now on.
pub(super) fn polled(digest: &Digest, now: UnixSeconds, wait: u32) -> Write {
    Write::new(POLLED, values![digest.to_vec(), now.0, i64::from(wait)])
}
