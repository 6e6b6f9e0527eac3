//! Keys and secrets of the server and of operators.

use doorward_oauth::time::UnixSeconds;
use uuid::Uuid;

use super::{ClientId, Digest};

/// A private signing key, encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKeyRecord {
    /// RFC 7638 thumbprint.
    pub key_id: String,
    /// JWA name, for example `ES256`.
    pub algorithm: String,
    /// PKCS#8, encrypted under the master key.
    pub sealed_private_key: Vec<u8>,
    /// When it was made, and published.
    pub created_at: UnixSeconds,
    /// From when on it signs, until a newer one does.
    pub signs_from: UnixSeconds,
    /// When it was withdrawn, if it was.
    pub revoked_at: Option<UnixSeconds>,
}

/// A server secret, encrypted under the master key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSecret(pub Vec<u8>);

/// What is encrypted under the master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealedKind {
    /// The private part of a signing key; its name is the key id.
    SigningKey,
    /// A server secret; its name is the purpose.
    ServerSecret,
}

impl SealedKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::SigningKey, Self::ServerSecret];
}

/// Something that is encrypted under the master key, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// What it is.
    pub kind: SealedKind,
    /// Which one of its kind.
    pub name: String,
    /// The ciphertext.
    pub bytes: Vec<u8>,
}

/// How the schema of a database stands to the one of this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// The last step that the database has.
    pub last: String,
    /// How many steps this program would add.
    pub steps_behind: usize,
    /// How many of those are indexes that are made while servers work, and that no start waits for
    /// ([`Store::make_indexes`](crate::Store::make_indexes)).
    pub indexes_behind: usize,
    /// The last one of those after which older programs refuse to start: there is no way back then but a copy.
    pub no_way_back: Option<&'static str>,
    /// How many steps it has that this program does not know, and that keep this program working.
    pub steps_ahead: usize,
}

/// A database that was looked at before anything is done with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// What this program would do to it.
    pub schema: Schema,
    /// Everything that is encrypted under the master key.
    pub sealed: Vec<Sealed>,
    /// Every signing key, newest first; `None`: the schema is older than their times.
    pub signing_keys: Option<Vec<SigningKeyRecord>>,
}

/// What would end with the keys and secrets of a server ([`Store::forget_secrets`](crate::Store::forget_secrets)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretsInUse {
    /// Signing keys.
    pub signing_keys: u64,
    /// Grants that are pending or active.
    pub grants: u64,
    /// Sessions of people.
    pub sessions: u64,
    /// Clients with a secret that operators added.
    pub clients: u64,
    /// Clients with a secret that registered themselves.
    pub self_registered: u64,
    /// The first of those that operators added, ordered by id: id and metadata ([`Client::metadata`](crate::Client::metadata)).
    pub first_clients: Vec<(ClientId, String)>,
}

/// Another ciphertext for something sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reseal {
    /// What is stored, as it was read.
    pub before: Sealed,
    /// The ciphertext to store instead.
    pub after: Vec<u8>,
}

/// An operator's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminKey {
    /// SHA-256 of the key.
    pub digest: Digest,
    /// What it is for.
    pub name: String,
    /// When it was made.
    pub created_at: UnixSeconds,
}

impl AdminKey {
    /// What names it to operators. A part of the digest: the key is 256 random bits, of which that says nothing.
    pub fn id(&self) -> Uuid {
        let mut id = [0; 16];
        id.copy_from_slice(&self.digest[..16]);
        uuid::Builder::from_custom_bytes(id).into_uuid()
    }
}
