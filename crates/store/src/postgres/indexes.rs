//! Indexes on tables that may be large, made while everybody reads and writes them: `CREATE INDEX CONCURRENTLY`, which runs in
//! no transaction and may take hours. Whoever stops in the middle leaves an index that is not valid; the next one removes
//! it and begins anew.

use std::pin::pin;
use std::time::Duration;

use deadpool_postgres::{ClientWrapper, Object};
use tokio::time::interval;

use super::errors::{Fallible, Fault};
use super::{Engine, at_start, migrations};
use crate::rules::schema::{IndexWork, Migration, TellIndex};
use crate::{Result, StoreError};

/// "DWRI": one node at a time makes indexes. Of the session that makes them, so that it is had exactly as long as that works,
/// whatever becomes of its node. Never waited for: the snapshot of a statement that waits is one that the index waits for.
const TRY_LOCK: &str = "SELECT pg_try_advisory_lock(1146573385), pg_backend_pid()";
/// Nobody waits for this session.
const NO_LIMITS: &str = "SELECT set_config(name, '0', FALSE) FROM pg_settings WHERE name IN ('statement_timeout', \
     'lock_timeout', 'idle_session_timeout', 'transaction_timeout')";
/// When the program ends, so does its index: the next one has not to wait for it.
const END_WITH_THE_PROGRAM: &str = "DO $$ BEGIN \
     PERFORM set_config('client_connection_check_interval', '1s', FALSE); EXCEPTION WHEN OTHERS THEN NULL; END $$";
/// No row: there is none.
const IS_VALID: &str = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1::text)";
const PROGRESS: &str = "SELECT phase, CASE WHEN tuples_total > 0 THEN tuples_done * 100 / tuples_total \
     WHEN blocks_total > 0 THEN blocks_done * 100 / blocks_total END \
     FROM pg_stat_progress_create_index WHERE pid = $1";
const TELL_EVERY: Duration = Duration::from_secs(5);

/// As [`Store::make_indexes`](crate::Store::make_indexes).
pub(super) async fn make(engine: &Engine, tell: TellIndex<'_>) -> Result<bool> {
    make_pending(engine, tell).await.map_err(at_start)
}

async fn make_pending(engine: &Engine, tell: TellIndex<'_>) -> Fallible<bool> {
    let mut looking = engine.pool.get().await?;
    let pending = migrations::pending_indexes(&mut looking).await?;
    drop(looking);
    let Some(first) = pending.first() else {
        return Ok(true);
    };
    if engine.options.transaction_pooler {
        return Err(Fault::Refused(StoreError::Unusable(format!(
            "schema step {} makes an index while the database is in use, which no pooler lets pass: run `doorward migrate` once with a URL that leads straight to the server, and without storage.transaction_pooler",
            first.name
        ))));
    }
    // Its settings and its lock are of the session: nobody else gets it, and it ends with this call.
    let mut db = Object::take(engine.pool.get().await?);
    db.batch_execute(NO_LIMITS).await?;
    db.batch_execute(END_WITH_THE_PROGRAM).await?;
    let lock = db.query_one(TRY_LOCK, &[]).await?;
    if !lock.try_get::<_, bool>(0)? {
        tell(first.name, IndexWork::Elsewhere);
        return Ok(false);
    }
    let backend = lock.try_get(1)?;
    // Another node may have made some since.
    for step in migrations::pending_indexes(&mut db).await? {
        if let Some(index) = step.index {
            let session = Session {
                engine,
                db: &db,
                backend,
                step,
                tell,
            };
            session.make(index).await?;
        }
    }
    Ok(true)
}

/// The session that makes the index of a step.
struct Session<'a> {
    engine: &'a Engine,
    db: &'a ClientWrapper,
    backend: i32,
    step: &'static Migration,
    tell: TellIndex<'a>,
}

impl Session<'_> {
    async fn make(&self, index: &str) -> Fallible<()> {
        let there = self.db.query_opt(IS_VALID, &[&index]).await?;
        match there.map(|row| row.try_get(0)).transpose()? {
            // Only the journal has not got it.
            Some(true) => {}
            Some(false) => {
                self.say(IndexWork::Leftover);
                self.run(&format!("DROP INDEX CONCURRENTLY {index}")).await?;
                self.create(index).await?;
            }
            None => self.create(index).await?,
        }
        migrations::record_index(self.db, self.step).await?;
        self.say(IndexWork::Made);
        Ok(())
    }

    async fn create(&self, index: &str) -> Fallible<()> {
        self.say(IndexWork::Begun);
        self.run(&concurrently(self.step.sql, index)).await
    }

    async fn run(&self, sql: &str) -> Fallible<()> {
        let mut work = pin!(self.db.batch_execute(sql));
        let mut ticks = interval(TELL_EVERY);
        loop {
            tokio::select! {
                biased;
                done = work.as_mut() => return Ok(done?),
                _ = ticks.tick() => self.say_progress().await,
            }
        }
    }

    /// On another connection. One that cannot be had now is no reason to stop.
    async fn say_progress(&self) {
        let Ok(db) = self.engine.pool.get().await else {
            return;
        };
        if let Ok(Some(row)) = db.query_opt(PROGRESS, &[&self.backend]).await
            && let (Ok(phase), Ok(percent)) = (row.try_get(0), row.try_get(1))
        {
            self.say(IndexWork::At { phase, percent });
        }
    }

    fn say(&self, work: IndexWork) {
        (self.tell)(self.step.name, work);
    }
}

/// The statement of a step, which makes its index in the transaction of the other steps where the database is new.
pub(super) fn concurrently(sql: &str, index: &str) -> String {
    sql.replace(
        &format!("CREATE INDEX {index} ON "),
        &format!("CREATE INDEX CONCURRENTLY {index} ON "),
    )
}
