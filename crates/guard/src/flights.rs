//! One request for many callers.

use std::collections::HashMap;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use doorward_fetch::PerProcess;
use doorward_oauth::time::{Clock, UnixSeconds};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use crate::client::ClientError;
use crate::fetch::FetchFailure;

type Outcome<V> = Result<V, ClientError>;

/// Requests to an authorization server that are under way. Each lives as long as somebody waits for it, and is polled by
/// those who do. Clones share them.
pub(crate) struct Flights<K, V>(Arc<Mutex<Table<K, V>>>);

struct Table<K, V> {
    under_way: PerProcess<HashMap<K, Numbered<V>>>,
    started: u64,
}

type Flight<V> = BoxFuture<'static, Outcome<V>>;
type Numbered<V> = (u64, WeakShared<Flight<V>>);

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// What is `known`, else the outcome of the request that is under way, else of the one that `start` makes. A request
    /// leaves what it learnt where it is known before it leaves the table; `known` is asked while the table stands still.
    ///
    /// Requests may go by the way of whoever polled them first (an event loop, for example). When that is what ended one,
    /// those who joined it begin anew, once. A panic reaches those who wait as an error, not as a panic of theirs.
    pub(crate) async fn join(
        &self,
        key: &K,
        clock: &dyn Clock,
        known: impl Fn(UnixSeconds) -> Option<Outcome<V>>,
        start: impl Fn() -> Flight<V>,
    ) -> Outcome<V> {
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

    fn take_off(&self, key: &K, number: u64, request: Flight<V>) -> Shared<Flight<V>> {
        let landing = Landing {
            flights: Self(Arc::clone(&self.0)),
            key: key.clone(),
            number,
        };
        let flight = async move {
            let ended = AssertUnwindSafe(request).catch_unwind().await;
            drop(landing);
            ended.unwrap_or_else(|_| {
                tracing::error!("the transport panicked while it asked the authorization server");
                Err(ClientError::Transport(FetchFailure::of_panic()))
            })
        };
        flight.boxed().shared()
    }
}

fn was_cut_off<V>(outcome: &Outcome<V>) -> bool {
    outcome.as_ref().is_err_and(ClientError::is_busy)
}

impl<K, V> Flights<K, V> {
    fn table(&self) -> MutexGuard<'_, Table<K, V>> {
        // Whole after every statement.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Table {
            under_way: PerProcess::default(),
            started: 0,
        })))
    }
}

/// Takes a request off the table when it ends, also when everybody who waited for it has gone away.
struct Landing<K: Eq + Hash, V> {
    flights: Flights<K, V>,
    key: K,
    number: u64,
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
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
