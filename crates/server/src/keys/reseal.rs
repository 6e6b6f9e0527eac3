//! A change of the master key: everything that is sealed under the other one is sealed anew, in place. Nothing is lost by
//! stopping anywhere, since every ciphertext is replaced by itself, and nodes that hold both keys read both kinds.

use std::sync::Arc;

use doorward_store::{Reseal, Sealed, SealedKind, Store};

use super::{KeyError, MasterKey, sealed};
use crate::random::Random;

/// Ciphertexts read and replaced in one transaction.
const BATCH: u32 = 100;

/// How far a change of the master key has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resealed {
    /// What was looked at.
    pub seen: u64,
    /// What was sealed anew; the rest was under the new key already.
    pub changed: u64,
}

/// Seals everything anew under the master key, a batch at a time.
pub struct MasterKeyChange {
    store: Arc<dyn Store>,
    master: Arc<MasterKey>,
    random: Arc<dyn Random>,
    batch: u32,
    kinds: std::slice::Iter<'static, SealedKind>,
    at: Option<(SealedKind, String)>,
    resealed: Resealed,
}

impl MasterKeyChange {
    /// Begins one; `master` opens what the key before it sealed ([`MasterKey::beside`]). Everything is opened once before
    /// anything is changed.
    ///
    /// # Errors
    /// [`KeyError::WrongMasterKey`] when neither key opens something, [`KeyError::Store`].
    pub async fn begin(
        store: Arc<dyn Store>,
        master: Arc<MasterKey>,
        random: Arc<dyn Random>,
    ) -> Result<Self, KeyError> {
        let mut change = Self {
            store,
            master,
            random,
            batch: BATCH,
            kinds: [].iter(),
            at: None,
            resealed: Resealed::default(),
        };
        change.rewind();
        while let Some(batch) = change.next_batch().await? {
            for sealed in &batch {
                change.open(sealed)?;
            }
        }
        change.rewind();
        Ok(change)
    }

    /// With batches of another size.
    #[must_use]
    pub fn in_batches_of(self, batch: u32) -> Self {
        Self { batch, ..self }
    }

    /// Seals one more batch anew; `None` when everything was looked at.
    ///
    /// # Errors
    /// As [`MasterKeyChange::begin`].
    pub async fn step(&mut self) -> Result<Option<Resealed>, KeyError> {
        let Some(batch) = self.next_batch().await? else {
            return Ok(None);
        };
        self.resealed.seen += batch.len() as u64;
        let mut changes = Vec::new();
        for before in batch {
            let purpose = purpose(&before);
            if self.master.has_sealed(&purpose, &before.bytes) {
                continue;
            }
            let plain = self.open(&before)?;
            let after = self.master.seal(self.random.as_ref(), &purpose, &plain);
            changes.push(Reseal { before, after });
        }
        if !changes.is_empty() {
            self.resealed.changed += self.store.reseal(changes).await?;
        }
        Ok(Some(self.resealed))
    }

    fn rewind(&mut self) {
        self.kinds = SealedKind::ALL.iter();
        self.at = self.kinds.next().map(|kind| (*kind, String::new()));
    }

    async fn next_batch(&mut self) -> Result<Option<Vec<Sealed>>, KeyError> {
        while let Some((kind, after)) = self.at.take() {
            let batch = self.store.sealed(kind, &after, self.batch).await?;
            if let Some(last) = batch.last() {
                self.at = Some((kind, last.name.clone()));
                return Ok(Some(batch));
            }
            self.at = self.kinds.next().map(|kind| (*kind, String::new()));
        }
        Ok(None)
    }

    fn open(&self, sealed: &Sealed) -> Result<zeroize::Zeroizing<Vec<u8>>, KeyError> {
        let opened = self.master.open(&purpose(sealed), &sealed.bytes);
        opened.ok_or(KeyError::WrongMasterKey)
    }
}

/// Whether this master key, or the one beside it, opens all of these.
pub(crate) fn opens_all(master: &MasterKey, sealed: &[Sealed]) -> bool {
    sealed.iter().all(|sealed| opens(master, sealed))
}

/// Whether a server with this master key can do something with these. A signing key that it cannot open may have had its
/// time: the ring knows which ones it needs.
pub(crate) fn may_start(master: &MasterKey, sealed: &[Sealed]) -> bool {
    let (secrets, keys): (Vec<_>, Vec<_>) = sealed
        .iter()
        .partition(|sealed| sealed.kind == SealedKind::ServerSecret);
    secrets.into_iter().all(|secret| opens(master, secret))
        && (keys.is_empty() || keys.into_iter().any(|key| opens(master, key)))
}

fn opens(master: &MasterKey, sealed: &Sealed) -> bool {
    master.open(&purpose(sealed), &sealed.bytes).is_some()
}

/// What it was sealed for.
fn purpose(sealed: &Sealed) -> String {
    match sealed.kind {
        SealedKind::SigningKey => sealed::purpose(&sealed.name),
        SealedKind::ServerSecret => sealed.name.clone(),
    }
}
