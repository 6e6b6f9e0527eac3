//! Signing keys as they rest in the database, encrypted under the master key. Whatever else comes to keep keys (a key
//! service, a hardware module) takes the place of this file: the ring asks for a [`Signer`] and a public key, no more.

use std::sync::Arc;

use doorward_jose::{Algorithm, Jwk, Signer, SigningKey};
use doorward_oauth::time::UnixSeconds;
use doorward_store::SigningKeyRecord;

use super::{KeyError, MasterKey};
use crate::random::Random;

/// A key that can sign, and what verifies its signatures.
#[derive(Clone)]
pub(super) struct Usable {
    pub(super) signer: Arc<dyn Signer>,
    pub(super) public: Jwk,
}

/// What a signing key is sealed for.
pub(super) fn purpose(key_id: &str) -> String {
    format!("signing-key {key_id}")
}

/// Opens a stored key.
pub(super) fn open(record: &SigningKeyRecord, master: &MasterKey) -> Result<Usable, KeyError> {
    let algorithm: Algorithm = record
        .algorithm
        .parse()
        .map_err(|_| KeyError::UnknownAlgorithm(record.algorithm.clone()))?;
    let pkcs8 = master
        .open(&purpose(&record.key_id), &record.sealed_private_key)
        .ok_or(KeyError::WrongMasterKey)?;
    let key = SigningKey::from_pkcs8(algorithm, &pkcs8)?;
    Ok(Usable {
        public: key.public_jwk().clone(),
        signer: Arc::new(key),
    })
}

/// Makes a key, for the store to keep.
pub(super) async fn generate(
    algorithm: Algorithm,
    master: &MasterKey,
    random: &dyn Random,
    now: UnixSeconds,
    signs_from: UnixSeconds,
) -> Result<SigningKeyRecord, KeyError> {
    // An RSA key takes a good part of a second to find: off the threads that answer requests.
    let key = tokio::task::spawn_blocking(move || SigningKey::generate(algorithm)).await??;
    Ok(SigningKeyRecord {
        key_id: key.key_id().to_owned(),
        algorithm: algorithm.as_str().to_owned(),
        sealed_private_key: master.seal(random, &purpose(key.key_id()), &key.to_pkcs8()?),
        created_at: now,
        signs_from,
        revoked_at: None,
    })
}
