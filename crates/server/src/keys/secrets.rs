//! The server's own secrets: what it seals into handles and signs into codes and refresh tokens. One
//! random root, kept in the store under the master key, with a key for each purpose (HKDF), so that a
//! value made for one purpose never opens at another.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use aws_lc_rs::aead::{AES_256_GCM_SIV, LessSafeKey, UnboundKey};
use aws_lc_rs::{hkdf, hmac};
use doorward_jose::base64url;
use doorward_store::{SealedSecret, Store};
use zeroize::Zeroizing;

use super::KeyError;
use super::master::{self, MasterKey};
use crate::random::Random;

const ROOT: &str = "root";

/// Seals, opens and signs values that leave the server and come back.
pub struct Secrets {
    root: hkdf::Prk,
    random: Arc<dyn Random>,
    sealing: RwLock<HashMap<&'static str, Arc<LessSafeKey>>>,
    signing: RwLock<HashMap<&'static str, Arc<hmac::Key>>>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(redacted)")
    }
}

impl Secrets {
    /// Reads the root from the store, or makes it. Every node gets the same.
    pub async fn open_store(
        store: &dyn Store,
        master: &MasterKey,
        random: Arc<dyn Random>,
    ) -> Result<Self, KeyError> {
        let fresh = Zeroizing::new(random.bytes::<32>());
        let proposed = SealedSecret(master.seal(random.as_ref(), ROOT, fresh.as_slice()));
        let SealedSecret(sealed) = store.secret(ROOT, proposed).await?;
        let root = master.open(ROOT, &sealed).ok_or(KeyError::WrongMasterKey)?;
        Ok(Self {
            root: hkdf::Salt::new(hkdf::HKDF_SHA256, b"doorward").extract(&root),
            random,
            sealing: RwLock::default(),
            signing: RwLock::default(),
        })
    }

    /// Encrypts `plain` for `purpose`, bound to `aad`. Unpadded base64url.
    pub fn seal(&self, purpose: &'static str, aad: &[u8], plain: &[u8]) -> String {
        let key = cached(&self.sealing, purpose, || self.sealing_key(purpose));
        base64url::encode(&master::seal(&key, self.random.as_ref(), aad, plain))
    }

    /// Decrypts what [`Secrets::seal`] made for the same purpose and `aad`.
    pub fn open(&self, purpose: &'static str, aad: &[u8], sealed: &str) -> Option<Vec<u8>> {
        let key = cached(&self.sealing, purpose, || self.sealing_key(purpose));
        master::open(&key, aad, &base64url::decode(sealed).ok()?)
    }

    /// HMAC-SHA-256 over the parts, each with its length in front, under the key of `purpose`.
    pub fn mac(&self, purpose: &'static str, parts: &[&[u8]]) -> [u8; 32] {
        let key = cached(&self.signing, purpose, || {
            hmac::Key::new(hmac::HMAC_SHA256, self.derive(&["mac", purpose]).as_slice())
        });
        let mut context = hmac::Context::with_key(&key);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut mac = [0; 32];
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }

    /// Whether `mac` is the one of the parts; in constant time.
    pub fn verify_mac(&self, purpose: &'static str, parts: &[&[u8]], mac: &[u8]) -> bool {
        doorward_jose::constant_time_eq(&self.mac(purpose, parts), mac)
    }

    fn sealing_key(&self, purpose: &'static str) -> LessSafeKey {
        let bytes = self.derive(&["seal", purpose]);
        match UnboundKey::new(&AES_256_GCM_SIV, bytes.as_slice()) {
            Ok(key) => LessSafeKey::new(key),
            Err(_) => unreachable!("32 bytes are an AES-256 key"),
        }
    }

    fn derive(&self, info: &[&str]) -> Zeroizing<[u8; 32]> {
        let info: Vec<&[u8]> = info.iter().map(|part| part.as_bytes()).collect();
        let mut bytes = Zeroizing::new([0; 32]);
        match self
            .root
            .expand(&info, hkdf::HKDF_SHA256)
            .map(|okm| okm.fill(bytes.as_mut_slice()))
        {
            Ok(Ok(())) => bytes,
            _ => unreachable!("32 bytes are within the bounds of HKDF-SHA-256"),
        }
    }
}

/// The value of `purpose`, made once.
fn cached<T>(
    map: &RwLock<HashMap<&'static str, Arc<T>>>,
    purpose: &'static str,
    make: impl FnOnce() -> T,
) -> Arc<T> {
    if let Ok(map) = map.read()
        && let Some(value) = map.get(purpose)
    {
        return Arc::clone(value);
    }
    let value = Arc::new(make());
    if let Ok(mut map) = map.write() {
        map.insert(purpose, Arc::clone(&value));
    }
    value
}
