use std::sync::{Arc, Barrier};

use super::*;

const NOW: UnixSeconds = UnixSeconds(1_000);

fn proof(number: u32) -> [u8; 32] {
    doorward_jose::sha256(&number.to_be_bytes())
}

fn after(seconds: u64) -> UnixSeconds {
    NOW + Duration::from_secs(seconds)
}

#[test]
fn a_proof_counts_once_while_it_lives() {
    let store = MemoryReplayStore::new(10);
    assert_eq!(store.remember(proof(1), NOW, after(5)), Ok(Insertion::New));
    for seconds in 0..5 {
        let again = store.remember(proof(1), after(seconds), after(5));
        assert_eq!(again, Ok(Insertion::Replayed), "{seconds}");
    }
    assert_eq!(store.remember(proof(2), NOW, after(5)), Ok(Insertion::New));
}

#[test]
fn a_full_store_says_when_there_is_room_and_forgets_nothing_that_lives() {
    let store = MemoryReplayStore::new(3);
    for number in 0..3 {
        let end = after(u64::from(number) + 10);
        assert_eq!(store.remember(proof(number), NOW, end), Ok(Insertion::New));
    }
    let refused = store.remember(proof(9), after(4), after(99));
    let retry_after = Duration::from_secs(6);
    assert_eq!(refused, Err(ReplayStoreUnavailable { retry_after }));
    for number in 0..3 {
        let again = store.remember(proof(number), after(9), after(99));
        assert_eq!(again, Ok(Insertion::Replayed), "{number}");
    }
    assert_eq!(store.remember(proof(9), after(10), after(99)), Ok(Insertion::New));
    assert!(store.remember(proof(10), after(10), after(99)).is_err());
}

/// What was forgotten cannot be told from what is new, so it counts as used.
#[test]
fn a_step_back_of_the_clock_brings_no_proof_back() {
    let store = MemoryReplayStore::new(10);
    assert_eq!(store.remember(proof(1), NOW, after(5)), Ok(Insertion::New));
    for number in 2..40 {
        let _ = store.remember(proof(number), after(5), after(20));
        store
            .shard(usize::from(proof(1)[31]) % SHARDS)
            .clear(after(5), 9, &store.count);
    }
    assert_eq!(store.remember(proof(1), NOW, after(5)), Ok(Insertion::Replayed));
}

#[test]
fn what_has_ended_is_cleared_away_as_others_come() {
    let store = MemoryReplayStore::new(100_000);
    for second in 0..1_000_u32 {
        let now = after(u64::from(second));
        for number in 0..10 {
            let end = now + Duration::from_secs(20);
            assert_eq!(
                store.remember(proof(second * 10 + number), now, end),
                Ok(Insertion::New)
            );
        }
    }
    assert!(store.len() < 400, "{store:?}");
    let listed: usize = (0..SHARDS).map(|index| store.shard(index).live.len()).sum();
    assert_eq!(listed, store.len());
}

#[test]
fn of_parallel_callers_exactly_one_is_first() {
    const CALLERS: usize = 16;
    for round in 0..50 {
        let store = Arc::new(MemoryReplayStore::new(10));
        let start = Arc::new(Barrier::new(CALLERS));
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let (store, start) = (Arc::clone(&store), Arc::clone(&start));
                std::thread::spawn(move || {
                    start.wait();
                    store.remember(proof(round), NOW, after(5)) == Ok(Insertion::New)
                })
            })
            .collect();
        let first = callers.into_iter().map(|caller| caller.join().unwrap());
        assert_eq!(first.filter(|first| *first).count(), 1);
    }
}

#[test]
fn parallel_callers_never_get_past_the_capacity() {
    let store = Arc::new(MemoryReplayStore::new(500));
    let callers: Vec<_> = (0..8_u32)
        .map(|caller| {
            let store = Arc::clone(&store);
            std::thread::spawn(move || {
                let mine = (0..200).map(|number| proof(caller * 1_000 + number));
                mine.filter(|proof| store.remember(*proof, NOW, after(5)).is_ok())
                    .count()
            })
        })
        .collect();
    let taken: usize = callers.into_iter().map(|caller| caller.join().unwrap()).sum();
    assert_eq!((taken, store.len()), (500, 500));
}
