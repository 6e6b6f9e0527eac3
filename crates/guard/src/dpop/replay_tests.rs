use std::sync::{Arc, Barrier};

use super::*;

const NOW: UnixSeconds = UnixSeconds(1_000);

/// A proof of a key of its own.
fn proof(number: u32, until: UnixSeconds) -> UsedProof {
    proof_of(number, number, until)
}

fn proof_of(key: u32, number: u32, until: UnixSeconds) -> UsedProof {
    UsedProof {
        id: doorward_jose::sha256(&number.to_be_bytes()),
        key: doorward_jose::sha256(format!("key {key}").as_bytes()),
        until,
    }
}

fn after(seconds: u64) -> UnixSeconds {
    NOW + Duration::from_secs(seconds)
}

#[test]
fn a_proof_counts_once_while_it_lives() {
    let store = MemoryReplayStore::new(10);
    assert_eq!(store.remember(&proof(1, after(5)), NOW), Ok(Insertion::New));
    for seconds in 0..5 {
        let again = store.remember(&proof(1, after(5)), after(seconds));
        assert_eq!(again, Ok(Insertion::Replayed), "{seconds}");
    }
    assert_eq!(store.remember(&proof(2, after(5)), NOW), Ok(Insertion::New));
}

#[test]
fn a_full_store_says_when_there_is_room_and_forgets_nothing_that_lives() {
    let store = MemoryReplayStore::new(3);
    for number in 0..3 {
        let end = after(u64::from(number) + 10);
        assert_eq!(store.remember(&proof(number, end), NOW), Ok(Insertion::New));
    }
    let refused = store.remember(&proof(9, after(99)), after(4));
    let retry_after = Duration::from_secs(6);
    assert_eq!(refused, Err(ReplayStoreUnavailable { retry_after }));
    for number in 0..3 {
        let again = store.remember(&proof(number, after(99)), after(9));
        assert_eq!(again, Ok(Insertion::Replayed), "{number}");
    }
    assert_eq!(
        store.remember(&proof(9, after(99)), after(10)),
        Ok(Insertion::New)
    );
    assert!(store.remember(&proof(10, after(99)), after(10)).is_err());
}

/// What was forgotten cannot be told from what is new. A new proof does not cure that, so nobody is told to make one.
#[test]
fn a_step_back_of_the_clock_brings_no_proof_back() {
    let store = MemoryReplayStore::new(10);
    assert_eq!(store.remember(&proof(1, after(5)), NOW), Ok(Insertion::New));
    for number in 2..40 {
        let _ = store.remember(&proof(number, after(20)), after(5));
        lock(store.shard_of(&proof(1, NOW))).clear(after(5), 9, &store.count);
    }
    let retry_after = Duration::from_secs(1);
    assert_eq!(
        store.remember(&proof(1, after(5)), NOW),
        Err(ReplayStoreUnavailable { retry_after })
    );
}

#[test]
fn after_a_step_back_proofs_count_again_when_it_was_said() {
    let store = MemoryReplayStore::new(10_000);
    let lifetime = Duration::from_mins(5);
    let ends_after = |seconds| after(seconds) + lifetime;
    // A request a second for a quarter of an hour, with the clock an hour ahead.
    for second in 0..900 {
        let used = proof_of(1, second, ends_after(3_600 + u64::from(second)));
        assert_eq!(
            store.remember(&used, after(3_600 + u64::from(second))),
            Ok(Insertion::New)
        );
    }
    let known = proof_of(1, 899, ends_after(4_499));
    assert_eq!(store.remember(&known, after(900)), Ok(Insertion::Replayed));
    let refused = store.remember(&proof_of(1, 1_000, ends_after(900)), after(900));
    let retry_after = refused.unwrap_err().retry_after;
    assert!(retry_after <= Duration::from_hours(1), "{retry_after:?}");
    let just_before = retry_after.checked_sub(Duration::from_secs(1)).unwrap();
    let early = proof_of(1, 1_001, ends_after(900) + just_before);
    assert!(store.remember(&early, after(900) + just_before).is_err());
    let in_time = proof_of(1, 1_002, ends_after(900) + retry_after);
    assert_eq!(
        store.remember(&in_time, after(900) + retry_after),
        Ok(Insertion::New)
    );
}

#[test]
fn what_has_ended_is_cleared_away_as_others_come() {
    let store = MemoryReplayStore::new(100_000);
    for second in 0..1_000_u32 {
        let now = after(u64::from(second));
        for number in 0..10 {
            let end = now + Duration::from_secs(20);
            assert_eq!(
                store.remember(&proof(second * 10 + number, end), now),
                Ok(Insertion::New)
            );
        }
    }
    assert!(store.len() < 400, "{store:?}");
    let listed: usize = store.shards.iter().map(|shard| lock(shard).live.len()).sum();
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
                    store.remember(&proof(round, after(5)), NOW) == Ok(Insertion::New)
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
                let mine = (0..200).map(|number| proof(caller * 1_000 + number, after(5)));
                mine.filter(|proof| store.remember(proof, NOW).is_ok()).count()
            })
        })
        .collect();
    let taken: usize = callers.into_iter().map(|caller| caller.join().unwrap()).sum();
    assert_eq!((taken, store.len()), (500, 500));
}

#[test]
fn one_key_cannot_fill_the_store() {
    let store = MemoryReplayStore::with_limits(100, 10);
    for number in 0..10 {
        let end = after(u64::from(number) + 5);
        assert_eq!(store.remember(&proof_of(1, number, end), NOW), Ok(Insertion::New));
    }
    let retry_after = Duration::from_secs(5);
    let refused = store.remember(&proof_of(1, 99, after(50)), NOW);
    assert_eq!(refused, Err(ReplayStoreUnavailable { retry_after }));
    let again = store.remember(&proof_of(1, 3, after(8)), NOW);
    assert_eq!(again, Ok(Insertion::Replayed), "what is known stays known");
    assert_eq!(
        store.remember(&proof_of(2, 99, after(50)), NOW),
        Ok(Insertion::New)
    );
    // With the first that ended, there is room for one.
    assert_eq!(
        store.remember(&proof_of(1, 100, after(50)), after(5)),
        Ok(Insertion::New)
    );
    assert!(store.remember(&proof_of(1, 101, after(50)), after(5)).is_err());
    // Nothing is left of keys whose proofs are gone.
    assert_eq!(
        store.remember(&proof_of(3, 102, after(60)), after(50)),
        Ok(Insertion::New)
    );
    for shard in &store.shards {
        lock(shard).clear(after(50), usize::MAX, &store.count);
    }
    let keys: usize = store.shards.iter().map(|shard| lock(shard).by_key.len()).sum();
    assert_eq!((store.len(), keys), (1, 1));
}

/// More have ended than are cleared away with one insertion.
#[test]
fn what_has_ended_does_not_count_against_its_key() {
    let store = MemoryReplayStore::with_limits(100, 10);
    let ended = u32::try_from(CLEARED_AT_ONCE).unwrap() + 2;
    // Others of the same shard, which are cleared away first.
    let shard = |key: u32| proof_of(key, 0, NOW).key[31] as usize % SHARDS;
    let other = (2..100_000).find(|key| shard(*key) == shard(1)).unwrap();
    for number in 0..ended {
        assert_eq!(
            store.remember(&proof_of(other, 100 + number, after(1)), NOW),
            Ok(Insertion::New)
        );
    }
    for number in 0..10 {
        assert_eq!(
            store.remember(&proof_of(1, number, after(2)), NOW),
            Ok(Insertion::New)
        );
    }
    assert!(store.remember(&proof_of(1, 99, after(50)), NOW).is_err());
    assert_eq!(
        store.remember(&proof_of(1, 99, after(50)), after(3)),
        Ok(Insertion::New)
    );
}

#[test]
fn each_step_back_of_the_clock_is_told_once() {
    let store = MemoryReplayStore::new(10);
    assert!(store.is_another_step_back(after(1_000)));
    assert!(!store.is_another_step_back(after(1_000)));
    assert!(
        !store.is_another_step_back(after(1_300)),
        "another shard, the same step"
    );
    assert!(store.is_another_step_back(after(10_000)));
}

#[test]
fn of_parallel_callers_with_one_key_no_more_than_its_share_get_in() {
    let store = Arc::new(MemoryReplayStore::with_limits(10_000, 100));
    let callers: Vec<_> = (0..8_u32)
        .map(|caller| {
            let store = Arc::clone(&store);
            std::thread::spawn(move || {
                let mine = (0..200).map(|number| proof_of(1, caller * 1_000 + number, after(5)));
                mine.filter(|proof| store.remember(proof, NOW).is_ok()).count()
            })
        })
        .collect();
    let taken: usize = callers.into_iter().map(|caller| caller.join().unwrap()).sum();
    assert_eq!((taken, store.len()), (100, 100));
}
