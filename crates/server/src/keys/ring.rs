//! The signing keys: one that signs, and those before it that are still published.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use doorward_jose::{Algorithm, Jwk, JwkSet, Signer, SigningKey};
use doorward_oauth::time::{Clock, UnixSeconds};
use doorward_store::{SigningKeyRecord, SigningKeyState, Store};
use tokio::sync::Mutex;

use super::{KeyError, MasterKey};
use crate::random::Random;

/// Signs access tokens and publishes what verifies them.
pub struct KeyRing {
    ring: ArcSwap<Ring>,
    /// Held from reading the store to replacing the ring: what was read first must not replace what was read last.
    changing: Mutex<()>,
    master: MasterKey,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    algorithm: Algorithm,
    /// How long a key is published after it stopped signing.
    keep_previous: Duration,
}

struct Ring {
    active: Arc<SigningKey>,
    /// Active first, then the previous ones that may still verify a live token.
    published: JwkSet,
    records: Vec<SigningKeyRecord>,
}

impl KeyRing {
    /// Reads the keys from the store; makes the first one when there is none, and a new one when the
    /// algorithm of the settings has changed.
    ///
    /// `keep_previous` is at least the lifetime of an access token and the skew of a resource server.
    pub async fn open(
        store: Arc<dyn Store>,
        master: MasterKey,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        algorithm: Algorithm,
        keep_previous: Duration,
    ) -> Result<Self, KeyError> {
        let mut records = store.signing_keys().await?;
        let active_algorithm = records
            .iter()
            .find(|record| record.state == SigningKeyState::Active)
            .map(|record| record.algorithm.clone());
        if active_algorithm.as_deref() != Some(algorithm.as_str()) {
            let fresh = generate(algorithm, &master, random.as_ref(), clock.now()).await?;
            records = store
                .add_signing_key(fresh, active_algorithm.is_none(), clock.now())
                .await?;
        }
        let ring = Ring::build(records, &master, clock.now(), keep_previous)?;
        Ok(Self {
            ring: ArcSwap::from_pointee(ring),
            changing: Mutex::new(()),
            master,
            store,
            clock,
            random,
            algorithm,
            keep_previous,
        })
    }

    /// The key that signs.
    pub fn signer(&self) -> Arc<dyn Signer> {
        Arc::clone(&self.ring.load().active) as Arc<dyn Signer>
    }

    /// What `jwks_uri` answers.
    pub fn jwks(&self) -> JwkSet {
        self.ring.load().published.clone()
    }

    /// The published key with this id.
    pub fn verification_key(&self, key_id: &str) -> Option<Jwk> {
        self.ring.load().published.find(key_id).cloned()
    }

    /// What the store holds, newest first.
    pub fn records(&self) -> Vec<SigningKeyRecord> {
        self.ring.load().records.clone()
    }

    /// Makes a new signing key; the one before stays published until its last token expired.
    pub async fn rotate(&self) -> Result<SigningKeyRecord, KeyError> {
        let fresh = generate(
            self.algorithm,
            &self.master,
            self.random.as_ref(),
            self.clock.now(),
        )
        .await?;
        let _changing = self.changing.lock().await;
        let records = self
            .store
            .add_signing_key(fresh.clone(), false, self.clock.now())
            .await?;
        self.replace(records)?;
        Ok(fresh)
    }

    /// Reads the keys again: another node may have rotated them, and a previous one may have had its time.
    pub async fn reload(&self) -> Result<(), KeyError> {
        let _changing = self.changing.lock().await;
        let records = self.store.signing_keys().await?;
        let ring = self.ring.load();
        if records != ring.records || ring.publishes_too_much(self.clock.now(), self.keep_previous) {
            self.replace(records)?;
        }
        Ok(())
    }

    fn replace(&self, records: Vec<SigningKeyRecord>) -> Result<(), KeyError> {
        let ring = Ring::build(records, &self.master, self.clock.now(), self.keep_previous)?;
        self.ring.store(Arc::new(ring));
        Ok(())
    }
}

impl Ring {
    fn build(
        records: Vec<SigningKeyRecord>,
        master: &MasterKey,
        now: UnixSeconds,
        keep_previous: Duration,
    ) -> Result<Self, KeyError> {
        let mut active = None;
        let mut keys = Vec::new();
        for record in records
            .iter()
            .filter(|record| is_published(record, now, keep_previous))
        {
            let key = read(record, master)?;
            if record.state == SigningKeyState::Active && active.is_none() {
                keys.insert(0, key.public_jwk().clone());
                active = Some(Arc::new(key));
            } else {
                keys.push(key.public_jwk().clone());
            }
        }
        let active = active.ok_or(KeyError::NoActiveKey)?;
        Ok(Self {
            active,
            published: JwkSet { keys },
            records,
        })
    }

    /// Whether a key is still published that has had its time.
    fn publishes_too_much(&self, now: UnixSeconds, keep_previous: Duration) -> bool {
        let due = self
            .records
            .iter()
            .filter(|record| is_published(record, now, keep_previous))
            .count();
        self.published.keys.len() > due
    }
}

fn is_published(record: &SigningKeyRecord, now: UnixSeconds, keep_previous: Duration) -> bool {
    match record.state {
        SigningKeyState::Active => true,
        SigningKeyState::Previous => record
            .retired_at
            .is_some_and(|retired| retired + keep_previous > now),
    }
}

fn purpose(key_id: &str) -> String {
    format!("signing-key {key_id}")
}

fn read(record: &SigningKeyRecord, master: &MasterKey) -> Result<SigningKey, KeyError> {
    let algorithm: Algorithm = record
        .algorithm
        .parse()
        .map_err(|_| KeyError::UnknownAlgorithm(record.algorithm.clone()))?;
    let pkcs8 = master
        .open(&purpose(&record.key_id), &record.sealed_private_key)
        .ok_or(KeyError::WrongMasterKey)?;
    Ok(SigningKey::from_pkcs8(algorithm, &pkcs8)?)
}

async fn generate(
    algorithm: Algorithm,
    master: &MasterKey,
    random: &dyn Random,
    now: UnixSeconds,
) -> Result<SigningKeyRecord, KeyError> {
    // An RSA key takes a good part of a second to find: off the threads that answer requests.
    let key = tokio::task::spawn_blocking(move || SigningKey::generate(algorithm)).await??;
    Ok(SigningKeyRecord {
        key_id: key.key_id().to_owned(),
        algorithm: algorithm.as_str().to_owned(),
        sealed_private_key: master.seal(random, &purpose(key.key_id()), &key.to_pkcs8()?),
        state: SigningKeyState::Active,
        created_at: now,
        retired_at: None,
    })
}
