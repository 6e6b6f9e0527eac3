//! What fails again and again, told at its beginning, once a minute, and at its end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Decides what a log is told of something that is asked over and over: that it began to fail, once a minute how often it
/// failed since, and that it works again. One that comes and goes is told of once a minute as well.
///
/// ```
/// # use std::time::{Duration, Instant};
/// # use doorward_oauth::time::Outage;
/// let (outage, now) = (Outage::default(), Instant::now());
/// assert_eq!(outage.failed(now), Some(1));
/// assert_eq!(outage.failed(now + Duration::from_secs(1)), None);
/// assert_eq!(outage.failed(now + Duration::from_secs(60)), Some(2));
/// assert_eq!(outage.worked(now + Duration::from_secs(61)), Some(Duration::from_secs(61)));
/// ```
#[derive(Debug, Default)]
pub struct Outage {
    /// Looked at without the lock: what works is asked for often.
    fails: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Since when it fails.
    since: Option<Instant>,
    /// When the log was told of a failure last.
    told: Option<Instant>,
    /// How often it failed since.
    untold: u64,
    /// Whether the log believes that it fails.
    believed: bool,
}

impl Outage {
    /// The shortest time between two failures that are told.
    const TOLD_EVERY: Duration = Duration::from_mins(1);

    /// It failed. How many failures are to be told now, this one included; `None`: it is not to be told now.
    pub fn failed(&self, now: Instant) -> Option<u64> {
        let mut state = self.state();
        self.fails.store(true, Ordering::Relaxed);
        state.since.get_or_insert(now);
        state.untold += 1;
        let is_due = |told: Instant| now.saturating_duration_since(told) >= Self::TOLD_EVERY;
        if !state.told.is_none_or(is_due) {
            return None;
        }
        state.told = Some(now);
        state.believed = true;
        Some(std::mem::take(&mut state.untold))
    }

    /// It worked. How long it had failed, when the log was told that it does.
    pub fn worked(&self, now: Instant) -> Option<Duration> {
        if !self.fails() {
            return None;
        }
        let mut state = self.state();
        self.fails.store(false, Ordering::Relaxed);
        let since = state.since.take()?;
        std::mem::take(&mut state.believed).then(|| now.saturating_duration_since(since))
    }

    /// Whether it failed the last time.
    pub fn fails(&self) -> bool {
        self.fails.load(Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whole after every statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many seconds after the beginning.
    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    fn moments() -> impl Fn(u64) -> Instant {
        let start = Instant::now();
        move |seconds| start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_failure_is_told_at_its_beginning_once_a_minute_and_at_its_end() {
        let (outage, at) = (Outage::default(), moments());
        assert_eq!(outage.worked(at(0)), None);
        assert_eq!(outage.failed(at(1)), Some(1));
        let told: Vec<_> = (2..=122).filter_map(|second| outage.failed(at(second))).collect();
        assert_eq!(told, [60, 60]);
        assert!(outage.fails());
        assert_eq!(outage.worked(at(123)), Some(Duration::from_secs(122)));
        assert_eq!(outage.worked(at(124)), None);
        assert!(!outage.fails());
        // The one of second 122 is counted with the next.
        assert_eq!(outage.failed(at(300)), Some(2));
    }

    #[test]
    fn what_comes_and_goes_is_told_once_a_minute() {
        let (outage, at) = (Outage::default(), moments());
        let (mut failures, mut ends) = (Vec::new(), 0);
        for second in 0..180 {
            failures.extend(outage.failed(at(second)));
            ends += u32::from(outage.worked(at(second)).is_some());
        }
        assert_eq!(failures, [1, 60, 60]);
        assert_eq!(ends, 3);
    }

    #[test]
    fn an_end_is_not_told_of_what_was_not_told() {
        let (outage, at) = (Outage::default(), moments());
        assert_eq!(outage.failed(at(0)), Some(1));
        assert!(outage.worked(at(1)).is_some());
        assert_eq!(outage.failed(at(2)), None);
        assert_eq!(outage.worked(at(3)), None);
    }
}
