//! Rows that are found by their key, read on the thread of who asks.
//!
//! A hop to a reader's thread and back costs several times what such a look-up does. So that a disk that does not answer
//! never holds up everybody, only half of the cores can be in a look-up at a time, and after a slow one all of them go
//! to the readers' threads for a while.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::time::Instant;

use super::writer::panicked;
use crate::Result;

/// A look-up that took this long waited for the disk.
const SLOW: Duration = Duration::from_millis(2);
/// How long the readers' threads have them all after that.
const PAUSE: Duration = Duration::from_millis(100);
/// Connections, at most.
const MOST: usize = 8;

/// How many connections for look-ups this machine gets.
pub(super) fn connections() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (cores / 2).clamp(1, MOST)
}

/// The connections of those who look up rows by themselves.
pub(super) struct LookUps {
    /// `None`: closed.
    connections: Vec<Mutex<Option<Connection>>>,
    /// Until then nobody does.
    paused_until: Mutex<Option<Instant>>,
}

impl LookUps {
    pub(super) fn new(connections: Vec<Connection>) -> Self {
        Self {
            connections: connections.into_iter().map(|db| Mutex::new(Some(db))).collect(),
            paused_until: Mutex::new(None),
        }
    }

    /// Runs `work` at once, or gives it back: somebody else has to do it.
    pub(super) fn run<T, F>(&self, work: F) -> std::result::Result<Result<T>, F>
    where
        F: FnOnce(&Connection) -> Result<T>,
    {
        let started = Instant::now();
        if self.is_paused(started) {
            return Err(work);
        }
        let Some(held) = self.connections.iter().find_map(free) else {
            return Err(work);
        };
        let Some(db) = held.as_ref() else {
            return Err(work);
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| work(db))).unwrap_or_else(|_| Err(panicked()));
        drop(held);
        self.note(started, Instant::now());
        Ok(outcome)
    }

    /// Closes the connections, when the look-ups that run have ended.
    pub(super) fn close(&self) {
        for connection in &self.connections {
            drop(connection.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
    }

    fn note(&self, started: Instant, ended: Instant) {
        if ended.duration_since(started) >= SLOW {
            *self.paused() = Some(ended + PAUSE);
        }
    }

    fn is_paused(&self, now: Instant) -> bool {
        let mut until = self.paused();
        let paused = until.is_some_and(|until| now < until);
        if !paused {
            *until = None;
        }
        paused
    }

    fn paused(&self) -> MutexGuard<'_, Option<Instant>> {
        self.paused_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn free<T>(connection: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match connection.try_lock() {
        Ok(held) => Some(held),
        Err(TryLockError::Poisoned(held)) => Some(held.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look_ups() -> LookUps {
        LookUps::new(vec![Connection::open_in_memory().unwrap()])
    }

    fn is_done_here(look_ups: &LookUps) -> bool {
        look_ups.run(|_| Ok(())).is_ok()
    }

    #[test]
    fn after_a_slow_one_they_are_left_to_others_for_a_while() {
        let look_ups = look_ups();
        let now = Instant::now();
        look_ups.note(now, now + SLOW / 2);
        assert!(is_done_here(&look_ups));
        look_ups.note(now, now + SLOW);
        assert!(!is_done_here(&look_ups));
        assert!(!look_ups.is_paused(now + SLOW + PAUSE));
        assert!(is_done_here(&look_ups));
    }

    #[test]
    fn one_connection_is_one_look_up_at_a_time_and_a_closed_one_is_none() {
        let look_ups = look_ups();
        let inner = look_ups.run(|_| Ok(is_done_here(&look_ups)));
        assert!(matches!(inner, Ok(Ok(false))));
        look_ups.close();
        assert!(!is_done_here(&look_ups));
    }

    #[test]
    fn one_that_panics_fails_alone() {
        let look_ups = look_ups();
        let outcome = look_ups.run(|_| -> Result<()> { panic!("on purpose") });
        assert!(matches!(outcome, Ok(Err(crate::StoreError::Internal(_)))));
        // To tell of a panic takes long.
        *look_ups.paused() = None;
        assert!(is_done_here(&look_ups));
    }
}
