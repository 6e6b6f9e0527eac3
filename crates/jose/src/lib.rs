#![doc = include_str!("../README.md")]

mod algorithm;
pub mod base64url;
mod error;
mod hashed_token;
mod header_memo;
pub mod json;
mod jwk;
mod jwk_set;
mod jws;
mod material;
mod pem;
mod rsa;
mod shared_secret;
mod signing;

pub use algorithm::{Algorithm, ParseAlgorithmError};
pub use error::JoseError;
pub use hashed_token::HashedToken;
pub use header_memo::HeaderMemo;
pub use jwk::Jwk;
pub use jwk_set::JwkSet;
pub use jws::{Header, Jws, Verified};
pub use shared_secret::{Authenticated, HmacAlgorithm, SharedSecret};
pub use signing::{Signature, Signer, SigningKey, sign, sign_by};

/// The largest compact serialisation that is read or written, in bytes.
pub const MAX_JWS_BYTES: usize = 16 * 1024;
/// The largest JWK set document that is read, in bytes.
pub const MAX_JWK_SET_BYTES: usize = 64 * 1024;
/// The largest number of keys in a JWK set document.
pub const MAX_JWK_SET_KEYS: usize = 100;

/// SHA-256 (FIPS 180-4) of `data`.
pub fn sha256(data: &[u8]) -> [u8; 32] {
    let mut output = [0; 32];
    output.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, data).as_ref());
    output
}

/// HMAC (RFC 2104) with SHA-256 of `data` under `key`.
pub fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; 32] {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key);
    let mut output = [0; 32];
    output.copy_from_slice(aws_lc_rs::hmac::sign(&key, data).as_ref());
    output
}

/// Fills `bytes` from the random source that makes keys.
///
/// # Errors
/// [`JoseError::UnusableKey`] when the system's random source fails.
pub fn fill_random(bytes: &mut [u8]) -> Result<(), JoseError> {
    aws_lc_rs::rand::fill(bytes).map_err(|_| JoseError::UnusableKey)
}

/// Compares two secrets in a time that depends on their lengths alone.
pub fn constant_time_eq(left: &[u8], right: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(left, right).is_ok()
}
