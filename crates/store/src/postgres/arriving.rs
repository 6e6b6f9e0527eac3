//! A database that is filled with what another one held, in one transaction: all of it is there then, or nothing.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use deadpool_postgres::{Object, Pool, Transaction};
use doorward_oauth::time::UnixSeconds;
use futures_util::{SinkExt as _, TryStreamExt as _};
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;
use tokio_postgres::Error;

use super::errors::{Fallible, Fault, describe};
use super::{PostgresOptions, at_start, connect, connection, migrations, partitions};
use crate::moving::Rows;
use crate::moving::layout::{Described, NOT_FILLED, SEEDED, TABLES, Table};
use crate::moving::rows::{HEADER, Sum, TRAILER};
use crate::{Partitioned, Result, StoreError};

/// How long the server may say nothing while it takes rows. It may be at its checkpoints.
const PATIENCE: Duration = Duration::from_mins(10);

const COLUMNS: &str = "SELECT attname::text, format_type(atttypid, atttypmod), attidentity <> '' FROM pg_attribute \
     WHERE attrelid = to_regclass($1::text) AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
/// What the triggers of the rows have to do is done, so that nothing is counted at the commit.
const SETTLE: &str = "SET CONSTRAINTS ALL IMMEDIATE";
const LOG_NAME: &str = "SELECT split_part(name, '@', 1) FROM revocation_log WHERE id = 1";
/// As [`Source::newest`](crate::sqlite::leaving::Source::newest).
const NEWEST: &str = "SELECT coalesce(max(replace(id::text, '-', '')), ''), (SELECT coalesce(max(jti), '') FROM issuance) FROM audit_event";
/// The log of revocations keeps its name in this history of the server, so that whoever follows it goes on where it was.
const KEEP_LOG: &str = "UPDATE revocation_log SET name = name || '@' || left(pg_walfile_name(pg_current_wal_lsn()), 8) WHERE id = 1";

/// The server that a database is on.
pub(crate) struct Target {
    /// Of one connection at a time; it ends with this value.
    pool: Pool,
}

impl Target {
    pub(crate) async fn connect(url: &str, options: &PostgresOptions) -> Result<Self> {
        let options = PostgresOptions {
            statement_timeout: options.statement_timeout.max(PATIENCE),
            ..options.clone()
        };
        let (pool, _) = connect(url, &options).await?;
        Ok(Self { pool })
    }

    pub(crate) async fn connection(&self) -> Result<Object> {
        connection(&self.pool).await
    }

    /// Refuses a database in which is more than what its schema puts there, and one that this program cannot fill. Changes
    /// nothing.
    pub(crate) async fn refuse_full(&self, coming: &Coming) -> Result<()> {
        let mut db = self.connection().await?;
        let refuse = async {
            let transaction = db.build_transaction().read_only(true).start().await?;
            if migrations::has_journal(&transaction).await? {
                migrations::refuse_newer(&transaction).await?;
                refuse_full(&transaction, coming).await?;
            }
            Ok(transaction.rollback().await?)
        };
        refuse.await.map_err(at_start)
    }

    /// Whether the database with this log has arrived; for when the answer to the commit is lost. The commit may be under way
    /// still (a standby that has to confirm it): it is over when the lock is free.
    pub(crate) async fn has_arrived(&self, log: &str) -> Result<bool> {
        let mut db = self.connection().await?;
        let look = async {
            let transaction = migrations::alone(&mut db).await?;
            let there = is_there(&transaction, "revocation_log").await? && is_log(&transaction, log).await?;
            transaction.rollback().await?;
            Ok(there)
        };
        let looked = timeout(PATIENCE, look).await;
        let in_time = looked.map_err(|_| StoreError::Unavailable("the commit has not ended".to_owned()))?;
        in_time.map_err(at_start)
    }
}

/// What would arrive.
pub(crate) struct Coming {
    /// The name of its log of revocations, which no other database has.
    pub(crate) log: String,
    /// How many rows each table has.
    pub(crate) counted: Vec<Rows>,
    /// The newest of what is only ever added to.
    pub(crate) newest: [String; 2],
}

/// The transaction in which everything arrives.
pub(crate) struct Arriving<'db> {
    transaction: Transaction<'db>,
}

impl<'db> Arriving<'db> {
    /// With this program's schema, in a database where nothing else is and nobody else writes.
    pub(crate) async fn begin(db: &'db mut Object, coming: &Coming) -> Result<Self> {
        let begin = async {
            let transaction = migrations::begin_complete(db).await?;
            let tables: Vec<_> = TABLES.iter().chain(NOT_FILLED).copied().collect();
            let lock = format!("LOCK TABLE {} IN EXCLUSIVE MODE", tables.join(", "));
            transaction.batch_execute(&lock).await?;
            refuse_full(&transaction, coming).await?;
            for table in SEEDED {
                transaction.batch_execute(&format!("DELETE FROM {table}")).await?;
            }
            Ok(transaction)
        };
        let transaction = begin.await.map_err(at_start)?;
        Ok(Self { transaction })
    }

    /// Cuts a table by time, for rows that are still kept and for those to come.
    pub(crate) async fn cut(&self, of: Partitioned, now: UnixSeconds, retain: Duration) -> Result<()> {
        let cut = partitions::cut_empty(&self.transaction, of, now, retain).await;
        cut.map_err(at_start)
    }

    pub(crate) async fn columns(&self, table: &str) -> Result<Vec<Described>> {
        let columns = async {
            let rows = self.transaction.query(COLUMNS, &[&table]).await?;
            let described = rows.iter().map(|row| {
                Ok(Described {
                    name: row.try_get(0)?,
                    kind: row.try_get(1)?,
                    is_key: false,
                    is_counted: row.try_get(2)?,
                })
            });
            described.collect::<Fallible<_>>()
        };
        columns.await.map_err(at_start)
    }

    /// Takes the rows of a table as they come. When they end before they were all, nothing of them stays.
    pub(crate) async fn take(
        &self,
        table: &Table,
        pieces: &mut Receiver<Bytes>,
    ) -> std::result::Result<u64, Refused> {
        let copy = format!(
            "COPY {} ({}) FROM STDIN (FORMAT binary)",
            table.name,
            table.names()
        );
        let mut sink = pin!(self.transaction.copy_in(&copy).await?);
        let mut sent = sink.feed(Bytes::from_static(HEADER)).await;
        while let Some(piece) = pieces.recv().await {
            if sent.is_err() {
                break;
            }
            sent = sink.feed(piece).await;
        }
        if sent.is_ok() {
            sent = sink.feed(Bytes::from_static(&TRAILER)).await;
        }
        // The server's own answer tells more than that it took no more.
        let taken = sink.finish().await?;
        sent?;
        Ok(taken)
    }

    /// What is in a table now; `tell` is told how many rows were read, now and then.
    pub(crate) async fn sum(&self, table: &Table, mut tell: impl FnMut(u64)) -> Result<Sum> {
        let copy = format!(
            "COPY (SELECT {} FROM {}) TO STDOUT (FORMAT binary)",
            table.names(),
            table.name
        );
        let read = async {
            let mut rows = pin!(self.transaction.copy_out(&copy).await?);
            let mut sum = Sum::default();
            let mut header: &[u8] = HEADER;
            // Each message of the server is one row; the first one begins with the header.
            while let Some(message) = rows.try_next().await? {
                let row = message.strip_prefix(header).unwrap_or(&message);
                header = &[];
                if !row.is_empty() && row != TRAILER {
                    sum.add(row);
                    tell(sum.rows);
                }
            }
            Ok(sum)
        };
        read.await.map_err(at_start)
    }

    /// What the server counts up goes on with this number.
    pub(crate) async fn count_from(&self, table: &str, column: &str, next: i64) -> Result<()> {
        self.run(&format!(
            "ALTER TABLE {table} ALTER COLUMN {column} RESTART WITH {next}"
        ))
        .await
    }

    /// What the triggers of the rows that have come so far do, they do now.
    pub(crate) async fn settle(&self) -> Result<()> {
        self.run(SETTLE).await
    }

    /// After everything was compared: keeps the log of revocations what it was, and tells the planner what is there.
    pub(crate) async fn finish(&self) -> Result<()> {
        self.run(KEEP_LOG).await?;
        self.run(&format!("ANALYZE {}", TABLES.join(", "))).await
    }

    pub(crate) async fn commit(self) -> Result<()> {
        let committed = self.transaction.commit().await;
        committed.map_err(|error| at_start(error.into()))
    }

    async fn run(&self, sql: &str) -> Result<()> {
        let done = self.transaction.batch_execute(sql).await;
        done.map_err(|error| at_start(error.into()))
    }
}

/// Why the rows of a table were not taken.
pub(crate) struct Refused {
    /// The server's words, without what it may quote of the row.
    pub(crate) why: String,
    /// Which row it was, counted from 1, where the server says so.
    pub(crate) row: Option<u64>,
    /// Whether it was the connection and not the rows.
    pub(crate) lost: bool,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        // "COPY client, line 7", in whatever language.
        let place = error.as_db_error().and_then(|database| database.where_());
        let row = place.and_then(|place| {
            let place = place.strip_prefix("COPY ")?;
            place
                .split(|character: char| !character.is_ascii_digit())
                .find_map(|digits| digits.parse().ok())
        });
        Self {
            why: describe(&error),
            row,
            lost: matches!(Fault::from(error), Fault::Lost(_)),
        }
    }
}

async fn refuse_full(transaction: &Transaction<'_>, coming: &Coming) -> Fallible<()> {
    let mut full = Vec::new();
    for table in TABLES.iter().chain(NOT_FILLED) {
        if SEEDED.contains(table) {
            continue;
        }
        let any = format!("SELECT EXISTS (SELECT FROM {table})");
        if is_there(transaction, table).await? && transaction.query_one(&any, &[]).await?.try_get(0)? {
            full.push(*table);
        }
    }
    if full.is_empty() {
        return Ok(());
    }
    let why = if !(is_there(transaction, "revocation_log").await? && is_log(transaction, &coming.log).await?)
    {
        format!(
            "the new database is not empty (there are rows in {}): give it an empty one; nothing is ever merged or overwritten",
            full.join(", ")
        )
    } else if !is_same_state(transaction, coming).await? {
        "the new database holds another state of this one: one of them was used since it was moved, or both. If only the new one was, keep that and put the old file away; otherwise it lacks what was done in the old one: to go on with the old one, drop and create the new database, and move again".to_owned()
    } else {
        "everything was moved into the new database already: start the server with its configuration and put the old file away".to_owned()
    };
    Err(Fault::Refused(StoreError::Unusable(why)))
}

async fn is_log(transaction: &Transaction<'_>, log: &str) -> Fallible<bool> {
    let name = transaction.query_opt(LOG_NAME, &[]).await?;
    Ok(match name {
        Some(name) => name.try_get::<_, &str>(0)? == log,
        None => false,
    })
}

/// Whether as much is there as would come, and the newest of it: whatever is done adds a line to the audit list, or the record
/// of a token.
async fn is_same_state(transaction: &Transaction<'_>, coming: &Coming) -> Fallible<bool> {
    for &Rows { table, rows } in &coming.counted {
        let count = format!("SELECT count(*) FROM {table}");
        let there: i64 = transaction.query_one(&count, &[]).await?.try_get(0)?;
        if there.unsigned_abs() != rows {
            return Ok(false);
        }
    }
    let newest = transaction.query_one(NEWEST, &[]).await?;
    Ok(coming.newest == [newest.try_get::<_, String>(0)?, newest.try_get(1)?])
}

/// An older schema has not got every table.
async fn is_there(transaction: &Transaction<'_>, table: &str) -> Fallible<bool> {
    let there = transaction
        .query_one("SELECT to_regclass($1::text) IS NOT NULL", &[&table])
        .await?;
    Ok(there.try_get(0)?)
}
