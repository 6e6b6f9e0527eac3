//! What happens again and again is written down once in a while.

use std::convert::Infallible;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use doorward_oauth::time::UnixSeconds;
use quick_cache::sync::Cache;

/// Seconds.
const EVERY: i64 = 60;
const NEVER: i64 = i64::MIN;

/// When a thing was last written down. What is forgotten, to keep within the bound, is written down again.
pub(super) struct OnceAMinute<K> {
    last: Cache<K, Arc<AtomicI64>>,
}

impl<K: Eq + Hash + Clone> OnceAMinute<K> {
    /// Remembers about so many things.
    pub(super) fn new(remembered: usize) -> Self {
        Self {
            last: Cache::new(remembered),
        }
    }

    /// That it is the first in a minute, to be taken back when it could not be written down. Of callers at the same time one
    /// is.
    pub(super) fn first(&self, thing: &K, now: UnixSeconds) -> Option<First> {
        let never = || Ok::<_, Infallible>(Arc::new(AtomicI64::new(NEVER)));
        let Ok(last) = self.last.get_or_insert_with(thing, never);
        let now = now.seconds();
        let is_due = |last: i64| !(0..EVERY).contains(&now.saturating_sub(last));
        last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
            is_due(last).then_some(now)
        })
        .ok()?;
        Some(First { last, at: now })
    }
}

/// From now on a thing counts as written down.
pub(super) struct First {
    last: Arc<AtomicI64>,
    at: i64,
}

impl First {
    /// It was not: the next one is the first. Unless that has been already, in another minute.
    pub(super) fn take_back(self) {
        let _ = self
            .last
            .compare_exchange(self.at, NEVER, Ordering::Relaxed, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl<K: Eq + Hash + Clone> OnceAMinute<K> {
        fn is_first(&self, thing: &K, now: UnixSeconds) -> bool {
            self.first(thing, now).is_some()
        }
    }

    #[test]
    fn a_thing_is_first_once_a_minute_also_after_the_clock_went_back() {
        let told = OnceAMinute::new(16);
        let firsts: Vec<bool> = [1000, 1000, 1059, 1060, 1061, 900, 901]
            .map(|now| told.is_first(&"a", UnixSeconds(now)))
            .into();
        assert_eq!(firsts, [true, false, false, true, false, true, false]);
        assert!(told.is_first(&"b", UnixSeconds(1000)));
    }

    #[test]
    fn what_was_not_written_down_is_not_taken_for_written() {
        let told = OnceAMinute::new(16);
        let first = told.first(&"a", UnixSeconds(1000)).unwrap();
        first.take_back();
        let late = told.first(&"a", UnixSeconds(1001)).unwrap();
        assert!(!told.is_first(&"a", UnixSeconds(1002)));
        assert!(told.is_first(&"a", UnixSeconds(1061)));
        late.take_back();
        assert!(!told.is_first(&"a", UnixSeconds(1062)));
    }

    #[test]
    fn of_fifty_at_once_one_is_first() {
        let told = OnceAMinute::new(16);
        let firsts = std::thread::scope(|scope| {
            let asked: Vec<_> = (0..50)
                .map(|_| scope.spawn(|| told.is_first(&"a", UnixSeconds(1000))))
                .collect();
            let answers = asked.into_iter().map(|asked| asked.join().unwrap());
            answers.filter(|first| *first).count()
        });
        assert_eq!(firsts, 1);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let told = OnceAMinute::new(16);
        for number in 0..10_000 {
            told.is_first(&number, UnixSeconds(1000));
        }
        assert!(told.last.len() <= 32, "{}", told.last.len());
    }
}
