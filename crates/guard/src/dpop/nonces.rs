//! Where nonces come from.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doorward_jose::JoseError;
use doorward_oauth::dpop::{NONCE_LIFETIME, NonceKey, Nonces};
use doorward_oauth::time::UnixSeconds;
use http::HeaderValue;

/// How long a random key makes nonces. Much longer than a nonce lives, as [`Nonces::rotate`] wants it.
const ROTATION: Duration = Duration::from_hours(1);

/// The nonces of one guard.
pub(crate) struct NonceSource(Mutex<State>);

struct State {
    nonces: Nonces,
    rotation: Rotation,
}

enum Rotation {
    /// The keys come from the settings.
    Never,
    /// Begins with the first nonce.
    Unbegun,
    At(UnixSeconds),
}

impl NonceSource {
    pub(crate) fn fixed(nonces: Nonces) -> Self {
        Self(Mutex::new(State {
            nonces,
            rotation: Rotation::Never,
        }))
    }

    /// Keys of this process alone.
    pub(crate) fn random() -> Result<Self, JoseError> {
        Ok(Self(Mutex::new(State {
            nonces: Nonces::new(random_key()?, NONCE_LIFETIME),
            rotation: Rotation::Unbegun,
        })))
    }

    /// As they are now, for checking one. A copy, so that a signature is not verified under the lock.
    pub(crate) fn nonces(&self) -> Nonces {
        self.state().nonces.clone()
    }

    /// A new nonce, as the value of `DPoP-Nonce`.
    pub(crate) fn issue(&self, now: UnixSeconds) -> HeaderValue {
        let mut state = self.state();
        match state.rotation {
            Rotation::At(due) if now >= due => match random_key() {
                Ok(key) => {
                    state.nonces.rotate(key);
                    state.rotation = Rotation::At(now + ROTATION);
                }
                Err(error) => {
                    tracing::warn!(%error, "the key for DPoP nonces stays, for want of a random one");
                }
            },
            Rotation::Unbegun => state.rotation = Rotation::At(now + ROTATION),
            Rotation::At(_) | Rotation::Never => {}
        }
        // Base64url is header text.
        let mut value =
            HeaderValue::try_from(state.nonces.issue(now)).unwrap_or(HeaderValue::from_static(""));
        value.set_sensitive(true);
        value
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn random_key() -> Result<NonceKey, JoseError> {
    let mut secret = [0; 32];
    doorward_jose::fill_random(&mut secret)?;
    Ok(NonceKey::new(secret))
}

#[cfg(test)]
mod tests {
    use doorward_oauth::dpop::{NonceAge, NonceError};

    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_000_000);

    fn issue(source: &NonceSource, now: UnixSeconds) -> String {
        source.issue(now).to_str().unwrap().to_owned()
    }

    #[test]
    fn a_nonce_outlives_the_key_that_made_it_by_one_rotation() {
        let source = NonceSource::random().unwrap();
        issue(&source, NOW);
        let late = NOW + ROTATION - Duration::from_secs(1);
        let nonce = issue(&source, late);
        assert_eq!(source.nonces().check(Some(&nonce), late), Ok(NonceAge::Fresh));
        let rotated = NOW + ROTATION;
        issue(&source, rotated);
        assert_eq!(source.nonces().check(Some(&nonce), rotated), Ok(NonceAge::Ageing));
        issue(&source, rotated + ROTATION);
        assert_eq!(
            source.nonces().check(Some(&nonce), rotated),
            Err(NonceError::Unknown)
        );
    }

    #[test]
    fn processes_do_not_take_each_others_nonces_unless_they_share_keys() {
        let (one, other) = (NonceSource::random().unwrap(), NonceSource::random().unwrap());
        let nonce = issue(&one, NOW);
        assert_eq!(other.nonces().check(Some(&nonce), NOW), Err(NonceError::Unknown));
        let shared = || NonceSource::fixed(Nonces::new(NonceKey::new([7; 32]), NONCE_LIFETIME));
        let nonce = issue(&shared(), NOW);
        assert_eq!(shared().nonces().check(Some(&nonce), NOW), Ok(NonceAge::Fresh));
    }
}
