//! `[keys]`

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use doorward_jose::Algorithm;
use secrecy::SecretString;

use super::Span;
use super::section::section;
use super::value::{Value, quoted};

section! {
    /// The keys that sign tokens, and the master key under which they rest in the database.
    pub struct Keys in "keys" {
        /// The algorithm of new signing keys. Another one than that of the newest key brings a new key at the next start; it signs when `publish_ahead` has passed.
        algorithm: Algorithm = Algorithm::Es256,
        /// How long a signing key signs before another one takes over; `off`: until an operator rotates it. At least twice `publish_ahead`.
        rotation: Rotation = Rotation::every(Span::days(90)),
        /// How long a new signing key is published before it signs: at least as long as verifiers keep a key set without asking again.
        publish_ahead: Span = Span::hours(1),
        /// The master key itself, 32 bytes as base64url; instead of `master_key_file`.
        master_key: Option<SecretString> = None,
        /// The file that holds the master key, written (mode 0600) at the first start when it is missing; without it `master.key` beside the database.
        master_key_file: Option<PathBuf> = None,
        /// While the master key is changed, the other one of the two: what it sealed can be read, nothing is sealed under it; instead of `other_master_key_file`.
        other_master_key: Option<SecretString> = None,
        /// The file that holds the other master key.
        other_master_key_file: Option<PathBuf> = None,
    }
}

/// How often a key is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation(Option<Span>);

impl Rotation {
    /// Never by itself.
    pub const OFF: Self = Self(None);

    /// After this time.
    pub const fn every(span: Span) -> Self {
        Self(Some(span))
    }

    /// The time; `None` when it is off.
    pub const fn span(self) -> Option<Span> {
        self.0
    }

    /// The same as a [`Duration`].
    pub fn duration(self) -> Option<Duration> {
        self.0.map(Span::duration)
    }
}

impl FromStr for Rotation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::OFF);
        }
        let span = text.parse().map_err(|_| format!("expected {}", Self::KIND))?;
        Ok(Self::every(span))
    }
}

impl fmt::Display for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(span) => span.fmt(f),
            None => f.write_str("off"),
        }
    }
}

impl Value for Rotation {
    const KIND: &'static str = "a length of time such as `12h` or `90d`, or `off`";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse()
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
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
