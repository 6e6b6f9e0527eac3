//! Waiting that only needs a runtime when there is something to wait for, how long it lasts, and tasks in the background.

use std::pin::pin;
use std::time::Duration;

use doorward_oauth::time::UnixSeconds;
use futures_util::future::poll_immediate;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

/// The outcome of `future`, unless it takes longer than `limit`. What is there at once needs no timer, and so no tokio
/// runtime: a caller in another language can have it inline.
pub(crate) async fn at_most<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    match poll_immediate(future.as_mut()).await {
        Some(outcome) => Some(outcome),
        None => tokio::time::timeout(limit, future).await.ok(),
    }
}

/// How long until `end`, which nobody sets further ahead than `longest`: one that lies further was set before somebody
/// turned the clock back, and counts as past.
pub(crate) fn ahead(end: UnixSeconds, now: UnixSeconds, longest: Duration) -> Option<Duration> {
    let left = end.since(now);
    (now < end && left <= longest).then_some(left)
}

/// Shortens a pause by up to this share of it, so that many do not come back together. The `seed` differs between
/// processes, the `count` from pause to pause.
pub(crate) fn shortened(pause: Duration, share: f64, seed: u64, count: u64) -> Duration {
    let dice = doorward_jose::sha256(&(seed ^ count).to_be_bytes())[0];
    pause.mul_f64(1.0 - share * f64::from(dice) / 256.0)
}

/// A task in the background. Threads do not come along into a forked process: there it has ended.
pub(crate) struct Background {
    process: u32,
    task: AbortHandle,
}

impl Background {
    pub(crate) fn spawn(runtime: &Handle, future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self {
            process: std::process::id(),
            task: runtime.spawn(future).abort_handle(),
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.is_of_this_process() && !self.task.is_finished()
    }

    pub(crate) fn abort(&self) {
        // Another process' runtime is none to call.
        if self.is_of_this_process() {
            self.task.abort();
        }
    }

    fn is_of_this_process(&self) -> bool {
        self.process == std::process::id()
    }
}
