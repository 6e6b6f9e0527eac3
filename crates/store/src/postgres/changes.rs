//! Hears what other nodes change: notifications on a connection of its own, and the counts of the database, asked for
//! on the same connection, for what no notification told of (one was lost, or a pooler swallows them all).

use std::collections::HashMap;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use doorward_oauth::time::Outage;
use futures_util::FutureExt as _;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::{AsyncMessage, Client, SimpleQueryMessage};

use super::PostgresOptions;
use super::errors::describe;
use super::hosts::Hosts;
use crate::{Change, Changes};

/// How often the counts are asked for: twice as often as it takes for what is kept to be stale.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// A server that takes longer for an answer is given up.
const PATIENCE: Duration = Duration::from_secs(3);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

const LISTEN: &str = "LISTEN doorward_change";
/// Simple statements, which pass every pooler; and which server it is that counts, in the same one.
const COUNTS: &str = "SELECT id, count FROM change_count UNION ALL SELECT 0, coalesce(max(position), 0) FROM revocation \
     UNION ALL SELECT -1, (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint";
/// The row that says when the server was started, in microseconds: no two servers were at once.
const STARTED: i64 = -1;

/// A task that listens until this is dropped.
pub(super) struct Listener(JoinHandle<()>);

impl Listener {
    /// Where a pooler in transaction mode stands in between, its sessions are everybody's; what they listen to is not for us to
    /// say, and no notification would come.
    pub(super) fn start(hosts: Hosts, options: &PostgresOptions, changes: Arc<Changes>) -> Self {
        let mut ear = Ear {
            hosts,
            // As long as all of them together may take.
            connecting: options.connect_timeout.max(PATIENCE),
            pooled: options.transaction_pooler,
            changes,
            counts: HashMap::new(),
            heard: false,
            outage: Outage::default(),
        };
        Self(tokio::spawn(async move { ear.listen().await }))
    }

    /// Listens no more.
    pub(super) fn stop(&self) {
        self.0.abort();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Ear {
    hosts: Hosts,
    /// How long a new connection may take.
    connecting: Duration,
    pooled: bool,
    changes: Arc<Changes>,
    /// What was counted when it was asked last.
    counts: HashMap<i64, i64>,
    /// Whether the present connection has answered.
    heard: bool,
    /// As the log knows it.
    outage: Outage,
}

impl Ear {
    async fn listen(&mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            // What panics is a connection that ended. Without this task the node would hear of nothing any more.
            let ended = AssertUnwindSafe(self.connection()).catch_unwind().await;
            let why = ended.unwrap_or_else(|_| "it panicked".to_owned());
            if let Some(failures) = self.outage.failed(Instant::now().into_std()) {
                tracing::warn!(
                    why,
                    failures,
                    "this node does not hear what others change, and asks the database for everything; trying again"
                );
            } else {
                tracing::debug!(why, "no connection that hears of changes");
            }
            if std::mem::take(&mut self.heard) {
                pause = FIRST_PAUSE;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One connection, to its end; returns why it ended.
    async fn connection(&mut self) -> String {
        // Another server may count from another number, after a failover to one that had not got everything.
        self.counts.clear();
        let connecting = timeout(self.connecting, self.hosts.connect());
        let (client, mut connection) = match connecting.await {
            Ok(Ok(both)) => both,
            Ok(Err(error)) => return describe(&error),
            Err(_) => return "no connection in time".to_owned(),
        };
        let changes = Arc::clone(&self.changes);
        let notifications = async {
            loop {
                match poll_fn(|context| connection.poll_message(context)).await {
                    Some(Ok(AsyncMessage::Notification(notification))) => {
                        let number = notification.payload().parse().ok();
                        if let Some(change) = number.and_then(Change::of) {
                            changes.tell(change);
                        }
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return describe(&error),
                    None => return "closed".to_owned(),
                }
            }
        };
        tokio::select! {
            why = notifications => why,
            why = self.ask(&client) => why,
        }
    }

    async fn ask(&mut self, client: &Client) -> String {
        // Without it the counts have to do.
        if !self.pooled {
            match timeout(PATIENCE, client.batch_execute(LISTEN)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return describe(&error),
                Err(_) => return "no answer in time".to_owned(),
            }
        }
        loop {
            let asked_at = Instant::now();
            match timeout(PATIENCE, client.simple_query(COUNTS)).await {
                Ok(Ok(rows)) => self.compare(&rows),
                Ok(Err(error)) => return describe(&error),
                Err(_) => return "no answer in time".to_owned(),
            }
            self.changes.confirm(asked_at);
            self.heard = true;
            if let Some(away) = self.outage.worked(Instant::now().into_std()) {
                tracing::info!(
                    seconds = away.as_secs(),
                    "this node hears again what others change"
                );
            }
            sleep(ASK_EVERY).await;
        }
    }

    /// Tells of every kind whose count is another one than before; of each at the first time, and when another server counts.
    fn compare(&mut self, rows: &[SimpleQueryMessage]) {
        let counts: HashMap<i64, i64> = rows.iter().filter_map(numbers).collect();
        // Behind a pooler this connection outlives the server. One that had not got everything may have come to the same
        // count by other changes.
        if self.counts.get(&STARTED) != counts.get(&STARTED) {
            self.counts.clear();
        }
        for (id, count) in counts {
            if self.counts.insert(id, count) != Some(count)
                && let Some(change) = Change::of(id)
            {
                self.changes.tell(change);
            }
        }
    }
}

/// A row of the counts.
fn numbers(message: &SimpleQueryMessage) -> Option<(i64, i64)> {
    let SimpleQueryMessage::Row(row) = message else {
        return None;
    };
    Some((row.get(0)?.parse().ok()?, row.get(1)?.parse().ok()?))
}

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;
