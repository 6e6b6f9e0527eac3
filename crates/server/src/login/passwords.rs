//! Passwords: argon2id, off the threads that answer requests, with a bound on how many wait.
//!
//! Parameters are OWASP's first choice for argon2id: 19 MiB of memory, two passes, one lane, a 16 byte salt
//! and 32 bytes of output. They stand in each hash, so raising them later leaves old hashes readable.
//!
//! What is hashed is the password as RFC 8265 §4.2 prepares it (`OpaqueString`): keyboards differ in how they write an `ü`.

use std::net::IpAddr;
use std::sync::Arc;
use std::thread::available_parallelism;

use argon2::password_hash::PasswordHasher as _;
use argon2::password_hash::PasswordVerifier as _;
use argon2::{Argon2, PasswordHash};
use icu_normalizer::ComposingNormalizerBorrowed;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::places::{Place, Places};
use crate::random::Random;

/// The shortest password that can be set, in characters.
pub(crate) const MIN_LENGTH: usize = 12;
/// The longest password that is looked at, in bytes.
pub(crate) const MAX_LENGTH: usize = 1024;

/// How many times its length a text has in NFC at the most (Unicode Standard Annex #15).
const MOST_GROWTH: usize = 3;

/// Hashes computed at the same time: each takes a core and 19 MiB.
const MAX_WORKERS: usize = 4;
/// Hashes that may wait for a worker; at some 30 ms each, the last one waits for a second.
const MAX_WAITING: usize = 64;
/// Further ones that may wait, of those who are known here.
const KNOWN_WAITING: usize = 16;

/// Stands in for the hash of an account that is not there, disabled or without a password, so that its
/// answer takes as long as any other. Nobody knows a password for it: the output was not computed from one.
const DECOY: &str = "$argon2id$v=19$m=19456,t=2,p=1$ZG9vcndhcmQgZGVjb3kuLg$\
                     c3R1dnd4eXphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3g";

/// Why a password was not hashed or checked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Shorter than [`MIN_LENGTH`].
    #[error("a password must have at least {MIN_LENGTH} characters")]
    TooShort,
    /// Longer than [`MAX_LENGTH`].
    #[error("a password must not have more than {MAX_LENGTH} bytes")]
    TooLong,
    /// Too many wait already.
    #[error("too many passwords are being checked; try again in a moment")]
    Busy,
    /// A fault of this program, or a stored hash that cannot be read.
    #[error("a password hash cannot be used: {0}")]
    Failed(String),
}

/// Makes and checks password hashes.
pub struct Passwords {
    random: Arc<dyn Random>,
    /// One for every hash that runs or waits.
    places: Places,
    /// One permit for every hash that runs.
    workers: Arc<Semaphore>,
}

impl Passwords {
    /// A pool with a worker for each core, at most four.
    pub fn new(random: Arc<dyn Random>) -> Self {
        let workers = available_parallelism().map_or(1, usize::from).min(MAX_WORKERS);
        Self::with_limits(random, workers, MAX_WAITING)
    }

    pub(super) fn with_limits(random: Arc<dyn Random>, workers: usize, waiting: usize) -> Self {
        Self {
            random,
            places: Places::new(workers + waiting, KNOWN_WAITING),
            workers: Arc::new(Semaphore::new(workers)),
        }
    }

    #[cfg(test)]
    pub(super) fn add_worker(&self) {
        self.workers.add_permits(1);
    }

    /// Room for one hash, before anything is done for which it is needed. `is_known`: the request proves that its sender
    /// signed in here before.
    pub fn place(&self, address: IpAddr, is_known: bool) -> Result<Place, PasswordError> {
        self.places.take(address, is_known).ok_or(PasswordError::Busy)
    }

    /// The hash of a new password, which an operator sets, as a PHC string.
    pub async fn hash(&self, password: &SecretString) -> Result<String, PasswordError> {
        let password = prepared(password.expose_secret())?;
        if password.chars().count() < MIN_LENGTH {
            return Err(PasswordError::TooShort);
        }
        let salt = self.random.bytes::<16>();
        let place = self.places.take_for_operator().ok_or(PasswordError::Busy)?;
        self.run(place, move || {
            Argon2::default()
                .hash_password_with_salt(password.as_bytes(), &salt)
                .map(|hash| hash.to_string())
                .map_err(failed)
        })
        .await
    }

    /// Whether `password` is the one of the hash. Without a hash the answer is no, after the same time. There is a place
    /// for it already, so that it is never [`PasswordError::Busy`].
    pub async fn verify(
        &self,
        place: Place,
        password: &str,
        hash: Option<&str>,
    ) -> Result<bool, PasswordError> {
        let password = prepared(password)?;
        let known = hash.is_some();
        let hash = hash.unwrap_or(DECOY).to_owned();
        self.run(place, move || {
            let hash = PasswordHash::new(&hash).map_err(failed)?;
            match Argon2::default().verify_password(password.as_bytes(), &hash) {
                Ok(()) => Ok(known),
                Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
                Err(other) => Err(failed(other)),
            }
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        place: Place,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let worker = Arc::clone(&self.workers).acquire_owned().await;
        // Both go with the work: a caller who leaves does not make room for another hash.
        let permits = (place, worker.map_err(failed)?);
        let task = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permits);
            result
        });
        task.await
            .map_err(|error| PasswordError::Failed(error.to_string()))?
    }
}

/// Spaces of every kind are one, and characters are composed (NFC). The texts have room from the start: growing would leave
/// a copy behind.
fn prepared(password: &str) -> Result<Zeroizing<String>, PasswordError> {
    if password.len() > MAX_LENGTH {
        return Err(PasswordError::TooLong);
    }
    let mut spaced = Zeroizing::new(String::with_capacity(password.len()));
    spaced.extend(password.chars().map(|c| if is_space(c) { ' ' } else { c }));
    let mut composed = Zeroizing::new(String::with_capacity(spaced.len() * MOST_GROWTH));
    ComposingNormalizerBorrowed::new_nfc()
        .normalize_to(&spaced, &mut *composed)
        .map_err(failed)?;
    Ok(composed)
}

/// Whether Unicode has the character among its spaces (category Zs).
const fn is_space(c: char) -> bool {
    matches!(
        c,
        ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: impl ToString) -> PasswordError {
    PasswordError::Failed(error.to_string())
}

#[cfg(test)]
#[path = "passwords_tests.rs"]
mod tests;
