//! JWS compact serialisation (RFC 7515 §7.1), read.

use std::{borrow::Cow, fmt, sync::Arc};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Algorithm, HashedToken, HeaderMemo, JoseError, Jwk, MAX_JWS_BYTES, base64url, json};

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

/// The three parts of a compact serialisation, still encoded.
pub(crate) struct Compact<'a> {
    pub(crate) signing_input: &'a str,
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Compact<'a> {
    pub(crate) fn split(token: &'a str) -> Result<Self, JoseError> {
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
            signing_input,
            header,
            payload,
            signature,
        })
    }

    pub(crate) fn payload(&self) -> Result<Vec<u8>, JoseError> {
        base64url::decode(self.payload)
    }

    pub(crate) fn signature(&self) -> Result<Vec<u8>, JoseError> {
        base64url::decode(self.signature)
    }

    /// The `typ` of a header whose `alg` is this one.
    pub(crate) fn typ(&self, algorithm: &str) -> Result<Option<String>, JoseError> {
        let header = base64url::decode(self.header)?;
        let members = Members::read(&header, EmbeddedKey::Ignored)?;
        if members.algorithm == algorithm {
            Ok(members.typ)
        } else {
            Err(JoseError::UnsupportedAlgorithm)
        }
    }
}

/// A token that is parsed and NOT verified: nothing in it can be trusted yet. `Debug` shows the header alone.
pub struct Jws<'a> {
    header: Arc<Header>,
    encoded_header: &'a str,
    has_known_header: bool,
    signing_input: &'a str,
    /// SHA-256 of it, if it is known.
    digest: Option<[u8; 32]>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// A token whose signature has been verified. Only [`Jws::verify`] makes one. `Debug` shows the header alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Verified {
    header: Arc<Header>,
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

    /// As [`Jws::parse`], for a verifier that remembers headers: one that is known letter for letter is not read again.
    ///
    /// # Errors
    /// Those of [`Jws::parse`].
    pub fn parse_with_memo(token: &'a str, memo: &HeaderMemo) -> Result<Self, JoseError> {
        let parts = Compact::split(token)?;
        match memo.find(parts.header) {
            Some(header) => Self::with_known_header(&parts, header),
            None => Self::parse(token),
        }
    }

    /// As [`Jws::parse_with_memo`], for a token of which a hash was needed before: most of it serves the signature as well.
    ///
    /// # Errors
    /// Those of [`Jws::parse`].
    pub fn parse_hashed(
        token: &'a str,
        hashed: &HashedToken<'_>,
        memo: &HeaderMemo,
    ) -> Result<Self, JoseError> {
        let jws = Self::parse_with_memo(token, memo)?;
        Ok(Self {
            digest: hashed.signing_input_of(token),
            ..jws
        })
    }

    /// As [`Jws::parse_with_embedded_key`], for a verifier that remembers headers: the proofs of one key have the same one,
    /// letter for letter, and its key is not read again.
    ///
    /// # Errors
    /// Those of [`Jws::parse_with_embedded_key`].
    pub fn parse_with_embedded_key_and_memo(token: &'a str, memo: &HeaderMemo) -> Result<Self, JoseError> {
        let parts = Compact::split(token)?;
        match memo.find(parts.header) {
            Some(header) => Self::with_known_header(&parts, header),
            None => Self::parse_with_embedded_key(token),
        }
    }

    fn parse_token(token: &'a str, embedded_key: EmbeddedKey) -> Result<Self, JoseError> {
        let parts = Compact::split(token)?;
        let header = base64url::decode(parts.header)?;
        let header = Members::read(&header, embedded_key)?.into_header()?;
        Self::of(&parts, Arc::new(header))
    }

    fn with_known_header(parts: &Compact<'a>, header: Arc<Header>) -> Result<Self, JoseError> {
        let jws = Self::of(parts, header)?;
        Ok(Self {
            has_known_header: true,
            ..jws
        })
    }

    fn of(parts: &Compact<'a>, header: Arc<Header>) -> Result<Self, JoseError> {
        Ok(Self {
            header,
            encoded_header: parts.header,
            has_known_header: false,
            signing_input: parts.signing_input,
            digest: None,
            payload: parts.payload()?,
            signature: parts.signature()?,
        })
    }

    pub(crate) fn encoded_header(&self) -> &str {
        self.encoded_header
    }

    /// Whether the header came from a memo.
    pub(crate) fn has_known_header(&self) -> bool {
        self.has_known_header
    }

    pub(crate) fn shared_header(&self) -> Arc<Header> {
        self.header.clone()
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

    /// The payload, not verified: for reading it once where the key depends on it. Nothing in it counts before
    /// [`Jws::verify_signature`] has said yes.
    pub fn unverified_payload(&self) -> &[u8] {
        &self.payload
    }

    /// Verifies the signature over the bytes as received, and no more: [`Jws::verify`] for those who have read the
    /// payload already.
    ///
    /// # Errors
    /// Those of [`Jwk::verify`].
    pub fn verify_signature(&self, key: &Jwk) -> Result<(), JoseError> {
        let algorithm = self.header.algorithm;
        match &self.digest {
            Some(digest) if algorithm.hashes_with_sha256() => {
                key.verify_digest(algorithm, digest, &self.signature)
            }
            _ => key.verify(algorithm, self.signing_input.as_bytes(), &self.signature),
        }
    }

    /// The payload as received, for those who have verified the signature.
    pub fn into_payload(self) -> Vec<u8> {
        self.payload
    }

    /// Verifies the signature over the bytes as received.
    ///
    /// # Errors
    /// Those of [`Jwk::verify`].
    pub fn verify(&self, key: &Jwk) -> Result<Verified, JoseError> {
        self.verify_signature(key)?;
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
        json::from_value(Value::Object(claims))
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum EmbeddedKey {
    Ignored,
    Read,
}

/// The header's members that are looked at.
#[derive(Default)]
struct Members<'h> {
    algorithm: Cow<'h, str>,
    typ: Option<String>,
    key_id: Option<String>,
    jwk: Option<Jwk>,
}

impl<'h> Members<'h> {
    fn read(document: &'h [u8], embedded_key: EmbeddedKey) -> Result<Self, JoseError> {
        let (mut members, mut algorithm, mut fault) = (Self::default(), None, None);
        json::members(document, |name, value| {
            match name {
                "alg" => algorithm = Some(value.string()?),
                "typ" => members.typ = Some(value.string()?.into_owned()),
                "kid" => members.key_id = Some(value.string()?.into_owned()),
                "jwk" if embedded_key == EmbeddedKey::Read => match Jwk::from_value(&value.any()?) {
                    Ok(key) => members.jwk = Some(key),
                    Err(error) => fault = fault.or(Some(error)),
                },
                // RFC 7515 §4.1.11: no extension is understood, so any `crit` refuses the token, and `b64` (RFC 7797)
                // with it.
                "crit" | "b64" => {
                    value.skip()?;
                    fault = Some(JoseError::CriticalHeader);
                }
                "enc" | "zip" => {
                    value.skip()?;
                    fault = fault.or(Some(JoseError::UnsupportedHeader));
                }
                "cty" => {
                    if is_nested(&value.any()?) {
                        fault = fault.or(Some(JoseError::UnsupportedHeader));
                    }
                }
                _ => value.skip()?,
            }
            Ok(())
        })?;
        if let Some(fault) = fault {
            return Err(fault);
        }
        if members.key_id.as_deref() == Some("") {
            return Err(JoseError::Malformed);
        }
        members.algorithm = algorithm.ok_or(JoseError::Malformed)?;
        Ok(members)
    }

    fn into_header(self) -> Result<Header, JoseError> {
        Ok(Header {
            algorithm: self
                .algorithm
                .parse()
                .map_err(|_| JoseError::UnsupportedAlgorithm)?,
            typ: self.typ,
            key_id: self.key_id,
            jwk: self.jwk,
        })
    }
}

/// RFC 7519 §5.2: `cty: JWT` announces a token inside the token.
fn is_nested(content_type: &Value) -> bool {
    content_type.as_str().is_some_and(|content_type| {
        content_type.eq_ignore_ascii_case("JWT") || content_type.eq_ignore_ascii_case("application/jwt")
    })
}
