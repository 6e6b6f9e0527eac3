//! The store of used proofs, when it is nearly as full as it gets.

use std::time::Duration;

use anyhow::{Result, ensure};
use doorward_bench::cpu;
use doorward_bench::spread::Spread;
use doorward_guard::{Insertion, MemoryReplayStore, ReplayStore as _, UnixSeconds, UsedProof};
use futures_util::FutureExt as _;

/// Proofs that live all the time.
const LIVE: u64 = 1_000_000;
const ROUNDS: u64 = 21;
/// Insertions of a round.
const BATCH: u64 = 20_000;
/// How many keys the proofs come from.
const KEYS: u64 = 10_000;
/// How long a proof is remembered, in seconds: the store turns over once in that time.
const WINDOW: u64 = 300;

/// Nanoseconds of processor time for one insertion among a million live proofs, an ended one making room for each.
pub fn measure() -> Result<Spread> {
    let store = MemoryReplayStore::new(2_000_000);
    let mut number = 0;
    // As time passes: so many proofs a second that a million are alive at any moment.
    let mut insert = |count: u64| -> Result<Duration> {
        let proofs: Vec<_> = (number..number + count).map(proof).collect();
        number += count;
        let started = cpu::of_this_thread();
        let new = proofs
            .into_iter()
            .filter(|(proof, now)| store.insert(*proof, *now).now_or_never() == Some(Ok(Insertion::New)))
            .count();
        let spent = cpu::of_this_thread().saturating_sub(started);
        ensure!(u64::try_from(new)? == count, "an insertion is refused");
        Ok(spent)
    };
    // Twice around, so that the ended ones are there.
    insert(2 * LIVE)?;
    let rounds: Result<Vec<_>> = (0..ROUNDS).map(|_| insert(BATCH)).collect();
    let batch = u32::try_from(BATCH).map(f64::from)?;
    let figures = Spread::of(rounds?.iter().map(|spent| spent.as_secs_f64() * 1e9 / batch));
    ensure!(store.len() as u64 >= LIVE, "too few proofs are alive");
    Ok(figures)
}

/// The number's proof, and when it comes.
fn proof(number: u64) -> (UsedProof, UnixSeconds) {
    let second = number * WINDOW / LIVE;
    let now = UnixSeconds(1_800_000_000) + Duration::from_secs(second);
    let digest = |text: String| doorward_jose::sha256(text.as_bytes());
    // The keys in no order.
    let key = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % KEYS;
    let proof = UsedProof::new(
        digest(format!("proof {number}")),
        digest(format!("key {key}")),
        now + Duration::from_secs(WINDOW),
    );
    (proof, now)
}
