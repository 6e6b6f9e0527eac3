//! Whether PostgreSQL can be reached, as the log is told of it: connections end together, and whoever needs one meanwhile
//! fails alone.

use doorward_oauth::time::Outage;
use tokio::time::Instant;

#[derive(Debug, Default)]
pub(super) struct Reach(Outage);

impl Reach {
    /// A connection has ended, was not to be had, or is silent.
    pub(super) fn lost(&self, why: &str) {
        if let Some(failures) = self.0.failed(Instant::now().into_std()) {
            tracing::warn!(why, failures, "a connection to PostgreSQL has failed");
        } else {
            tracing::debug!(why, "another connection to PostgreSQL has failed");
        }
    }

    /// The server has answered.
    pub(super) fn answered(&self, now: Instant) {
        if let Some(away) = self.0.worked(now.into_std()) {
            tracing::info!(seconds = away.as_secs(), "PostgreSQL answers again");
        }
    }
}
