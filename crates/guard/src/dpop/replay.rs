//! Which proofs were used already (RFC 9449 §11.1).

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::future::ready;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doorward_oauth::time::UnixSeconds;
use futures_util::future::BoxFuture;

/// Remembers proofs as long as they could be replayed.
///
/// The one of the guard is [`MemoryReplayStore`]. Several processes that serve one resource need one between them, for
/// example a table with a unique key, or `SET … NX` with an expiry. A store that takes longer than two seconds counts as
/// unavailable.
pub trait ReplayStore: Send + Sync {
    /// Remembers `proof`, a digest over key and `jti`, at least until `until`, and says whether it is new. Of any number
    /// of parallel calls for one proof, exactly one may learn [`Insertion::New`].
    ///
    /// `now` is the guard's time; `until` lies after it.
    ///
    /// # Errors
    /// [`ReplayStoreUnavailable`] when it cannot be told or there is no room: the request is then answered with `503`.
    fn insert(
        &self,
        proof: [u8; 32],
        now: UnixSeconds,
        until: UnixSeconds,
    ) -> BoxFuture<'_, Result<Insertion, ReplayStoreUnavailable>>;
}

/// Whether a proof was seen for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Insertion {
    /// Not seen before: it counts.
    New,
    /// Used already.
    Replayed,
}

/// The store does not know, or is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("proofs cannot be remembered right now")]
pub struct ReplayStoreUnavailable {
    /// When it is worth trying again.
    pub retry_after: Duration,
}

/// A power of two.
const SHARDS: usize = 16;
/// How many ended proofs an insertion clears away: more than it adds, so that they never pile up, and few, so that no
/// request pays for many.
const CLEARED_AT_ONCE: usize = 4;

/// The proofs of one process, in memory.
///
/// Bounded, and never forgets a proof that could still be replayed: when it is full of those, it says so. A step back of
/// the clock does not make proofs count again that were forgotten before.
pub struct MemoryReplayStore {
    capacity: usize,
    count: AtomicUsize,
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Default)]
struct Shard {
    /// The first half of each digest.
    live: HashSet<u128>,
    /// The same by the second of their end.
    by_end: BTreeMap<UnixSeconds, Vec<u128>>,
    /// The latest end of a proof that was forgotten. Proofs that end earlier may have been among them.
    forgotten: Option<UnixSeconds>,
}

/// There is no room.
struct Full;

impl MemoryReplayStore {
    /// Room for `capacity` proofs.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            count: AtomicUsize::new(0),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// How many proofs are remembered.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn remember(
        &self,
        proof: [u8; 32],
        now: UnixSeconds,
        until: UnixSeconds,
    ) -> Result<Insertion, ReplayStoreUnavailable> {
        let key = u128::from_be_bytes(std::array::from_fn(|index| proof[index]));
        let index = usize::from(proof[31]) % SHARDS;
        if let Ok(insertion) = self.insert_into(index, key, now, until) {
            return Ok(insertion);
        }
        // Proofs that have ended may still lie in the other shards.
        for index in 0..SHARDS {
            self.shard(index).clear(now, usize::MAX, &self.count);
        }
        self.insert_into(index, key, now, until)
            .map_err(|Full| ReplayStoreUnavailable {
                retry_after: self.first_end().map_or(Duration::ZERO, |end| end.since(now)),
            })
    }

    fn insert_into(
        &self,
        index: usize,
        key: u128,
        now: UnixSeconds,
        until: UnixSeconds,
    ) -> Result<Insertion, Full> {
        let mut shard = self.shard(index);
        shard.clear(now, CLEARED_AT_ONCE, &self.count);
        if shard.live.contains(&key) || shard.forgotten.is_some_and(|end| until <= end) {
            return Ok(Insertion::Replayed);
        }
        let room = |count| (count < self.capacity).then_some(count + 1);
        self.count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, room)
            .map_err(|_| Full)?;
        shard.live.insert(key);
        shard.by_end.entry(until).or_default().push(key);
        Ok(Insertion::New)
    }

    fn first_end(&self) -> Option<UnixSeconds> {
        (0..SHARDS)
            .filter_map(|index| self.shard(index).by_end.first_key_value().map(|(end, _)| *end))
            .min()
    }

    fn shard(&self, index: usize) -> MutexGuard<'_, Shard> {
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    /// Forgets up to `most` proofs that have ended.
    fn clear(&mut self, now: UnixSeconds, most: usize, count: &AtomicUsize) {
        let mut cleared = 0;
        while cleared < most
            && let Some(mut ended) = self.by_end.first_entry()
            && *ended.key() <= now
        {
            self.forgotten = self.forgotten.max(Some(*ended.key()));
            match ended.get_mut().pop() {
                Some(key) => {
                    self.live.remove(&key);
                    cleared += 1;
                }
                None => {
                    ended.remove();
                }
            }
        }
        count.fetch_sub(cleared, Ordering::Relaxed);
    }
}

impl ReplayStore for MemoryReplayStore {
    fn insert(
        &self,
        proof: [u8; 32],
        now: UnixSeconds,
        until: UnixSeconds,
    ) -> BoxFuture<'_, Result<Insertion, ReplayStoreUnavailable>> {
        Box::pin(ready(self.remember(proof, now, until)))
    }
}

impl fmt::Debug for MemoryReplayStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryReplayStore")
            .field("capacity", &self.capacity)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
