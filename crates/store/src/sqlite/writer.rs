//! The one connection that writes.
//!
//! Group commit: the writer takes every operation that waits, runs each in its own savepoint inside one
//! `BEGIN IMMEDIATE` transaction, commits once (one `fsync`), and only then answers. One operation that fails
//! is rolled back alone; when the commit fails nobody is told that anything happened.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use doorward_oauth::time::Outage;
use rusqlite::Connection;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::checkpoint::Log;
use super::location::FileIdentity;
use super::queue::Queue;
use super::statements::{Run, statements};
use crate::changes::Pending;
use crate::{Change, Changes, Result, StoreError};

statements! {
    BEGIN = "BEGIN IMMEDIATE";
    COMMIT = "COMMIT";
    ROLLBACK = "ROLLBACK";
    OPERATION_BEGIN = "SAVEPOINT operation";
    OPERATION_KEEP = "RELEASE operation";
    OPERATION_UNDO = "ROLLBACK TO operation";
    BEAT = "UPDATE heartbeat SET beats = beats + 1 WHERE id = 1";
    MIGRATED = "SELECT EXISTS (SELECT 1 FROM schema_migration WHERE version = 1)";
}

/// Something for the writer to do.
pub(super) trait Job: Send {
    /// Whether nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool;
    /// Does it; whether its changes are to be kept.
    fn run(&mut self, db: &Connection) -> bool;
    /// Tells the caller, after the commit.
    fn answer(self: Box<Self>, committed: &Result<()>);
}

struct Operation<T, F> {
    work: Option<F>,
    outcome: Result<T>,
    caller: Option<oneshot::Sender<Result<T>>>,
}

impl<T, F> Job for Operation<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T> + Send,
{
    fn is_abandoned(&self) -> bool {
        self.caller.as_ref().is_some_and(oneshot::Sender::is_closed)
    }

    fn run(&mut self, db: &Connection) -> bool {
        if let Some(work) = self.work.take() {
            self.outcome = catch_unwind(AssertUnwindSafe(|| work(db))).unwrap_or_else(|_| Err(panicked()));
        }
        self.outcome.is_ok()
    }

    fn answer(self: Box<Self>, committed: &Result<()>) {
        match (self.caller, self.outcome) {
            // A caller that went away meanwhile asks again: every operation can be repeated.
            (Some(caller), outcome) => drop(caller.send(committed.clone().and(outcome))),
            // The log knows of a transaction that failed.
            (None, Err(error)) if committed.is_ok() => {
                tracing::warn!(%error, "a write that nobody waits for failed");
            }
            (None, _) => {}
        }
    }
}

pub(super) fn panicked() -> StoreError {
    StoreError::Internal("an operation panicked".to_owned())
}

/// Hands work to the writer's thread.
pub(super) struct Writer {
    queue: Arc<Queue<Box<dyn Job>>>,
}

impl Writer {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            queue: Arc::new(Queue::new(capacity)),
        }
    }

    /// Runs `work` in a transaction and answers when it is durable.
    pub(super) async fn run<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let (caller, answer) = oneshot::channel();
        self.push(work, Some(caller))?;
        answer
            .await
            .unwrap_or_else(|_| Err(StoreError::Unavailable("the store is closed".to_owned())))
    }

    /// Runs `work` some time soon; nobody waits for it, and it may be lost.
    pub(super) fn run_detached<F>(&self, work: F)
    where
        F: FnOnce(&Connection) -> Result<()> + Send + 'static,
    {
        if let Err(error) = self.push(work, None) {
            tracing::debug!(%error, "skipped a write that nobody waits for");
        }
    }

    fn push<T, F>(&self, work: F, caller: Option<oneshot::Sender<Result<T>>>) -> Result<()>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let outcome = Err(StoreError::Unavailable(
            "the storage failed before the operation ran".to_owned(),
        ));
        self.queue.push(Box::new(Operation {
            work: Some(work),
            outcome,
            caller,
        }))
    }

    pub(super) fn close(&self) {
        self.queue.close();
    }

    /// What the writer's thread does until the queue is closed and empty.
    pub(super) fn worker(
        &self,
        mut db: Connection,
        place: Option<Place>,
        batch: usize,
        changes: &Arc<Changes>,
    ) -> Result<Worker> {
        let pending = Arc::new(Pending::default());
        note_changes(&mut db, &pending)?;
        Ok(Worker {
            queue: Arc::clone(&self.queue),
            db,
            place,
            batch,
            pending,
            changes: Arc::clone(changes),
            outage: Outage::default(),
        })
    }
}

/// Notes what the triggers of the database count. They write into tables that SQLite tells of row by row.
fn note_changes(db: &mut Connection, pending: &Arc<Pending>) -> Result<()> {
    let pending = Arc::clone(pending);
    let note = move |_, _: &str, table: &str, row: i64| match table {
        "change_count" => Change::of(row)
            .into_iter()
            .for_each(|change| pending.note(change)),
        "revocation" => pending.note(Change::Revocations),
        _ => {}
    };
    Ok(db.update_hook(Some(note))?)
}

/// Where a database on a disk is written.
pub(super) struct Place {
    pub(super) identity: FileIdentity,
    pub(super) log: Log,
}

pub(super) struct Worker {
    queue: Arc<Queue<Box<dyn Job>>>,
    db: Connection,
    place: Option<Place>,
    batch: usize,
    /// What the transaction that runs has changed.
    pending: Arc<Pending>,
    changes: Arc<Changes>,
    /// As the log knows it.
    outage: Outage,
}

impl Worker {
    pub(super) fn work(mut self) {
        loop {
            let mut batch = self.queue.take(self.batch);
            if batch.is_empty() {
                break;
            }
            if let Err(error) = self.begin() {
                // Storage that did not answer one will not answer the others in line: nobody waits twice.
                batch.extend(self.queue.take_waiting());
                self.failed(&error, batch.len(), "no transaction could be started");
                answer_all(batch, &Err(error));
                continue;
            }
            let ran = self.run_all(&mut batch);
            let committed = ran.and_then(|wrote| self.commit().map(|()| wrote));
            match &committed {
                Err(error) => {
                    self.failed(error, batch.len(), "a transaction was not committed");
                    self.roll_back();
                }
                Ok(true) => self.worked(),
                // The storage was not asked.
                Ok(false) => {}
            }
            let committed = committed.map(drop);
            // Before anybody is answered; also after a commit that failed, of which nobody knows what is on the disk.
            self.pending.take().for_each(|change| self.changes.tell(change));
            answer_all(batch, &committed);
            if let Some(place) = &mut self.place {
                place.log.look_after(&self.db);
            }
        }
        let Some(place) = &self.place else { return };
        // A disk that failed takes nothing more.
        if place.log.check().is_ok()
            && let Err(error) = self.db.execute_batch("PRAGMA optimize")
        {
            tracing::debug!(%error, "no fresh statistics for the next start");
        }
        place.log.close(&self.db);
    }

    fn failed(&self, error: &StoreError, operations: usize, what: &str) {
        if let Some(failures) = self.outage.failed(Instant::now().into_std()) {
            tracing::warn!(%error, operations, failures, "{what}");
        } else {
            tracing::debug!(%error, operations, "{what}");
        }
    }

    fn worked(&self) {
        if let Some(away) = self.outage.worked(Instant::now().into_std()) {
            tracing::info!(seconds = away.as_secs(), "the database can be written again");
        }
    }

    fn begin(&self) -> Result<()> {
        if let Some(place) = &self.place {
            place.identity.check()?;
            place.log.check()?;
        }
        self.db.run(BEGIN, [])?;
        Ok(())
    }

    /// Whether anything is written. An error means that the transaction as a whole is lost.
    fn run_all(&self, batch: &mut [Box<dyn Job>]) -> Result<bool> {
        let mut wrote = false;
        for job in batch.iter_mut().filter(|job| !job.is_abandoned()) {
            self.db.run(OPERATION_BEGIN, [])?;
            let changes = self.db.total_changes();
            let keep = job.run(&self.db);
            wrote |= keep && self.db.total_changes() > changes;
            // SQLite ends the whole transaction by itself on some faults (disk full, I/O).
            if self.db.is_autocommit() {
                return Err(StoreError::Unavailable(
                    "the storage failed in the middle of a transaction".to_owned(),
                ));
            }
            if !keep {
                self.db.run(OPERATION_UNDO, [])?;
            }
            self.db.run(OPERATION_KEEP, [])?;
        }
        Ok(wrote)
    }

    fn commit(&self) -> Result<()> {
        // Whatever the reason, it is none of the callers' doing.
        let committed = self.db.run(COMMIT, []).map(drop);
        committed.map_err(|error| match StoreError::from(error) {
            error @ (StoreError::Unavailable(_) | StoreError::Damaged(_)) => error,
            error => StoreError::Unavailable(error.to_string()),
        })
    }

    fn roll_back(&self) {
        if !self.db.is_autocommit()
            && let Err(error) = self.db.run(ROLLBACK, [])
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }
}

fn answer_all(batch: Vec<Box<dyn Job>>, committed: &Result<()>) {
    for job in batch {
        job.answer(committed);
    }
}

/// Proves that a write reaches the disk.
pub(super) fn beat(db: &Connection) -> Result<()> {
    match db.run(BEAT, [])? {
        1 => Ok(()),
        _ => Err(StoreError::Unavailable(
            "the database lost its heartbeat row".to_owned(),
        )),
    }
}

/// Proves that a read works.
pub(super) fn can_read(db: &Connection) -> Result<()> {
    match db.find(MIGRATED, [], |row| row.get(0))? {
        Some(true) => Ok(()),
        _ => Err(StoreError::Unavailable("the database lost its schema".to_owned())),
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
