//! A set of public keys (RFC 7517 §5).

use serde::Serialize;
use serde_json::Value;

use crate::{Header, JoseError, Jwk, MAX_JWK_SET_BYTES, MAX_JWK_SET_KEYS, json};

/// Public keys as an issuer or a client publishes them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JwkSet {
    /// The usable keys, in the order of the document.
    pub keys: Vec<Jwk>,
}

impl JwkSet {
    /// Reads a key set, at most 64 KiB of strict JSON with at most 100 keys.
    ///
    /// Keys that cannot be used (unknown types, weak keys, private members) are skipped one by one (RFC 7517 §5).
    ///
    /// # Errors
    /// [`JoseError::TooLarge`] for too many bytes or keys, and the errors of [`json::from_slice`]: a duplicate member
    /// anywhere refuses the whole document.
    pub fn parse(document: &[u8]) -> Result<Self, JoseError> {
        if document.len() > MAX_JWK_SET_BYTES {
            return Err(JoseError::TooLarge);
        }
        Self::from_value(&Value::Object(json::object(document)?))
    }

    /// As [`JwkSet::parse`], for JSON that is parsed already (duplicate members are then no longer visible).
    pub fn from_value(value: &Value) -> Result<Self, JoseError> {
        let keys = value
            .get("keys")
            .and_then(Value::as_array)
            .ok_or(JoseError::Malformed)?;
        if keys.len() > MAX_JWK_SET_KEYS {
            return Err(JoseError::TooLarge);
        }
        Ok(keys.iter().filter_map(|key| Jwk::from_value(key).ok()).collect())
    }

    /// The key with this `kid`; `None` also when several have it, since picking one of them would be a guess.
    pub fn find(&self, key_id: &str) -> Option<&Jwk> {
        only(self.keys.iter().filter(|key| key.key_id() == Some(key_id)))
    }

    /// The key for a token: its `kid` when the header names one, and its type, `alg`, `use` and `key_ops` fit the
    /// header's algorithm. `None` unless exactly one key qualifies, so a token without `kid` works only where there is
    /// nothing to choose.
    pub fn select(&self, header: &Header) -> Option<&Jwk> {
        only(self.keys.iter().filter(|key| {
            key.fits(header.algorithm)
                && (header.key_id.is_none() || key.key_id() == header.key_id.as_deref())
        }))
    }
}

fn only<'k>(mut keys: impl Iterator<Item = &'k Jwk>) -> Option<&'k Jwk> {
    let first = keys.next()?;
    keys.next().is_none().then_some(first)
}

impl FromIterator<Jwk> for JwkSet {
    fn from_iter<I: IntoIterator<Item = Jwk>>(keys: I) -> Self {
        Self {
            keys: keys.into_iter().collect(),
        }
    }
}
