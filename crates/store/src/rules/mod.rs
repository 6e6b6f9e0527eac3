//! What both engines decide in the same way, once a row is read and locked. No SQL, no I/O.

pub(crate) mod approvals;
pub(crate) mod asserted;
pub(crate) mod audit;
pub(crate) mod audit_pages;
pub(crate) mod clients;
pub(crate) mod codes;
pub(crate) mod consents;
pub(crate) mod devices;
pub(crate) mod exchange;
pub(crate) mod grants;
pub(crate) mod id_jag;
pub(crate) mod keys;
pub(crate) mod own;
pub(crate) mod pages;
pub(crate) mod partitions;
pub(crate) mod refresh;
pub(crate) mod revocations;
pub(crate) mod schema;
pub(crate) mod sessions;
pub(crate) mod spent;
pub(crate) mod sweep;
pub(crate) mod throttle;
pub(crate) mod words;

use serde::Serialize;

use crate::{Digest, Result, StoreError};

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    let mut digest = Digest::default();
    digest.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    digest
}

/// A list as JSON text.
pub(crate) fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Internal(error.to_string()))
}
