//! What follows from the times of the signing keys. The clock decides which one signs, on every node alike: nobody has
//! to be told at the moment when one takes over from another.

use doorward_oauth::time::UnixSeconds;

use crate::SigningKeyRecord;

/// Where a signing key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningKeyState {
    /// Published, so that everybody knows it when it begins to sign.
    Next,
    /// Signs.
    Active,
    /// Published until its last token expired.
    Previous,
    /// Withdrawn: none of its tokens counts.
    Revoked,
}

/// The key that signs at this moment; `keys` are all there are, newest first.
pub fn signer(keys: &[SigningKeyRecord], now: UnixSeconds) -> Option<&SigningKeyRecord> {
    keys.iter()
        .find(|key| key.revoked_at.is_none() && key.signs_from <= now)
}

/// The key that will sign next, if there is one.
pub fn next(keys: &[SigningKeyRecord], now: UnixSeconds) -> Option<&SigningKeyRecord> {
    // Those behind the key that signs were overtaken before their time came.
    keys.iter()
        .take_while(|key| key.revoked_at.is_some() || key.signs_from > now)
        .find(|key| key.revoked_at.is_none())
}

/// When the key at this place stops signing, or stopped: when a newer one takes over, or when it was revoked.
pub fn stops_at(keys: &[SigningKeyRecord], place: usize) -> Option<UnixSeconds> {
    let newer = keys.iter().take(place).filter(|key| takes_effect(key));
    newer
        .map(|key| key.signs_from)
        .chain(keys.get(place)?.revoked_at)
        .min()
}

/// Where the key at this place stands.
pub fn state(keys: &[SigningKeyRecord], place: usize, now: UnixSeconds) -> SigningKeyState {
    let revoked = keys.get(place).is_some_and(|key| key.revoked_at.is_some());
    if revoked {
        return SigningKeyState::Revoked;
    }
    if stops_at(keys, place).is_some_and(|stops| stops <= now) {
        return SigningKeyState::Previous;
    }
    match keys.get(place) {
        Some(key) if key.signs_from <= now => SigningKeyState::Active,
        _ => SigningKeyState::Next,
    }
}

/// A key that was revoked before its time came has never signed.
fn takes_effect(key: &SigningKeyRecord) -> bool {
    key.revoked_at.is_none_or(|revoked| revoked >= key.signs_from)
}

#[cfg(test)]
#[path = "signing_keys_tests.rs"]
mod tests;
