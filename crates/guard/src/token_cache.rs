//! Tokens that were verified a moment ago.

use std::sync::Arc;

use doorward_oauth::time::UnixSeconds;
use quick_cache::sync::Cache;

use crate::claims::Claims;

/// Bounded, by the SHA-256 of the token. An entry counts until the token's `exp` (no skew on top) and only for the
/// keys that verified it: a key that was withdrawn takes its tokens along.
pub(crate) struct TokenCache(Option<Cache<[u8; 32], Arc<Entry>>>);

struct Entry {
    claims: Claims,
    generation: u64,
}

impl TokenCache {
    /// A cache of at most `capacity` tokens; none at all for zero.
    pub(crate) fn new(capacity: usize) -> Self {
        Self((capacity > 0).then(|| Cache::new(capacity)))
    }

    pub(crate) fn get(&self, digest: &[u8; 32], generation: u64, now: UnixSeconds) -> Option<Claims> {
        let entry = self.0.as_ref()?.get(digest)?;
        (entry.generation == generation && now < entry.claims.expires_at).then(|| entry.claims.clone())
    }

    pub(crate) fn put(&self, digest: [u8; 32], generation: u64, claims: &Claims) {
        if let Some(cache) = &self.0 {
            cache.insert(
                digest,
                Arc::new(Entry {
                    claims: claims.clone(),
                    generation,
                }),
            );
        }
    }
}
