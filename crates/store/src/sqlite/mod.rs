//! The embedded engine: one SQLite file, one process.
//!
//! One thread writes and commits for everybody who waits (see `writer`); a few threads read and never wait
//! for it. Both queues are bounded: a full one is [`StoreError::Busy`] at once.

mod approvals;
mod asserted;
mod assertion_audiences;
mod audit;
pub mod backup;
mod checkpoint;
mod clients;
mod codes;
mod consents;
mod devices;
mod ending;
mod errors;
mod exchange;
mod files;
mod grants;
mod handle;
mod id_jag;
mod issuances;
mod keys;
#[cfg(feature = "postgres")]
pub(crate) mod leaving;
mod location;
mod many;
mod migrations;
mod operations;
mod own;
mod queue;
mod readers;
mod refresh;
mod registration;
mod resources;
mod revocations;
mod served;
mod sessions;
mod spent;
mod statements;
mod sweep;
mod throttle;
mod trusted_issuers;
mod users;
mod values;
mod writer;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

pub use self::handle::SqliteStore;
use self::location::{Location, LockedFile};
use self::readers::Readers;
use self::writer::{Place, Writer};
use crate::changes::Changes;
use crate::rules::sweep::Round;
use crate::turns::Turns;
use crate::{Result, StoreError};

/// How the embedded engine works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteOptions {
    /// Threads and connections that read. Default: 4.
    pub readers: usize,
    /// Operations that may wait for the writer, and as many for the readers. Default: 4096.
    pub queue: usize,
    /// Operations in one transaction at most. Default: 256.
    pub batch: usize,
    /// How long to wait for another process (a backup tool, a shell) that locks the file. Default: 5 s.
    pub busy_timeout: Duration,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            readers: 4,
            queue: 4096,
            batch: 256,
            busy_timeout: Duration::from_secs(5),
        }
    }
}

/// What every handle of the embedded engine shares. Nothing outside of the engine uses it.
#[doc(hidden)]
pub struct Engine {
    writer: Writer,
    /// None for a database in memory: it has one connection, and the writer's thread reads too.
    readers: Option<Readers>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    turns: Turns,
    changes: Arc<Changes>,
    /// Whether it was said that the file is damaged.
    told_of_damage: AtomicBool,
    clients_looked_at: Arc<Round<String>>,
}

impl Engine {
    /// See [`SqliteStore::open`].
    fn open(url: &str, options: &SqliteOptions) -> Result<Self> {
        match Location::parse(url)? {
            Location::Memory => Self::in_memory(options),
            Location::File(path) => Self::of_file(LockedFile::take(&path)?, options),
        }
    }

    fn of_file(file: LockedFile, options: &SqliteOptions) -> Result<Self> {
        let path = file.path.clone();
        Self::on_disk(file, options).map_err(|error| refusal(&path, error))
    }

    fn in_memory(options: &SqliteOptions) -> Result<Self> {
        let mut db = Connection::open_in_memory()?;
        prepare(&db, options)?;
        migrations::migrate(&mut db)?;
        let store = Self {
            writer: Writer::new(options.queue),
            readers: None,
            threads: Mutex::default(),
            turns: Turns::default(),
            changes: Arc::new(Changes::of_one_process()),
            told_of_damage: AtomicBool::new(false),
            clients_looked_at: Arc::default(),
        };
        let worker = store
            .writer
            .worker(db, None, options.batch.max(1), &store.changes)?;
        store.spawn("doorward-write", || worker.work())?;
        Ok(store)
    }

    fn on_disk(file: LockedFile, options: &SqliteOptions) -> Result<Self> {
        // Before the first connection, and closed after the last one: every thread has it that has a connection.
        let data = Arc::new(file.data()?);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut db = Connection::open_with_flags(&file.path, flags)?;
        prepare(&db, options)?;
        // Before anything is written: not even the journal's mode changes in a file that is not ours.
        migrations::refuse(&db)?;
        prepare_writer(&db)?;
        migrations::migrate(&mut db)?;
        // What new tables were made with is not needed again, and would stay.
        db.execute_batch("PRAGMA shrink_memory;")?;
        let shared = Arc::<checkpoint::Checkpoints>::default();
        let readers = Readers::new(options.queue);
        let mut questions = Vec::new();
        for _ in 0..options.readers.max(1) {
            let db = Connection::open_with_flags(&file.path, flags)?;
            prepare(&db, options)?;
            db.pragma_update(None, "query_only", true)?;
            let (work, data) = (readers.worker(db, Arc::clone(&shared)), Arc::clone(&data));
            questions.push(move || {
                work();
                drop(data);
            });
        }
        let store = Self {
            writer: Writer::new(options.queue),
            readers: Some(readers),
            threads: Mutex::default(),
            turns: Turns::default(),
            changes: Arc::new(Changes::of_one_process()),
            told_of_damage: AtomicBool::new(false),
            clients_looked_at: Arc::default(),
        };
        let beside_it = Connection::open_with_flags(&file.path, flags)?;
        prepare(&beside_it, options)?;
        let busy = options.busy_timeout;
        let (log, checkpointer) = checkpoint::sides(&mut db, beside_it, Arc::clone(&data), &shared, busy)?;
        let place = Place {
            identity: file.identity()?,
            log,
        };
        let worker = store
            .writer
            .worker(db, Some(place), options.batch.max(1), &store.changes)?;
        let kept = Arc::clone(&data);
        store.spawn("doorward-write", move || {
            worker.work();
            drop((kept, file));
        })?;
        store.spawn("doorward-log", move || checkpointer.work())?;
        for work in questions {
            store.spawn("doorward-read", work)?;
        }
        Ok(store)
    }

    fn spawn(&self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
        let thread =
            thread.map_err(|error| StoreError::Unusable(format!("no thread for the store: {error}")))?;
        self.threads().push(thread);
        Ok(())
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let outcome = self.writer.run(work).await;
        outcome.inspect_err(|error| self.tell_of_damage(error))
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let outcome = match &self.readers {
            Some(readers) => readers.run(work).await,
            None => self.writer.run(work).await,
        };
        outcome.inspect_err(|error| self.tell_of_damage(error))
    }

    /// Once: every request that meets the damage is in the log by itself.
    fn tell_of_damage(&self, error: &StoreError) {
        if matches!(error, StoreError::Damaged(_)) && !self.told_of_damage.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "the database file cannot be read everywhere");
        }
    }

    /// Takes no more work in. What waits is still done.
    fn stop(&self) -> Vec<JoinHandle<()>> {
        self.writer.close();
        if let Some(readers) = &self.readers {
            readers.close();
        }
        std::mem::take(&mut *self.threads())
    }

    fn threads(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        join(self.stop());
    }
}

fn join(threads: Vec<JoinHandle<()>>) {
    // What an operation held was the last of the engine's owners: its own thread ends by itself, and the others, of which one
    // waits for this one, do so too.
    let current = std::thread::current().id();
    if threads.iter().any(|thread| thread.thread().id() == current) {
        return;
    }
    for thread in threads {
        if thread.join().is_err() {
            tracing::error!("a thread of the store panicked");
        }
    }
}

/// What every connection needs.
fn prepare(db: &Connection, options: &SqliteOptions) -> Result<()> {
    db.busy_timeout(options.busy_timeout)?;
    db.set_prepared_statement_cache_capacity(128);
    // One plan a statement, whatever is bound: without it every cached statement is compiled again at every
    // use, a seventh of a refresh (docs/performance.md).
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // Readers throw their pages away whenever the writer has committed: 4 MB are enough for what one look-up walks through.
    db.execute_batch("PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -4096;")?;
    Ok(())
}

/// Durable when it answers: a write-ahead log, synchronised at every commit.
fn prepare_writer(db: &Connection) -> rusqlite::Result<()> {
    let mode: String = db.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        tracing::warn!(
            mode,
            "the file system allows no write-ahead log: readers will wait for the writer"
        );
    }
    // The log is moved into the database by `checkpoint`. With millions of grants 64 MB hold what is above the leaves, which
    // halves what a refresh reads (docs/performance.md).
    db.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 67108864; PRAGMA wal_autocheckpoint = 0; \
         PRAGMA cache_size = -65536;",
    )
}

/// At the start every error means: not with this database.
fn refusal(path: &Path, error: StoreError) -> StoreError {
    let fix = if matches!(error, StoreError::Damaged(_)) {
        "; if storage.url is right, it is damaged: restore a backup (`doorward restore`)"
    } else {
        ""
    };
    let why = match error {
        StoreError::Unusable(why)
        | StoreError::Unavailable(why)
        | StoreError::Damaged(why)
        | StoreError::Internal(why) => why,
        other => other.to_string(),
    };
    StoreError::Unusable(format!(
        "{} cannot be used as the database: {why}{fix}",
        path.display()
    ))
}

#[cfg(test)]
#[path = "statements_tests.rs"]
mod statements_tests;
