//! A bounded queue between many callers and one or several threads.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::StoreError;

pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    ready: Condvar,
    capacity: usize,
}

struct State<T> {
    waiting: VecDeque<T>,
    /// Threads that wait for work. Waking nobody is a system call too.
    idle: usize,
    closed: bool,
}

impl<T> Queue<T> {
    pub(super) fn new(capacity: usize) -> Self {
        let state = State {
            waiting: VecDeque::new(),
            idle: 0,
            closed: false,
        };
        Self {
            state: Mutex::new(state),
            ready: Condvar::new(),
            capacity,
        }
    }

    /// Never waits: a full queue is [`StoreError::Busy`].
    pub(super) fn push(&self, item: T) -> Result<(), StoreError> {
        let mut state = self.lock();
        if state.closed {
            return Err(StoreError::Unavailable("the store is closed".to_owned()));
        }
        if state.waiting.len() >= self.capacity {
            return Err(StoreError::Busy);
        }
        state.waiting.push_back(item);
        // Whoever waits counts itself with the lock held, and looks again before it waits.
        let somebody_waits = state.idle > 0;
        drop(state);
        if somebody_waits {
            self.ready.notify_one();
        }
        Ok(())
    }

    /// Waits for work and takes up to `most` items; none when the queue is closed and empty.
    pub(super) fn take(&self, most: usize) -> Vec<T> {
        let mut state = self.lock();
        while state.waiting.is_empty() && !state.closed {
            state.idle += 1;
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
        let count = state.waiting.len().min(most);
        state.waiting.drain(..count).collect()
    }

    /// Takes everything that waits now.
    pub(super) fn take_waiting(&self) -> Vec<T> {
        self.lock().waiting.drain(..).collect()
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Takes nothing more in; what waits is still done.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_is_busy_and_a_closed_one_still_hands_out_what_waits() {
        let queue = Queue::new(2);
        queue.push(1).unwrap();
        queue.push(2).unwrap();
        assert_eq!(queue.push(3), Err(StoreError::Busy));
        queue.close();
        assert!(matches!(queue.push(4), Err(StoreError::Unavailable(_))));
        assert_eq!(queue.take(1), [1]);
        assert_eq!(queue.take(10), [2]);
        assert!(queue.take(10).is_empty());
    }
}
