//! What a change of the signing keys, or of operators' keys, comes to.

use doorward_oauth::time::UnixSeconds;
use uuid::Uuid;

use crate::signing_keys::{next, signer, stops_at};
use crate::{AdminKey, Result, SigningKeyRecord, StoreError};

/// The signing keys before a change of who signs, and after it.
#[derive(Debug)]
pub(crate) struct Replaced {
    pub(crate) before: Vec<SigningKeyRecord>,
    pub(crate) after: Vec<SigningKeyRecord>,
}

/// Who signs after the one that signs now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Successor<'k> {
    /// Nothing changes: the key that was revoked does not sign.
    None,
    /// The one that waits; its time comes now.
    Waiting(&'k str),
    /// A new one.
    Spare,
}

/// Whether a new key may be added by somebody who saw `newest` as the newest.
pub(crate) fn may_follow(keys: &[SigningKeyRecord], newest: Option<&str>) -> bool {
    keys.first().map(|key| key.key_id.as_str()) == newest
}

/// Who takes over when `revoked` goes, or without one when the key that signs goes. Never a key that signed before:
/// nobody may have it any more.
pub(crate) fn successor<'k>(
    keys: &'k [SigningKeyRecord],
    revoked: Option<&str>,
    now: UnixSeconds,
) -> Result<Successor<'k>> {
    if let Some(revoked) = revoked {
        if !keys.iter().any(|key| key.key_id == revoked) {
            return Err(StoreError::NotFound);
        }
        if signer(keys, now).is_some_and(|key| key.key_id != revoked) {
            return Ok(Successor::None);
        }
    }
    let waiting = next(keys, now).filter(|key| Some(key.key_id.as_str()) != revoked);
    Ok(waiting.map_or(Successor::Spare, |key| Successor::Waiting(&key.key_id)))
}

/// The keys that stopped signing before this time.
pub(crate) fn stopped_before(
    keys: &[SigningKeyRecord],
    before: UnixSeconds,
) -> impl Iterator<Item = &str> + use<'_> {
    let past = move |place: &usize| stops_at(keys, *place).is_some_and(|stopped| stopped < before);
    let places = (0..keys.len()).filter(past);
    places.map(|place| keys[place].key_id.as_str())
}

/// The operator's key that goes; `None`: there is none with this id. Without `all` the last one stays.
pub(crate) fn leaving(keys: &[AdminKey], id: Uuid, all: bool) -> Result<Option<&AdminKey>> {
    let leaving = keys.iter().find(|key| key.id() == id);
    if leaving.is_some() && keys.len() == 1 && !all {
        return Err(StoreError::Conflict);
    }
    Ok(leaving)
}
