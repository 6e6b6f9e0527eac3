//! Time as the protocol counts it: whole seconds since 1970-01-01T00:00:00Z.
//!
//! Rules never look at a clock themselves. Whoever calls them passes a [`UnixSeconds`], and programs get it
//! from the one [`Clock`] they were built with.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

mod outage;

// How our crates tell a log of failures; no word of the protocol.
#[doc(hidden)]
pub use outage::Outage;

/// Seconds since the Unix epoch (the `NumericDate` of RFC 7519 §2, without a fraction).
///
/// Arithmetic saturates, so a hostile `exp` can never overflow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixSeconds(pub i64);

impl UnixSeconds {
    /// The number of seconds.
    pub const fn seconds(self) -> i64 {
        self.0
    }

    /// The time that passed since `earlier`; zero when `earlier` lies in the future.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add<Duration> for UnixSeconds {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add_unsigned(rhs.as_secs()))
    }
}

impl Sub<Duration> for UnixSeconds {
    type Output = Self;

    fn sub(self, rhs: Duration) -> Self {
        Self(self.0.saturating_sub_unsigned(rhs.as_secs()))
    }
}

impl fmt::Display for UnixSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where "now" comes from.
pub trait Clock: Send + Sync {
    /// The current time. A program's own clock may wait (in Python for the interpreter) for somebody who wants a lock: it is
    /// asked before locking, never under a lock.
    fn now(&self) -> UnixSeconds;
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the ambient clock is read"
    )]
    fn now(&self) -> UnixSeconds {
        let seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |elapsed| elapsed.as_secs());
        UnixSeconds(i64::try_from(seconds).unwrap_or(i64::MAX))
    }
}

/// A clock that tests move by hand. Clones show the same time.
#[cfg(any(test, feature = "testing"))]
#[derive(Clone, Debug)]
pub struct ManualClock(std::sync::Arc<std::sync::Mutex<Hands>>);

#[cfg(any(test, feature = "testing"))]
#[derive(Debug)]
struct Hands {
    now: UnixSeconds,
    /// After how many more readings they move, and how far.
    leap: Option<(u32, Duration)>,
}

#[cfg(any(test, feature = "testing"))]
impl ManualClock {
    /// A clock that stands at `now`.
    pub fn new(now: UnixSeconds) -> Self {
        Self(std::sync::Arc::new(Hands { now, leap: None }.into()))
    }

    /// Moves the clock forward (whole seconds).
    pub fn advance(&self, by: Duration) {
        self.set(self.now() + by);
    }

    /// Sets the clock, forward or back. It stands there.
    pub fn set(&self, now: UnixSeconds) {
        *self.hands() = Hands { now, leap: None };
    }

    /// Lets it be read so many times more, and then moves it forward (whole seconds): time passes, or a clock is set, while
    /// something is being done that looks at it several times.
    pub fn leap_after(&self, readings: u32, by: Duration) {
        self.hands().leap = Some((readings, by));
    }

    /// Whether the leap that was asked for is still to come.
    pub fn has_yet_to_leap(&self) -> bool {
        self.hands().leap.is_some()
    }

    fn hands(&self) -> std::sync::MutexGuard<'_, Hands> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(any(test, feature = "testing"))]
impl Clock for ManualClock {
    fn now(&self) -> UnixSeconds {
        let mut hands = self.hands();
        match hands.leap {
            Some((0, by)) => {
                *hands = Hands {
                    now: hands.now + by,
                    leap: None,
                };
            }
            Some((readings, by)) => hands.leap = Some((readings - 1, by)),
            None => {}
        }
        hands.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(UnixSeconds(i64::MAX) + Duration::MAX, UnixSeconds(i64::MAX));
        assert_eq!(UnixSeconds(i64::MIN) - Duration::MAX, UnixSeconds(i64::MIN));
        assert_eq!(UnixSeconds(100) + Duration::from_millis(1999), UnixSeconds(101));
    }

    #[test]
    fn since_is_zero_for_the_future() {
        assert_eq!(UnixSeconds(5).since(UnixSeconds(9)), Duration::ZERO);
        assert_eq!(UnixSeconds(9).since(UnixSeconds(5)), Duration::from_secs(4));
    }

    #[test]
    fn clones_of_a_manual_clock_share_the_time() {
        let clock = ManualClock::new(UnixSeconds(10));
        let other = clock.clone();
        clock.advance(Duration::from_secs(5));
        assert_eq!(other.now(), UnixSeconds(15));
        clock.leap_after(1, Duration::from_secs(7));
        assert_eq!(
            [other.now(), other.now(), clock.now()].map(|now| now.0),
            [15, 22, 22]
        );
        other.set(UnixSeconds(3));
        assert_eq!(clock.now(), UnixSeconds(3));
    }

    #[test]
    fn the_system_clock_is_past_2025() {
        assert!(SystemClock.now() > UnixSeconds(1_735_689_600));
    }
}
