//! Nonces that a server gives out and recognises without remembering them (RFC 9449 §8, §9).

use std::fmt;
use std::time::Duration;

use doorward_jose::{base64url, constant_time_eq, hmac_sha256};

use crate::time::UnixSeconds;

/// How long a nonce counts, unless said otherwise.
pub const NONCE_LIFETIME: Duration = Duration::from_mins(5);

/// What the MAC is about, so that no other use of the key makes a nonce.
const PURPOSE: &[u8] = b"doorward dpop nonce 1\0";
const TIME_BYTES: usize = 8;
const MAC_BYTES: usize = 16;
/// `TIME_BYTES` and `MAC_BYTES` in base64url.
const TEXT_LENGTH: usize = 32;

/// A secret from which nonces are made. Servers that take each other's nonces share it. Never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct NonceKey([u8; 32]);

impl NonceKey {
    /// A key of 32 random bytes.
    pub const fn new(secret: [u8; 32]) -> Self {
        Self(secret)
    }
}

impl fmt::Debug for NonceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NonceKey(..)")
    }
}

/// Why a nonce does not count. The text completes "the proof's nonce …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NonceError {
    /// The proof has none.
    #[error("is missing")]
    Missing,
    /// Not made with one of the keys.
    #[error("is not one of this server's")]
    Unknown,
    /// Too old, or of a time that has not come.
    #[error("has expired")]
    Expired,
}

/// Whether it is time for a new nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NonceAge {
    /// Will do for a while.
    Fresh,
    /// Past half of its lifetime, or made with the key before: send a new one with the answer (RFC 9449 §8.2).
    Ageing,
}

/// Makes nonces and recognises them: a time and its HMAC-SHA256, truncated to 128 bits. A nonce may be used in many proofs
/// as long as it lives; it shows that a proof was not made long ago, `jti` that it is used once.
#[derive(Clone, Debug)]
pub struct Nonces {
    current: NonceKey,
    previous: Option<NonceKey>,
    lifetime: Duration,
}

impl Nonces {
    /// Nonces that live for `lifetime` (whole seconds), made with `key`.
    pub const fn new(key: NonceKey, lifetime: Duration) -> Self {
        Self {
            current: key,
            previous: None,
            lifetime,
        }
    }

    /// Also recognises nonces that were made with `key`.
    #[must_use]
    pub fn with_previous(mut self, key: NonceKey) -> Self {
        self.previous = Some(key);
        self
    }

    /// Makes nonces with `key` from now on. Those of the key before still count; those of older keys do not, so rotate no
    /// more often than once in a lifetime.
    pub fn rotate(&mut self, key: NonceKey) {
        self.previous = Some(std::mem::replace(&mut self.current, key));
    }

    /// A nonce of this second: 32 characters of base64url.
    pub fn issue(&self, now: UnixSeconds) -> String {
        let time = now.seconds().to_be_bytes();
        let mut nonce = [0; TIME_BYTES + MAC_BYTES];
        nonce[..TIME_BYTES].copy_from_slice(&time);
        nonce[TIME_BYTES..].copy_from_slice(&mac(&self.current, time));
        base64url::encode(&nonce)
    }

    /// Is the nonce of a proof one of ours, and of late?
    ///
    /// # Errors
    /// A [`NonceError`]: the client needs a new nonce.
    pub fn check(&self, nonce: Option<&str>, now: UnixSeconds) -> Result<NonceAge, NonceError> {
        let nonce = nonce.ok_or(NonceError::Missing)?;
        let (time, found) = read(nonce).ok_or(NonceError::Unknown)?;
        let made_with = |key: &NonceKey| constant_time_eq(&mac(key, time), &found);
        let is_current = made_with(&self.current);
        if !is_current && !self.previous.as_ref().is_some_and(made_with) {
            return Err(NonceError::Unknown);
        }
        let issued = UnixSeconds(i64::from_be_bytes(time));
        // The clocks of servers that share keys may differ.
        if now.since(issued) > self.lifetime || issued.since(now) > self.lifetime {
            return Err(NonceError::Expired);
        }
        if is_current && now.since(issued) <= self.lifetime / 2 {
            Ok(NonceAge::Fresh)
        } else {
            Ok(NonceAge::Ageing)
        }
    }
}

fn read(nonce: &str) -> Option<([u8; TIME_BYTES], [u8; MAC_BYTES])> {
    if nonce.len() != TEXT_LENGTH {
        return None;
    }
    let bytes = base64url::decode(nonce).ok()?;
    let (time, mac) = bytes.split_at_checked(TIME_BYTES)?;
    Some((time.try_into().ok()?, mac.try_into().ok()?))
}

fn mac(key: &NonceKey, time: [u8; TIME_BYTES]) -> [u8; MAC_BYTES] {
    let mut text = [0; PURPOSE.len() + TIME_BYTES];
    text[..PURPOSE.len()].copy_from_slice(PURPOSE);
    text[PURPOSE.len()..].copy_from_slice(&time);
    let mut short = [0; MAC_BYTES];
    short.copy_from_slice(&hmac_sha256(&key.0, &text)[..MAC_BYTES]);
    short
}
