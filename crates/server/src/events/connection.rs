//! One listener: what the log holds after its cursor, then what is read, then heartbeats in between.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use doorward_store::{Revocation, Revoked, StoreError};
use futures_util::Stream;
use futures_util::future::BoxFuture;
use futures_util::stream::unfold;
use tokio::sync::{OwnedSemaphorePermit, broadcast};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::feed::{BLIND, Closed, News, PAGE, RevocationFeed};
use super::frames::{self, Cursor};
use crate::http::metrics::{FeedConnection, Metrics};

/// How often something is sent, at least.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Who listens.
pub(super) struct Listener {
    pub(super) client_id: String,
    /// Asks whether it still may: clients are disabled and removed, and secrets replaced.
    pub(super) may_stay: Box<dyn Fn() -> BoxFuture<'static, Result<bool, StoreError>> + Send + Sync>,
}

pub(super) struct Connection {
    feed: Arc<RevocationFeed>,
    live: broadcast::Receiver<News>,
    log: String,
    listener: Listener,
    /// Whether clients have changed since it was asked whether this one may stay.
    in_doubt: bool,
    /// The log's last entry when the connection was opened.
    opened_at: u64,
    /// Whether it may hear no more.
    over: bool,
    /// The last entry that was told.
    position: u64,
    stage: Stage,
    until: Instant,
    metrics: Metrics,
    _slot: OwnedSemaphorePermit,
    _counted: FeedConnection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing was sent yet.
    Opening { reset: bool },
    /// Reads the log by itself.
    Behind,
    /// Is told.
    Live,
}

impl Connection {
    /// Begins after the cursor; at the beginning of what is kept without one, or with one that is not known.
    pub(super) async fn open(
        feed: &Arc<RevocationFeed>,
        listener: Listener,
        cursor: Option<&str>,
        ttl: Duration,
        metrics: &Metrics,
    ) -> Result<Self, Closed> {
        let (slot, live) = feed.listen().await?;
        let newest = feed.store.revocations(u64::MAX, 1).await.map_err(Closed::Store)?;
        let known = cursor.map(|cursor| {
            Cursor::parse(cursor)
                .filter(|cursor| cursor.log == newest.log)
                .map(|cursor| cursor.position)
                .filter(|position| (newest.forgotten..=newest.last).contains(position))
        });
        Ok(Self {
            feed: Arc::clone(feed),
            live,
            listener,
            in_doubt: false,
            opened_at: newest.last,
            over: false,
            position: known.flatten().unwrap_or(newest.forgotten),
            log: newest.log,
            stage: Stage::Opening {
                reset: known == Some(None),
            },
            until: Instant::now() + ttl,
            metrics: metrics.clone(),
            _slot: slot,
            _counted: metrics.feed_connection(),
        })
    }

    /// The body of the answer.
    pub(super) fn into_stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
        unfold(self, |mut connection| async move {
            let text = connection.next().await?;
            Some((Ok(Bytes::from(text)), connection))
        })
    }

    /// What to send next; `None` at the end.
    async fn next(&mut self) -> Option<String> {
        if self.over {
            return None;
        }
        if let Stage::Opening { reset } = self.stage {
            self.stage = Stage::Behind;
            let mut text = frames::OPENING.to_owned();
            if reset {
                frames::reset(&mut text);
            }
            return Some(text);
        }
        let (stopped, until) = (self.feed.stopped.clone(), self.until);
        tokio::select! {
            biased;
            () = stopped.cancelled() => None,
            () = sleep_until(until) => None,
            text = self.events() => text,
            () = sleep(HEARTBEAT) => Some(frames::HEARTBEAT.to_owned()),
        }
    }

    async fn events(&mut self) -> Option<String> {
        loop {
            // Also before each page: at first because it may have changed since it proved who it is, then because who reads
            // slowly must not put off its end.
            if (self.in_doubt || self.stage == Stage::Behind) && !self.may_stay().await? {
                return self.last_words().await;
            }
            if self.stage == Stage::Behind {
                return self.catch_up().await;
            }
            match self.live.recv().await {
                Ok(News::Keys) => return Some(frames::KEYS.to_owned()),
                Ok(News::Clients) => self.in_doubt = true,
                Ok(News::Revoked(entries)) => {
                    let text = self.tell(&entries);
                    if !text.is_empty() {
                        return Some(text);
                    }
                }
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    // The log tells what was missed of revocations, and nothing of the keys.
                    self.stage = Stage::Behind;
                    return Some(frames::KEYS.to_owned());
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// Whether the client may hear more. `None` when that cannot be told.
    async fn may_stay(&mut self) -> Option<bool> {
        // A store that does not answer must not keep a connection that hears nothing more looking alive.
        let asked = timeout(BLIND, (self.listener.may_stay)()).await;
        let too_late = |_| Err(StoreError::Unavailable("it did not answer in time".to_owned()));
        match asked.unwrap_or_else(too_late) {
            Ok(may_stay) => {
                self.in_doubt = false;
                Some(may_stay)
            }
            Err(error) => {
                tracing::debug!(%error, "whether a follower of revocations may stay cannot be told");
                None
            }
        }
    }

    /// The end of a client that may hear no more: what was revoked until now, its own end among it. One that has not heard
    /// everything before does not hear it now.
    async fn last_words(&mut self) -> Option<String> {
        self.over = true;
        if self.stage == Stage::Behind {
            return None;
        }
        self.catch_up().await.filter(|text| !text.is_empty())
    }

    /// One page of the log. `None` when the log is another one, or cannot be read.
    async fn catch_up(&mut self) -> Option<String> {
        let page = match self.feed.store.revocations(self.position, PAGE).await {
            Ok(page) if page.log == self.log => page,
            Ok(_) => return None,
            Err(error) => {
                tracing::debug!(%error, "a follower of revocations cannot catch up");
                return None;
            }
        };
        let mut text = String::new();
        if page.forgotten > self.position {
            // It was so slow that what it has not heard is forgotten.
            frames::reset(&mut text);
            self.position = page.forgotten;
        }
        text.push_str(&self.tell(&page.items));
        if self.stage == Stage::Behind && page.items.len() < PAGE as usize {
            self.stage = Stage::Live;
            frames::ready(&mut text, &self.log, self.position);
        }
        Some(text)
    }

    fn tell(&mut self, entries: &[Revocation]) -> String {
        let mut text = String::new();
        let mut told = 0;
        for entry in entries {
            if entry.position > self.position {
                frames::revocation(&mut text, &self.log, entry);
                self.position = entry.position;
                // Disabled or removed since: the last thing that it hears is its own end.
                let own = &self.listener.client_id;
                let is_its_own = matches!(&entry.revoked, Revoked::Client(client_id) if client_id == own);
                self.over |= is_its_own && entry.position > self.opened_at;
                told += 1;
            }
        }
        self.metrics.revocations_told(told);
        text
    }
}
