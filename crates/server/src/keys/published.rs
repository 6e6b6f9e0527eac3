//! The keys as they were read at some moment: which of them are published, and which sign.

use std::sync::Arc;
use std::time::Duration;

use doorward_jose::{JwkSet, MAX_JWK_SET_BYTES, MAX_JWK_SET_KEYS};
use doorward_oauth::time::UnixSeconds;
use doorward_store::SigningKeyRecord;
use doorward_store::signing_keys::{SigningKeyState, state, stops_at};

use super::sealed::{self, Usable};
use super::{KeyError, MasterKey};
use crate::http::document::Document;

/// The keys as they were read at some moment.
pub(super) struct Ring {
    /// Those that are published and can be opened here, newest first, never none.
    pub(super) keys: Vec<Published>,
    pub(super) jwks: JwkSet,
    /// The same as `jwks_uri` answers it.
    pub(super) document: Arc<Document>,
    pub(super) records: Vec<SigningKeyRecord>,
    /// How each of the records stood.
    pub(super) standing: Vec<Standing>,
    /// The places of the records that should be published and cannot be opened.
    pub(super) sealed: Vec<usize>,
}

#[derive(Clone)]
pub(super) struct Published {
    pub(super) signs_from: UnixSeconds,
    pub(super) usable: Usable,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) state: SigningKeyState,
    pub(super) published: bool,
}

impl Ring {
    /// A key that cannot be opened stays as it was in `before`, or is left out: it must keep no other from going.
    pub(super) fn build(
        records: Vec<SigningKeyRecord>,
        master: &MasterKey,
        now: UnixSeconds,
        keep: Duration,
        before: &[Published],
    ) -> Result<Self, KeyError> {
        let standing = standing(&records, now, keep);
        let (mut keys, mut public, mut sealed) = (Vec::new(), Vec::new(), Vec::new());
        for (place, (record, standing)) in records.iter().zip(&standing).enumerate() {
            if !standing.published {
                continue;
            }
            let usable = match sealed::open(record, master) {
                Ok(usable) => usable,
                Err(error) => {
                    sealed.push(place);
                    let opened = before
                        .iter()
                        .find(|key| key.usable.signer.key_id() == record.key_id);
                    let key_id = &record.key_id;
                    tracing::error!(%error, key_id, kept = opened.is_some(), "a published signing key cannot be opened");
                    let Some(opened) = opened else { continue };
                    opened.usable.clone()
                }
            };
            let first = standing.state == SigningKeyState::Active;
            // For those who take the first key whatever a token names.
            public.insert(if first { 0 } else { public.len() }, usable.public.clone());
            let signs_from = record.signs_from;
            keys.push(Published { signs_from, usable });
        }
        if keys.is_empty() {
            for place in sealed {
                sealed::open(&records[place], master)?;
            }
            return Err(KeyError::NoActiveKey);
        }
        let jwks = JwkSet { keys: public };
        Ok(Self {
            keys,
            document: Arc::new(Document::of(&jwks)?),
            jwks,
            records,
            standing,
            sealed,
        })
    }

    /// Whether every key that should be published can be opened.
    pub(super) fn check(&self, master: &MasterKey) -> Result<(), KeyError> {
        let mut sealed = self.sealed.iter().map(|place| &self.records[*place]);
        sealed.try_for_each(|record| sealed::open(record, master).map(drop))
    }
}

/// Refuses what a start would refuse of these.
pub(crate) fn check_published(
    records: Vec<SigningKeyRecord>,
    master: &MasterKey,
    now: UnixSeconds,
    keep: Duration,
) -> Result<(), KeyError> {
    // The start makes the first one.
    if records.is_empty() {
        return Ok(());
    }
    Ring::build(records, master, now, keep, &[])?.check(master)
}

/// Refuses another key beside so many that are published, in a document of so many bytes. Verifiers bound what they read, the
/// guard as [`JwkSet::parse`] does. Some room is left: nodes that add at the same moment do not see each other.
pub(super) fn check_room(published: usize, bytes: usize) -> Result<(), KeyError> {
    if published < MAX_JWK_SET_KEYS / 10 * 9 && bytes < MAX_JWK_SET_BYTES / 10 * 9 {
        return Ok(());
    }
    Err(KeyError::Full { published })
}

pub(super) fn standing(records: &[SigningKeyRecord], now: UnixSeconds, keep: Duration) -> Vec<Standing> {
    let standing = |place| {
        let state = state(records, place, now);
        let published = match state {
            SigningKeyState::Next | SigningKeyState::Active => true,
            SigningKeyState::Previous => stops_at(records, place).is_some_and(|stopped| stopped + keep > now),
            SigningKeyState::Revoked => false,
        };
        Standing { state, published }
    };
    (0..records.len()).map(standing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_ends_with_the_number_of_keys_or_with_their_bytes() {
        assert!(check_room(89, 40_000).is_ok());
        assert!(matches!(
            check_room(90, 20_000),
            Err(KeyError::Full { published: 90 })
        ));
        // RSA keys of 8192 bits have 1.5 KB each.
        assert!(check_room(39, 58_000).is_ok());
        assert!(matches!(
            check_room(40, 59_000),
            Err(KeyError::Full { published: 40 })
        ));
    }
}
