use doorward_jose::{JoseError, MAX_JWK_SET_BYTES, MAX_JWK_SET_KEYS};
use doorward_store::StoreError;

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the store holds was sealed under another master key.
    #[error(
        "the database was sealed under another master key; put the right one back, or name the key of the copy that was restored, or the other key of a change of the master key that was not finished, as keys.other_master_key_file"
    )]
    WrongMasterKey,
    /// The store has signing keys, and none of them signs.
    #[error("the database holds no active signing key; restore it from a backup")]
    NoActiveKey,
    /// Another key would be one more than verifiers read.
    #[error(
        "{published} signing keys are published, and verifiers read no more than {MAX_JWK_SET_KEYS} in {} KiB: wait until the oldest of them have had their time, or revoke one whose tokens may end",
        MAX_JWK_SET_BYTES / 1024
    )]
    Full {
        /// How many there are.
        published: usize,
    },
    /// The store names an algorithm that this version does not know.
    #[error(
        "a stored signing key has the unknown algorithm {0}; was the database written by a newer version?"
    )]
    UnknownAlgorithm(String),
    /// A key cannot be made or read.
    #[error("a signing key cannot be used: {0}")]
    Jose(#[from] JoseError),
    /// The public keys cannot be written down.
    #[error("the key set cannot be made: {0}")]
    Document(#[from] serde_json::Error),
    /// The task that makes a key ended before it had one: it panicked, or the program is stopping.
    #[error("no signing key was made: {0}")]
    Generation(#[from] tokio::task::JoinError),
}
