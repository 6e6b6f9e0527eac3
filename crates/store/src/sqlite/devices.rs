//! Devices that wait for a person.

use doorward_oauth::time::UnixSeconds;
use rusqlite::{Connection, Row, params};

use super::statements::{Run, statements};
use super::values::Columns;
use crate::rules::devices::{Waiting, poll as poll_rule};
use crate::rules::json;
use crate::{DeviceAuthorization, Digest, PollOutcome, Result};

statements! {
    INSERT = "INSERT INTO device_authorization (digest, user_code, client_id, resources, scopes, fingerprint, address, \
              wait, denied, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    /// A user code is free again as soon as its device has given up.
    FORGET_EXPIRED = "DELETE FROM device_authorization WHERE user_code = ?1 AND expires_at <= ?2";
    BY_USER_CODE = "SELECT digest, user_code, client_id, resources, scopes, fingerprint, address, wait, denied, \
                    created_at, expires_at FROM device_authorization WHERE user_code = ?1 AND expires_at > ?2";
    DENY = "UPDATE device_authorization SET denied = 1 WHERE digest = ?1 AND expires_at > ?2 \
            AND NOT EXISTS (SELECT 1 FROM code c WHERE c.digest = ?1) RETURNING client_id";
    DENIED = "SELECT denied FROM device_authorization WHERE digest = ?1";
    WAITING = "SELECT client_id, wait, polled_at, denied, expires_at FROM device_authorization WHERE digest = ?1";
    POLLED = "UPDATE device_authorization SET polled_at = ?2, wait = ?3 WHERE digest = ?1";
}

pub(super) fn begin(db: &Connection, device: &DeviceAuthorization) -> Result<()> {
    db.run(FORGET_EXPIRED, params![device.user_code, device.created_at.0])?;
    db.run(
        INSERT,
        params![
            device.digest,
            device.user_code,
            device.client_id,
            json(&device.resources)?,
            device.scopes.to_string(),
            device.fingerprint,
            device.address,
            device.wait,
            device.denied,
            device.created_at.0,
            device.expires_at.0,
        ],
    )?;
    Ok(())
}

pub(super) fn by_user_code(
    db: &Connection,
    user_code: &Digest,
    now: UnixSeconds,
) -> Result<Option<DeviceAuthorization>> {
    Ok(db.find(BY_USER_CODE, params![user_code, now.0], read)?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<DeviceAuthorization> {
    let mut columns = Columns::new(row);
    Ok(DeviceAuthorization {
        digest: columns.plain()?,
        user_code: columns.plain()?,
        client_id: columns.plain()?,
        resources: columns.json()?,
        scopes: columns.scopes()?,
        fingerprint: columns.plain()?,
        address: columns.plain()?,
        wait: columns.plain()?,
        denied: columns.plain()?,
        created_at: columns.time()?,
        expires_at: columns.time()?,
    })
}

/// Whether somebody said no.
pub(super) fn is_denied(db: &Connection, digest: &Digest) -> Result<bool> {
    Ok(db.find(DENIED, [digest], |row| row.get(0))?.unwrap_or(false))
}

/// Whose device it is, if that still counts.
pub(super) fn deny(db: &Connection, digest: &Digest, now: UnixSeconds) -> Result<Option<String>> {
    Ok(db.find(DENY, params![digest, now.0], |row| row.get(0))?)
}

pub(super) fn poll(
    db: &Connection,
    digest: &Digest,
    client_id: &str,
    slower: u32,
    now: UnixSeconds,
) -> Result<PollOutcome> {
    let waiting = db.find(WAITING, [digest], |row| {
        let mut columns = Columns::new(row);
        Ok(Waiting {
            client_id: columns.plain()?,
            wait: columns.plain()?,
            polled_at: columns.maybe_time()?,
            denied: columns.plain()?,
            expires_at: columns.time()?,
        })
    })?;
    let (outcome, wait) = poll_rule(waiting, client_id, slower, now);
    if let Some(wait) = wait {
        db.run(POLLED, params![digest, now.0, wait])?;
    }
    Ok(outcome)
}
