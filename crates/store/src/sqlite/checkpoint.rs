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
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ffi};

use crate::{Result, StoreError};

/// Pages (of 4,096 bytes) in the log when it is to be moved: 16 MB. A page that many transactions write goes into the database once for
/// all of them, and one part of the log's index covers as many pages (docs/performance.md).
const LONG: usize = 4000;
/// How much more has to come before it is tried again.
const MORE: usize = LONG / 4;
/// What the writer moves by itself.
const TAIL: usize = 256;
/// How often the other thread goes over what has come meanwhile, at most. Each time it is less, unless the disk is too slow.
const PASSES: usize = 4;
/// A log of this length is not moved as fast as it grows: the writer waits for it.
const TOO_LONG: usize = 16 * LONG;
/// How long the writer waits then for those who read.
const PATIENCE: Duration = Duration::from_millis(200);

/// Waits for nobody.
const PASSIVE: &str = "PRAGMA wal_checkpoint(PASSIVE)";
/// Waits for those who read, so that the log begins anew.
const RESTART: &str = "PRAGMA wal_checkpoint(RESTART)";
/// Waits as well, and leaves an empty log behind.
const TRUNCATE: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

/// What every connection to one database shares.
#[derive(Default)]
pub(super) struct Checkpoints {
    /// Held by whoever moves pages.
    turn: Mutex<()>,
    /// What is left is short, or held back by somebody who reads it: the other thread can do no more.
    writer_may_move: AtomicBool,
    /// The disk did not take in what was moved. The system forgets such pages, and SQLite counts them as moved: if the log
    /// began anew, they would be lost. So it stays as it is, and the next start moves all of it once more.
    failed: AtomicBool,
}

impl Checkpoints {
    /// The number of pages that are left.
    fn checkpoint(&self, db: &Connection, how: &str) -> Result<usize> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.move_pages(db, how)
    }

    /// The same, unless the other one is at it.
    fn try_checkpoint(&self, db: &Connection) -> Result<()> {
        let _turn = match self.turn.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(()),
        };
        self.move_pages(db, PASSIVE).map(drop)
    }

    fn move_pages(&self, db: &Connection, how: &str) -> Result<usize> {
        self.check()?;
        let moved = db
            .prepare_cached(how)?
            .query_row([], |row| Ok((row.get(1)?, row.get(2)?)));
        let (pages, moved): (i64, i64) = moved.inspect_err(|error| {
            let code = error.sqlite_error().map(|error| error.extended_code);
            if code == Some(ffi::SQLITE_IOERR_FSYNC) {
                self.fail(error);
            }
        })?;
        // Negative when another process does the same.
        Ok(usize::try_from(pages).map_or(usize::MAX, |pages| {
            pages.saturating_sub(usize::try_from(moved).unwrap_or_default())
        }))
    }

    fn fail(&self, error: &dyn std::error::Error) {
        tracing::error!(%error, "the disk did not take in what was moved into the database: nothing is written until this program is started again");
        self.failed.store(true, Ordering::SeqCst);
    }

    /// Refuses when the disk has failed.
    fn check(&self) -> Result<()> {
        if self.failed.load(Ordering::SeqCst) {
            let why = "the disk failed to keep what was written; what was answered is in the log, from which the next start takes it";
            return Err(StoreError::Unavailable(why.to_owned()));
        }
        Ok(())
    }

    /// Before a connection is closed, of which the last one would move what is left: not after a disk that failed.
    pub(super) fn before_closing(&self, db: &Connection) {
        if self.check().is_err()
            && let Err(error) = db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        {
            tracing::error!(%error, "the log may be moved at closing");
        }
    }
}

/// The writer's side.
pub(super) struct Log {
    shared: Arc<Checkpoints>,
    /// Pages in the log after the last commit.
    pages: Arc<AtomicUsize>,
    ask: SyncSender<()>,
    /// At how many pages the other thread is asked next.
    ask_at: usize,
    /// At how many pages the writer waits next.
    wait_at: usize,
    /// The writer's own patience with locks.
    busy_timeout: Duration,
}

/// The other thread.
pub(super) struct Checkpointer {
    shared: Arc<Checkpoints>,
    asked: Receiver<()>,
    db: Connection,
    data: Arc<File>,
}

/// Both sides for the log of one database. `data` is its file, which must stay open until every connection is closed: to
/// close it gives up the locks that the process holds on it.
pub(super) fn sides(
    writer: &mut Connection,
    beside_it: Connection,
    data: Arc<File>,
    shared: &Arc<Checkpoints>,
    busy_timeout: Duration,
) -> Result<(Log, Checkpointer)> {
    let (ask, asked) = sync_channel(1);
    let pages = Arc::<AtomicUsize>::default();
    let noted = Arc::clone(&pages);
    // In place of SQLite's own hook, which checkpoints.
    writer.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
        noted.store(usize::try_from(pages).unwrap_or_default(), Ordering::Relaxed);
        Ok(())
    }))?;
    let log = Log {
        shared: Arc::clone(shared),
        pages,
        ask,
        ask_at: LONG,
        wait_at: TOO_LONG,
        busy_timeout,
    };
    let checkpointer = Checkpointer {
        shared: Arc::clone(shared),
        asked,
        db: beside_it,
        data,
    };
    Ok((log, checkpointer))
}

impl Log {
    /// Before a transaction. Refuses when the disk has failed.
    pub(super) fn check(&self) -> Result<()> {
        self.shared.check()
    }

    /// Between two transactions, when everybody is answered.
    pub(super) fn look_after(&mut self, db: &Connection) {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages + MORE < self.ask_at {
            // The log has begun anew.
            (self.ask_at, self.wait_at) = (LONG, TOO_LONG);
        }
        let moved = if pages >= self.wait_at {
            // What somebody reads for long, a copy that is made, cannot be moved meanwhile: every try goes through all of the log.
            self.wait_at = pages + LONG;
            self.wait_for_readers(db)
        } else if self.shared.writer_may_move.swap(false, Ordering::Relaxed) {
            self.shared.try_checkpoint(db)
        } else {
            Ok(())
        };
        if let Err(error) = moved {
            tracing::warn!(%error, "the log was not moved into the database");
        }
        if pages >= self.ask_at {
            self.ask_at = pages + MORE;
            // Asked before and not heard yet is asked.
            let _ = self.ask.try_send(());
        }
    }

    fn wait_for_readers(&self, db: &Connection) -> Result<()> {
        db.busy_timeout(PATIENCE)?;
        let moved = self.shared.checkpoint(db, RESTART);
        db.busy_timeout(self.busy_timeout)?;
        moved.map(drop)
    }

    /// Before the writer's connection is closed. Leaves one file behind instead of three, unless the disk has failed.
    pub(super) fn close(&self, db: &Connection) {
        if let Err(error) = self.shared.checkpoint(db, TRUNCATE) {
            tracing::debug!(%error, "no checkpoint at closing");
        }
        self.shared.before_closing(db);
    }
}

impl Checkpointer {
    /// Until the writer is gone.
    pub(super) fn work(self) {
        while self.asked.recv().is_ok() {
            match self.shorten() {
                // Also when nothing was left: by now the writer has begun the next transaction.
                Ok(true) => self.shared.writer_may_move.store(true, Ordering::Relaxed),
                Ok(false) => {}
                // The writer asks again when the log has grown.
                Err(error) => tracing::warn!(%error, "the log was not moved into the database"),
            }
        }
        self.shared.before_closing(&self.db);
    }

    /// Whether what is left is for the writer.
    fn shorten(&self) -> Result<bool> {
        let (mut before, mut is_for_the_writer) = (usize::MAX, false);
        for _ in 0..PASSES {
            let left = self.shared.checkpoint(&self.db, PASSIVE)?;
            // It is not less than before when somebody still reads what is in it.
            is_for_the_writer = left <= TAIL || left >= before;
            if is_for_the_writer {
                break;
            }
            before = left;
        }
        // SQLite synchronises the file when nothing is left in the log, which is the writer's part: it is to find
        // little to wait for.
        self.data.sync_data().map_err(|error| {
            self.shared.fail(&error);
            StoreError::Unavailable(error.to_string())
        })?;
        Ok(is_for_the_writer)
    }
}

#[cfg(test)]
#[path = "checkpoint_tests.rs"]
mod tests;
