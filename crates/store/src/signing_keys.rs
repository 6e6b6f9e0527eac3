//! What follows from the times of the signing keys. The clock decides which one signs, on every node alike: nobody has
//! to be told at the moment when one takes over from another. Only the one that follows a withdrawn key waits for no clock.

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
    keys.get(signing_place(keys, now)?)
}

/// The key that will sign next, if there is one.
pub fn next(keys: &[SigningKeyRecord], now: UnixSeconds) -> Option<&SigningKeyRecord> {
    waiting(keys, now).next()
}

/// The keys whose time has not come, newest first.
pub fn waiting(keys: &[SigningKeyRecord], now: UnixSeconds) -> impl Iterator<Item = &SigningKeyRecord> {
    // Those behind the key that signs were overtaken before their time came.
    let newer = signing_place(keys, now).unwrap_or(keys.len());
    keys.iter().take(newer).filter(|key| key.revoked_at.is_none())
}

fn signing_place(keys: &[SigningKeyRecord], now: UnixSeconds) -> Option<usize> {
    let good = |place: &usize| keys[*place].revoked_at.is_none();
    let begun = |place: &usize| keys[*place].signs_from <= now && takes_effect(&keys[*place]);
    let last = (0..keys.len()).find(begun)?;
    if good(&last) {
        return Some(last);
    }
    // It was withdrawn. Who follows it signs at once, also where it is not yet the time that it was by the clock of the node
    // that withdrew it: what came before may have been retired long ago.
    let follows = (0..last).filter(good).min_by_key(|place| keys[*place].signs_from);
    follows.or_else(|| (last..keys.len()).filter(good).find(begun))
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
    if signing_place(keys, now) == Some(place) {
        return SigningKeyState::Active;
    }
    if stops_at(keys, place).is_some_and(|stops| stops <= now) {
        return SigningKeyState::Previous;
    }
    SigningKeyState::Next
}

/// A key that was revoked before its time came has never signed.
fn takes_effect(key: &SigningKeyRecord) -> bool {
    key.revoked_at.is_none_or(|revoked| revoked >= key.signs_from)
}

#[cfg(test)]
#[path = "signing_keys_tests.rs"]
mod tests;
