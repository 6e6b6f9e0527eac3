//! Used proofs in PostgreSQL, for several processes that serve one resource.

use std::fmt;
use std::time::Duration;

use deadpool_postgres::{Pool, PoolError};
use doorward_oauth::time::UnixSeconds;
use futures_util::future::BoxFuture;

use super::replay::{Insertion, ReplayStore, ReplayStoreUnavailable, UsedProof};

/// How long proofs are kept after they have ended, as long as at the server: a process whose clock is ahead must not remove
/// what still counts at the others.
const KEPT: Duration = Duration::from_mins(65);
/// When it is worth trying again after a failure.
const RETRY_AFTER: Duration = Duration::from_secs(1);

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
    INSERT INTO doorward_used_proofs (proof, ends_at) VALUES ($1, $2) ON CONFLICT DO NOTHING
";

/// The table of used proofs cannot be made, with the reason.
#[derive(Debug, thiserror::Error)]
#[error("the table of used proofs cannot be made: {0}")]
pub struct PostgresReplayError(#[source] PoolError);

/// Used proofs in a table of a PostgreSQL database (14 or newer), for several processes that serve one resource.
///
/// The table, `doorward_used_proofs`, holds the proofs of the accepted window and an hour and five minutes more, because the
/// clocks of the processes differ. Unlike
/// [`MemoryReplayStore`](crate::MemoryReplayStore) it has no limit of its own: the requests of that time are what the
/// database has to hold.
#[derive(Clone)]
pub struct PostgresReplayStore {
    pool: Pool,
}

impl PostgresReplayStore {
    /// Uses the program's connections, and makes the table where there is none.
    ///
    /// # Errors
    /// [`PostgresReplayError`] when the database does not answer or does not allow it.
    pub async fn open(pool: Pool) -> Result<Self, PostgresReplayError> {
        let store = Self { pool };
        store.make_table().await.map_err(PostgresReplayError)?;
        Ok(store)
    }

    async fn make_table(&self) -> Result<(), PoolError> {
        let mut client = self.pool.get().await?;
        let transaction = client.transaction().await?;
        // `IF NOT EXISTS` alone fails when two do it at the same time.
        transaction
            .execute("SELECT pg_advisory_xact_lock($1)", &[&SCHEMA_LOCK])
            .await?;
        transaction.batch_execute(SCHEMA).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn remember(&self, proof: UsedProof, now: UnixSeconds) -> Result<Insertion, PoolError> {
        let client = self.pool.get().await?;
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
}

impl ReplayStore for PostgresReplayStore {
    fn insert(
        &self,
        proof: UsedProof,
        now: UnixSeconds,
    ) -> BoxFuture<'_, Result<Insertion, ReplayStoreUnavailable>> {
        Box::pin(async move {
            self.remember(proof, now).await.map_err(|error| {
                tracing::warn!(%error, "used proofs cannot be remembered in PostgreSQL");
                ReplayStoreUnavailable {
                    retry_after: RETRY_AFTER,
                }
            })
        })
    }
}

impl fmt::Debug for PostgresReplayStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresReplayStore").finish_non_exhaustive()
    }
}
