//! Moves what the write-ahead log holds into the database, beside the writer.
//!
//! Left to itself SQLite does it inside of the commit that makes the log long, and whoever waits for the writer waits
//! for that too: thousands of pages all over the file and an `fsync` of them. Here a thread with a connection of its
//! own does it while the writer goes on. The log begins anew only when everything in it has been moved and nobody
//! appends, so the writer moves the last of it: what it has written since, between two transactions and after
//! everybody is answered.

use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use crate::{Result, StoreError};

/// Pages in the log when it is to be moved: 16 MB. A page that many transactions write goes into the database once for
/// all of them, and one part of the log's index covers as many pages (docs/performance.md).
const LONG: usize = 4000;
/// What the writer moves by itself.
const TAIL: usize = 256;
/// How often the other thread goes over what has come meanwhile, at most. Each time it is less, unless the disk is too slow.
const PASSES: usize = 4;
/// A log of this length is not moved as fast as it grows: the writer waits for it.
const TOO_LONG: usize = 16 * LONG;

/// Moves what can be moved without waiting for anybody; the number of pages that are left.
fn checkpoint(db: &Connection) -> Result<usize> {
    let (pages, moved): (i64, i64) = db
        .prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?
        .query_row([], |row| Ok((row.get(1)?, row.get(2)?)))?;
    Ok(usize::try_from(pages - moved).unwrap_or_default())
}

/// What the writer and the other thread share.
#[derive(Default)]
struct Shared {
    /// Held by whoever moves pages.
    turn: Mutex<()>,
    /// Whether the rest is short enough for the writer.
    only_the_tail: AtomicBool,
}

impl Shared {
    fn checkpoint(&self, db: &Connection) -> Result<usize> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        checkpoint(db)
    }
}

/// The writer's side.
pub(super) struct Log {
    shared: Arc<Shared>,
    /// Pages in the log after the last commit.
    pages: Arc<AtomicUsize>,
    ask: SyncSender<()>,
    /// At how many pages the other thread is asked next.
    ask_at: usize,
    /// At how many pages the writer waits next.
    wait_at: usize,
}

/// The other thread.
pub(super) struct Checkpointer {
    shared: Arc<Shared>,
    asked: Receiver<()>,
    db: Connection,
    data: Arc<File>,
}

/// Both sides for the log of one database. `data` is its file, which must stay open until every connection is closed: to
/// close it gives up the locks that the process holds on it.
pub(super) fn of(
    writer: &mut Connection,
    beside_it: Connection,
    data: Arc<File>,
) -> Result<(Log, Checkpointer)> {
    let (ask, asked) = sync_channel(1);
    let shared = Arc::<Shared>::default();
    let pages = Arc::<AtomicUsize>::default();
    let noted = Arc::clone(&pages);
    // In place of SQLite's own hook, which checkpoints.
    writer.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
        noted.store(usize::try_from(pages).unwrap_or_default(), Ordering::Relaxed);
        Ok(())
    }))?;
    let log = Log {
        shared: Arc::clone(&shared),
        pages,
        ask,
        ask_at: LONG,
        wait_at: TOO_LONG,
    };
    let checkpointer = Checkpointer {
        shared,
        asked,
        db: beside_it,
        data,
    };
    Ok((log, checkpointer))
}

impl Log {
    /// Between two transactions, when everybody is answered.
    pub(super) fn look_after(&mut self, db: &Connection) {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages + LONG / 4 < self.ask_at {
            // The log has begun anew.
            (self.ask_at, self.wait_at) = (LONG, TOO_LONG);
        }
        let is_too_long = pages >= self.wait_at;
        if is_too_long {
            // What somebody reads for long, a copy that is made, cannot be moved meanwhile: every try goes through all of the log.
            self.wait_at = pages + LONG;
        }
        if self.shared.only_the_tail.swap(false, Ordering::Relaxed) || is_too_long {
            match self.shared.checkpoint(db) {
                Ok(left) => tracing::trace!(pages, left, "moved the end of the log"),
                Err(error) => tracing::warn!(%error, "the log was not moved into the database"),
            }
        }
        if pages >= self.ask_at {
            self.ask_at = pages + LONG / 4;
            // Asked before and not heard yet is asked.
            let _ = self.ask.try_send(());
        }
    }
}

impl Checkpointer {
    /// Until the writer is gone.
    pub(super) fn work(self) {
        while self.asked.recv().is_ok() {
            match self.shorten() {
                // Also when nothing was left: by now the writer has begun the next transaction.
                Ok(()) => self.shared.only_the_tail.store(true, Ordering::Relaxed),
                // The writer asks again when the log has grown.
                Err(error) => tracing::warn!(%error, "the log was not moved into the database"),
            }
        }
    }

    fn shorten(&self) -> Result<()> {
        let mut before = usize::MAX;
        for _ in 0..PASSES {
            let left = self.shared.checkpoint(&self.db)?;
            // It grows when somebody still reads what is in it.
            if left <= TAIL || left >= before {
                break;
            }
            before = left;
        }
        // SQLite synchronises the file when nothing is left in the log, which is the writer's part: it is to find
        // little to wait for.
        self.data
            .sync_data()
            .map_err(|error| StoreError::Unavailable(error.to_string()))
    }
}

#[cfg(test)]
#[path = "checkpoint_tests.rs"]
mod tests;
