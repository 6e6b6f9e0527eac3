//! Public keys of others, fetched: of clients that sign assertions, of issuers that are trusted.

use std::sync::Arc;
use std::time::Duration;

use doorward_fetch::{FetchError, Fetched, Fetcher, Limits};
use doorward_jose::{Header, Jwk, JwkSet, MAX_JWK_SET_BYTES};
use doorward_oauth::time::{Clock, UnixSeconds};
use quick_cache::sync::Cache;

/// Key sets remembered.
const KEY_SETS: usize = 1000;
/// An unknown `kid` makes this server ask again no more often than this.
const COOLDOWN: Duration = Duration::from_secs(30);
/// What must not be stored is asked for again no more often than this, however many want it: strangers, who make this
/// server ask, could otherwise make it ask without end.
const PAUSE: Duration = Duration::from_secs(10);
/// What cannot be fetched any more is used for this long at most.
pub(crate) const MAX_STALE: Duration = Duration::from_hours(24);

/// Fetches key sets, and asks again when a key is missing.
pub(crate) struct KeySets {
    clock: Arc<dyn Clock>,
    known: Cache<String, Arc<Known>>,
    asked: Cache<String, UnixSeconds>,
}

/// A key set as it was fetched.
struct Known {
    document: Arc<Fetched>,
    keys: JwkSet,
}

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoKey {
    /// The set has none for this header.
    #[error("there is no key for the signature")]
    Unknown,
    /// There is no set: it may be there in a moment.
    #[error("the keys cannot be fetched or read")]
    Unreachable,
    /// Nobody was asked: this server fetches too much at the moment.
    #[error("too much is being fetched to ask for the keys")]
    Busy,
    /// Nobody was asked: too much was fetched for the address of the request.
    #[error("too much was fetched for this address to ask for the keys")]
    TooMany,
}

impl NoKey {
    /// Why the keys were not asked for, if that is what the error says.
    const fn not_asked(error: &FetchError) -> Option<Self> {
        match error {
            FetchError::Busy => Some(Self::Busy),
            FetchError::NotAdmitted => Some(Self::TooMany),
            _ => None,
        }
    }
}

impl KeySets {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            known: Cache::new(KEY_SETS),
            asked: Cache::new(KEY_SETS),
        }
    }

    /// The key of the set at `url`, as this fetcher gets it, for a token with this header.
    pub(crate) async fn find(&self, fetcher: &Fetcher, url: &str, header: &Header) -> Result<Jwk, NoKey> {
        let answer = fetcher.get_json(url, &limits()).await;
        let not_asked = answer.as_ref().err().and_then(NoKey::not_asked);
        let known = self.present(url, answer);
        if let Some(key) = known.as_deref().and_then(|known| select(known, header)) {
            return Ok(key);
        }
        if let Some(why) = not_asked {
            return Err(why);
        }
        if !self.may_ask_again(url) {
            return Err(known.map_or(NoKey::Unreachable, |_| NoKey::Unknown));
        }
        let document = fetcher.get_json_fresh(url, &limits()).await;
        let document = document
            .inspect_err(|error| tracing::debug!(url, %error, "keys could not be fetched"))
            .map_err(|error| self.unanswered(url, &error))?;
        let known = self.read(url, document).ok_or(NoKey::Unreachable)?;
        select(&known, header).ok_or(NoKey::Unknown)
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

    /// Where nobody was asked, asking does not count.
    pub(super) fn unanswered(&self, name: &str, error: &FetchError) -> NoKey {
        let Some(why) = NoKey::not_asked(error) else {
            return NoKey::Unreachable;
        };
        self.asked.remove(name);
        why
    }

    /// The set that was answered, or the last one that could be fetched.
    fn present(&self, url: &str, answer: Result<Arc<Fetched>, FetchError>) -> Option<Arc<Known>> {
        match answer {
            Ok(document) => {
                if let Some(known) = self.read(url, document) {
                    return Some(known);
                }
            }
            Err(error) => tracing::debug!(url, %error, "keys could not be fetched"),
        }
        let age = |known: &Known| self.clock.now().since(known.document.fetched_at);
        self.known.get(url).filter(|known| age(known) <= MAX_STALE)
    }

    /// Reads a document once.
    fn read(&self, url: &str, document: Arc<Fetched>) -> Option<Arc<Known>> {
        if let Some(known) = self.known.get(url)
            && Arc::ptr_eq(&known.document, &document)
        {
            return Some(known);
        }
        let keys = JwkSet::parse(&document.body)
            .inspect_err(|error| tracing::debug!(url, %error, "keys cannot be read"))
            .ok()?;
        let known = Arc::new(Known { document, keys });
        self.known.insert(url.to_owned(), Arc::clone(&known));
        Some(known)
    }
}

fn select(known: &Known, header: &Header) -> Option<Jwk> {
    known.keys.select(header).cloned()
}

pub(crate) fn limits() -> Limits {
    Limits {
        max_body: MAX_JWK_SET_BYTES,
        pause: PAUSE,
        ..Limits::default()
    }
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
