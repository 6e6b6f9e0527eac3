//! The schema, in numbered steps that are part of the program.

use deadpool_postgres::ClientWrapper;

use super::errors::{Fallible, Fault};
use crate::StoreError;
use crate::rules::schema::{Migration, checksum, pending};

macro_rules! migration {
    ($version:literal, $name:literal) => {
        Migration {
            version: $version,
            name: $name,
            sql: include_str!(concat!("../../migrations/postgres/", $name, ".sql")),
        }
    };
}

/// In order, without gaps. A released file is never edited: a new one is added.
const MIGRATIONS: &[Migration] = &[
    migration!(1, "0001_initial"),
    migration!(2, "0002_grants_of_clients"),
    migration!(3, "0003_revocations"),
    migration!(4, "0004_flows"),
    migration!(5, "0005_trusted_issuers"),
    migration!(6, "0006_assertion_audiences"),
    migration!(7, "0007_signing_key_times"),
    migration!(8, "0008_audit"),
];

/// "DWRD": one node at a time changes the schema.
const LOCK: &str = "SELECT pg_advisory_xact_lock(1146573380)";
/// Waiting for another node's steps is no slow statement.
const PATIENCE: &str = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0";
const HAS_JOURNAL: &str = "SELECT to_regclass('schema_migration') IS NOT NULL, \
     EXISTS (SELECT 1 FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')), \
     current_setting('server_encoding')";
const CREATE_JOURNAL: &str =
    "CREATE TABLE schema_migration (version BIGINT PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL)";
const APPLIED: &str = "SELECT version, name, sha256 FROM schema_migration ORDER BY version";
const RECORD: &str = "INSERT INTO schema_migration (version, name, sha256) VALUES ($1, $2, $3)";

/// Brings the database to this program's schema; refuses a database that it does not understand.
pub(super) async fn migrate(db: &mut ClientWrapper) -> Fallible<()> {
    apply(db, MIGRATIONS).await
}

async fn apply(db: &mut ClientWrapper, migrations: &[Migration]) -> Fallible<()> {
    let transaction = db.transaction().await?;
    transaction.batch_execute(PATIENCE).await?;
    transaction.batch_execute(LOCK).await?;
    let state = transaction.query_one(HAS_JOURNAL, &[]).await?;
    let (journal, tables, encoding): (bool, bool, &str) =
        (state.try_get(0)?, state.try_get(1)?, state.try_get(2)?);
    if encoding != "UTF8" {
        return Err(unusable(format!(
            "the database is encoded in {encoding}: create it with ENCODING 'UTF8'"
        )));
    }
    if !journal {
        if tables {
            return Err(unusable(
                "the database holds the tables of another program: give Doorward a database or a schema of its own"
                    .to_owned(),
            ));
        }
        transaction
            .batch_execute(CREATE_JOURNAL)
            .await
            .map_err(|error| refused("the first", &error))?;
    }
    let mut applied = Vec::new();
    for row in transaction.query(APPLIED, &[]).await? {
        applied.push((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
    }
    for migration in pending(migrations, &applied)? {
        tracing::info!(migration = migration.name, "changing the database schema");
        transaction
            .batch_execute(migration.sql)
            .await
            .map_err(|error| refused(migration.name, &error))?;
        transaction
            .execute(
                RECORD,
                &[&migration.version, &migration.name, &checksum(migration.sql)],
            )
            .await?;
    }
    Ok(transaction.commit().await?)
}

fn refused(step: &str, error: &tokio_postgres::Error) -> Fault {
    let Some(database) = error.as_db_error() else {
        return Fault::Lost(super::errors::describe(error));
    };
    let code = database.code().code();
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
