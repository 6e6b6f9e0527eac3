//! A circuit breaker that always recovers.
//!
//! Five outages in a row open the circuit; for 30 s nothing is sent. Then one request may go out as a probe. Whatever
//! becomes of a request, its [`Permit`] says so or is dropped, and dropping it gives the probe's place to the next
//! caller. A probe that neither ends nor is dropped loses its place after a while. So there is no state in which the
//! circuit stays open for good.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doorward_oauth::time::{Clock, UnixSeconds};

use crate::wait::ahead;

/// The longest time for which the `Retry-After` of a server that fails is obeyed, and the longest cooldown.
pub(crate) const MAX_PAUSE: Duration = Duration::from_mins(5);
/// A probe keeps its place for this long: longer than any exchange may take.
const PROBE_LEASE: Duration = Duration::from_mins(1);

/// When a circuit opens, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BreakerPolicy {
    /// Outages in a row.
    pub(crate) threshold: u32,
    pub(crate) cooldown: Duration,
}

/// Nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CircuitOpen {
    pub(crate) retry_after: Duration,
}

pub(crate) struct Breaker {
    /// For the log.
    name: &'static str,
    policy: BreakerPolicy,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    circuit: Circuit,
    /// Counts the permits, so that one is told from another.
    permits: u64,
    /// Permits up to this one were given before the circuit changed; what becomes of them no longer counts.
    outdated: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Circuit {
    Closed { outages: u32 },
    Open { until: UnixSeconds },
    Probing { permit: u64, lease: UnixSeconds },
}

impl Breaker {
    pub(crate) fn new(name: &'static str, policy: BreakerPolicy, clock: Arc<dyn Clock>) -> Self {
        Self {
            name,
            policy,
            clock,
            state: Mutex::new(State {
                circuit: Circuit::Closed { outages: 0 },
                permits: 0,
                outdated: 0,
            }),
        }
    }

    /// The right to send one request.
    pub(crate) fn enter(&self) -> Result<Permit<'_>, CircuitOpen> {
        let now = self.clock.now();
        let mut state = self.state();
        let number = state.permits + 1;
        let probe = Circuit::Probing {
            permit: number,
            lease: now + PROBE_LEASE,
        };
        match state.circuit {
            Circuit::Closed { .. } => {}
            Circuit::Open { until: end } | Circuit::Probing { lease: end, .. }
                if ahead(end, now, MAX_PAUSE).is_some() =>
            {
                let retry_after = match state.circuit {
                    // The probe is under way; nobody knows how long it takes.
                    Circuit::Probing { .. } => Duration::from_secs(1),
                    _ => end.since(now),
                };
                return Err(CircuitOpen { retry_after });
            }
            Circuit::Open { .. } | Circuit::Probing { .. } => state.circuit = probe,
        }
        state.permits = number;
        Ok(Permit {
            breaker: self,
            number,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whole after every statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, state: &mut State, now: UnixSeconds, time: Duration) {
        let until = now + time.max(Duration::from_secs(1));
        state.circuit = Circuit::Open { until };
        state.outdated = state.permits;
        tracing::warn!(
            breaker = self.name,
            seconds = time.as_secs(),
            "the authorization server fails; nothing is sent for a while"
        );
    }
}

/// The right to send one request. Dropping it says that nothing was learnt about the server.
#[must_use]
pub(crate) struct Permit<'b> {
    breaker: &'b Breaker,
    number: u64,
}

impl Permit<'_> {
    /// The server answered, if only with a refusal.
    pub(crate) fn answered(self) {
        let mut state = self.breaker.state();
        if self.counts(&state) {
            if !matches!(state.circuit, Circuit::Closed { .. }) {
                tracing::info!(
                    breaker = self.breaker.name,
                    "the authorization server answers again"
                );
            }
            state.circuit = Circuit::Closed { outages: 0 };
        }
    }

    /// The server or the network failed.
    pub(crate) fn failed(self, retry_after: Option<Duration>) {
        // Before the lock: see `Clock::now`.
        let now = self.breaker.clock.now();
        let mut state = self.breaker.state();
        if !self.counts(&state) {
            return;
        }
        let policy = self.breaker.policy;
        let outages = match state.circuit {
            Circuit::Closed { outages } => outages + 1,
            Circuit::Open { .. } | Circuit::Probing { .. } => policy.threshold,
        };
        match retry_after {
            Some(time) => self.breaker.open(&mut state, now, time.min(MAX_PAUSE)),
            None if outages >= policy.threshold => self.breaker.open(&mut state, now, policy.cooldown),
            None => state.circuit = Circuit::Closed { outages },
        }
    }

    fn counts(&self, state: &State) -> bool {
        match state.circuit {
            Circuit::Probing { permit, .. } => permit == self.number,
            Circuit::Closed { .. } | Circuit::Open { .. } => self.number > state.outdated,
        }
    }
}

impl Drop for Permit<'_> {
    /// Also runs after the other endings, which leave no probe of this number behind.
    fn drop(&mut self) {
        let mut state = self.breaker.state();
        if let Circuit::Probing { permit, .. } = state.circuit
            && permit == self.number
        {
            // Open, but over: the next caller probes.
            state.circuit = Circuit::Open {
                until: UnixSeconds(i64::MIN),
            };
        }
    }
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
