//! Access tokens of ours that were seen to work a moment ago, for those who ask about the same one again and again.
//!
//! What ends a token is in the log of revocations or is a change of a client, and the store tells of both. Before
//! anything that is kept is used, the log is read up to where it is now: what it names is forgotten.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use doorward_oauth::claims::Audience;
use doorward_oauth::time::UnixSeconds;
use doorward_store::{Change, GrantId, Revocation, Revoked, Store, StoreError, Version};
use quick_cache::sync::Cache;

/// Tokens that are kept.
const KEPT: usize = 4096;
/// Entries of the log that are read at a time.
const PAGE: u32 = 256;

/// The tokens, by the SHA-256 of each.
pub(crate) struct LiveTokens {
    store: Arc<dyn Store>,
    /// Each with the version of the clients at which it was seen to work.
    tokens: Cache<[u8; 32], (Version, Arc<LiveToken>)>,
    /// How often something was forgotten. What was read before that is not kept. It grows, and something is kept, under the
    /// lock beside it.
    forgotten: AtomicU64,
    keeping: Mutex<()>,
    /// The version up to which the log has been read.
    read_up_to: ArcSwapOption<Version>,
    reading: tokio::sync::Mutex<Option<Place>>,
}

/// Where in which log.
struct Place {
    log: String,
    position: u64,
}

/// A token that works.
pub(crate) struct LiveToken {
    /// What introspection answers about it.
    pub(crate) answer: Bytes,
    pub(crate) audience: Audience,
    pub(crate) client_id: String,
    pub(crate) expires_at: UnixSeconds,
    /// The key that signed it.
    pub(crate) key_id: String,
    pub(crate) jti: String,
    pub(crate) grant: GrantId,
    /// The client of the grant: another one when the token was exchanged.
    pub(crate) granted_to: String,
}

/// What was current before a token was looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    forgotten: u64,
    clients: Version,
}

impl LiveTokens {
    /// Knows nothing yet.
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            tokens: Cache::new(KEPT),
            forgotten: AtomicU64::new(0),
            keeping: Mutex::new(()),
            read_up_to: ArcSwapOption::empty(),
            reading: tokio::sync::Mutex::new(None),
        }
    }

    /// What is known now, if the store can tell what has changed. Then what is read after this may be kept.
    pub(crate) async fn catch_up(&self) -> Result<Option<Moment>, StoreError> {
        let changes = self.store.changes();
        let Some(version) = changes.version(Change::Revocations) else {
            return Ok(None);
        };
        if self.read_up_to.load().as_deref() != Some(&version) && !self.read_log().await? {
            return Ok(None);
        }
        let clients = changes.version(Change::Clients);
        Ok(clients.map(|clients| Moment {
            forgotten: self.forgotten.load(Ordering::SeqCst),
            clients,
        }))
    }

    /// A token that still works at this moment, as far as the store knows.
    pub(crate) fn get(&self, digest: &[u8; 32], moment: Moment, now: UnixSeconds) -> Option<Arc<LiveToken>> {
        let (clients, token) = self.tokens.get(digest)?;
        (clients == moment.clients && now < token.expires_at).then_some(token)
    }

    /// Keeps a token that was seen to work after this moment.
    pub(crate) fn keep(&self, digest: [u8; 32], moment: Moment, token: LiveToken) {
        let _keeping = self.lock();
        if self.forgotten.load(Ordering::SeqCst) == moment.forgotten {
            self.tokens.insert(digest, (moment.clients, Arc::new(token)));
        }
    }

    /// Reads the log to its end, one caller for all. Returns whether the store could tell where that is.
    async fn read_log(&self) -> Result<bool, StoreError> {
        let mut place = self.reading.lock().await;
        let Some(version) = self.store.changes().version(Change::Revocations) else {
            return Ok(false);
        };
        if self.read_up_to.load().as_deref() == Some(&version) {
            return Ok(true);
        }
        loop {
            let after = place.as_ref().map_or(u64::MAX, |place| place.position);
            let page = self.store.revocations(after, PAGE).await?;
            let follows = place.as_ref().is_some_and(|place| {
                place.log == page.log && (page.forgotten..=page.last).contains(&place.position)
            });
            if !follows {
                // The first time, or after another database was put in its place.
                let _keeping = self.lock();
                self.forgotten.fetch_add(1, Ordering::SeqCst);
                self.tokens.clear();
                *place = Some(Place {
                    log: page.log,
                    position: page.last,
                });
                break;
            }
            self.forget(&page.items);
            if let (Some(place), Some(last)) = (place.as_mut(), page.items.last()) {
                place.position = last.position;
            }
            if page.items.len() < PAGE as usize {
                break;
            }
        }
        self.read_up_to.store(Some(Arc::new(version)));
        Ok(true)
    }

    fn forget(&self, revocations: &[Revocation]) {
        if revocations.is_empty() {
            return;
        }
        let _keeping = self.lock();
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        self.tokens.retain(|_, (_, token)| {
            !revocations
                .iter()
                .any(|revocation| token.rests_on(&revocation.revoked))
        });
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.keeping.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LiveToken {
    fn rests_on(&self, revoked: &Revoked) -> bool {
        match revoked {
            Revoked::Grant(id) => self.grant == *id,
            Revoked::Token(jti) => self.jti == *jti,
            Revoked::Client(id) => self.client_id == *id || self.granted_to == *id,
        }
    }
}

#[cfg(test)]
#[path = "live_tokens_tests.rs"]
mod tests;
