//! JWS signed with a secret that both sides know (RFC 7518 §3.2).
//!
//! A world of its own: a [`SharedSecret`] verifies nothing but HMAC, and no [`Jwk`](crate::Jwk) ever verifies HMAC, so that
//! a public key can never be taken for a secret.

use std::{fmt, str::FromStr};

use aws_lc_rs::hmac;
use serde_json::{Map, Value};

use crate::{JoseError, MAX_JWS_BYTES, ParseAlgorithmError, jws::Compact};

/// The HMAC algorithms of RFC 7518 §3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HmacAlgorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
}

impl HmacAlgorithm {
    /// Every HMAC algorithm.
    pub const ALL: [Self; 3] = [Self::Hs256, Self::Hs384, Self::Hs512];

    /// The value of the `alg` member.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
        }
    }

    fn parameters(self) -> hmac::Algorithm {
        match self {
            Self::Hs256 => hmac::HMAC_SHA256,
            Self::Hs384 => hmac::HMAC_SHA384,
            Self::Hs512 => hmac::HMAC_SHA512,
        }
    }
}

impl FromStr for HmacAlgorithm {
    type Err = ParseAlgorithmError;

    /// Names are case-sensitive (RFC 7515 §4.1.1).
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str() == name)
            .ok_or(ParseAlgorithmError)
    }
}

/// A token that somebody with the secret signed. Only [`SharedSecret::verify`] makes one.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Authenticated {
    /// `typ`, as written.
    pub typ: Option<String>,
    /// The payload, as received.
    pub payload: Vec<u8>,
}

impl fmt::Debug for Authenticated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticated")
            .field("typ", &self.typ)
            .finish_non_exhaustive()
    }
}

/// A secret and the one algorithm that it is for. `Debug` shows the algorithm alone.
#[derive(Clone)]
pub struct SharedSecret {
    algorithm: HmacAlgorithm,
    key: hmac::Key,
}

impl SharedSecret {
    /// The fewest bytes that are a secret against guessing for every algorithm; RFC 7518 §3.2 asks for the length of the
    /// hash, which is 48 bytes for HS384 and 64 for HS512.
    pub const RECOMMENDED_BYTES: usize = 32;

    /// A secret for one algorithm. How long it should be is for the caller to say: see
    /// [`SharedSecret::RECOMMENDED_BYTES`].
    pub fn new(algorithm: HmacAlgorithm, secret: &[u8]) -> Self {
        Self {
            algorithm,
            key: hmac::Key::new(algorithm.parameters(), secret),
        }
    }

    /// The algorithm.
    pub fn algorithm(&self) -> HmacAlgorithm {
        self.algorithm
    }

    /// Verifies a compact serialisation of at most 16 KiB. The signature is compared in constant time.
    ///
    /// # Errors
    /// Those of [`Jws::parse`](crate::Jws::parse) with [`JoseError::UnsupportedAlgorithm`] for every `alg` but this one, and
    /// [`JoseError::BadSignature`].
    pub fn verify(&self, token: &str) -> Result<Authenticated, JoseError> {
        let token = Compact::split(token)?;
        let typ = token.typ(self.algorithm.as_str())?;
        hmac::verify(&self.key, token.signing_input.as_bytes(), &token.signature()?)
            .map_err(|_| JoseError::BadSignature)?;
        Ok(Authenticated {
            typ,
            payload: token.payload()?,
        })
    }

    /// Signs `claims` with the header `{"alg","typ":"JWT"}`: for tests and for services that share the secret.
    ///
    /// # Errors
    /// [`JoseError::TooLarge`] when no verifier of this crate would read the token.
    pub fn sign(&self, claims: &Map<String, Value>) -> Result<String, JoseError> {
        let header = format!(r#"{{"alg":"{}","typ":"JWT"}}"#, self.algorithm.as_str());
        let claims = serde_json::to_vec(claims).map_err(|_| JoseError::Malformed)?;
        let mut token = crate::base64url::encode(header.as_bytes());
        token.push('.');
        crate::base64url::encode_onto(&claims, &mut token);
        let tag = hmac::sign(&self.key, token.as_bytes());
        token.push('.');
        crate::base64url::encode_onto(tag.as_ref(), &mut token);
        if token.len() > MAX_JWS_BYTES {
            return Err(JoseError::TooLarge);
        }
        Ok(token)
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedSecret")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}
