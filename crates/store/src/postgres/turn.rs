//! Turns among nodes. A turn is a lock of the database that its holder renews: one who says nothing any more (a process that
//! was stopped, a machine that is cut off) loses it, and can change nothing afterwards in its name.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::errors::{Fallible, Fault};
use super::statements::{Connection, get, list, statements};
use super::values::only;
use super::work::{Db, Open, discard, lock, number};
use super::{Engine, PostgresStore};
use crate::rules::sha256;
use crate::{Digest, Origin, Result, Store, StoreError, Turn};

statements! {
    TRY_LOCK = "SELECT pg_try_advisory_xact_lock($1)";
    /// A number that this transaction alone has locked.
    SIGN = "SELECT number FROM (SELECT hashtextextended(gen_random_uuid()::text, 0) AS number OFFSET 0) AS own, \
            pg_advisory_xact_lock(number)";
    SHARE = "SELECT pg_advisory_xact_lock_shared($1)";
    IS_FREE = "SELECT pg_try_advisory_xact_lock_shared($1)";
}

/// What is told of one that could not be had.
const TAKEN: &str = "another node has the turn";

/// How often a turn is renewed while it may last.
const RENEWALS: u32 = 3;

/// How many turns a node has at once. Each holds a connection, and one is left for what is done in them.
pub(super) fn places(connections: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(connections.saturating_sub(1).max(1)))
}

impl Engine {
    /// Waits until no other node has the turn.
    pub(super) async fn take_turn(&self, name: &'static str) -> Result<Turn> {
        // First among this node's own callers, so that one connection at most waits for another node.
        let guard = self.turns.take(name).await;
        let place = Arc::clone(&self.turn_places).acquire_owned().await;
        let place = place.map_err(|_| StoreError::Unavailable("the store is closed".to_owned()))?;
        let mut tries = self.tries();
        loop {
            match self.attempt_turn(name, true).await {
                Ok(Some(lease)) => return Ok(Held::turn(lease, guard, place)),
                Ok(None) => tries.again(Fault::Contended(TAKEN.to_owned())).await?,
                Err(fault) => tries.again(fault).await?,
            }
        }
    }

    /// The turn, when nobody has it.
    pub(super) async fn try_take_turn(&self, name: &'static str) -> Result<Option<Turn>> {
        let Some(guard) = self.turns.try_take(name) else {
            return Ok(None);
        };
        let Ok(place) = Arc::clone(&self.turn_places).try_acquire_owned() else {
            return Ok(None);
        };
        let mut tries = self.tries();
        loop {
            match self.attempt_turn(name, false).await {
                Ok(lease) => return Ok(lease.map(|lease| Held::turn(lease, guard, place))),
                Err(fault) => tries.again(fault).await?,
            }
        }
    }

    /// `None` when another one has it and this one does not `wait`.
    async fn attempt_turn(&self, name: &str, wait: bool) -> Fallible<Option<Lease>> {
        let (turn, changes) = numbers(name);
        let changes = number(&changes);
        let db = self.connection().await?;
        let mut open = Open::new(&db);
        let sign = match self.hold(&db, turn, changes, wait).await {
            Ok(Some(sign)) => sign,
            Ok(None) => return Ok(None),
            Err(fault) => {
                if matches!(fault, Fault::Lost(_)) {
                    drop(open.take());
                    discard(db);
                }
                return Err(fault);
            }
        };
        let renewing = tokio::spawn(renew(db, self.options.turn_lease / RENEWALS));
        Ok(Some(Lease {
            _open: open,
            renewing,
            sign,
            changes,
        }))
    }

    /// The sign of the turn, which this transaction has then.
    async fn hold(&self, db: &Connection, turn: Digest, changes: i64, wait: bool) -> Fallible<Option<i64>> {
        let silence = self.options.turn_lease.as_millis();
        // A limit on whole transactions (PostgreSQL 17, for a role or a database) is for those that do something.
        let bounded = format!(
            "SET LOCAL idle_in_transaction_session_timeout = {silence}; \
             SELECT set_config(name, '0', true) FROM pg_settings WHERE name = 'transaction_timeout'"
        );
        db.begin().await?;
        db.batch(&bounded).await?;
        if wait {
            lock(db, &[turn]).await?;
        } else if !get(db, TRY_LOCK, &[&number(&turn)], only).await? {
            return Ok(None);
        }
        db.batch(&let_changes_end(changes)).await?;
        get(db, SIGN, &[], only).await.map(Some)
    }
}

/// What stands for a turn in the database, and what for the changes that are made in it.
fn numbers(name: &str) -> (Digest, Digest) {
    (
        sha256(name.as_bytes()),
        sha256(format!("changes in {name}").as_bytes()),
    )
}

/// Waits for changes that the holder before has begun while the turn was its own. The lock goes with the savepoint.
fn let_changes_end(changes: i64) -> String {
    format!("SAVEPOINT changes; SELECT pg_advisory_xact_lock({changes}); ROLLBACK TO SAVEPOINT changes")
}

/// As long as this process runs.
async fn renew(db: Db, every: Duration) {
    loop {
        sleep(every).await;
        if let Err(error) = db.batch_execute("SELECT 1").await {
            let why = super::errors::describe(&error);
            tracing::warn!(
                why,
                "a turn was lost; a change by the admin API in it is refused from now on"
            );
            return;
        }
    }
}

/// A turn that is had, also among the callers of this process.
pub(super) struct Held {
    /// Ends first.
    lease: Lease,
    _guard: OwnedMutexGuard<()>,
    _place: OwnedSemaphorePermit,
}

impl Held {
    fn turn(lease: Lease, guard: OwnedMutexGuard<()>, place: OwnedSemaphorePermit) -> Turn {
        Arc::new(Self {
            lease,
            _guard: guard,
            _place: place,
        })
    }

    /// Refuses when the turn was lost. As long as this transaction lasts, nobody else begins with it.
    async fn confirm(&self, db: &Connection) -> Fallible<()> {
        list(db, SHARE, &[&self.lease.changes], |_| Ok(())).await?;
        if get(db, IS_FREE, &[&self.lease.sign], only).await? {
            let why = "this node stood still, or was cut off, for so long that another one had its turn";
            return Err(StoreError::Unavailable(why.to_owned()).into());
        }
        Ok(())
    }
}

/// The transaction that holds the locks of a turn.
struct Lease {
    _open: Open,
    renewing: JoinHandle<()>,
    /// Locked as long as this turn lasts, by nothing else.
    sign: i64,
    changes: i64,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

impl PostgresStore {
    /// The same engine in the hands of who has this turn.
    pub(super) fn in_turn(&self, turn: &Turn, origin: Origin) -> Box<dyn Store> {
        let fence = Arc::clone(turn).downcast().map_or(Fence::Unknown, Fence::Turn);
        self.in_the_hands_of(origin, Some(fence))
    }
}

/// What a handle needs to change anything.
#[derive(Clone)]
pub(super) enum Fence {
    Turn(Arc<Held>),
    /// What another engine gave.
    Unknown,
}

impl Fence {
    pub(super) async fn confirm(&self, db: &Connection) -> Fallible<()> {
        match self {
            Self::Turn(held) => held.confirm(db).await,
            Self::Unknown => {
                Err(StoreError::Internal("the turn is not one of this database".to_owned()).into())
            }
        }
    }
}
