//! How long ago something was, whoever sets the clock meanwhile.

use std::time::Duration;

use doorward_oauth::time::{Clock, UnixSeconds};
use tokio::time::Instant;

/// When something was: by the program's clock, and by one that nobody sets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) time: UnixSeconds,
    instant: Instant,
}

impl Moment {
    pub(crate) fn now(clock: &dyn Clock) -> Self {
        Self {
            time: clock.now(),
            instant: Instant::now(),
        }
    }

    /// What has passed since, by the clock that shows more: the program's may have been set back, and the other one stands
    /// still while the machine sleeps.
    pub(crate) fn elapsed(&self, clock: &dyn Clock) -> Duration {
        self.elapsed_at(clock.now())
    }

    /// The same for who has just asked the program's clock.
    pub(crate) fn elapsed_at(&self, now: UnixSeconds) -> Duration {
        now.since(self.time).max(self.instant.elapsed())
    }
}
