//! Things that one answer brought and a later request takes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Taken from the front, put to the back, thrown away when they are too many or too old.
pub struct Pool<T> {
    items: Mutex<VecDeque<(Instant, T)>>,
    most: usize,
    /// How long one of them is good.
    good_for: Duration,
    turn: AtomicUsize,
}

impl<T> Pool<T> {
    pub const fn new(most: usize, good_for: Duration) -> Self {
        Self {
            items: Mutex::new(VecDeque::new()),
            most,
            good_for,
            turn: AtomicUsize::new(0),
        }
    }

    /// The first that is good.
    pub fn take(&self) -> Option<T> {
        Some(self.take_with_age(&mut self.items())?.1)
    }

    /// The last that was put, if it is good.
    pub fn take_newest(&self) -> Option<T> {
        let (since, item) = self.items().pop_back()?;
        (since.elapsed() < self.good_for).then_some(item)
    }

    /// Puts one to the back.
    pub fn put(&self, item: T) {
        let mut items = self.items();
        items.push_back((Instant::now(), item));
        let surplus = items.len().saturating_sub(self.most);
        items.drain(..surplus);
    }

    /// How many good ones there are.
    pub fn len(&self) -> usize {
        let mut items = self.items();
        items.retain(|(since, _)| since.elapsed() < self.good_for);
        items.len()
    }

    fn take_with_age(&self, items: &mut VecDeque<(Instant, T)>) -> Option<(Instant, T)> {
        std::iter::from_fn(|| items.pop_front()).find(|(since, _)| since.elapsed() < self.good_for)
    }

    fn items(&self) -> MutexGuard<'_, VecDeque<(Instant, T)>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Pool<T> {
    /// The first that is good, which goes to the back and does not get younger by it.
    pub fn next(&self) -> Option<T> {
        let mut items = self.items();
        let (since, item) = self.take_with_age(&mut items)?;
        items.push_back((since, item.clone()));
        Some(item)
    }

    /// One of the first `of` that are good, in turn; they stay where they are.
    pub fn one_of_the_first(&self, of: usize) -> Option<T> {
        let mut items = self.items();
        while items
            .front()
            .is_some_and(|(since, _)| since.elapsed() >= self.good_for)
        {
            items.pop_front();
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let (_, item) = items.get(turn % items.len().min(of).max(1))?;
        Some(item.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_comes_first_and_the_surplus_goes() {
        let pool = Pool::new(2, Duration::from_mins(1));
        for item in [1, 2, 3] {
            pool.put(item);
        }
        assert_eq!(pool.len(), 2);
        assert_eq!(
            (pool.next(), pool.next(), pool.take()),
            (Some(2), Some(3), Some(2))
        );
        assert_eq!((pool.take(), pool.take()), (Some(3), None));
    }

    #[test]
    fn the_newest_is_what_was_put_last() {
        let pool = Pool::new(3, Duration::from_mins(1));
        for item in [1, 2, 3] {
            pool.put(item);
        }
        assert_eq!(
            (pool.take_newest(), pool.take(), pool.len()),
            (Some(3), Some(1), 1)
        );
    }

    #[test]
    fn a_few_come_again_and_again() {
        let pool = Pool::new(3, Duration::from_mins(1));
        assert_eq!(pool.one_of_the_first(2), None);
        for item in [1, 2, 3] {
            pool.put(item);
        }
        let taken: Vec<_> = (0..4).map(|_| pool.one_of_the_first(2).unwrap()).collect();
        assert!(taken == [1, 2, 1, 2] || taken == [2, 1, 2, 1], "{taken:?}");
        assert_eq!(pool.len(), 3);
    }

    #[test]
    fn what_is_too_old_is_not_used() {
        let pool = Pool::new(2, Duration::ZERO);
        pool.put(1);
        assert_eq!((pool.len(), pool.next(), pool.take()), (0, None, None));
        pool.put(1);
        assert_eq!(pool.take_newest(), None);
    }
}
