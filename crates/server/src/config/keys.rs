//! `[keys]`

use std::path::PathBuf;

use doorward_jose::Algorithm;
use secrecy::SecretString;

use super::section::section;
use super::value::{Value, quoted};

section! {
    /// The keys that sign tokens, and the master key under which they rest in the database.
    pub struct Keys in "keys" {
        /// The algorithm of new signing keys.
        algorithm: Algorithm = Algorithm::Es256,
        /// The master key itself, 32 bytes as base64url; instead of `master_key_file`.
        master_key: Option<SecretString> = None,
        /// The file that holds the master key, written (mode 0600) at the first start when it is missing; without it `master.key` beside the database.
        master_key_file: Option<PathBuf> = None,
    }
}

/// The algorithms that every client library reads, and `EdDSA` for who asks for it.
const OFFERED: [Algorithm; 4] = [
    Algorithm::Es256,
    Algorithm::EdDsa,
    Algorithm::Rs256,
    Algorithm::Ps256,
];

impl Value for Algorithm {
    const KIND: &'static str = "`ES256`, `EdDSA`, `RS256` or `PS256`";

    fn from_text(text: &str) -> Result<Self, String> {
        let offered = OFFERED.into_iter().find(|algorithm| algorithm.as_str() == text);
        offered.ok_or_else(|| format!("expected {}", Self::KIND))
    }

    fn show(&self) -> String {
        quoted(self.as_str())
    }
}
