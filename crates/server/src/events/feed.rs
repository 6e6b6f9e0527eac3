//! Who reads the log for all who listen: one task while there is a connection.

use std::sync::Arc;
use std::time::Duration;

use doorward_store::{Change, Revocation, Store, StoreError};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, broadcast, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How often the log is read when nothing was heard: whoever listens is told that it can be.
const POLL: Duration = Duration::from_secs(1);
/// When the store cannot be read for this long, nobody is told any more that all is well.
pub(super) const BLIND: Duration = Duration::from_secs(3);
/// Entries read at a time.
pub(super) const PAGE: u32 = 256;
/// Pages that a slow connection may lag behind before it reads the log by itself.
const PAGES: usize = 64;

/// What all who listen are told.
#[derive(Debug, Clone)]
pub(super) enum News {
    /// The log has grown.
    Revoked(Arc<Vec<Revocation>>),
    /// A signing key came or went.
    Keys,
    /// A client was changed or removed.
    Clients,
}

/// The feed of revocations of this node.
pub(crate) struct RevocationFeed {
    pub(super) store: Arc<dyn Store>,
    slots: Arc<Semaphore>,
    pub(super) stopped: CancellationToken,
    /// Weak: who listens is told by the end of the connection when the task that reads is gone, in whatever way.
    reader: Mutex<Option<broadcast::WeakSender<News>>>,
}

/// Why nobody can listen now.
pub(super) enum Closed {
    /// Too many do, or the server is about to stop.
    Full,
    /// The log cannot be read.
    Store(StoreError),
}

impl RevocationFeed {
    pub(crate) fn new(store: Arc<dyn Store>, connections: u32) -> Self {
        Self {
            store,
            slots: Arc::new(Semaphore::new(
                usize::try_from(connections)
                    .unwrap_or(usize::MAX)
                    .min(Semaphore::MAX_PERMITS),
            )),
            stopped: CancellationToken::new(),
            reader: Mutex::new(None),
        }
    }

    /// Ends every connection, and takes no new ones.
    pub(crate) fn stop(&self) {
        self.stopped.cancel();
    }

    /// A slot, and all that is read from now on. What is in the log already has to be read after this.
    pub(super) async fn listen(
        self: &Arc<Self>,
    ) -> Result<(OwnedSemaphorePermit, broadcast::Receiver<News>), Closed> {
        let slot = Arc::clone(&self.slots).try_acquire_owned();
        let slot = slot.map_err(|_| Closed::Full)?;
        if self.stopped.is_cancelled() {
            return Err(Closed::Full);
        }
        let mut reader = self.reader.lock().await;
        if let Some(sender) = reader.as_ref().and_then(broadcast::WeakSender::upgrade) {
            return Ok((slot, sender.subscribe()));
        }
        let signal = self.store.changes().subscribe(Change::Revocations);
        let keys = self.store.changes().subscribe(Change::SigningKeys);
        let clients = self.store.changes().subscribe(Change::Clients);
        let newest = self.store.revocations(u64::MAX, 1).await.map_err(Closed::Store)?;
        let (sender, receiver) = broadcast::channel(PAGES);
        *reader = Some(sender.downgrade());
        tokio::spawn(Arc::clone(self).read(sender, signal, keys, clients, newest.log, newest.last));
        Ok((slot, receiver))
    }

    /// Reads on until nobody listens. Ends every connection when the log cannot be read, or is another one.
    async fn read(
        self: Arc<Self>,
        sender: broadcast::Sender<News>,
        mut signal: watch::Receiver<()>,
        mut keys: watch::Receiver<()>,
        mut clients: watch::Receiver<()>,
        log: String,
        mut position: u64,
    ) {
        let mut read_at = Instant::now();
        let mut clients_changed = false;
        loop {
            tokio::select! {
                () = self.stopped.cancelled() => break,
                () = sleep(POLL) => {}
                Ok(()) = signal.changed() => {}
                Ok(()) = keys.changed() => {
                    // Nobody listening any more is seen at the next turn.
                    let _ = sender.send(News::Keys);
                    continue;
                }
            }
            let mut reader = self.reader.lock().await;
            if sender.receiver_count() == 0 {
                *reader = None;
                return;
            }
            drop(reader);
            // Asked before the log is read: who is disabled hears that from the log, and then no more.
            if clients.has_changed().unwrap_or(false) {
                clients.mark_unchanged();
                clients_changed = true;
            }
            // A store that does not answer is as bad as one that answers with an error.
            match timeout(BLIND, self.store.revocations(position, PAGE)).await {
                Ok(Ok(page)) if page.log != log || page.last < position => {
                    tracing::warn!("the database was replaced: every follower of revocations begins anew");
                    break;
                }
                Ok(Ok(page)) => {
                    read_at = Instant::now();
                    if page.items.len() == PAGE as usize {
                        // There is more: read on at once.
                        signal.mark_changed();
                    }
                    if let Some(last) = page.items.last() {
                        position = last.position;
                        // Nobody listening any more is seen at the next turn.
                        let _ = sender.send(News::Revoked(Arc::new(page.items)));
                    }
                    if std::mem::take(&mut clients_changed) {
                        let _ = sender.send(News::Clients);
                    }
                }
                Ok(Err(error)) if read_at.elapsed() < BLIND => {
                    tracing::debug!(%error, "the log of revocations could not be read; trying again");
                }
                _ => {
                    tracing::warn!(
                        "the log of revocations cannot be read: its followers are told so by the end of their connections"
                    );
                    break;
                }
            }
        }
        *self.reader.lock().await = None;
    }
}

#[cfg(test)]
mod tests {
    use doorward_store::sqlite::{SqliteOptions, SqliteStore};
    use futures_util::StreamExt;
    use tokio::runtime::Builder;
    use tokio::sync::broadcast::error::TryRecvError;

    use super::*;
    use crate::events::connection::{Connection, Listener};
    use crate::events::frames;
    use crate::http::metrics::Metrics;

    #[tokio::test]
    async fn who_lagged_behind_is_told_that_the_keys_may_have_changed() {
        let store = SqliteStore::open("sqlite::memory:", &SqliteOptions::default()).unwrap();
        let feed = Arc::new(RevocationFeed::new(Arc::new(store), 1));
        let minute = Duration::from_mins(1);
        let listener = Listener {
            client_id: "guard".to_owned(),
            may_stay: Box::new(|| Box::pin(std::future::ready(Ok(true)))),
        };
        let connection = Connection::open(&feed, listener, None, minute, &Metrics::new()).await;
        let mut events = Box::pin(connection.ok().unwrap().into_stream());
        assert_eq!(events.next().await.unwrap().unwrap(), frames::OPENING);
        let ready = events.next().await.unwrap().unwrap();

        let sender = feed.reader.lock().await.as_ref().unwrap().upgrade().unwrap();
        sender.send(News::Keys).unwrap();
        for _ in 0..PAGES {
            sender.send(News::Revoked(Arc::default())).unwrap();
        }
        assert_eq!(events.next().await.unwrap().unwrap(), frames::KEYS);
        assert_eq!(events.next().await.unwrap().unwrap(), ready);
    }

    #[tokio::test(start_paused = true)]
    async fn who_cannot_be_asked_about_hears_no_more() {
        let store = SqliteStore::open("sqlite::memory:", &SqliteOptions::default()).unwrap();
        let feed = Arc::new(RevocationFeed::new(Arc::new(store), 1));
        let listener = Listener {
            client_id: "guard".to_owned(),
            may_stay: Box::new(|| Box::pin(std::future::pending())),
        };
        let minute = Duration::from_mins(1);
        let connection = Connection::open(&feed, listener, None, minute, &Metrics::new()).await;
        let mut events = Box::pin(connection.ok().unwrap().into_stream());
        assert_eq!(events.next().await.unwrap().unwrap(), frames::OPENING);
        assert!(events.next().await.is_none());
    }

    #[test]
    fn who_listens_is_told_when_the_task_that_reads_is_gone() {
        let store = SqliteStore::open("sqlite::memory:", &SqliteOptions::default()).unwrap();
        let feed = Arc::new(RevocationFeed::new(Arc::new(store), 2));
        let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
        let first = runtime();
        let (_slot, mut told) = first.block_on(feed.listen()).ok().unwrap();
        assert_eq!(told.try_recv().unwrap_err(), TryRecvError::Empty);
        // It ends in the midst of its work, as by a panic.
        drop(first);
        assert_eq!(told.try_recv().unwrap_err(), TryRecvError::Closed);
        let second = runtime();
        let (_slot, mut told) = second.block_on(feed.listen()).ok().unwrap();
        assert_eq!(told.try_recv().unwrap_err(), TryRecvError::Empty);
    }
}
