//! Which proofs were used already (RFC 9449 §11.1).

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::future::ready;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doorward_oauth::dpop::Proof;
use doorward_oauth::time::UnixSeconds;
use futures_util::future::BoxFuture;

/// Remembers proofs as long as they could be replayed.
///
/// The one of the guard is [`MemoryReplayStore`]. Several processes that serve one resource need one between them, for
/// example a table with a unique key, or `SET … NX` with an expiry. A store that takes longer than two seconds counts as
/// unavailable.
pub trait ReplayStore: Send + Sync {
    /// Remembers `proof` at least until `proof.until`, and says whether it is new. A store that several processes share keeps
    /// it longer, by as much as their clocks may differ: an hour and five minutes are enough in any case. Of any number of
    /// parallel calls for one proof, exactly one may learn [`Insertion::New`].
    ///
    /// `now` is the guard's time; `proof.until` lies after it.
    ///
    /// # Errors
    /// [`ReplayStoreUnavailable`] when it cannot be told or there is no room: the request is then answered with `503`.
    fn insert(
        &self,
        proof: UsedProof,
        now: UnixSeconds,
    ) -> BoxFuture<'_, Result<Insertion, ReplayStoreUnavailable>>;
}

/// A proof that is about to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsedProof {
    /// Names it among all proofs: a digest over key and `jti`.
    pub id: [u8; 32],
    /// A digest of the key that signed it, for limits.
    pub key: [u8; 32],
    /// From this second on it is too old to count again.
    pub until: UnixSeconds,
}

impl UsedProof {
    /// A proof by its digests, for tests of stores.
    pub fn new(id: [u8; 32], key: [u8; 32], until: UnixSeconds) -> Self {
        Self { id, key, until }
    }

    pub(super) fn of(proof: &Proof) -> Self {
        let key = doorward_jose::sha256(proof.key_thumbprint().as_bytes());
        Self::new(proof.replay_id(), key, proof.acceptable_until())
    }
}

/// Whether a proof was seen for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
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

/// A limit for one key that small stores do not need.
const LEAST_PER_KEY: usize = 1_000;

/// Proofs whose ends lie no further apart, in seconds, are kept from passing by one and the same step back of the clock.
const ONE_STEP_BACK: i64 = 600;

/// The proofs of one process, in memory.
///
/// Bounded, and never forgets a proof that could still be replayed: when it is full of those, it says so. So that one
/// client alone cannot fill it, there is a limit for each key besides. A step back of the clock does not make proofs
/// count again that were forgotten before: for as long as the step, it cannot tell whether a proof is new.
pub struct MemoryReplayStore {
    capacity: usize,
    per_key: usize,
    count: AtomicUsize,
    /// The warning of a clock that was set back is not repeated for proofs that were forgotten until this second.
    warned_until: AtomicI64,
    shards: [Mutex<Shard>; SHARDS],
}

/// The proofs of some keys.
#[derive(Default)]
struct Shard {
    /// The first half of each digest.
    live: HashSet<u128>,
    /// How many of them each key has.
    by_key: HashMap<u128, usize>,
    /// Proofs and their keys by the second of their end.
    by_end: BTreeMap<UnixSeconds, Vec<(u128, u128)>>,
    /// The latest end of a proof that was forgotten. Proofs that end earlier may have been among them.
    forgotten: Option<UnixSeconds>,
}

/// Why a proof is not taken.
enum Untaken {
    Full,
    /// The key has its share.
    OfKey,
    /// It may be among those that were forgotten: proofs that ended in this second were.
    Forgotten(UnixSeconds),
}

impl MemoryReplayStore {
    /// Room for `capacity` proofs, of which one key may have a quarter (in a small store, 1000).
    pub fn new(capacity: usize) -> Self {
        Self::with_limits(capacity, (capacity / 4).max(LEAST_PER_KEY))
    }

    /// Room for `capacity` proofs, of which one key may have `per_key`.
    pub fn with_limits(capacity: usize, per_key: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            per_key: per_key.max(1),
            count: AtomicUsize::new(0),
            warned_until: AtomicI64::new(i64::MIN),
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

    fn remember(&self, proof: &UsedProof, now: UnixSeconds) -> Result<Insertion, ReplayStoreUnavailable> {
        let first = match self.insert_into(proof, now) {
            Err(Untaken::Full) => {
                // Proofs that have ended may still lie in the other shards.
                for shard in &self.shards {
                    lock(shard).clear(now, usize::MAX, &self.count);
                }
                self.insert_into(proof, now)
            }
            other => other,
        };
        first.map_err(|why| {
            let until_end = |end: Option<UnixSeconds>| end.map_or(Duration::ZERO, |end| end.since(now));
            let retry_after = match why {
                Untaken::Full => until_end(self.first_end()),
                Untaken::OfKey => until_end(lock(self.shard_of(proof)).first_end()),
                Untaken::Forgotten(end) => {
                    if self.is_another_step_back(end) {
                        tracing::warn!(
                            "the clock was set back: until it is where it was, nobody can tell whether a DPoP proof was used before; a restart of this process ends that"
                        );
                    }
                    // One that is made as much later ends after them.
                    end.since(proof.until) + Duration::from_secs(1)
                }
            };
            ReplayStoreUnavailable { retry_after }
        })
    }

    /// Once for each step back: the shards forget within minutes of each other.
    fn is_another_step_back(&self, forgotten: UnixSeconds) -> bool {
        let end = forgotten.seconds();
        self.warned_until
            .fetch_max(end + ONE_STEP_BACK, Ordering::Relaxed)
            < end
    }

    fn insert_into(&self, proof: &UsedProof, now: UnixSeconds) -> Result<Insertion, Untaken> {
        let (id, key) = (half(&proof.id), half(&proof.key));
        let mut shard = lock(self.shard_of(proof));
        shard.clear(now, CLEARED_AT_ONCE, &self.count);
        if shard.live.contains(&id) {
            return Ok(Insertion::Replayed);
        }
        if let Some(end) = shard.forgotten.filter(|end| proof.until <= *end) {
            return Err(Untaken::Forgotten(end));
        }
        if shard.by_key.get(&key).is_some_and(|count| *count >= self.per_key) {
            // The key's own may have ended.
            shard.clear(now, usize::MAX, &self.count);
            if shard.by_key.get(&key).is_some_and(|count| *count >= self.per_key) {
                return Err(Untaken::OfKey);
            }
        }
        let room = |count| (count < self.capacity).then_some(count + 1);
        self.count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, room)
            .map_err(|_| Untaken::Full)?;
        shard.live.insert(id);
        *shard.by_key.entry(key).or_default() += 1;
        shard.by_end.entry(proof.until).or_default().push((id, key));
        Ok(Insertion::New)
    }

    /// All proofs of one key lie in one shard, so that its lock guards their number.
    fn shard_of(&self, proof: &UsedProof) -> &Mutex<Shard> {
        &self.shards[usize::from(proof.key[31]) % SHARDS]
    }

    fn first_end(&self) -> Option<UnixSeconds> {
        self.shards
            .iter()
            .filter_map(|shard| lock(shard).first_end())
            .min()
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn half(digest: &[u8; 32]) -> u128 {
    u128::from_be_bytes(std::array::from_fn(|index| digest[index]))
}

impl Shard {
    fn first_end(&self) -> Option<UnixSeconds> {
        self.by_end.first_key_value().map(|(end, _)| *end)
    }

    /// Forgets up to `most` proofs that have ended.
    fn clear(&mut self, now: UnixSeconds, most: usize, count: &AtomicUsize) {
        let mut cleared = 0;
        while cleared < most
            && let Some(mut ended) = self.by_end.first_entry()
            && *ended.key() <= now
        {
            self.forgotten = self.forgotten.max(Some(*ended.key()));
            match ended.get_mut().pop() {
                Some((id, key)) => {
                    self.live.remove(&id);
                    if let Entry::Occupied(mut proofs) = self.by_key.entry(key) {
                        *proofs.get_mut() -= 1;
                        if *proofs.get() == 0 {
                            proofs.remove();
                        }
                    }
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
        proof: UsedProof,
        now: UnixSeconds,
    ) -> BoxFuture<'_, Result<Insertion, ReplayStoreUnavailable>> {
        Box::pin(ready(self.remember(&proof, now)))
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
