//! The master key: 256 bits in a file outside the database. Everything secret in the database is
//! encrypted under it, so a stolen database alone opens nothing.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use doorward_jose::base64url;
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::private_file::{read_private_file, write_private_file};
use crate::random::Random;

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// The file cannot be read or made.
    #[error("the master key file {path} cannot be used: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not 32 bytes in base64url.
    #[error(
        "{setting} is not 32 bytes in unpadded base64url (43 characters); `doorward keys new-master FILE` writes a key to a file"
    )]
    Malformed {
        /// The setting that it is.
        setting: &'static str,
    },
    /// The file holds something else.
    #[error(
        "the master key file {path} does not hold 32 bytes in unpadded base64url (43 characters); put the right file back, or correct {setting}"
    )]
    MalformedFile {
        /// The file.
        path: PathBuf,
        /// The setting that names it.
        setting: &'static str,
    },
    /// The file does not exist.
    #[error(
        "the master key file {path} is missing, and what the database holds is sealed under its key; put it back, or correct the setting that names it"
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file of the other key, beside the master key, does not exist.
    #[error(
        "the other master key file {path} is missing; put it back, correct keys.other_master_key_file, or take that setting away if no change of the master key is under way"
    )]
    OtherMissing {
        /// The file.
        path: PathBuf,
    },
    /// Others may read the file.
    #[error(
        "the master key file {path} can be read by others; run `chmod 600 {path}` (0440 where a container is handed it)"
    )]
    TooOpen {
        /// The file.
        path: PathBuf,
    },
}

/// The setting that names the file of the master key.
pub(super) const FILE_SETTING: &str = "keys.master_key_file";

/// The key that encrypts signing keys and server secrets.
pub struct MasterKey {
    key: LessSafeKey,
    /// Opens what the key does not, while it is changed.
    other: Option<LessSafeKey>,
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(redacted)")
    }
}

impl MasterKey {
    /// The key from this setting: 43 characters of base64url.
    pub fn from_setting(text: &SecretString, setting: &'static str) -> Result<Self, MasterKeyError> {
        Self::from_text(text.expose_secret()).ok_or(MasterKeyError::Malformed { setting })
    }

    /// The master key from its file, which is made (0600) when it does not exist yet.
    pub fn load_or_create(path: &Path, random: &dyn Random) -> Result<Self, MasterKeyError> {
        match Self::load(path, FILE_SETTING) {
            Err(MasterKeyError::Missing { .. }) => {}
            loaded => return loaded,
        }
        let text = Self::generate_text(random);
        let line = Zeroizing::new(format!("{}\n", *text));
        match write_private_file(path, &line, random) {
            Ok(()) => {
                tracing::info!(path = %path.display(), "made a new master key: keep a copy of it apart from the database");
                Self::from_text(&text).ok_or_else(|| malformed_file(path, FILE_SETTING))
            }
            // Another process was quicker.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Self::load(path, FILE_SETTING),
            Err(source) => Err(MasterKeyError::File {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// The key from its file, which this setting names, and which must exist.
    pub fn load(path: &Path, setting: &'static str) -> Result<Self, MasterKeyError> {
        let path_buf = || path.to_owned();
        let failed = |source: std::io::Error| match source.kind() {
            ErrorKind::NotFound => MasterKeyError::Missing { path: path_buf() },
            _ => MasterKeyError::File {
                path: path_buf(),
                source,
            },
        };
        let text = read_private_file(path).map_err(failed)?;
        let text = text.ok_or_else(|| MasterKeyError::TooOpen { path: path_buf() })?;
        Self::from_text(text.trim_end()).ok_or_else(|| malformed_file(path, setting))
    }

    /// A fresh key as text, for a file or a setting.
    pub fn generate_text(random: &dyn Random) -> Zeroizing<String> {
        Zeroizing::new(base64url::encode(Zeroizing::new(random.bytes::<32>()).as_slice()))
    }

    fn from_text(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(base64url::decode(text).ok()?);
        let key = UnboundKey::new(&AES_256_GCM_SIV, &bytes).ok()?;
        Some(Self {
            key: LessSafeKey::new(key),
            other: None,
        })
    }

    /// The same key, which also opens what was sealed under another one.
    #[must_use]
    pub fn beside(self, other: Self) -> Self {
        Self {
            key: self.key,
            other: Some(other.key),
        }
    }

    /// Encrypts `plain`; `purpose` must be given again to open it.
    pub fn seal(&self, random: &dyn Random, purpose: &str, plain: &[u8]) -> Vec<u8> {
        seal(&self.key, random, purpose.as_bytes(), plain)
    }

    /// Decrypts what [`MasterKey::seal`] made for the same purpose under this key, or under the one beside it.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let purpose = purpose.as_bytes();
        open(&self.key, purpose, sealed)
            .or_else(|| open(self.other.as_ref()?, purpose, sealed))
            .map(Zeroizing::new)
    }

    /// Whether this key itself sealed it, not the one beside it.
    pub fn has_sealed(&self, purpose: &str, sealed: &[u8]) -> bool {
        open(&self.key, purpose.as_bytes(), sealed)
            .map(Zeroizing::new)
            .is_some()
    }

    /// Whether it is this key, whatever stands beside it.
    pub(crate) fn is(&self, other: &Self, random: &dyn Random) -> bool {
        are_same(&self.key, &other.key, random)
    }

    /// Whether it is the one beside this key.
    pub(crate) fn is_beside(&self, other: &Self, random: &dyn Random) -> bool {
        let beside = self.other.as_ref();
        beside.is_some_and(|beside| are_same(beside, &other.key, random))
    }
}

fn malformed_file(path: &Path, setting: &'static str) -> MasterKeyError {
    MasterKeyError::MalformedFile {
        path: path.to_owned(),
        setting,
    }
}

/// Whether one key opens what the other one sealed. Nothing is learned of either.
fn are_same(one: &LessSafeKey, other: &LessSafeKey, random: &dyn Random) -> bool {
    open(other, b"same", &seal(one, random, b"same", &[])).is_some()
}

/// AES-256-GCM-SIV: nonce, ciphertext, tag. Survives a repeated nonce (RFC 8452 §1).
pub(super) fn seal(key: &LessSafeKey, random: &dyn Random, aad: &[u8], plain: &[u8]) -> Vec<u8> {
    let nonce = random.bytes::<NONCE_LEN>();
    let mut ciphertext = plain.to_vec();
    // Sealing fails only above 64 GiB, which no caller reaches.
    if key
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(aad),
            &mut ciphertext,
        )
        .is_err()
    {
        return Vec::new();
    }
    [nonce.as_slice(), &ciphertext].concat()
}

/// The inverse of [`seal`]; `None` when anything was changed.
pub(super) fn open(key: &LessSafeKey, aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, ciphertext) = sealed.split_at_checked(NONCE_LEN)?;
    let mut buffer = ciphertext.to_vec();
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let length = key.open_in_place(nonce, Aad::from(aad), &mut buffer).ok()?.len();
    buffer.truncate(length);
    Some(buffer)
}
