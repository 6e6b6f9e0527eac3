//! How often one address may do what costs this server something although nobody is authenticated.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use doorward_oauth::time::{Clock, UnixSeconds};
use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

use crate::http::address::bucket;

/// Addresses remembered before those that have been quiet are forgotten.
const ADDRESSES: usize = 10_000;

type Limiter = RateLimiter<IpAddr, DefaultKeyedStateStore<IpAddr>, Seconds, NoOpMiddleware<Nanos>>;

/// So many at once, then one in every so many seconds.
pub(super) struct AddressLimit {
    limiter: Limiter,
    clock: Seconds,
}

impl AddressLimit {
    pub(super) fn new(clock: Arc<dyn Clock>, at_once: NonZeroU32, then_one_every: Duration) -> Self {
        let clock = Seconds::new(clock);
        let quota = Quota::with_period(then_one_every)
            .unwrap_or(Quota::per_minute(at_once))
            .allow_burst(at_once);
        Self {
            limiter: RateLimiter::dashmap_with_clock(quota, clock.clone()),
            clock,
        }
    }

    /// Counts one; the error says after how many seconds to come back.
    pub(super) fn count(&self, address: IpAddr) -> Result<(), u64> {
        if self.limiter.len() > ADDRESSES {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(&bucket(address)).map_err(|refused| {
            let wait = refused.wait_time_from(self.clock.now());
            wait.as_secs().max(1)
        })
    }
}

/// The server's clock, for governor, that never goes back: what was counted before the clock was set back must not
/// stand in the future, or whoever was here is shut out until then.
#[derive(Clone)]
struct Seconds {
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<Elapsed>>,
}

struct Elapsed {
    last: UnixSeconds,
    seconds: u64,
}

impl Seconds {
    fn new(clock: Arc<dyn Clock>) -> Self {
        let last = clock.now();
        Self {
            clock,
            state: Arc::new(Mutex::new(Elapsed { last, seconds: 0 })),
        }
    }
}

impl GovernorClock for Seconds {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        state.seconds = state.seconds.saturating_add(now.since(state.last).as_secs());
        state.last = now;
        Nanos::new(state.seconds.saturating_mul(1_000_000_000))
    }
}

#[cfg(test)]
mod tests {
    use doorward_oauth::time::{ManualClock, UnixSeconds};

    use super::*;

    #[test]
    fn an_address_without_end_is_slowed_down_and_others_are_not() {
        let clock = ManualClock::new(UnixSeconds(1_800_000_000));
        let limit = AddressLimit::new(
            Arc::new(clock.clone()),
            NonZeroU32::new(600).unwrap(),
            Duration::from_secs(3),
        );
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let admitted = (0..1000).filter(|_| limit.count(address).is_ok()).count();
        assert_eq!(admitted, 600);
        assert_eq!(limit.count(address), Err(3));
        assert_eq!(limit.count("192.0.2.2".parse().unwrap()), Ok(()));
        clock.advance(Duration::from_secs(3));
        assert_eq!(limit.count(address), Ok(()));
        assert!(limit.count(address).is_err());
    }

    /// RATE-005
    #[test]
    fn a_clock_that_is_set_back_shuts_nobody_out() {
        let clock = ManualClock::new(UnixSeconds(1_800_000_000));
        let limit = AddressLimit::new(
            Arc::new(clock.clone()),
            NonZeroU32::new(2).unwrap(),
            Duration::from_secs(3),
        );
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        assert_eq!(limit.count(address), Ok(()));
        clock.set(UnixSeconds(1_800_000_000 - 3600));
        assert_eq!(limit.count(address), Ok(()));
        assert_eq!(limit.count(address), Err(3));
        clock.advance(Duration::from_secs(3));
        assert_eq!(limit.count(address), Ok(()));
    }
}
