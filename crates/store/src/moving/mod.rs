//! Takes everything from a SQLite file into an empty PostgreSQL database: all of it, or nothing.
//!
//! The file is locked meanwhile and read at one moment. The rows go through a transaction of PostgreSQL in pieces, so that the
//! memory that is needed does not grow with them, and are read back and compared before it is committed.

pub(crate) mod layout;
pub(crate) mod rows;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use doorward_oauth::time::UnixSeconds;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use self::layout::{TABLES, Table};
use self::rows::Sum;
use crate::postgres::PostgresOptions;
use crate::postgres::arriving::{Arriving, Coming, Refused, Target};
use crate::sqlite::leaving::{Leaving, Source};
use crate::{Partitioned, Result, Sealed, StoreError};

/// Pieces that have been read and not sent yet.
const AHEAD: usize = 4;
/// After how many rows something is told.
const STRIDE: u64 = 500_000;

/// From where to where.
#[derive(Debug, Clone, Copy)]
pub struct Route<'a> {
    /// The URL of the SQLite file.
    pub from: &'a str,
    /// The URL of the PostgreSQL database.
    pub to: &'a str,
    /// How the latter is used.
    pub options: &'a PostgresOptions,
}

/// By what PostgreSQL cuts its tables.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// The present.
    pub now: UnixSeconds,
    /// How long records of tokens are kept.
    pub issuances: Duration,
    /// How long lines of the audit list are kept.
    pub audit_events: Duration,
}

/// How many rows a table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rows {
    /// The table.
    pub table: &'static str,
    /// Its rows.
    pub rows: u64,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The rows that were copied or compared so far.
    pub done: Rows,
    /// How many there are.
    pub of: u64,
    /// Whether they were copied before, and are read back now.
    pub comparing: bool,
}

/// What is told on the way.
pub struct Watch<'a> {
    /// How far it is, now and then.
    pub tell: &'a mut (dyn FnMut(Progress) + Send),
    /// Everything was read back and is about to be committed: who stops it from now on may stop it between the two databases.
    pub at_the_end: &'a mut (dyn FnMut() + Send),
}

/// What was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The tables that had rows.
    pub tables: Vec<Rows>,
    /// Where the old database is now, under another name; or why it still stands in its place.
    pub kept: std::result::Result<PathBuf, String>,
}

/// What would be moved, also while a server uses the old database. Changes nothing. `check` is told what is encrypted under the
/// master key.
///
/// # Errors
///
/// That of `check`; or [`StoreError`], with the reason, when [`carry_out`] would refuse.
pub async fn look<E: From<StoreError>>(
    route: Route<'_>,
    check: impl FnOnce(&[Sealed]) -> std::result::Result<(), E>,
) -> std::result::Result<Vec<Rows>, E> {
    let source = Source::look(route.from)?;
    check(&source.sealed()?)?;
    let (_, coming) = blocking(source, coming).await?;
    let coming = coming?;
    Target::connect(route.to, route.options)
        .await?
        .refuse_full(&coming)
        .await?;
    Ok(coming.counted)
}

/// Moves everything. No server can open the old database from here on, and none ever by its name when this has succeeded.
///
/// # Errors
///
/// That of `check`; or [`StoreError`], with the reason. Both databases are then as they were.
pub async fn carry_out<E: From<StoreError>>(
    route: Route<'_>,
    retention: Retention,
    check: impl FnOnce(&[Sealed]) -> std::result::Result<(), E>,
    watch: Watch<'_>,
) -> std::result::Result<Moved, E> {
    let leaving = Leaving::lock(route.from)?;
    let source = leaving.source()?;
    check(&source.sealed()?)?;
    Ok(through(route, retention, leaving, source, watch).await?)
}

async fn through(
    route: Route<'_>,
    retention: Retention,
    leaving: Leaving,
    source: Source,
    watch: Watch<'_>,
) -> Result<Moved> {
    let (source, coming) = blocking(source, coming).await?;
    let coming = coming?;
    let target = Target::connect(route.to, route.options).await?;
    target.refuse_full(&coming).await?;
    leaving.prepare()?;
    let mut db = target.connection().await?;
    let arriving = Arriving::begin(&mut db, &coming).await?;
    arriving
        .cut(Partitioned::Issuances, retention.now, retention.issuances)
        .await?;
    arriving
        .cut(Partitioned::AuditEvents, retention.now, retention.audit_events)
        .await?;
    let source = fill(&arriving, source, &coming.counted, watch.tell).await?;
    // From here to the end nobody may stop it: both databases would hold everything.
    (watch.at_the_end)();
    let committed = arriving.commit().await;
    drop(db);
    if let Err(error) = committed {
        match target.has_arrived(&coming.log).await {
            Ok(true) => {}
            Ok(false) => return Err(error),
            Err(_) => return Err(commit_in_doubt(&error)),
        }
    }
    // The last connection to it, so that its journal can go.
    drop(source);
    let (leaving, kept) = blocking(leaving, Leaving::put_aside).await?;
    drop(leaving);
    Ok(Moved {
        tables: coming
            .counted
            .into_iter()
            .filter(|table| table.rows > 0)
            .collect(),
        kept,
    })
}

/// Every table, and then every one of them read back.
async fn fill(
    arriving: &Arriving<'_>,
    mut source: Source,
    counted: &[Rows],
    tell: &mut (dyn FnMut(Progress) + Send),
) -> Result<Source> {
    let mut sums = Vec::new();
    for (&name, counted) in TABLES.iter().zip(counted) {
        let table = Arc::new(Table::of(
            name,
            source.columns(name)?,
            arriving.columns(name).await?,
        )?);
        let mut steps = Steps::new(*counted, false, tell);
        let (back, sum) = copy(arriving, source, &table, &mut steps).await?;
        steps.finish(sum.rows);
        source = back;
        // Before the counts themselves come, which are last.
        arriving.settle().await?;
        if let Some(column) = table.counted() {
            let next = source.next(name, column)?;
            arriving.count_from(name, column, next).await?;
        }
        sums.push((table, sum, *counted));
    }
    for (table, sum, counted) in sums {
        let mut steps = Steps::new(counted, true, tell);
        let arrived = arriving.sum(&table, |rows| steps.at(rows)).await?;
        steps.finish(arrived.rows);
        if arrived != sum {
            return Err(StoreError::Internal(format!(
                "{} did not arrive as it was ({} rows of {}); nothing was moved",
                table.name, arrived.rows, sum.rows
            )));
        }
    }
    arriving.finish().await?;
    Ok(source)
}

/// Reads on a thread of its own what is sent here.
async fn copy(
    arriving: &Arriving<'_>,
    source: Source,
    table: &Arc<Table>,
    steps: &mut Steps<'_>,
) -> Result<(Source, Sum)> {
    let (send, mut pieces) = mpsc::channel::<Bytes>(AHEAD);
    let (told, mut progress) = mpsc::unbounded_channel();
    let reading = {
        let table = Arc::clone(table);
        blocking(source, move |source| {
            source.read(&table, |piece, rows| {
                let _ = told.send(rows);
                send.blocking_send(piece.into()).is_ok()
            })
        })
    };
    let taking = async {
        let taken = arriving.take(table, &mut pieces).await;
        // Whoever reads is waiting until somebody takes it.
        drop(pieces);
        taken
    };
    let telling = async {
        while let Some(rows) = progress.recv().await {
            steps.at(rows);
        }
    };
    let (read, taken, ()) = tokio::join!(reading, taking, telling);
    let (source, read) = read?;
    // What was wrong with a row here is told before what became of those that came.
    let sum = read?;
    match taken {
        Ok(_) => Ok((source, sum)),
        Err(refused) => Err(explain(&source, table, &refused)),
    }
}

fn explain(source: &Source, table: &Table, refused: &Refused) -> StoreError {
    if refused.lost {
        return StoreError::Unavailable(format!("{}; nothing was moved", refused.why));
    }
    let row = refused.row.and_then(|row| source.key_of(table, row));
    let row = row.map_or_else(
        || format!("a row of {}", table.name),
        |key| format!("the row of {} with {key}", table.name),
    );
    StoreError::Unusable(format!(
        "PostgreSQL refused {row}: {}; nothing was moved: change or remove that row first",
        refused.why
    ))
}

fn coming(source: &Source) -> Result<Coming> {
    let counted = TABLES.iter().map(|&table| {
        Ok(Rows {
            table,
            rows: source.count(table)?,
        })
    });
    Ok(Coming {
        log: source.log_name()?,
        counted: counted.collect::<Result<_>>()?,
        newest: source.newest()?,
    })
}

fn commit_in_doubt(error: &StoreError) -> StoreError {
    StoreError::Unavailable(format!(
        "the connection was lost at the very end ({error}), and nobody knows whether everything has arrived; the same command again tells"
    ))
}

/// Works with a value on a thread that may wait, and gives it back.
async fn blocking<V: Send + 'static, T: Send + 'static>(
    value: V,
    work: impl FnOnce(&V) -> T + Send + 'static,
) -> Result<(V, T)> {
    let done = spawn_blocking(move || {
        let done = work(&value);
        (value, done)
    });
    done.await
        .map_err(|error| StoreError::Internal(error.to_string()))
}

/// Tells now and then how far a table is, and when it is done.
struct Steps<'a> {
    counted: Rows,
    comparing: bool,
    next: u64,
    tell: &'a mut (dyn FnMut(Progress) + Send),
}

impl<'a> Steps<'a> {
    fn new(counted: Rows, comparing: bool, tell: &'a mut (dyn FnMut(Progress) + Send)) -> Self {
        Self {
            counted,
            comparing,
            next: STRIDE,
            tell,
        }
    }

    fn at(&mut self, rows: u64) {
        if rows >= self.next && rows < self.counted.rows {
            self.next = rows - rows % STRIDE + STRIDE;
            self.finish(rows);
        }
    }

    fn finish(&mut self, rows: u64) {
        let done = Rows { rows, ..self.counted };
        (self.tell)(Progress {
            done,
            of: self.counted.rows,
            comparing: self.comparing,
        });
    }
}
