//! How an operation runs: on a connection of its own, again when the database asks for it or the connection is
//! lost, and never twice to the same effect.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use uuid::Uuid;

use super::Engine;
use super::errors::{Fallible, Fault};
use super::statements::{Connection, get, list, run, statements};
use super::values::only;
use super::writes::{Failed, Writes, commit};
use crate::{Digest, Result, StoreError};

statements! {
    /// Leaves a row that is there exactly when the transaction was committed; gives its time and the transaction's number.
    MARK = "INSERT INTO transaction_mark DEFAULT VALUES RETURNING made_at, id, pg_current_xact_id()::text";
    /// Whether a transaction of this number runs; no answer from a standby. "Committed" would not do: a server that crashed
    /// gives the numbers again whose transactions had not reached its log.
    IN_PROGRESS = "SELECT CASE WHEN pg_is_in_recovery() THEN NULL WHEN $1::text::xid8 >= pg_current_xact_id() THEN FALSE \
                   ELSE pg_xact_status($1::text::xid8) IS NOT DISTINCT FROM 'in progress' END";
    IS_MARKED = "SELECT EXISTS (SELECT 1 FROM transaction_mark WHERE made_at = $1 AND id = $2)";
    /// Long after the last question about them, by a clock that may jump by an hour. A mark is never updated: it stays in its place.
    FORGET = "DELETE FROM transaction_mark WHERE ctid = ANY (ARRAY(SELECT ctid FROM transaction_mark \
              WHERE made_at < extract(epoch FROM now())::bigint - 7200 ORDER BY made_at LIMIT $1 FOR UPDATE SKIP LOCKED))";
    LOCK = "SELECT pg_advisory_xact_lock(number) FROM unnest($1::bigint[]) AS number";
    BEAT = "UPDATE heartbeat SET beats = beats + 1 WHERE id = 1 AND EXISTS (SELECT 1 FROM schema_migration)";
}

/// How long after its beginning a statement of an operation's last attempt may end: a request has half a minute.
const LAST_ATTEMPT: Duration = Duration::from_secs(23);

/// How long an operation may take whose statements wait one after the other, where one may not take longer.
const LONGEST: Duration = Duration::from_secs(25);

/// Marks are small, and come with every transaction, those of a sweep too: if it did not take many, it would never end.
const MARKS: i64 = 20;

/// For what locks a table, and makes everybody wait who comes after it: it gives up soon, lets them pass, and tries again. An
/// autovacuum of the table is ended for it, but not before `deadlock_timeout` is over (in milliseconds, as `pg_settings` has it).
pub(super) const WAIT_BRIEFLY: &str = "SELECT set_config('lock_timeout', (setting::int + 250)::text, TRUE) FROM pg_settings WHERE name = 'deadlock_timeout'";

/// A connection as an operation sees it. Clones go when the operation ends.
pub(super) type Db = Arc<Connection>;

impl Engine {
    /// Runs what may run twice without a difference: reads, and writes that say what is, not what changes.
    pub(super) async fn repeatable<T, F>(&self, work: impl Fn(Db) -> F) -> Result<T>
    where
        F: Future<Output = Fallible<T>>,
    {
        let mut tries = self.tries();
        loop {
            match self.attempt_until(tries.ends, &work).await {
                Ok(value) => return Ok(value),
                Err(fault) => tries.again(fault).await?,
            }
        }
    }

    /// One attempt outside a transaction. After [`Fault::Lost`] nobody knows whether it happened.
    pub(super) async fn attempt<T, F>(&self, work: impl Fn(Db) -> F) -> Fallible<T>
    where
        F: Future<Output = Fallible<T>>,
    {
        self.attempt_until(self.tries().ends, work).await
    }

    async fn attempt_until<T, F>(&self, ends: Instant, work: impl Fn(Db) -> F) -> Fallible<T>
    where
        F: Future<Output = Fallible<T>>,
    {
        let db = self.connection().await?;
        let mut asked = Asked(Some(Arc::clone(&db)));
        let Ok(done) = timeout_at(ends, work(Arc::clone(&db))).await else {
            return Err(too_long());
        };
        drop(asked.0.take());
        if matches!(done, Err(Fault::Lost(_))) {
            discard(db);
        }
        done
    }

    /// Runs an operation in a transaction (`READ COMMITTED`, rows locked by the operation itself). Nothing of a
    /// failed one is kept. First it looks at things and locks them: what it asks goes in one round trip with `BEGIN`, so it
    /// changes nothing, in case there is no transaction. Then it changes what it has to, and what can wait for the end goes with
    /// the `COMMIT`.
    pub(super) async fn transaction<L, T, FL, FC>(
        &self,
        look: impl Fn(Db) -> FL,
        change: impl Fn(Db, L) -> FC,
    ) -> Result<T>
    where
        FL: Future<Output = Fallible<L>>,
        FC: Future<Output = Fallible<(T, Writes)>>,
    {
        let mut tries = self.tries();
        loop {
            match self.attempt_transaction(tries.ends, &look, &change).await {
                Ok(value) => return Ok(value),
                Err(fault) => tries.again(fault).await?,
            }
        }
    }

    async fn attempt_transaction<L, T, FL, FC>(
        &self,
        ends: Instant,
        look: impl Fn(Db) -> FL,
        change: impl Fn(Db, L) -> FC,
    ) -> Fallible<T>
    where
        FL: Future<Output = Fallible<L>>,
        FC: Future<Output = Fallible<(T, Writes)>>,
    {
        let db = self.connection().await?;
        let mut open = Open::new(&db);
        let doing = async {
            let (mark, looked) = tokio::join!(biased; begin(&db), look(Arc::clone(&db)));
            let (mark, looked) = (mark?, looked?);
            Ok((mark, change(Arc::clone(&db), looked).await?))
        };
        let done = timeout_at(ends, doing).await.unwrap_or_else(|_| Err(too_long()));
        let failed = match done {
            Ok((mark, (value, writes))) => match commit(&db, &writes).await {
                Ok(()) => {
                    drop(open.take());
                    return Ok(value);
                }
                Err(Failed::Open(fault)) => fault,
                Err(Failed::Undone(fault)) => {
                    drop(open.take());
                    fault
                }
                Err(Failed::Unknown(why)) => {
                    drop(open.take());
                    discard(db);
                    return self.fate(&mark, why).await.map(|()| value);
                }
            },
            Err(fault) => fault,
        };
        if matches!(failed, Fault::Lost(_)) {
            // It was not committed: nothing happened.
            drop(open.take());
            discard(db);
        }
        Err(failed)
    }

    /// Whether a transaction was committed whose COMMIT got no answer.
    async fn fate(&self, mark: &Mark, why: String) -> Fallible<()> {
        let mut tries = self.tries();
        // The time of another attempt is spent.
        tries.last = Instant::now();
        loop {
            let fault = match self.attempt(|db| async move { mark.fate(&db).await }).await {
                Ok(Fate::Committed) => return Ok(()),
                Ok(Fate::Undone) => return Err(Fault::Contended(why)),
                // Its connection is gone but its server process still works on it.
                Ok(Fate::InProgress) => Fault::Contended(why.clone()),
                Err(fault) => fault,
            };
            tries.again(fault).await.map_err(|_| unknown(&why))?;
        }
    }

    /// A connection of the pool. [`StoreError::Busy`] when too many callers wait for one already.
    pub(super) async fn connection(&self) -> Fallible<Db> {
        if self.pool.status().waiting >= self.options.queue {
            return Err(Fault::Refused(StoreError::Busy));
        }
        let object = self.pool.get().await.map_err(|error| {
            let fault = Fault::from(error);
            if let Fault::Lost(why) = &fault {
                self.reach.lost(why);
            }
            fault
        })?;
        Ok(Arc::new(Connection::new(
            object,
            self.pooled.clone(),
            &self.options,
            Arc::clone(&self.reach),
        )))
    }

    /// Lets running operations end, and takes no new ones.
    pub(super) async fn shut(&self) {
        self.pool.close();
        let until = Instant::now() + self.options.statement_timeout;
        while self.pool.status().size > 0 && Instant::now() < until {
            sleep(Duration::from_millis(5)).await;
        }
    }

    pub(super) fn tries(&self) -> Tries {
        let (now, statement) = (Instant::now(), self.options.statement_timeout);
        Tries {
            until: now + self.options.retry_for,
            pause: Duration::from_millis(2),
            last: now + LAST_ATTEMPT.saturating_sub(statement),
            ends: now + LONGEST.max(statement + self.options.retry_for),
        }
    }
}

/// Every statement was answered in its time, and there were many, or one again and again.
fn too_long() -> Fault {
    StoreError::Unavailable("the operation takes too long".to_owned()).into()
}

/// What a caller is told who may have changed something.
pub(super) fn unknown(why: &str) -> StoreError {
    StoreError::Unavailable(format!(
        "the connection was lost before the answer, and it is not known whether it happened: {why}"
    ))
}

/// What a transaction leaves behind, and its number.
struct Mark {
    made_at: i64,
    id: Uuid,
    transaction: String,
}

/// What became of a transaction.
enum Fate {
    Committed,
    Undone,
    InProgress,
}

impl Mark {
    async fn fate(&self, db: &Connection) -> Fallible<Fate> {
        match get(db, IN_PROGRESS, &[&self.transaction], only::<Option<bool>>).await? {
            None => return Err(Fault::Lost("the database is a standby".to_owned())),
            Some(true) => return Ok(Fate::InProgress),
            Some(false) => {}
        }
        // A statement of its own, which sees what ended before it.
        let marked = get(db, IS_MARKED, &[&self.made_at, &self.id], only).await?;
        Ok(if marked { Fate::Committed } else { Fate::Undone })
    }
}

async fn begin(db: &Connection) -> Fallible<Mark> {
    // One round trip for both: the driver sends in the order of the first poll.
    let (begun, mark) = tokio::join!(
        biased;
        db.begin(),
        get(db, MARK, &[], |columns| {
            Ok(Mark {
                made_at: columns.plain()?,
                id: columns.plain()?,
                transaction: columns.plain()?,
            })
        })
    );
    begun?;
    mark
}

/// Removes the marks of transactions that nobody asks about any more; `limit` times [`MARKS`] at most.
pub(super) async fn forget_marks(db: &Connection, limit: u32) -> Fallible<u64> {
    run(db, FORGET, &[&(i64::from(limit) * MARKS)]).await
}

/// An open transaction; undone when it is dropped, also in the middle of a statement (a caller went away).
pub(super) struct Open(Option<Db>);

impl Open {
    pub(super) fn new(db: &Db) -> Self {
        Self(Some(Arc::clone(db)))
    }

    /// Ends it without a word: it was committed, or its connection is not to be used again.
    pub(super) const fn take(&mut self) -> Option<Db> {
        self.0.take()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(db) = self.0.take() {
            db.roll_back();
            give_back_when_quiet(db);
        }
    }
}

/// A statement outside of a transaction that is under way.
struct Asked(Option<Db>);

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(db) = self.0.take() {
            give_back_when_quiet(db);
        }
    }
}

/// How long a statement that nobody waits for any more may take until its connection is closed.
const QUIET_AFTER: Duration = Duration::from_secs(15);

/// Keeps a connection out of the pool until the server has answered what is on its way. Who asked went away; the next
/// caller gets the connection that was given back last, and must not wait for a stranger's statement.
fn give_back_when_quiet(db: Db) {
    let Ok(runtime) = Handle::try_current() else {
        return;
    };
    runtime.spawn(async move {
        // Answered in turn, and nothing else.
        if !matches!(timeout(QUIET_AFTER, db.batch_execute("")).await, Ok(Ok(()))) {
            discard(db);
        }
    });
}

/// Closes the connection instead of giving it back to the pool.
pub(super) fn discard(db: Db) {
    if let Some(connection) = Arc::into_inner(db) {
        connection.discard();
    }
}

/// How long an operation may be tried again, and how long it waits before the next time.
pub(super) struct Tries {
    until: Instant,
    pause: Duration,
    /// Until when one more attempt may begin after a connection was lost.
    last: Instant,
    /// When the operation is given up, unless it is being committed.
    ends: Instant,
}

impl Tries {
    const LONGEST_PAUSE: Duration = Duration::from_millis(250);

    pub(super) async fn again(&mut self, fault: Fault) -> Result<()> {
        let (why, lost) = match fault {
            Fault::Refused(error) => return Err(error),
            Fault::Contended(why) => (why, false),
            Fault::Lost(why) => (why, true),
        };
        // To notice that a connection is silent may have taken all the time that there is; a new one answers at once.
        let now = Instant::now();
        let once_more = lost && now <= std::mem::replace(&mut self.last, now);
        if !once_more && now + self.pause > self.until {
            return Err(StoreError::Unavailable(why));
        }
        tracing::debug!(why, "an operation of the store is tried again");
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(Self::LONGEST_PAUSE);
        Ok(())
    }
}

/// Takes locks that end with the transaction, for what has no row to lock yet. Equal for equal digests on all
/// nodes; in the order of the digests, so that nobody waits in a circle.
pub(super) async fn lock(db: &Connection, digests: &[Digest]) -> Fallible<()> {
    let mut numbers: Vec<i64> = digests.iter().map(number).collect();
    numbers.sort_unstable();
    list(db, LOCK, &[&numbers], |_| Ok(())).await.map(drop)
}

pub(super) fn number(digest: &Digest) -> i64 {
    digest.first_chunk().copied().map_or(0, i64::from_be_bytes)
}

/// Proves that a read and a write work.
pub(super) async fn beat(db: &Connection) -> Fallible<()> {
    match run(db, BEAT, &[]).await? {
        1 => Ok(()),
        _ => Err(
            StoreError::Unavailable("the database lost its heartbeat row or its schema".to_owned()).into(),
        ),
    }
}
