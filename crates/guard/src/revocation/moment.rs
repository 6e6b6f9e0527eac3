//! How long ago something was, whoever sets the clock meanwhile.

use std::time::Duration;

use doorward_oauth::time::{Clock, UnixSeconds};
use tokio::time::Instant;

/// When something was: by the program's clock, and by one that nobody sets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) time: UnixSeconds,
    instant: Instant,
}

impl Moment {
    pub(super) fn now(clock: &dyn Clock) -> Self {
        Self {
            time: clock.now(),
            instant: Instant::now(),
        }
    }

    /// What has passed since, by the clock that shows more: the program's may have been set back, and the other one stands
    /// still while the machine sleeps.
    pub(super) fn elapsed(&self, clock: &dyn Clock) -> Duration {
        clock.now().since(self.time).max(self.instant.elapsed())
    }
}
