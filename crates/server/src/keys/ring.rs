//! The signing keys: the one that signs, the one that will, and those before that are still published.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use doorward_jose::{Algorithm, Jwk, Signer};
use doorward_oauth::time::{Clock, UnixSeconds};
use doorward_store::signing_keys::{SigningKeyState, next, signer, state, stops_at, waiting};
use doorward_store::{CLOCK_ERROR, Change, SigningKeyRecord, Store, Version};
use tokio::sync::Mutex;

use super::published::{Ring, check_room, standing};
use super::sealed;
use super::{KeyError, MasterKey, MasterKeyChange, Resealed};
use crate::audit;
use crate::http::document::Document;
use crate::random::Random;

/// When keys come and go.
#[derive(Debug, Clone, Copy)]
pub struct KeySchedule {
    /// The algorithm of new keys.
    pub algorithm: Algorithm,
    /// How long a key signs before another one takes over; `None`: until somebody rotates it.
    pub rotation: Option<Duration>,
    /// How long a key is published before it signs.
    pub publish_ahead: Duration,
    /// How long a key is published after it stopped signing: as long as any of its tokens may be taken.
    pub keep_previous: Duration,
}

/// Signs access tokens and publishes what verifies them.
pub struct KeyRing {
    ring: ArcSwap<Ring>,
    /// Held from reading the store to replacing the ring: what was read first must not replace what was read last.
    changing: Mutex<()>,
    /// What the ring was read at, if that is known.
    read_at: ArcSwapOption<Version>,
    /// How often it was begun to read the store for everybody.
    reads: AtomicU64,
    /// The last of these that succeeded.
    read: AtomicU64,
    /// Whether it was told that the next key is due and there is no room for it.
    full: AtomicBool,
    master: Arc<MasterKey>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    schedule: KeySchedule,
}

/// A signing key as operators see it.
#[derive(Debug, Clone)]
pub struct KeyStatus {
    /// What is stored.
    pub record: SigningKeyRecord,
    /// Where it stands now.
    pub state: SigningKeyState,
    /// When it stops signing, or stopped, if that is known.
    pub stops_at: Option<UnixSeconds>,
}

impl KeyRing {
    /// Seals everything anew under the master key that is still sealed under the other one.
    ///
    /// # Errors
    /// [`KeyError`]; what was sealed anew before it stays so.
    pub async fn reseal(&self) -> Result<Resealed, KeyError> {
        let (store, master) = (Arc::from(self.system()), Arc::clone(&self.master));
        let mut change = MasterKeyChange::begin(store, master, Arc::clone(&self.random)).await?;
        let mut resealed = Resealed::default();
        while let Some(progress) = change.step().await? {
            resealed = progress;
        }
        Ok(resealed)
    }

    /// Reads the keys from the store; makes the first one when there is none, and the next one when the algorithm of
    /// the settings has changed.
    ///
    /// # Errors
    /// [`KeyError`]: the store fails, or a published key cannot be opened or used.
    pub async fn open(
        store: Arc<dyn Store>,
        master: MasterKey,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        schedule: KeySchedule,
    ) -> Result<Self, KeyError> {
        let mut records = store.signing_keys().await?;
        if records.is_empty() {
            let first = clock.now();
            let fresh = sealed::generate(schedule.algorithm, &master, random.as_ref(), first, first).await?;
            let acting = store.acting(audit::system(random.as_ref(), clock.as_ref()));
            records = acting.add_signing_key(fresh, None).await?;
        }
        let ring = Ring::build(records, &master, clock.now(), schedule.keep_previous, &[])?;
        ring.check(&master)?;
        let keys = Self {
            ring: ArcSwap::from_pointee(ring),
            changing: Mutex::new(()),
            read_at: ArcSwapOption::empty(),
            reads: AtomicU64::new(0),
            read: AtomicU64::new(0),
            full: AtomicBool::new(false),
            master: Arc::new(master),
            store,
            clock,
            random,
            schedule,
        };
        let newest = keys.newest().map(|record| record.algorithm);
        if newest.as_deref() != Some(schedule.algorithm.as_str()) {
            match keys.rotate().await {
                Err(error @ KeyError::Full { .. }) => {
                    tracing::warn!(%error, algorithm = schedule.algorithm.as_str(), "there is no room for another signing key: no key of the algorithm of the settings was made, and the one before goes on signing");
                }
                rotated => drop(rotated?),
            }
        }
        Ok(keys)
    }

    /// The key under which they rest.
    pub(crate) fn master(&self) -> &MasterKey {
        &self.master
    }

    /// The key that signs now.
    pub fn signer(&self) -> Arc<dyn Signer> {
        let ring = self.ring.load();
        let now = self.clock.now();
        let signs = signer(&ring.records, now).map(|record| record.key_id.as_str());
        let mut keys = ring.keys.iter();
        let key = keys.find(|key| Some(key.usable.signer.key_id()) == signs);
        // One that cannot be opened leaves it to the one before. Before any of them (the clock was set back) it is the oldest.
        let key = key.or_else(|| ring.keys.iter().find(|key| key.signs_from <= now));
        let key = key.or(ring.keys.last()).unwrap_or(&ring.keys[0]);
        Arc::clone(&key.usable.signer)
    }

    /// The same, of the keys as the store has them now: one that another node withdrew signs nothing more.
    pub(crate) async fn current_signer(&self) -> Result<Arc<dyn Signer>, KeyError> {
        self.catch_up().await?;
        Ok(self.signer())
    }

    /// What `jwks_uri` answers: as the store has it. While it does not answer, as it was read last, and at once: who
    /// verifies tokens need not be hurt.
    pub(crate) async fn document(&self) -> Arc<Document> {
        let known = self.store.changes().version(Change::SigningKeys).is_some();
        if known
            && !self.is_current()
            && let Err(error) = self.catch_up().await
        {
            tracing::debug!(%error, "the key set is told as it was read before");
        }
        Arc::clone(&self.ring.load().document)
    }

    /// The same, when the store is known to have it.
    pub(crate) fn document_at_hand(&self) -> Option<Arc<Document>> {
        self.is_current().then(|| Arc::clone(&self.ring.load().document))
    }

    /// Whether this key is published.
    pub(crate) fn publishes(&self, key_id: &str) -> bool {
        self.ring.load().jwks.find(key_id).is_some()
    }

    /// The published key with this id.
    pub fn verification_key(&self, key_id: &str) -> Option<Jwk> {
        self.ring.load().jwks.find(key_id).cloned()
    }

    /// What the store holds, newest first.
    pub fn statuses(&self) -> Vec<KeyStatus> {
        let (ring, now) = (self.ring.load(), self.clock.now());
        let status = |(place, record): (usize, &SigningKeyRecord)| KeyStatus {
            record: record.clone(),
            state: state(&ring.records, place, now),
            stops_at: stops_at(&ring.records, place),
        };
        ring.records.iter().enumerate().map(status).collect()
    }

    /// How long the key that signs has been signing.
    pub fn age(&self) -> Duration {
        let now = self.clock.now();
        let ring = self.ring.load();
        signer(&ring.records, now).map_or(Duration::ZERO, |key| now.since(key.signs_from))
    }

    /// The next key: the one that is published already, or a new one, which signs when it has been published long enough.
    pub async fn rotate(&self) -> Result<KeyStatus, KeyError> {
        self.rotate_by(self.system().as_ref()).await
    }

    /// The same, by who has the store in hand.
    pub(crate) async fn rotate_by(&self, acting: &dyn Store) -> Result<KeyStatus, KeyError> {
        let signs_from = self.clock.now() + self.schedule.publish_ahead;
        self.add_next(acting, signs_from).await
    }

    /// Lets another key sign at once, also though not every verifier may have it: the one that is published already, or
    /// a new one.
    pub async fn rotate_now(&self) -> Result<KeyStatus, KeyError> {
        self.rotate_now_by(self.system().as_ref()).await
    }

    /// The same, by who has the store in hand.
    pub(crate) async fn rotate_now_by(&self, acting: &dyn Store) -> Result<KeyStatus, KeyError> {
        self.replace_signer(acting, None).await
    }

    /// Withdraws a key: it is published no more, and none of its tokens counts here. When it is the one that signs,
    /// another one does at once. Returns the key that signs.
    pub async fn revoke(&self, key_id: &str) -> Result<KeyStatus, KeyError> {
        self.revoke_by(self.system().as_ref(), key_id).await
    }

    /// The same, by who has the store in hand.
    pub(crate) async fn revoke_by(&self, acting: &dyn Store, key_id: &str) -> Result<KeyStatus, KeyError> {
        self.replace_signer(acting, Some(key_id)).await
    }

    /// Whether the key that signs will soon have had its time, and none waits to follow it.
    pub(crate) fn is_rotation_due(&self) -> bool {
        let (ring, now) = (self.ring.load(), self.clock.now());
        let since = signer(&ring.records, now).map(|key| key.signs_from);
        let (Some(rotation), Some(since)) = (self.schedule.rotation, since) else {
            return false;
        };
        since + rotation <= now + self.schedule.publish_ahead
            && !waiting(&ring.records, now).any(|key| self.is_soon(key, now))
    }

    /// Adds the next key when the one that signs will soon have had its time.
    pub async fn rotate_when_due(&self) -> Result<(), KeyError> {
        if !self.is_rotation_due() {
            return Ok(());
        }
        let added = self.rotate().await;
        let is_full = matches!(added, Err(KeyError::Full { .. }));
        let was_full = self.full.swap(is_full, Ordering::Relaxed);
        match added {
            // It is looked every second: told once.
            Err(error) if is_full => {
                if !was_full {
                    tracing::warn!(%error, "there is no room for another signing key: no next signing key was made, and the one that signs goes on");
                }
                Ok(())
            }
            added => added.map(drop),
        }
    }

    /// Whether a key that waits signs as soon as one that is made now, by any clock that may be right. One that does not (a
    /// clock was wrong when it was made, or keys were published for longer) keeps no other from going before it; overtaken, it
    /// never signs.
    fn is_soon(&self, key: &SigningKeyRecord, now: UnixSeconds) -> bool {
        key.signs_from <= now + self.schedule.publish_ahead + CLOCK_ERROR
    }

    /// Reads the keys again: another node may have changed them, and a previous one may have had its time.
    ///
    /// # Errors
    /// [`KeyError`]; when a published key cannot be opened, everything else has been taken.
    pub async fn reload(&self) -> Result<(), KeyError> {
        let changing = self.changing.lock().await;
        self.read().await?;
        drop(changing);
        self.ring.load().check(&self.master)
    }

    /// Reads the keys again unless nobody has changed them. Whoever relies on a key calls this first: after an error
    /// nobody knows whether it was withdrawn.
    pub(crate) async fn catch_up(&self) -> Result<(), KeyError> {
        if self.is_current() {
            return Ok(());
        }
        let begun = self.reads.load(Ordering::Acquire);
        let _changing = self.changing.lock().await;
        // While the versions are unknown everybody comes here: those who waited share what was read meanwhile.
        if self.read.load(Ordering::Acquire) > begun || self.is_current() {
            return Ok(());
        }
        self.read().await
    }

    /// Only with `changing` held.
    async fn read(&self) -> Result<(), KeyError> {
        let number = self.reads.fetch_add(1, Ordering::AcqRel) + 1;
        let version = self.store.changes().version(Change::SigningKeys);
        let records = self.store.signing_keys().await?;
        self.take(records)?;
        self.read_at.store(version.map(Arc::new));
        self.read.store(number, Ordering::Release);
        Ok(())
    }

    /// Takes what time changes, and what other nodes do, if they did anything.
    pub(crate) async fn keep_up(&self) -> Result<(), KeyError> {
        if !self.is_current() {
            return self.reload().await;
        }
        let changing = self.changing.lock().await;
        let records = self.ring.load().records.clone();
        self.take(records)?;
        drop(changing);
        self.ring.load().check(&self.master)
    }

    /// Whether nobody has changed the keys since they were read.
    fn is_current(&self) -> bool {
        let version = self.store.changes().version(Change::SigningKeys);
        version.is_some() && version == self.read_at.load().as_deref().copied()
    }

    /// The newest key that was not withdrawn, and signs or will [soon](Self::is_soon), if there is one: before all of them
    /// (the clock was set back) it is the newest.
    fn newest(&self) -> Option<SigningKeyRecord> {
        let (ring, now) = (self.ring.load(), self.clock.now());
        let good = || ring.records.iter().filter(|key| key.revoked_at.is_none());
        let soon = good().find(|key| self.is_soon(key, now));
        soon.or_else(|| good().next()).cloned()
    }

    /// Refuses another key when verifiers would not read so many.
    fn check_room(&self, records: &[SigningKeyRecord], now: UnixSeconds) -> Result<(), KeyError> {
        let standing = standing(records, now, self.schedule.keep_previous);
        let published = standing.iter().filter(|standing| standing.published);
        check_room(published.count(), self.ring.load().document.length())
    }

    fn system(&self) -> Box<dyn Store> {
        let origin = audit::system(self.random.as_ref(), self.clock.as_ref());
        self.store.acting(origin)
    }

    async fn add_next(&self, acting: &dyn Store, signs_from: UnixSeconds) -> Result<KeyStatus, KeyError> {
        let _changing = self.changing.lock().await;
        let mut records = self.store.signing_keys().await?;
        let algorithm = self.schedule.algorithm;
        loop {
            let now = self.clock.now();
            let next = waiting(&records, now).find(|key| self.is_soon(key, now));
            if let Some(next) = next.filter(|next| next.algorithm == algorithm.as_str()) {
                let key_id = next.key_id.clone();
                self.take(records)?;
                return self.status(&key_id);
            }
            self.check_room(&records, now)?;
            // One that waits with another algorithm has its time first, or the two change places at once.
            let after = next.map_or(signs_from, |next| next.signs_from.max(signs_from));
            let far = waiting(&records, now).filter(|key| !self.is_soon(key, now));
            let far: Vec<_> = far.map(|key| (key.key_id.clone(), key.signs_from)).collect();
            let fresh = sealed::generate(algorithm, &self.master, self.random.as_ref(), now, after).await?;
            let newest = records.first().map(|newest| newest.key_id.clone());
            tracing::info!(
                key_id = fresh.key_id,
                signs_from = after.0,
                "the next signing key"
            );
            let key_id = fresh.key_id.clone();
            records = acting.add_signing_key(fresh, newest.as_deref()).await?;
            if records.first().is_some_and(|newest| newest.key_id == key_id) {
                for (key_id, signs_from) in far {
                    tracing::warn!(
                        key_id,
                        signs_from = signs_from.0,
                        "this signing key waits for a time that is far off: the next one goes before it, and it will not sign"
                    );
                }
                self.take(records)?;
                return self.status(&key_id);
            }
            // Somebody was quicker, here or on another node: look again.
        }
    }

    async fn replace_signer(&self, acting: &dyn Store, revoked: Option<&str>) -> Result<KeyStatus, KeyError> {
        let now = self.clock.now();
        let random = self.random.as_ref();
        let spare = sealed::generate(self.schedule.algorithm, &self.master, random, now, now).await?;
        let _changing = self.changing.lock().await;
        let before = self.store.signing_keys().await?;
        // Who follows a key that is withdrawn takes its place, and one that waits is published already.
        if revoked.is_none() && next(&before, now).is_none() {
            self.check_room(&before, now)?;
        }
        let records = acting.replace_signing_key(revoked, spare, now).await?;
        let is_changed = records != before;
        let signs = signer(&records, now).ok_or(KeyError::NoActiveKey)?.key_id.clone();
        self.take(records)?;
        if is_changed {
            tracing::warn!(key_id = signs, revoked, "this signing key signs from now on");
        }
        self.status(&signs)
    }

    fn status(&self, key_id: &str) -> Result<KeyStatus, KeyError> {
        let mut statuses = self.statuses().into_iter();
        statuses
            .find(|status| status.record.key_id == key_id)
            .ok_or(KeyError::NoActiveKey)
    }

    /// Takes over what was read, when that changes anything. Only with `changing` held.
    fn take(&self, records: Vec<SigningKeyRecord>) -> Result<(), KeyError> {
        let (now, keep) = (self.clock.now(), self.schedule.keep_previous);
        let ring = self.ring.load();
        if records != ring.records || standing(&records, now, keep) != ring.standing {
            let ring = Ring::build(records, &self.master, now, keep, &ring.keys)?;
            self.ring.store(Arc::new(ring));
        }
        Ok(())
    }
}
