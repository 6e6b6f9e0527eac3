//! `requestState` of the 2026-07-28 revision: what the server gives a client to bring back.
//!
//! The client can do with it what it likes, so it is sealed (AES-256-GCM-SIV) and says for whom it was made, for which
//! request and until when. It is no proof that something was done once: whoever needs that keeps a record.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use doorward_jose::base64url;
use doorward_oauth::time::UnixSeconds;
use serde_json::Value;
use zeroize::Zeroize;

use super::error::ClientError;
use crate::claims::Claims;

/// How long a state counts, unless said otherwise: a person has to sign in somewhere and come back.
pub(crate) const LIFETIME: Duration = Duration::from_mins(10);
/// The most that a state can carry, in bytes.
const MAX_DATA: usize = 4 * 1024;
/// Distinguishes these boxes from all others that the key may ever seal.
const PURPOSE: &[u8] = b"doorward request state 1";
const DIGEST: usize = 32;
const HEAD: usize = 8 + 2 * DIGEST;

/// A key that seals request states, 32 random bytes. Servers that answer for each other share it. Wiped when dropped;
/// `Debug` does not show it.
#[derive(Clone)]
pub struct RequestStateKey([u8; 32]);

impl RequestStateKey {
    /// The key with these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    fn random() -> Result<Self, ClientError> {
        let mut bytes = [0; 32];
        doorward_jose::fill_random(&mut bytes).map_err(ClientError::Signing)?;
        Ok(Self(bytes))
    }
}

impl fmt::Debug for RequestStateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestStateKey(redacted)")
    }
}

impl Drop for RequestStateKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Who makes a request: always from the verified token, never from what the client says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// `iss`
    pub issuer: String,
    /// `client_id`
    pub client_id: String,
    /// `sub`
    pub subject: String,
}

impl From<&Claims> for Principal {
    fn from(claims: &Claims) -> Self {
        Self {
            issuer: claims.issuer.clone(),
            client_id: claims.client_id.clone(),
            subject: claims.subject.clone(),
        }
    }
}

/// A request and who makes it: what a state is bound to.
#[derive(Debug, Clone, Copy)]
pub struct BoundRequest<'a> {
    /// Who makes the request.
    pub principal: &'a Principal,
    /// The JSON-RPC method.
    pub method: &'a str,
    /// The parameters. `_meta`, `inputResponses` and `requestState` differ from one try to the next and do not count.
    pub params: &'a Value,
}

/// Why a request state that came back does not count. For the log; the client is told that its state is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestStateError {
    /// Not sealed by this server, or changed since.
    #[error("the request state was not made by this server, or was changed")]
    Tampered,
    /// Made too long ago.
    #[error("the request state has expired")]
    Expired,
    /// Made for another client or person.
    #[error("the request state was made for somebody else")]
    OtherPrincipal,
    /// Made for another request.
    #[error("the request state was made for another request")]
    OtherRequest,
    /// More data than fits.
    #[error("a request state carries at most 4096 bytes")]
    TooLarge,
    /// The system has no random bytes, or the key cannot be used.
    #[error("the request state could not be sealed")]
    Unsealable,
}

/// Seals and opens request states.
pub(crate) struct RequestStates {
    /// The first one seals, all open.
    keys: Vec<RandomizedNonceKey>,
}

impl RequestStates {
    /// Seals with the first key, opens with all of them; without any, with a random one of this process.
    pub(crate) fn new(keys: &[RequestStateKey]) -> Result<Self, ClientError> {
        const UNUSABLE: ClientError = ClientError::Request("the key for request states cannot be used");
        let random;
        let keys = if keys.is_empty() {
            random = [RequestStateKey::random()?];
            &random
        } else {
            keys
        };
        let keys = keys
            .iter()
            .map(|key| RandomizedNonceKey::new(&AES_256_GCM_SIV, &key.0).map_err(|_| UNUSABLE))
            .collect::<Result<_, _>>()?;
        Ok(Self { keys })
    }

    /// Seals `data` for one request; it counts until `expires_at`.
    pub(crate) fn seal(
        &self,
        request: &BoundRequest<'_>,
        data: &[u8],
        expires_at: UnixSeconds,
    ) -> Result<String, RequestStateError> {
        if data.len() > MAX_DATA {
            return Err(RequestStateError::TooLarge);
        }
        let mut text = Vec::with_capacity(HEAD + data.len() + 16);
        text.extend_from_slice(&expires_at.seconds().to_be_bytes());
        text.extend_from_slice(&principal_digest(request.principal));
        text.extend_from_slice(&request_digest(request.method, request.params));
        text.extend_from_slice(data);
        let key = self.keys.first().ok_or(RequestStateError::Unsealable)?;
        let nonce = key
            .seal_in_place_append_tag(Aad::from(PURPOSE), &mut text)
            .map_err(|_| RequestStateError::Unsealable)?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut text);
        Ok(base64url::encode(&sealed))
    }

    /// The data of a state that came back with `request`; the error is the first reason for which it does not count.
    pub(crate) fn open(
        &self,
        state: &str,
        request: &BoundRequest<'_>,
        now: UnixSeconds,
    ) -> Result<Vec<u8>, RequestStateError> {
        let text = self.unseal(state).ok_or(RequestStateError::Tampered)?;
        let (head, data) = text.split_at_checked(HEAD).ok_or(RequestStateError::Tampered)?;
        let (expires_at, digests) = head.split_first_chunk().ok_or(RequestStateError::Tampered)?;
        let (principal, digest) = digests.split_at(DIGEST);
        let same = doorward_jose::constant_time_eq;
        if now >= UnixSeconds(i64::from_be_bytes(*expires_at)) {
            return Err(RequestStateError::Expired);
        }
        if !same(principal, &principal_digest(request.principal)) {
            return Err(RequestStateError::OtherPrincipal);
        }
        if !same(digest, &request_digest(request.method, request.params)) {
            return Err(RequestStateError::OtherRequest);
        }
        Ok(data.to_vec())
    }

    fn unseal(&self, state: &str) -> Option<Vec<u8>> {
        if state.len() > (NONCE_LEN + HEAD + MAX_DATA + 16).div_ceil(3) * 4 {
            return None;
        }
        let sealed = base64url::decode(state).ok()?;
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        self.keys.iter().find_map(|key| {
            let mut text = sealed.to_vec();
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let length = key
                .open_in_place(nonce, Aad::from(PURPOSE), &mut text)
                .ok()?
                .len();
            text.truncate(length);
            Some(text)
        })
    }
}

impl fmt::Debug for RequestStates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestStates")
            .field("keys", &self.keys.len())
            .finish()
    }
}

/// Every part with its length in front, so that two principals never share a text.
fn principal_digest(principal: &Principal) -> [u8; DIGEST] {
    let mut text = Vec::new();
    for part in [&principal.issuer, &principal.client_id, &principal.subject] {
        text.extend_from_slice(&(part.len() as u64).to_be_bytes());
        text.extend_from_slice(part.as_bytes());
    }
    doorward_jose::sha256(&text)
}

fn request_digest(method: &str, params: &Value) -> [u8; DIGEST] {
    let mut text = Value::from(method).to_string();
    if let Value::Object(members) = params {
        let mut members: Vec<_> = members
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "_meta" | "inputResponses" | "requestState"))
            .collect();
        members.sort_by_key(|(name, _)| *name);
        for (name, value) in members {
            text.push_str(&Value::from(name.as_str()).to_string());
            write_canonical(value, &mut text);
        }
    } else {
        write_canonical(params, &mut text);
    }
    doorward_jose::sha256(text.as_bytes())
}

/// One text for every value, in whatever order its members came.
fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write_canonical(item, text);
                text.push(',');
            }
            text.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            text.push('{');
            for (name, value) in members {
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write_canonical(value, text);
                text.push(',');
            }
            text.push('}');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
#[path = "request_state_tests.rs"]
mod tests;
