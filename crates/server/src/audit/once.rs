//! What happens again and again is written down once in a while.

use std::convert::Infallible;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use doorward_oauth::time::UnixSeconds;
use quick_cache::sync::Cache;

/// Seconds.
const EVERY: i64 = 60;

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

    /// Whether it is the first in a minute. Of callers at the same time one is.
    pub(super) fn is_first(&self, thing: &K, now: UnixSeconds) -> bool {
        let never = || Ok::<_, Infallible>(Arc::new(AtomicI64::new(i64::MIN)));
        let Ok(last) = self.last.get_or_insert_with(thing, never);
        let now = now.seconds();
        let is_due = |last: i64| !(0..EVERY).contains(&now.saturating_sub(last));
        last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
            is_due(last).then_some(now)
        })
        .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
