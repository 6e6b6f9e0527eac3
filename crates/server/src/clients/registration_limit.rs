//! How many new clients one address may register.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use doorward_oauth::time::Clock;
use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

/// Vendors register for all their users from a few addresses; what one registers again is not counted. This bounds
/// what a stranger can make the store keep: 600 clients at once, then 20 a minute.
const AT_ONCE: NonZeroU32 = NonZeroU32::new(600).unwrap();
const THEN_ONE_EVERY: Duration = Duration::from_secs(3);

/// Addresses remembered before those that have been quiet are forgotten.
const ADDRESSES: usize = 10_000;

type Limiter = RateLimiter<IpAddr, DefaultKeyedStateStore<IpAddr>, Seconds, NoOpMiddleware<Nanos>>;

pub(super) struct RegistrationLimit {
    limiter: Limiter,
    clock: Seconds,
}

impl RegistrationLimit {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let clock = Seconds(clock);
        let quota = Quota::with_period(THEN_ONE_EVERY)
            .unwrap_or(Quota::per_minute(AT_ONCE))
            .allow_burst(AT_ONCE);
        Self {
            limiter: RateLimiter::dashmap_with_clock(quota, clock.clone()),
            clock,
        }
    }

    /// Counts one new client; the error says after how many seconds to come back.
    pub(super) fn count(&self, address: IpAddr) -> Result<(), u64> {
        if self.limiter.len() > ADDRESSES {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(&network(address)).map_err(|refused| {
            let wait = refused.wait_time_from(self.clock.now());
            wait.as_secs().max(1)
        })
    }
}

/// Whoever has an IPv6 address has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (!0 << 64))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// The server's clock, for governor.
#[derive(Clone)]
struct Seconds(Arc<dyn Clock>);

impl GovernorClock for Seconds {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        let seconds = u64::try_from(self.0.now().seconds()).unwrap_or(0);
        Nanos::new(seconds.saturating_mul(1_000_000_000))
    }
}

#[cfg(test)]
mod tests {
    use doorward_oauth::time::{ManualClock, UnixSeconds};

    use super::*;

    #[test]
    fn an_address_that_registers_without_end_is_slowed_down_and_others_are_not() {
        let clock = ManualClock::new(UnixSeconds(1_800_000_000));
        let limit = RegistrationLimit::new(Arc::new(clock.clone()));
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let admitted = (0..1000).filter(|_| limit.count(address).is_ok()).count();
        assert_eq!(admitted, 600);
        assert_eq!(limit.count(address), Err(3));
        assert_eq!(limit.count("192.0.2.2".parse().unwrap()), Ok(()));
        clock.advance(Duration::from_secs(3));
        assert_eq!(limit.count(address), Ok(()));
        assert!(limit.count(address).is_err());
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        assert_eq!(
            network("2001:db8:1:2::1".parse().unwrap()),
            network("2001:db8:1:2:ffff::9".parse().unwrap())
        );
        assert_ne!(
            network("2001:db8:1:2::1".parse().unwrap()),
            network("2001:db8:1:3::1".parse().unwrap())
        );
        assert_eq!(
            network("::ffff:192.0.2.1".parse().unwrap()),
            "192.0.2.1".parse::<IpAddr>().unwrap()
        );
    }
}
