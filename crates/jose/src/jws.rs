//! JWS compact serialisation (RFC 7515 §7.1), read.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{Algorithm, JoseError, Jwk, MAX_JWS_BYTES, base64url, json};

/// The parts of the protected header that Doorward acts upon.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// `alg`.
    pub algorithm: Algorithm,
    /// `typ`, as written.
    pub typ: Option<String>,
    /// `kid`, as written; never empty.
    pub key_id: Option<String>,
    /// `jwk`, only from [`Jws::parse_with_embedded_key`].
    pub jwk: Option<Jwk>,
}

/// A token that is parsed and NOT verified: nothing in it can be trusted yet. `Debug` shows the header alone.
pub struct Jws<'a> {
    header: Header,
    signing_input: &'a str,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// A token whose signature has been verified. Only [`Jws::verify`] makes one. `Debug` shows the header alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Verified {
    header: Header,
    payload: Vec<u8>,
}

impl<'a> Jws<'a> {
    /// Parses a compact serialisation of at most 16 KiB.
    ///
    /// `jwk`, `jku`, `x5u`, `x5c`, `x5t` and unknown header members are ignored: keys never come from the token.
    ///
    /// # Errors
    /// [`JoseError::TooLarge`], [`JoseError::Malformed`], [`JoseError::DuplicateMember`], [`JoseError::TooDeep`],
    /// [`JoseError::UnsupportedAlgorithm`], [`JoseError::CriticalHeader`], [`JoseError::UnsupportedHeader`].
    pub fn parse(token: &'a str) -> Result<Self, JoseError> {
        Self::parse_token(token, EmbeddedKey::Ignored)
    }

    /// As [`Jws::parse`], and reads the header's `jwk` as well, for proofs that carry their own key (RFC 9449 §4.2).
    ///
    /// # Errors
    /// Those of [`Jws::parse`], and those of [`Jwk::from_json`] for the embedded key.
    pub fn parse_with_embedded_key(token: &'a str) -> Result<Self, JoseError> {
        Self::parse_token(token, EmbeddedKey::Read)
    }

    fn parse_token(token: &'a str, embedded_key: EmbeddedKey) -> Result<Self, JoseError> {
        if token.len() > MAX_JWS_BYTES {
            return Err(JoseError::TooLarge);
        }
        let (signing_input, signature) = token.rsplit_once('.').ok_or(JoseError::Malformed)?;
        let (header, payload) = signing_input.split_once('.').ok_or(JoseError::Malformed)?;
        // A further dot would be in the payload, where it is no base64url.
        if signature.is_empty() {
            return Err(JoseError::Malformed);
        }
        Ok(Self {
            header: Header::read(&json::object(&base64url::decode(header)?)?, embedded_key)?,
            signing_input,
            payload: base64url::decode(payload)?,
            signature: base64url::decode(signature)?,
        })
    }

    /// The header, not verified: for choosing a key.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The `iss` claim, not verified: for choosing whose key set to look into, and for nothing else.
    pub fn peek_issuer(&self) -> Option<String> {
        match json::object(&self.payload).ok()?.remove("iss")? {
            Value::String(issuer) => Some(issuer),
            _ => None,
        }
    }

    /// Verifies the signature over the bytes as received.
    ///
    /// # Errors
    /// Those of [`Jwk::verify`].
    pub fn verify(&self, key: &Jwk) -> Result<Verified, JoseError> {
        key.verify(
            self.header.algorithm,
            self.signing_input.as_bytes(),
            &self.signature,
        )?;
        Ok(Verified {
            header: self.header.clone(),
            payload: self.payload.clone(),
        })
    }
}

impl Verified {
    /// The protected header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The payload, as received.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The payload as a claims set (RFC 7519 §7.2): strict JSON, and an object.
    ///
    /// # Errors
    /// Those of [`json::from_slice`].
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, JoseError> {
        let claims = json::object(&self.payload)?;
        serde_json::from_value(Value::Object(claims)).map_err(|_| JoseError::Malformed)
    }
}

// The rest of a token is a credential or somebody's data, and does not belong into a log.
impl fmt::Debug for Jws<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jws")
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy)]
enum EmbeddedKey {
    Ignored,
    Read,
}

impl Header {
    fn read(members: &Map<String, Value>, embedded_key: EmbeddedKey) -> Result<Self, JoseError> {
        // RFC 7515 §4.1.11: no extension is understood, so any `crit` refuses the token, and `b64` (RFC 7797) with it.
        if members.contains_key("crit") || members.contains_key("b64") {
            return Err(JoseError::CriticalHeader);
        }
        if members.contains_key("enc") || members.contains_key("zip") || is_nested(members) {
            return Err(JoseError::UnsupportedHeader);
        }
        let algorithm = string(members, "alg")?.ok_or(JoseError::Malformed)?;
        let key_id = string(members, "kid")?;
        if key_id.as_deref() == Some("") {
            return Err(JoseError::Malformed);
        }
        let jwk = match (embedded_key, members.get("jwk")) {
            (EmbeddedKey::Read, Some(key)) => Some(Jwk::from_value(key)?),
            _ => None,
        };
        Ok(Self {
            algorithm: algorithm.parse().map_err(|_| JoseError::UnsupportedAlgorithm)?,
            typ: string(members, "typ")?,
            key_id,
            jwk,
        })
    }
}

/// RFC 7519 §5.2: `cty: JWT` announces a token inside the token.
fn is_nested(members: &Map<String, Value>) -> bool {
    members
        .get("cty")
        .and_then(Value::as_str)
        .is_some_and(|content_type| {
            content_type.eq_ignore_ascii_case("JWT") || content_type.eq_ignore_ascii_case("application/jwt")
        })
}

fn string(members: &Map<String, Value>, name: &str) -> Result<Option<String>, JoseError> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(JoseError::Malformed),
    }
}
