//! One request for many callers.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use doorward_fetch::PerProcess;
use doorward_oauth::time::{Clock, UnixSeconds};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};

/// Requests under way. Each lives as long as somebody waits for it, and is polled by those who do. Clones share them.
pub(crate) struct Flights<K, T>(Arc<Mutex<Table<K, T>>>);

struct Table<K, T> {
    under_way: PerProcess<HashMap<K, Numbered<T>>>,
    started: u64,
}

type Numbered<T> = (u64, WeakShared<BoxFuture<'static, T>>);

impl<K, T> Flights<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// What is `known`, else the outcome of the request that is under way, else of the one that `start` makes. A request
    /// leaves what it learnt where it is known before it leaves the table; `known` is asked while the table stands still.
    ///
    /// Requests may go by the way of whoever polled them first (an event loop, for example). When that is what ended one
    /// (`was_cut_off`), those who joined it begin anew, once.
    pub(crate) async fn join(
        &self,
        key: &K,
        clock: &dyn Clock,
        known: impl Fn(UnixSeconds) -> Option<T>,
        start: impl Fn() -> BoxFuture<'static, T>,
        was_cut_off: impl Fn(&T) -> bool,
    ) -> T {
        let mut may_begin_anew = true;
        loop {
            let (flight, is_joined) = {
                // Before the lock: see `Clock::now`.
                let now = clock.now();
                let mut table = self.table();
                if let Some(known) = known(now) {
                    return known;
                }
                let Table { under_way, started } = &mut *table;
                let under_way = under_way.get();
                if let Some(flight) = under_way.get(key).and_then(|(_, flight)| flight.upgrade()) {
                    (flight, true)
                } else {
                    *started += 1;
                    let flight = self.take_off(key, *started, start());
                    under_way.extend(flight.downgrade().map(|weak| (key.clone(), (*started, weak))));
                    (flight, false)
                }
            };
            let outcome = flight.await;
            if is_joined && may_begin_anew && was_cut_off(&outcome) {
                may_begin_anew = false;
                continue;
            }
            return outcome;
        }
    }

    fn take_off(
        &self,
        key: &K,
        number: u64,
        request: BoxFuture<'static, T>,
    ) -> Shared<BoxFuture<'static, T>> {
        let landing = Landing {
            flights: Self(Arc::clone(&self.0)),
            key: key.clone(),
            number,
        };
        let flight = async move {
            let outcome = request.await;
            drop(landing);
            outcome
        };
        flight.boxed().shared()
    }
}

impl<K, T> Flights<K, T> {
    fn table(&self) -> MutexGuard<'_, Table<K, T>> {
        // Whole after every statement.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, T> Default for Flights<K, T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Table {
            under_way: PerProcess::default(),
            started: 0,
        })))
    }
}

/// Takes a request off the table when it ends, also when everybody who waited for it has gone away.
struct Landing<K: Eq + Hash, T> {
    flights: Flights<K, T>,
    key: K,
    number: u64,
}

impl<K: Eq + Hash, T> Drop for Landing<K, T> {
    fn drop(&mut self) {
        let mut table = self.flights.table();
        let under_way = table.under_way.get();
        // Another one may have begun since the last who waited for this one went away.
        if under_way
            .get(&self.key)
            .is_some_and(|(number, _)| *number == self.number)
        {
            under_way.remove(&self.key);
        }
    }
}

#[cfg(test)]
#[path = "flights_tests.rs"]
mod tests;
