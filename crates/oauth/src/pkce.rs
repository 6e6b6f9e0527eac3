//! Proof Key for Code Exchange (RFC 7636), `S256` only (RFC 9700 §2.1.1).

use doorward_jose::{base64url, constant_time_eq, sha256};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::{ErrorCode, OAuthError};

/// The length of an `S256` challenge: 32 bytes in base64url without padding.
const CHALLENGE_LENGTH: usize = 43;

/// What is wrong with a code challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PkceError {
    /// No method, which means `plain` (RFC 7636 §4.3), or one other than `S256`.
    #[error("Send code_challenge_method=S256; no other method is accepted.")]
    UnsupportedMethod,
    /// Not 43 base64url characters.
    #[error("The code_challenge must be the unpadded base64url SHA-256 of the code_verifier: 43 characters.")]
    MalformedChallenge,
}

impl From<PkceError> for OAuthError {
    fn from(error: PkceError) -> Self {
        Self::new(ErrorCode::InvalidRequest, error.to_string())
    }
}

/// An `S256` code challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeChallenge(String);

impl CodeChallenge {
    /// Checks the parameters `code_challenge` and `code_challenge_method`.
    pub fn parse(challenge: &str, method: Option<&str>) -> Result<Self, PkceError> {
        // The method is compared exactly: RFC 7636 §4.2 spells it in capitals.
        if method != Some("S256") {
            return Err(PkceError::UnsupportedMethod);
        }
        if challenge.len() != CHALLENGE_LENGTH || !challenge.bytes().all(is_base64url_byte) {
            return Err(PkceError::MalformedChallenge);
        }
        Ok(Self(challenge.to_owned()))
    }

    /// The challenge of a verifier, for clients.
    pub fn of_verifier(verifier: &str) -> Self {
        Self(base64url::encode(&sha256(verifier.as_bytes())))
    }

    /// The challenge.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `verifier` is well formed and belongs to this challenge (RFC 7636 §4.6); in constant time.
    pub fn verify(&self, verifier: &str) -> bool {
        verifier_is_well_formed(verifier)
            && constant_time_eq(Self::of_verifier(verifier).0.as_bytes(), self.0.as_bytes())
    }
}

impl Serialize for CodeChallenge {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for CodeChallenge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?, Some("S256")).map_err(de::Error::custom)
    }
}

/// Whether a `code_verifier` has 43 to 128 unreserved characters (RFC 7636 §4.1).
pub fn verifier_is_well_formed(verifier: &str) -> bool {
    (43..=128).contains(&verifier.len())
        && verifier
            .bytes()
            .all(|byte| is_base64url_byte(byte) || matches!(byte, b'.' | b'~'))
}

const fn is_base64url_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}
