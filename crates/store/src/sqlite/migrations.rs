//! The schema, in numbered steps that are part of the program.

use rusqlite::Connection;

use super::statements::{Run, statements};
use crate::rules::schema::{Migration, checksum, pending};
use crate::{Result, StoreError};

/// Marks the file as Doorward's (`PRAGMA application_id`): "DWRD".
const APPLICATION_ID: i32 = 0x4457_5244;

macro_rules! migration {
    ($version:literal, $name:literal) => {
        Migration {
            version: $version,
            name: $name,
            sql: include_str!(concat!("../../migrations/sqlite/", $name, ".sql")),
        }
    };
}

/// In order, without gaps. A released file is never edited: a new one is added.
const MIGRATIONS: &[Migration] = &[
    migration!(1, "0001_initial"),
    migration!(2, "0002_unused_clients"),
    migration!(3, "0003_grants_of_clients"),
    migration!(4, "0004_revocations"),
    migration!(5, "0005_flows"),
    migration!(6, "0006_trusted_issuers"),
    migration!(7, "0007_assertion_audiences"),
    migration!(8, "0008_signing_key_times"),
    migration!(9, "0009_audit"),
];

const CREATE_JOURNAL: &str = "CREATE TABLE IF NOT EXISTS schema_migration (
    version INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL) STRICT";

statements! {
    APPLIED scans = "SELECT version, name, sha256 FROM schema_migration ORDER BY version";
    RECORD = "INSERT INTO schema_migration (version, name, sha256) VALUES (?1, ?2, ?3)";
}

/// Brings the database to this program's schema; refuses a database that it does not understand.
pub(super) fn migrate(db: &mut Connection) -> Result<()> {
    apply(db, MIGRATIONS)
}

fn apply(db: &mut Connection, migrations: &[Migration]) -> Result<()> {
    let transaction = db.transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive)?;
    refuse_strangers(&transaction)?;
    transaction.execute_batch(CREATE_JOURNAL)?;
    let applied = transaction.list(APPLIED, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    for migration in pending(migrations, &applied)? {
        tracing::info!(migration = migration.name, "changing the database schema");
        transaction
            .execute_batch(migration.sql)
            .map_err(|error| match StoreError::from(error) {
                StoreError::Unavailable(why) => StoreError::Unavailable(why),
                error => StoreError::Unusable(format!("migration {} failed: {error}", migration.name)),
            })?;
        transaction.run(
            RECORD,
            (migration.version, migration.name, checksum(migration.sql)),
        )?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    Ok(transaction.commit()?)
}

/// The last schema step of a database that this program knows, and how many it would add. Changes nothing.
pub(super) fn known(db: &Connection) -> Result<(String, usize)> {
    refuse_strangers(db)?;
    let empty = || StoreError::Unusable("it is empty".to_owned());
    if application_id(db)? == 0 {
        return Err(empty());
    }
    let applied = db.list(APPLIED, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let missing = pending(MIGRATIONS, &applied)?.len();
    let (_, last, _) = applied.last().ok_or_else(empty)?;
    Ok((last.clone(), missing))
}

fn application_id(db: &Connection) -> rusqlite::Result<i32> {
    db.pragma_query_value(None, "application_id", |row| row.get(0))
}

/// Refuses a database that this program does not understand. Changes nothing.
pub(super) fn refuse(db: &Connection) -> Result<()> {
    refuse_strangers(db)?;
    if application_id(db)? == APPLICATION_ID {
        known(db)?;
    }
    Ok(())
}

fn refuse_strangers(db: &Connection) -> Result<()> {
    let id = application_id(db)?;
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if id == APPLICATION_ID || (id == 0 && tables == 0) {
        return Ok(());
    }
    Err(StoreError::Unusable(
        "the file is a SQLite database of another program".to_owned(),
    ))
}

#[cfg(test)]
#[path = "migrations_tests.rs"]
mod tests;
