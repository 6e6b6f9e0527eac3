//! The schema, in numbered steps that are part of the program.

use deadpool_postgres::{ClientWrapper, Transaction};
use tokio_postgres::types::ToSql;

use tokio::time::{Duration, Instant, sleep};

use super::errors::{Fallible, Fault};
use super::keys;
use super::work::WAIT_BRIEFLY;
use crate::rules::schema::{Applied, Migration, checksum, difference, migration};
use crate::{Look, Sealed, SealedKind, SecretsInUse, StoreError};

/// In order, without gaps. A released file is never edited: a new one is added, marked `breaks_older` when programs
/// without it go wrong on a database with it (a test reads the files for that). What takes long on a large table holds up
/// whoever writes to it until all steps are committed: an index on a table that is there already is a step of its own, `index`.
const MIGRATIONS: &[Migration] = &[
    migration!("postgres", 1, "0001_initial"),
    migration!("postgres", 2, "0002_grants_of_clients"),
    migration!("postgres", 3, "0003_revocations"),
    migration!("postgres", 4, "0004_flows"),
    migration!("postgres", 5, "0005_trusted_issuers"),
    migration!("postgres", 6, "0006_assertion_audiences"),
    migration!("postgres", 7, "0007_signing_key_times", breaks_older),
    migration!("postgres", 8, "0008_change_count"),
    migration!("postgres", 9, "0009_growth"),
    migration!("postgres", 10, "0010_ended_before"),
    migration!("postgres", 11, "0011_audit"),
    migration!("postgres", 12, "0012_registration_tokens"),
    migration!("postgres", 13, "0013_transaction_marks"),
    migration!("postgres", 14, "0014_used_up_tokens"),
    migration!("postgres", 15, "0015_served"),
    migration!("postgres", 16, "0016_pending_grants_of_clients", index "grant_pending_client"),
];

/// "DWRD": one node at a time changes the schema.
const LOCK: &str = "SELECT pg_advisory_xact_lock(1146573380)";
const LOCK_AT_ONCE: &str = "SELECT pg_try_advisory_xact_lock(1146573380)";
/// Waiting for another node's steps is no slow statement.
const PATIENCE: &str = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; \
     SET LOCAL idle_in_transaction_session_timeout = 0";
/// When the program ends in the middle of a step, so does the step: it would go on building an index for nobody, and the
/// next start would wait for it. A server whose system cannot tell (Windows) refuses the setting, which is no harm.
const END_WITH_THE_PROGRAM: &str = "DO $$ BEGIN \
     PERFORM set_config('client_connection_check_interval', '1s', TRUE); EXCEPTION WHEN OTHERS THEN NULL; END $$";
const PAUSE: Duration = Duration::from_secs(1);
/// How long the steps are tried again.
const TRY_FOR: Duration = Duration::from_mins(2);
const HAS_JOURNAL: &str = "SELECT to_regclass('schema_migration') IS NOT NULL, \
     EXISTS (SELECT 1 FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')), \
     current_setting('server_encoding')";
const CREATE_JOURNAL: &str = "CREATE TABLE schema_migration (version BIGINT PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL, \
     breaks_older BOOLEAN NOT NULL DEFAULT TRUE)";
const HAS_BREAKS_OLDER: &str = "SELECT EXISTS (SELECT 1 FROM pg_attribute \
     WHERE attrelid = to_regclass('schema_migration') AND attname = 'breaks_older')";
/// Steps from before the journal had the column were made without a promise to older programs.
const ADD_BREAKS_OLDER: &str =
    "ALTER TABLE schema_migration ADD COLUMN breaks_older BOOLEAN NOT NULL DEFAULT TRUE";
/// Also of a journal that has not got the column yet.
const APPLIED: &str = "SELECT version, name, sha256, coalesce((to_jsonb(step) ->> 'breaks_older')::boolean, TRUE) \
     FROM schema_migration AS step ORDER BY version";
const RECORD: &str =
    "INSERT INTO schema_migration (version, name, sha256, breaks_older) VALUES ($1, $2, $3, $4)";

/// Brings the database to this program's schema; refuses a database that it does not understand.
pub(super) async fn migrate(db: &mut ClientWrapper) -> Fallible<()> {
    apply(db, MIGRATIONS, TRY_FOR).await
}

async fn apply(db: &mut ClientWrapper, migrations: &[Migration], try_for: Duration) -> Fallible<()> {
    let until = Instant::now() + try_for;
    loop {
        match attempt(db, migrations).await {
            Err(Fault::Contended(why)) if Instant::now() + PAUSE < until => {
                tracing::info!(why, "a schema step waits until others are done with its table");
                sleep(PAUSE).await;
            }
            done => return done,
        }
    }
}

/// What is in the database, when nobody changes its schema; `None` in a new one. Refuses a database that this program does
/// not understand, and changes nothing.
pub(super) async fn look(db: &mut ClientWrapper) -> Fallible<Option<Look>> {
    let transaction = alone(db).await?;
    let found = read(&transaction).await?;
    transaction.rollback().await?;
    Ok(found)
}

/// The same as it is now, also while another node changes it: keeps nobody waiting, and waits for nobody.
pub(super) async fn glance(db: &mut ClientWrapper) -> Fallible<Option<Look>> {
    let transaction = db.build_transaction().read_only(true).start().await?;
    let found = read(&transaction).await?;
    transaction.rollback().await?;
    Ok(found)
}

async fn read(transaction: &Transaction<'_>) -> Fallible<Option<Look>> {
    if !has_journal(transaction).await? {
        return Ok(None);
    }
    let applied = journal(transaction).await?;
    let difference = difference(MIGRATIONS, &applied)?;
    let Some(schema) = applied.last().map(|last| difference.with(last)) else {
        return Ok(None);
    };
    let mut sealed = Vec::new();
    for kind in SealedKind::ALL {
        for row in transaction.query(all_sealed(kind), &[]).await? {
            sealed.push(Sealed {
                kind,
                name: row.try_get(0)?,
                bytes: row.try_get(1)?,
            });
        }
    }
    let has_times = schema.last.as_str() >= "0007_signing_key_times";
    let signing_keys = if has_times {
        Some(keys::all_signing_keys(transaction).await?)
    } else {
        None
    };
    Ok(Some(Look {
        schema,
        sealed,
        signing_keys,
    }))
}

/// What would end with keys and secrets; `None` in a new database, and refused as [`look`] does. However long it takes to count.
pub(super) async fn secrets_in_use(db: &mut ClientWrapper, clients: u32) -> Fallible<Option<SecretsInUse>> {
    let transaction = alone(db).await?;
    if !has_journal(&transaction).await? {
        return Ok(None);
    }
    difference(MIGRATIONS, &journal(&transaction).await?)?;
    let found = keys::in_use(&transaction, clients).await?;
    transaction.rollback().await?;
    Ok(Some(found))
}

/// As on every schema: these columns are as old as the first one.
const fn all_sealed(kind: SealedKind) -> &'static str {
    match kind {
        SealedKind::SigningKey => "SELECT key_id, sealed_private_key FROM signing_key",
        SealedKind::ServerSecret => "SELECT purpose, sealed FROM server_secret",
    }
}

/// A transaction during which no other node changes the schema.
pub(super) async fn alone(db: &mut ClientWrapper) -> Fallible<Transaction<'_>> {
    let transaction = db.transaction().await?;
    transaction.batch_execute(PATIENCE).await?;
    transaction.batch_execute(END_WITH_THE_PROGRAM).await?;
    let at_once = transaction.query_one(LOCK_AT_ONCE, &[]).await?;
    if !at_once.try_get::<_, bool>(0)? {
        tracing::info!("waiting for another node, which starts or changes the database schema");
        transaction.batch_execute(LOCK).await?;
    }
    Ok(transaction)
}

async fn journal(transaction: &Transaction<'_>) -> Fallible<Vec<Applied>> {
    let mut applied = Vec::new();
    for row in transaction.query(APPLIED, &[]).await? {
        applied.push(Applied {
            version: row.try_get(0)?,
            name: row.try_get(1)?,
            sha256: row.try_get(2)?,
            breaks_older: row.try_get(3)?,
        });
    }
    Ok(applied)
}

/// All or nothing.
async fn attempt(db: &mut ClientWrapper, migrations: &[Migration]) -> Fallible<()> {
    let transaction = alone(db).await?;
    steps(&transaction, migrations).await?;
    Ok(transaction.commit().await?)
}

/// A transaction in which the schema is that of this program, made here where there was none, and which nobody changes or
/// starts with meanwhile. Refuses a database that is ahead.
pub(super) async fn begin_complete(db: &mut ClientWrapper) -> Fallible<Transaction<'_>> {
    let transaction = alone(db).await?;
    steps(&transaction, MIGRATIONS).await?;
    refuse_newer(&transaction).await?;
    Ok(transaction)
}

/// Refuses a database that is ahead. Changes nothing.
pub(super) async fn refuse_newer(transaction: &Transaction<'_>) -> Fallible<()> {
    Ok(difference(MIGRATIONS, &journal(transaction).await?)?.refuse_newer()?)
}

async fn steps(transaction: &Transaction<'_>, migrations: &[Migration]) -> Fallible<()> {
    prepare_journal(transaction).await?;
    let applied = journal(transaction).await?;
    let difference = difference(migrations, &applied)?;
    difference.tell();
    // Nothing is in a new database that an index could be long about.
    let new = applied.is_empty();
    let here = difference
        .pending
        .iter()
        .filter(|step| new || step.index.is_none());
    for migration in here {
        tracing::info!(migration = migration.name, "changing the database schema");
        transaction
            .batch_execute(migration.sql)
            .await
            .map_err(|error| refused(migration.name, &error))?;
        transaction
            .execute(
                RECORD,
                &[
                    &migration.version,
                    &migration.name,
                    &checksum(migration.sql),
                    &migration.breaks_older,
                ],
            )
            .await?;
    }
    Ok(())
}

/// The steps that the start leaves to [`indexes`](super::indexes).
pub(super) async fn pending_indexes(db: &mut ClientWrapper) -> Fallible<Vec<&'static Migration>> {
    // In a transaction, so that a pooler keeps the statement's name in one session.
    let transaction = db.build_transaction().read_only(true).start().await?;
    let applied = journal(&transaction).await?;
    transaction.rollback().await?;
    let mut pending = difference(MIGRATIONS, &applied)?.pending;
    pending.retain(|step| step.index.is_some());
    Ok(pending)
}

/// Writes down that an index is there.
pub(super) async fn record_index(db: &ClientWrapper, step: &Migration) -> Fallible<()> {
    let columns: [&(dyn ToSql + Sync); 4] =
        [&step.version, &step.name, &checksum(step.sql), &step.breaks_older];
    db.execute(RECORD, &columns).await?;
    Ok(())
}

/// The journal is there and has every column, or this is no database for this program.
async fn prepare_journal(transaction: &Transaction<'_>) -> Fallible<()> {
    transaction.batch_execute(WAIT_BRIEFLY).await?;
    if !has_journal(transaction).await? {
        transaction
            .batch_execute(CREATE_JOURNAL)
            .await
            .map_err(|error| refused("the first", &error))?;
    }
    let complete = transaction.query_one(HAS_BREAKS_OLDER, &[]).await?;
    if !complete.try_get::<_, bool>(0)? {
        transaction
            .batch_execute(ADD_BREAKS_OLDER)
            .await
            .map_err(|error| refused("the journal's", &error))?;
    }
    Ok(())
}

/// Whether there is a schema of this program. Refuses what is neither that nor empty.
pub(super) async fn has_journal(transaction: &Transaction<'_>) -> Fallible<bool> {
    let state = transaction.query_one(HAS_JOURNAL, &[]).await?;
    let (journal, tables, encoding): (bool, bool, &str) =
        (state.try_get(0)?, state.try_get(1)?, state.try_get(2)?);
    if encoding != "UTF8" {
        return Err(unusable(format!(
            "the database is encoded in {encoding}: create it with ENCODING 'UTF8'"
        )));
    }
    if !journal && tables {
        return Err(unusable(
            "the database holds the tables of another program: give Doorward a database or a schema of its own"
                .to_owned(),
        ));
    }
    Ok(journal)
}

fn refused(step: &str, error: &tokio_postgres::Error) -> Fault {
    let Some(database) = error.as_db_error() else {
        return Fault::Lost(super::errors::describe(error));
    };
    let code = database.code().code();
    if matches!(code, "55P03" | "40P01") {
        return Fault::Contended(format!(
            "schema step {step}: {} ({code}); what holds the lock? (pg_stat_activity)",
            database.message()
        ));
    }
    let fix = match code {
        "42501" => "; let the user of the URL own the schema",
        "3F000" => "; create the schema first",
        _ => "",
    };
    unusable(format!(
        "schema step {step} failed: {} ({code}){fix}",
        database.message()
    ))
}

fn unusable(why: String) -> Fault {
    Fault::Refused(StoreError::Unusable(why))
}

#[cfg(test)]
#[path = "migrations_tests.rs"]
mod tests;
