//! Tokens that were verified a moment ago.

use doorward_oauth::time::UnixSeconds;
use quick_cache::sync::Cache;

use crate::claims::Claims;

/// SHA-256 of a token.
pub(crate) type Digest = [u8; 32];

/// Bounded, by the SHA-256 of the token. An entry counts until the token's `exp` (no skew on top) and only for the
/// keys that verified it: a key that was withdrawn takes its tokens along.
pub(crate) struct TokenCache(Option<Cache<Digest, Entry>>);

#[derive(Clone)]
struct Entry {
    claims: Claims,
    stamp: Stamp,
}

/// Which keys verified a token: the issuer's place among those that are trusted, and the generation of its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) issuer: usize,
    pub(crate) generation: u64,
}

impl TokenCache {
    /// A cache of at most `capacity` tokens; none at all for zero.
    pub(crate) fn new(capacity: usize) -> Self {
        Self((capacity > 0).then(|| Cache::new(capacity)))
    }

    /// What the token is remembered by; `None` when nothing is remembered.
    pub(crate) fn digest(&self, token: impl AsRef<[u8]>) -> Option<Digest> {
        self.0.as_ref()?;
        Some(doorward_jose::sha256(token.as_ref()))
    }

    /// The claims of a token that has not ended and whose keys `are_current`.
    pub(crate) fn get(
        &self,
        digest: &Digest,
        now: UnixSeconds,
        are_current: impl FnOnce(Stamp) -> bool,
    ) -> Option<Claims> {
        let entry = self.0.as_ref()?.get(digest)?;
        (now < entry.claims.expires_at && are_current(entry.stamp)).then_some(entry.claims)
    }

    pub(crate) fn put(&self, digest: Digest, stamp: Stamp, claims: &Claims) {
        if let Some(cache) = &self.0 {
            let claims = claims.clone();
            cache.insert(digest, Entry { claims, stamp });
        }
    }

    /// Forgets one token.
    pub(crate) fn evict(&self, token: &str) {
        if let (Some(cache), Some(digest)) = (&self.0, self.digest(token)) {
            cache.remove(&digest);
        }
    }

    /// Forgets the tokens of a grant. Looks at all that are remembered: for rare events.
    pub(crate) fn forget_grant(&self, grant_id: &str) {
        if let Some(cache) = &self.0 {
            cache.retain(|_, entry| entry.claims.grant_id.as_deref() != Some(grant_id));
        }
    }
}

#[cfg(test)]
#[path = "token_cache_tests.rs"]
mod tests;
