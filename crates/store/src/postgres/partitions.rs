//! Tables in partitions by time: made ahead, and dropped when everything in them is past its use.
//!
//! What comes when its partition was not made in time is in the default partition, and is swept there row by row. No lock is
//! waited for longer than a moment, because everybody else waits behind it; the next run tries again.

use std::time::Duration;

use deadpool_postgres::tokio_postgres::Error;
use deadpool_postgres::tokio_postgres::error::SqlState;
use deadpool_postgres::{Object, Transaction};
use doorward_oauth::time::UnixSeconds;

use super::PostgresStore;
use super::errors::{Fallible, Fault};
use super::statements::{get, list, statements};
use super::values::only;
use crate::rules::partitions::{Days, Plan, begin_of, uuid_prefix};
use crate::{Partitioned, PartitionsKept, Result, StoreError};

/// Nothing is past its use then: for partitions that go when nothing at all is in them.
const EMPTY: UnixSeconds = UnixSeconds(i64::MIN);
/// Rows that are removed from a partition in one go.
const THINNED: u32 = 10_000;

/// To look through a large default partition takes time, and holds up nobody.
const PATIENCE: &str = "SET LOCAL statement_timeout = '10min'; SET LOCAL lock_timeout = '250ms'";

/// While rows move, nobody else writes to the default partition, so that no revocation waits for a row that is elsewhere when
/// its turn comes. Shorter than others are ready to wait.
const MOVING: &str = "SET LOCAL statement_timeout = '5s'; LOCK TABLE";

/// What keeps the rows of some days out of the default partition.
const RESERVATIONS: &str = "SELECT conname::text FROM pg_constraint \
    WHERE conrelid = to_regclass($1::text || '_default') AND contype = 'c' AND conname::text ~ ('^' || $1::text || '_\\d{8}_\\d{8}$')";

statements! {
    /// The partitions by their names, which this program gives them: the table's, and the days.
    DAYS = "SELECT (to_date(d[1], 'YYYYMMDD') - DATE '1970-01-01')::bigint, (to_date(d[2], 'YYYYMMDD') - DATE '1970-01-01')::bigint \
            FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid, \
            regexp_match(c.relname::text, '_(\\d{8})_(\\d{8})$') AS d \
            WHERE i.inhparent = to_regclass($1) AND d IS NOT NULL ORDER BY 1";
    NAME = "SELECT $1::text || to_char(DATE '1970-01-01' + $2::bigint::int, '_YYYYMMDD') || to_char(DATE '1970-01-01' + $3::bigint::int, '_YYYYMMDD')";
}

/// How a table is cut.
struct Cut {
    table: &'static str,
    /// What the partitions are ranges of.
    key: &'static str,
    /// The SQL literal with which a day begins.
    bound: fn(i64) -> String,
    /// Until when a row is of use; there is an index.
    until: &'static str,
}

const fn cut(of: Partitioned) -> Cut {
    match of {
        Partitioned::Issuances => Cut {
            table: "issuance",
            key: "jti",
            bound: |day| format!("'{}'", uuid_prefix(day)),
            until: "expires_at",
        },
        Partitioned::AuditEvents => Cut {
            table: "audit_event",
            key: "at",
            bound: |day| begin_of(day).to_string(),
            until: "at",
        },
    }
}

/// What a run left that ended in its middle, before this node serves anybody: the days may have begun since.
pub(super) async fn recover(db: &mut Object) {
    for of in [Partitioned::Issuances, Partitioned::AuditEvents] {
        released(unreserve(db, &cut(of)).await, &cut(of));
    }
}

pub(super) async fn keep(
    store: &PostgresStore,
    of: Partitioned,
    now: UnixSeconds,
    retain: Duration,
) -> Result<PartitionsKept> {
    let cut = &cut(of);
    // Before anything else, and whatever becomes of the rest.
    let free = released(release(store, cut).await, cut);
    let existing = store
        .repeatable(|db| async move {
            list(&db, DAYS, &[&cut.table], |columns| {
                Ok(Days {
                    from: columns.plain()?,
                    to: columns.plain()?,
                })
            })
            .await
        })
        .await?;
    let mut kept = PartitionsKept::default();
    let plan = Plan::new(now, retain);
    let (astray, mut existing): (Vec<Days>, Vec<Days>) =
        existing.into_iter().partition(|days| plan.is_astray(*days));
    for days in astray {
        // With a row in it, it stays, and is in nobody's way.
        if !done(remove(store, cut, days, EMPTY).await)? {
            existing.push(days);
        }
    }
    let mut made = Ok(free);
    for days in plan.missing(&existing) {
        if made != Ok(true) {
            break;
        }
        made = done(make(store, cut, days).await);
        kept.made += u64::from(made == Ok(true));
    }
    // What is past its use goes also where nothing can be made, and where another part of it cannot go.
    let (past, mut gone) = (now - retain, Ok(()));
    for days in existing {
        let went = if days.are_before(past) {
            let dropped = done(remove(store, cut, days, past).await);
            dropped.map(|dropped| kept.dropped += u64::from(dropped))
        } else if plan.is_too_wide(days) {
            thin(store, cut, days, past).await.map(|rows| kept.rows += rows)
        } else {
            continue;
        };
        gone = gone.and(went);
    }
    made.and(gone).map(|()| kept)
}

/// Cuts an empty table for what is still kept and what is to come, in the transaction of the caller, whom nobody disturbs. One
/// that has partitions already stays as it is.
pub(super) async fn cut_empty(
    transaction: &Transaction<'_>,
    of: Partitioned,
    now: UnixSeconds,
    retain: Duration,
) -> Fallible<()> {
    let Cut { table, bound, .. } = cut(of);
    if !transaction.query(DAYS.text(), &[&table]).await?.is_empty() {
        return Ok(());
    }
    for days in Plan::new(now, retain).with_the_past(now, retain) {
        let name = transaction
            .query_one(NAME.text(), &[&table, &days.from, &days.to])
            .await?;
        let (name, from, to): (String, _, _) = (name.try_get(0)?, bound(days.from), bound(days.to));
        transaction
            .batch_execute(&format!(
                "CREATE TABLE {name} PARTITION OF {table} FOR VALUES FROM ({from}) TO ({to})"
            ))
            .await?;
    }
    Ok(())
}

/// Whether it was done; somebody in the way is no failure.
fn done(outcome: Fallible<bool>) -> Result<bool> {
    match outcome {
        Ok(done) => Ok(done),
        Err(Fault::Contended(why)) => {
            tracing::debug!(why, "a partition has to wait");
            Ok(false)
        }
        Err(Fault::Refused(error)) => Err(error),
        Err(Fault::Lost(why)) => Err(StoreError::Unavailable(why)),
    }
}

/// In two transactions. From the first one on the default partition takes no rows of these days, which lie ahead; so that the
/// second one can look through it while others write to it, however large it is, and locks it for the moment of attaching.
/// When the second one fails, the first one is taken back: those days come.
async fn make(store: &PostgresStore, cut: &Cut, days: Days) -> Fallible<bool> {
    let name = name(store, cut, days).await?;
    let made = async {
        let mut db = store.pool.get().await?;
        reserve(&mut db, cut, days, &name).await?;
        attach(&mut db, cut, days, &name).await
    }
    .await;
    if let Err(fault) = made {
        released(release(store, cut).await, cut);
        return Err(fault);
    }
    tracing::info!(partition = name, "made a partition");
    Ok(true)
}

async fn reserve(db: &mut Object, cut: &Cut, days: Days, name: &str) -> Fallible<()> {
    let Cut {
        table, key, bound, ..
    } = cut;
    let (from, to) = (bound(days.from), bound(days.to));
    let reserved = begin(db).await?;
    run(
        &reserved,
        &format!(
            "ALTER TABLE {table}_default \
             ADD CONSTRAINT {name} CHECK ({key} < {from} OR {key} >= {to}) NOT VALID"
        ),
    )
    .await?;
    Ok(reserved.commit().await?)
}

async fn attach(db: &mut Object, cut: &Cut, days: Days, name: &str) -> Fallible<()> {
    let Cut {
        table, key, bound, ..
    } = cut;
    let (from, to) = (bound(days.from), bound(days.to));
    let theirs = format!("{key} >= {from} AND {key} < {to}");
    let attached = begin(db).await?;
    // There can be fewer of them later, but no more.
    let any = format!("SELECT EXISTS (SELECT FROM {table}_default WHERE {theirs})");
    if attached.query_one(&any, &[]).await?.try_get(0)? {
        run(&attached, &format!("{MOVING} {table}_default IN EXCLUSIVE MODE")).await?;
    }
    run(
        &attached,
        &format!(
            "CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS); \
             WITH moved AS (DELETE FROM {table}_default WHERE {theirs} RETURNING *) \
             INSERT INTO {name} SELECT * FROM moved; \
             ALTER TABLE {table}_default VALIDATE CONSTRAINT {name}; \
             ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({from}) TO ({to}); \
             ALTER TABLE {table}_default DROP CONSTRAINT {name}"
        ),
    )
    .await?;
    Ok(attached.commit().await?)
}

async fn release(store: &PostgresStore, cut: &Cut) -> Fallible<()> {
    unreserve(&mut store.pool.get().await?, cut).await
}

/// Has the default partition take rows of all days that no other partition takes.
async fn unreserve(db: &mut Object, cut: &Cut) -> Fallible<()> {
    let table = cut.table;
    let freed = begin(db).await?;
    let mut drops = Vec::new();
    for reservation in freed.query(RESERVATIONS, &[&table]).await? {
        let name: String = reservation.try_get(0)?;
        drops.push(format!("DROP CONSTRAINT IF EXISTS {name}"));
    }
    if drops.is_empty() {
        return Ok(());
    }
    run(
        &freed,
        &format!("ALTER TABLE {table}_default {}", drops.join(", ")),
    )
    .await?;
    Ok(freed.commit().await?)
}

/// Whether nothing is reserved any more. If not there is time: the next run tries it again, and so does the next start.
fn released(outcome: Fallible<()>, cut: &Cut) -> bool {
    if let Err(fault) = outcome {
        let table = cut.table;
        tracing::warn!(
            table,
            ?fault,
            "days that a partition was to be made for stay reserved"
        );
        return false;
    }
    true
}

/// Removes some rows that are past their use from a partition that is too wide to wait for the whole of it.
async fn thin(store: &PostgresStore, cut: &Cut, days: Days, past: UnixSeconds) -> Result<u64> {
    let until = cut.until;
    let thinned = async {
        let name = name(store, cut, days).await?;
        let some = format!(
            "DELETE FROM {name} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {name} WHERE {until} < {} \
             ORDER BY {until} LIMIT {THINNED} FOR UPDATE SKIP LOCKED))",
            past.0
        );
        let mut db = store.pool.get().await?;
        let thinned = begin(&mut db).await?;
        let rows = thinned.execute(&some, &[]).await?;
        thinned.commit().await?;
        Ok(rows)
    };
    match thinned.await {
        Ok(rows) => Ok(rows),
        Err(fault) => done(Err(fault)).map(|_| 0),
    }
}

/// Only when nothing in it is of use any more: a row can have an id of another time.
async fn remove(store: &PostgresStore, cut: &Cut, days: Days, past: UnixSeconds) -> Fallible<bool> {
    let name = name(store, cut, days).await?;
    let in_use = format!(
        "SELECT coalesce(max({}) >= {}, FALSE) FROM {name}",
        cut.until, past.0
    );
    let mut db = store.pool.get().await?;
    // In a transaction, so that a pooler keeps the statement's name in one session.
    let looked = begin(&mut db).await?;
    if looked.query_one(&in_use, &[]).await?.try_get(0)? {
        return Ok(false);
    }
    looked.commit().await?;
    let dropped = begin(&mut db).await?;
    // First what everybody locks first, so that nobody waits in a circle.
    run(
        &dropped,
        &format!("LOCK TABLE ONLY {} IN ACCESS EXCLUSIVE MODE", cut.table),
    )
    .await?;
    if dropped.query_one(&in_use, &[]).await?.try_get(0)? {
        return Ok(false);
    }
    run(&dropped, &format!("DROP TABLE {name}")).await?;
    dropped.commit().await?;
    tracing::info!(
        partition = name,
        "dropped a partition whose rows are past their use"
    );
    Ok(true)
}

async fn name(store: &PostgresStore, cut: &Cut, days: Days) -> Fallible<String> {
    store
        .attempt(|db| async move { get(&db, NAME, &[&cut.table, &days.from, &days.to], only).await })
        .await
}

async fn begin(db: &mut deadpool_postgres::Object) -> Fallible<Transaction<'_>> {
    let transaction = db.transaction().await?;
    transaction.batch_execute(PATIENCE).await?;
    Ok(transaction)
}

async fn run(transaction: &Transaction<'_>, sql: &str) -> Fallible<()> {
    transaction
        .batch_execute(sql)
        .await
        .map_err(|error: Error| match error.code() {
            Some(&SqlState::LOCK_NOT_AVAILABLE) => Fault::Contended("others use the table".to_owned()),
            // A reservation is gone, or a partition there already.
            Some(&SqlState::UNDEFINED_OBJECT | &SqlState::DUPLICATE_TABLE | &SqlState::DUPLICATE_OBJECT) => {
                Fault::Contended("another node is at it".to_owned())
            }
            // All of it is undone. Rows that take longer to move are past their use one day, or their days have begun.
            Some(&SqlState::QUERY_CANCELED) => {
                tracing::warn!("a partition takes longer than others wait for it; trying again later");
                Fault::Contended("it takes too long".to_owned())
            }
            _ => error.into(),
        })
}
