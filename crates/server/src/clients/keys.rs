//! The public keys of clients that sign assertions: from the registration, from `jwks_uri`, or from a metadata document.

use std::sync::Arc;
use std::time::Duration;

use doorward_fetch::{Fetched, Fetcher, Limits};
use doorward_jose::{Header, Jwk, JwkSet, MAX_JWK_SET_BYTES};
use doorward_oauth::time::{Clock, UnixSeconds};
use quick_cache::sync::Cache;

/// Key sets remembered.
const KEY_SETS: usize = 1000;
/// An unknown `kid` makes this server ask again no more often than this.
const COOLDOWN: Duration = Duration::from_secs(30);
/// Keys that cannot be fetched any more are used for this long at most.
const MAX_STALE: Duration = Duration::from_hours(24);

/// Fetches key sets, and asks again when a key is missing.
pub(super) struct KeySets {
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
    known: Cache<String, Arc<Known>>,
    asked: Cache<String, UnixSeconds>,
}

/// A key set as it was fetched.
struct Known {
    document: Arc<Fetched>,
    keys: JwkSet,
}

impl KeySets {
    pub(super) fn new(fetcher: Fetcher, clock: Arc<dyn Clock>) -> Self {
        Self {
            fetcher,
            clock,
            known: Cache::new(KEY_SETS),
            asked: Cache::new(KEY_SETS),
        }
    }

    /// The key of the set at `url` for a token with this header.
    pub(super) async fn find(&self, url: &str, header: &Header) -> Option<Jwk> {
        if let Some(key) = self.present(url).await.and_then(|known| select(&known, header)) {
            return Some(key);
        }
        if !self.may_ask_again(url) {
            return None;
        }
        let document = self.fetcher.get_json_fresh(url, &limits()).await;
        let document = document
            .inspect_err(|error| tracing::debug!(url, %error, "a client's keys could not be fetched"))
            .ok()?;
        select(&*self.read(url, document)?, header)
    }

    /// Whether something may be asked for again because a key is missing; counts as asking.
    pub(super) fn may_ask_again(&self, name: &str) -> bool {
        let now = self.clock.now();
        let cooling = self
            .asked
            .get(name)
            .is_some_and(|asked| asked <= now && now.since(asked) < COOLDOWN);
        if !cooling {
            self.asked.insert(name.to_owned(), now);
        }
        !cooling
    }

    /// The set as the cache has it, or the last one that could be fetched.
    async fn present(&self, url: &str) -> Option<Arc<Known>> {
        match self.fetcher.get_json(url, &limits()).await {
            Ok(document) => self.read(url, document),
            Err(error) => {
                tracing::debug!(url, %error, "a client's keys could not be fetched");
                let age = |known: &Known| self.clock.now().since(known.document.fetched_at);
                self.known.get(url).filter(|known| age(known) <= MAX_STALE)
            }
        }
    }

    /// Reads a document once.
    fn read(&self, url: &str, document: Arc<Fetched>) -> Option<Arc<Known>> {
        if let Some(known) = self.known.get(url)
            && Arc::ptr_eq(&known.document, &document)
        {
            return Some(known);
        }
        let keys = JwkSet::parse(&document.body)
            .inspect_err(|error| tracing::debug!(url, %error, "a client's keys cannot be read"))
            .ok()?;
        let known = Arc::new(Known { document, keys });
        self.known.insert(url.to_owned(), Arc::clone(&known));
        Some(known)
    }
}

fn select(known: &Known, header: &Header) -> Option<Jwk> {
    known.keys.select(header).cloned()
}

fn limits() -> Limits {
    Limits {
        max_body: MAX_JWK_SET_BYTES,
        ..Limits::default()
    }
}
