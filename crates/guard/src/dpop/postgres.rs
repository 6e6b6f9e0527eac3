//! Used proofs in PostgreSQL, for several processes that serve one resource.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Client, Pool, PoolError};
use doorward_oauth::time::{Outage, UnixSeconds};
use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout, timeout_at};

use super::replay::{Insertion, ReplayStore, ReplayStoreUnavailable, UsedProof};

/// How long proofs are kept after they have ended, as long as at the server: a process whose clock is ahead must not remove
/// what still counts at the others.
const KEPT: Duration = Duration::from_mins(65);
/// How long the database may take: less than a guard waits for its replay store, which then knows why.
const PATIENCE: Duration = Duration::from_millis(1900);
/// How long a connection keeps its place in the pool while it does not answer: what the database has to do at one time stays
/// bounded where the database itself stands still, and one that is gone without a word is known for it.
const GIVEN_UP: Duration = Duration::from_secs(30);
/// When it is worth trying again after a failure.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Whether the table is where the role looks for it.
const IS_THERE: &str = "SELECT to_regclass('doorward_used_proofs') IS NOT NULL";
/// Whoever inserts walks past what was cleared away and not vacuumed: that must not grow with the table.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS doorward_used_proofs (
        proof bytea PRIMARY KEY,
        ends_at bigint NOT NULL
    ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
    CREATE INDEX IF NOT EXISTS doorward_used_proofs_by_end ON doorward_used_proofs (ends_at);
";
/// The key of the lock under which processes that start together make the table one after the other.
const SCHEMA_LOCK: i64 = 0x646f_6f72_7761_7264;
/// One statement and one round trip. Every insertion clears away a few that have ended: more than it adds, so that they
/// never pile up, and those that nobody else is clearing, so that nobody waits.
const INSERT: &str = "
    WITH ended AS (
        DELETE FROM doorward_used_proofs WHERE proof IN (
            SELECT proof FROM doorward_used_proofs WHERE ends_at <= $3 AND proof <> $1
            ORDER BY ends_at LIMIT 4 FOR UPDATE SKIP LOCKED
        )
    )
    INSERT INTO doorward_used_proofs (proof, ends_at) VALUES ($1, $2) ON CONFLICT (proof) DO NOTHING
";

/// There is no table of used proofs that could be used. Says what to change.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {}", reason(.source))]
pub struct PostgresReplayError {
    what: &'static str,
    source: PoolError,
}

/// Why a proof could not be remembered.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{}", reason(.0))]
    Pool(#[from] PoolError),
    #[error("PostgreSQL does not answer")]
    Silent,
}

/// What PostgreSQL itself says, where it says something: the error alone shows as "db error".
fn reason(error: &PoolError) -> String {
    let told = match error {
        PoolError::Backend(error) => error.as_db_error(),
        _ => None,
    };
    told.map_or_else(|| error.to_string(), ToString::to_string)
}

/// Used proofs in a table of a PostgreSQL database (14 or newer), for several processes that serve one resource.
///
/// The table, `doorward_used_proofs`, holds the proofs of the accepted window and an hour and five minutes more, because the
/// clocks of the processes differ. Unlike
/// [`MemoryReplayStore`](crate::MemoryReplayStore) it has no limit of its own: the requests of that time are what the
/// database has to hold.
#[derive(Clone)]
pub struct PostgresReplayStore {
    pool: Pool,
    /// As the log knows it.
    outage: Arc<Outage>,
}

impl PostgresReplayStore {
    /// Uses the program's connections, and makes the table where there is none. The role needs the right to create tables
    /// only then, and in any case `SELECT`, `INSERT`, `UPDATE` and `DELETE` on this one.
    ///
    /// # Errors
    /// [`PostgresReplayError`] when the database does not answer, or the role may not do this, or the table is another one.
    pub async fn open(pool: Pool) -> Result<Self, PostgresReplayError> {
        let failed = |what| move |source| PostgresReplayError { what, source };
        let mut client = pool
            .get()
            .await
            .map_err(failed("the database for used proofs does not answer"))?;
        make_table(&mut client).await.map_err(failed(
            "the table `doorward_used_proofs` is not there and cannot be made; make it as another role, or let this one create tables",
        ))?;
        check_table(&mut client).await.map_err(failed(
            "the table `doorward_used_proofs` cannot be used; the role needs SELECT, INSERT, UPDATE and DELETE on it, the columns are `proof bytea PRIMARY KEY, ends_at bigint NOT NULL`, and the server has to take writes",
        ))?;
        Ok(Self {
            pool,
            outage: Arc::default(),
        })
    }

    async fn remember(&self, proof: UsedProof, now: UnixSeconds) -> Result<Insertion, Failed> {
        let until = Instant::now() + PATIENCE;
        let client = timeout_at(until, self.pool.get())
            .await
            .map_err(|_| Failed::Silent)??;
        // On its own: whoever gets the connection next must not wait behind this statement, whoever goes away meanwhile.
        let insertion = tokio::spawn(async move {
            let insertion = timeout(GIVEN_UP, insert(&client, &proof, now)).await;
            if insertion.is_err() {
                drop(Client::take(client));
            }
            insertion
        });
        match timeout_at(until, insertion).await {
            Ok(Ok(Ok(insertion))) => Ok(insertion?),
            _ => Err(Failed::Silent),
        }
    }
}

async fn insert(client: &Client, proof: &UsedProof, now: UnixSeconds) -> Result<Insertion, PoolError> {
    let statement = client.prepare_cached(INSERT).await?;
    let ended = (now - KEPT).seconds();
    let inserted = client
        .execute(
            &statement,
            &[&proof.id.as_slice(), &proof.until.seconds(), &ended],
        )
        .await?;
    Ok(if inserted == 1 {
        Insertion::New
    } else {
        Insertion::Replayed
    })
}

async fn make_table(client: &mut Client) -> Result<(), PoolError> {
    // First: `IF NOT EXISTS` needs the right to create, also where there is nothing to create.
    if client.query_one(IS_THERE, &[]).await?.try_get(0)? {
        return Ok(());
    }
    let transaction = client.transaction().await?;
    // `IF NOT EXISTS` alone fails when two do it at the same time.
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&SCHEMA_LOCK])
        .await?;
    transaction.batch_execute(SCHEMA).await?;
    transaction.commit().await?;
    Ok(())
}

/// Columns, key, rights, and a server that is no standby: what a proof needs is done, and undone.
async fn check_table(client: &mut Client) -> Result<(), PoolError> {
    let no_proof: &[u8] = &[];
    let transaction = client.transaction().await?;
    transaction.execute(INSERT, &[&no_proof, &0_i64, &0_i64]).await?;
    Ok(transaction.rollback().await?)
}

impl PostgresReplayStore {
    fn tell(&self, error: Option<&Failed>) {
        let now = Instant::now().into_std();
        let Some(error) = error.map(ToString::to_string) else {
            if let Some(away) = self.outage.worked(now) {
                tracing::info!(
                    seconds = away.as_secs(),
                    "used proofs are remembered in PostgreSQL again"
                );
            }
            return;
        };
        if let Some(failures) = self.outage.failed(now) {
            tracing::warn!(error, failures, "used proofs cannot be remembered in PostgreSQL");
        } else {
            tracing::debug!(error, "used proofs cannot be remembered in PostgreSQL");
        }
    }
}

impl ReplayStore for PostgresReplayStore {
    fn insert(
        &self,
        proof: UsedProof,
        now: UnixSeconds,
    ) -> BoxFuture<'_, Result<Insertion, ReplayStoreUnavailable>> {
        Box::pin(async move {
            let remembered = self.remember(proof, now).await;
            self.tell(remembered.as_ref().err());
            remembered.map_err(|_| ReplayStoreUnavailable {
                retry_after: RETRY_AFTER,
            })
        })
    }
}

impl fmt::Debug for PostgresReplayStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresReplayStore").finish_non_exhaustive()
    }
}
