//! Tokens that were verified a moment ago.

use doorward_jose::HashedToken;
use doorward_oauth::time::UnixSeconds;
use quick_cache::sync::Cache;

use crate::claims::Claims;

/// SHA-256 of a token.
type Digest = [u8; 32];

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
    pub(crate) fn hashed<'t>(&self, token: &'t [u8]) -> Option<HashedToken<'t>> {
        self.0.as_ref()?;
        Some(HashedToken::new(token))
    }

    /// The claims of a token that has not ended and whose keys `are_current`.
    pub(crate) fn get(
        &self,
        token: &HashedToken<'_>,
        now: UnixSeconds,
        are_current: impl FnOnce(Stamp) -> bool,
    ) -> Option<Claims> {
        let entry = self.0.as_ref()?.get(token.sha256())?;
        (now < entry.claims.expires_at && are_current(entry.stamp)).then_some(entry.claims)
    }

    pub(crate) fn put(&self, token: &HashedToken<'_>, stamp: Stamp, claims: &Claims) {
        if let Some(cache) = &self.0 {
            let claims = claims.clone();
            cache.insert(*token.sha256(), Entry { claims, stamp });
        }
    }

    /// Forgets one token.
    pub(crate) fn evict(&self, token: &str) {
        if let Some(cache) = &self.0 {
            cache.remove(&doorward_jose::sha256(token.as_bytes()));
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
