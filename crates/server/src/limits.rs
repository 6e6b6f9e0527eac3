//! How often may be asked: by an address, by a client, for a person. Each node counts for itself, in memory that is
//! bounded; what must hold over all nodes (sign-in attempts, user codes) is counted in the store.

use std::fmt;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_oauth::time::{Clock, UnixSeconds};
use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

use crate::config::{Rate, RateLimit};
use crate::http::address::{bucket, site};
use crate::http::error::TokenError;
use crate::http::metrics::Metrics;

/// A site has this many times the budget of a subscriber.
const SITE_FACTOR: u32 = 16;
/// Keys remembered before those that have been quiet are forgotten.
const KEYS: usize = 10_000;

type Limiter = RateLimiter<u64, DefaultKeyedStateStore<u64>, Seconds, NoOpMiddleware<Nanos>>;

/// The limits of `[rate_limit]`.
pub(crate) struct Limits {
    /// Requests to the token endpoint from one address.
    pub(crate) token_address: AddressLimit,
    /// Requests to the token endpoint by one client.
    pub(crate) token_client: Limit,
    /// Requests about tokens that were given out from one address, by clients that no operator registered with a secret.
    pub(crate) self_registered: AddressLimit,
    /// Refreshes for one person by one client.
    pub(crate) token_account: Limit,
    /// Pushed authorization requests from one address.
    pub(crate) par: AddressLimit,
    /// Devices that begin to wait, from one address.
    pub(crate) device_address: AddressLimit,
    /// Devices that begin to wait.
    pub(crate) device_total: Limit,
    /// Refresh tokens that were never given out.
    pub(crate) made_up: MadeUp,
}

impl Limits {
    pub(crate) fn new(settings: &RateLimit, clock: &Arc<dyn Clock>, metrics: &Metrics) -> Self {
        let limit = |name, rate| Limit::new(name, rate, Arc::clone(clock), metrics.clone());
        let of_address = |name, rate| AddressLimit::new(name, rate, Arc::clone(clock), metrics.clone());
        Self {
            token_address: of_address("token_address", settings.token_address),
            token_client: limit("token_client", settings.token_client),
            self_registered: of_address("self_registered", settings.self_registered),
            token_account: limit("token_account", settings.token_account),
            par: of_address("par", settings.par),
            device_address: of_address("device_address", settings.device_address),
            device_total: limit("device_total", settings.device_total),
            made_up: MadeUp::default(),
        }
    }

    /// Other limits from now on. One that stays the same goes on counting.
    pub(crate) fn change(&self, settings: &RateLimit) {
        self.token_address.change(settings.token_address);
        self.token_client.change(settings.token_client);
        self.self_registered.change(settings.self_registered);
        self.token_account.change(settings.token_account);
        self.par.change(settings.par);
        self.device_address.change(settings.device_address);
        self.device_total.change(settings.device_total);
    }
}

/// Too many for a limit of `[rate_limit]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany {
    /// Its key.
    pub(crate) limit: &'static str,
    /// When to come back.
    pub(crate) seconds: u64,
}

/// For the log.
impl fmt::Display for TooMany {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "more than rate_limit.{} allows", self.limit)
    }
}

impl From<TooMany> for TokenError {
    /// Never `invalid_grant`: clients throw their tokens away on it.
    fn from(limit: TooMany) -> Self {
        let error = OAuthError::new(
            ErrorCode::TemporarilyUnavailable,
            "Too many requests; nothing was used up. Send it again after the time that Retry-After says.",
        );
        Self::come_back_after(limit.seconds, error.with_internal(limit))
    }
}

/// A limit for each address, and a wider one for the /48 that holds an IPv6 address: whoever has one of those has 65,536
/// addresses by the narrow count.
pub(crate) struct AddressLimit {
    subscriber: Limit,
    site: Limit,
}

impl AddressLimit {
    pub(crate) fn new(name: &'static str, rate: Rate, clock: Arc<dyn Clock>, metrics: Metrics) -> Self {
        Self {
            subscriber: Limit::new(name, rate, Arc::clone(&clock), metrics.clone()),
            site: Limit::new(name, rate.times(SITE_FACTOR), clock, metrics),
        }
    }

    /// Counts one.
    pub(crate) fn take(&self, address: IpAddr) -> Result<(), TooMany> {
        self.subscriber.take(bucket(address))?;
        match site(address) {
            Some(site) => self.site.take(site),
            None => Ok(()),
        }
    }

    /// Another limit from now on.
    pub(crate) fn change(&self, rate: Rate) {
        self.subscriber.change(rate);
        self.site.change(rate.times(SITE_FACTOR));
    }
}

/// Tokens that somebody made up, in this minute. They refuse nobody: a lookup for one is a page from the disk, and when many
/// come, they are looked up where nobody waits for it.
#[derive(Default)]
pub(crate) struct MadeUp(Mutex<(i64, u32)>);

impl MadeUp {
    const MANY: u32 = 60;

    /// One more.
    pub(crate) fn note(&self, now: UnixSeconds) {
        let mut counted = self.counted(now);
        counted.1 = counted.1.saturating_add(1);
    }

    /// Whether so many came that more are to be expected.
    pub(crate) fn are_many(&self, now: UnixSeconds) -> bool {
        self.counted(now).1 >= Self::MANY
    }

    /// The minute and its count.
    fn counted(&self, now: UnixSeconds) -> MutexGuard<'_, (i64, u32)> {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = now.0.div_euclid(60);
        if counted.0 != minute {
            *counted = (minute, 0);
        }
        counted
    }
}

/// So many at once, then one in every so many seconds, for each key.
pub(crate) struct Limit {
    name: &'static str,
    counter: ArcSwap<Counter>,
    clock: Arc<dyn Clock>,
    keys: RandomState,
    metrics: Metrics,
}

/// What a limit has counted.
struct Counter {
    rate: Rate,
    /// `None`: no limit.
    limiter: Option<(Limiter, Seconds)>,
    /// How many keys there may be before the quiet ones are looked for again.
    tidy_at: AtomicUsize,
}

impl Counter {
    fn new(rate: Rate, clock: &Arc<dyn Clock>) -> Self {
        let limiter = rate.quota().map(|(at_once, one_every)| {
            let clock = Seconds::new(Arc::clone(clock));
            let quota = Quota::with_period(one_every)
                .unwrap_or(Quota::per_second(at_once))
                .allow_burst(at_once);
            (RateLimiter::dashmap_with_clock(quota, clock.clone()), clock)
        });
        Self {
            rate,
            limiter,
            tidy_at: AtomicUsize::new(KEYS),
        }
    }
}

impl Limit {
    fn new(name: &'static str, rate: Rate, clock: Arc<dyn Clock>, metrics: Metrics) -> Self {
        metrics.limit_exists(name);
        Self {
            name,
            counter: ArcSwap::from_pointee(Counter::new(rate, &clock)),
            clock,
            keys: RandomState::new(),
            metrics,
        }
    }

    /// Another limit from now on.
    fn change(&self, rate: Rate) {
        if self.counter.load().rate != rate {
            self.counter.store(Arc::new(Counter::new(rate, &self.clock)));
        }
    }

    /// Counts one.
    pub(crate) fn take(&self, key: impl Hash) -> Result<(), TooMany> {
        let counter = self.counter.load();
        let Some((limiter, clock)) = &counter.limiter else {
            return Ok(());
        };
        if limiter.len() > counter.tidy_at.load(Ordering::Relaxed) {
            limiter.retain_recent();
            // Not again for every request of a flood from everywhere: that would be what it is after.
            let next = limiter.len().saturating_mul(2).max(KEYS);
            counter.tidy_at.store(next, Ordering::Relaxed);
        }
        limiter.check_key(&self.keys.hash_one(key)).map_err(|refused| {
            self.metrics.limited(self.name);
            TooMany {
                limit: self.name,
                seconds: refused.wait_time_from(clock.now()).as_secs().max(1),
            }
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
    use std::time::Duration;

    use doorward_oauth::time::{ManualClock, UnixSeconds};

    use super::*;

    fn wait(seconds: u64) -> Result<(), TooMany> {
        Err(TooMany {
            limit: "test",
            seconds,
        })
    }

    fn limit(rate: &str, clock: &ManualClock) -> AddressLimit {
        AddressLimit::new(
            "test",
            rate.parse().unwrap(),
            Arc::new(clock.clone()),
            Metrics::new(),
        )
    }

    #[test]
    fn made_up_tokens_are_many_until_the_minute_is_over() {
        let (made_up, now) = (MadeUp::default(), UnixSeconds(1_800_000_000));
        for _ in 0..MadeUp::MANY {
            assert!(!made_up.are_many(now));
            made_up.note(now);
        }
        assert!(made_up.are_many(now + Duration::from_secs(59)));
        assert!(!made_up.are_many(now + Duration::from_mins(1)));
    }

    #[test]
    fn an_address_without_end_is_slowed_down_and_others_are_not() {
        let clock = ManualClock::new(UnixSeconds(1_800_000_000));
        let limit = limit("600/30m", &clock);
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let admitted = (0..1000).filter(|_| limit.take(address).is_ok()).count();
        assert_eq!(admitted, 600);
        assert_eq!(limit.take(address), wait(3));
        assert_eq!(limit.take("192.0.2.2".parse().unwrap()), Ok(()));
        clock.advance(Duration::from_secs(3));
        assert_eq!(limit.take(address), Ok(()));
        assert!(limit.take(address).is_err());
    }

    /// RATE-003
    #[test]
    fn an_ipv6_subscriber_is_one_address() {
        let clock = ManualClock::new(UnixSeconds(1_800_000_000));
        let limit = limit("1/1m", &clock);
        assert_eq!(limit.take("2001:db8:1:2::1".parse().unwrap()), Ok(()));
        assert!(limit.take("2001:db8:1:2:ffff::9".parse().unwrap()).is_err());
        assert_eq!(limit.take("2001:db8:1:3::1".parse().unwrap()), Ok(()));
        assert_eq!(limit.take("203.0.113.9".parse().unwrap()), Ok(()));
        assert!(limit.take("::ffff:203.0.113.9".parse().unwrap()).is_err());
    }

    /// RATE-003: somebody with a whole site has more than a subscriber, and not 65,536 times as much.
    #[test]
    fn an_ipv6_site_has_the_budget_of_sixteen_subscribers() {
        let clock = ManualClock::new(UnixSeconds(1_800_000_000));
        let limit = limit("2/1m", &clock);
        let admitted = (0..200_u16)
            .flat_map(|network| [network; 3])
            .filter(|network| {
                let address = std::net::Ipv6Addr::new(0x2001, 0xdb8, 1, *network, 0, 0, 0, 1);
                limit.take(address.into()).is_ok()
            })
            .count();
        assert_eq!(admitted, 32);
        assert_eq!(
            limit.take("2001:db8:2::1".parse().unwrap()),
            Ok(()),
            "another site"
        );
        assert_eq!(limit.take("192.0.2.1".parse().unwrap()), Ok(()));
    }

    /// RATE-005
    #[test]
    fn a_clock_that_is_set_back_shuts_nobody_out() {
        let clock = ManualClock::new(UnixSeconds(1_800_000_000));
        let limit = limit("2/6s", &clock);
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        assert_eq!(limit.take(address), Ok(()));
        clock.set(UnixSeconds(1_800_000_000 - 3600));
        assert_eq!(limit.take(address), Ok(()));
        assert_eq!(limit.take(address), wait(3));
        clock.advance(Duration::from_secs(3));
        assert_eq!(limit.take(address), Ok(()));
    }

    #[test]
    fn quiet_keys_are_forgotten_and_looked_for_now_and_then() {
        let clock = ManualClock::new(UnixSeconds(1_800_000_000));
        let AddressLimit {
            subscriber: limit, ..
        } = limit("1/1h", &clock);
        let number = u32::try_from(KEYS).unwrap();
        let take = |from: u32, to: u32| (from..to).for_each(|key| assert_eq!(limit.take(key), Ok(())));
        take(0, 2 * number);
        let tidy_at = || limit.counter.load().tidy_at.load(Ordering::Relaxed);
        assert_eq!(tidy_at(), 2 * (KEYS + 1));
        let known = || limit.counter.load().limiter.as_ref().unwrap().0.len();
        assert_eq!(known(), 2 * KEYS, "nobody was quiet");
        clock.advance(Duration::from_hours(2));
        take(2 * number, 2 * number + 5);
        assert!(known() < 10, "{}", known());
        assert_eq!(tidy_at(), KEYS);
    }

    #[test]
    fn a_limit_that_changes_counts_afresh_and_one_that_stays_goes_on() {
        let clock = ManualClock::new(UnixSeconds(1_800_000_000));
        let limit = limit("2/1h", &clock);
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        assert_eq!(limit.take(address), Ok(()));
        limit.change("2/1h".parse().unwrap());
        assert_eq!(limit.take(address), Ok(()));
        assert!(limit.take(address).is_err());
        limit.change("1/1m".parse().unwrap());
        assert_eq!(limit.take(address), Ok(()));
        assert_eq!(limit.take(address), wait(60));
        limit.change(Rate::OFF);
        assert_eq!(limit.take(address), Ok(()));
    }

    #[test]
    fn no_limit_is_none() {
        let clock = ManualClock::new(UnixSeconds(0));
        let limit = limit("off", &clock);
        assert!((0..100_000).all(|_| limit.take("192.0.2.1".parse().unwrap()).is_ok()));
    }
}
