//! The schema, in numbered steps that are part of the program.

use rusqlite::Connection;

use super::statements::{Run, statements};
use crate::rules::schema::{Applied, Migration, checksum, difference, migration};
use crate::{Result, Schema, StoreError};

/// Marks the file as Doorward's (`PRAGMA application_id`): "DWRD".
const APPLICATION_ID: i32 = 0x4457_5244;
/// Marks what stands in the place of a database that was moved: "DWMV". Programs that do not know it take it for another
/// program's.
const MOVED: i32 = 0x4457_4d56;

/// In order, without gaps. A released file is never edited: a new one is added, marked `breaks_older` when programs
/// without it go wrong on a database with it (a test reads the files for that).
const MIGRATIONS: &[Migration] = &[
    migration!("sqlite", 1, "0001_initial"),
    migration!("sqlite", 2, "0002_unused_clients"),
    migration!("sqlite", 3, "0003_grants_of_clients"),
    migration!("sqlite", 4, "0004_revocations"),
    migration!("sqlite", 5, "0005_flows"),
    migration!("sqlite", 6, "0006_trusted_issuers"),
    migration!("sqlite", 7, "0007_assertion_audiences"),
    migration!("sqlite", 8, "0008_signing_key_times", breaks_older),
    migration!("sqlite", 9, "0009_change_count"),
    migration!("sqlite", 10, "0010_ended_before"),
    migration!("sqlite", 11, "0011_audit"),
    migration!("sqlite", 12, "0012_registration_tokens"),
    migration!("sqlite", 13, "0013_used_up_tokens"),
    migration!("sqlite", 14, "0014_served"),
    migration!("sqlite", 15, "0015_pending_grants_of_clients"),
];

const CREATE_JOURNAL: &str = "CREATE TABLE IF NOT EXISTS schema_migration (
    version INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL,
    breaks_older INTEGER NOT NULL DEFAULT 1) STRICT";
/// Steps from before the journal had the column were made without a promise to older programs.
const ADD_BREAKS_OLDER: &str =
    "ALTER TABLE schema_migration ADD COLUMN breaks_older INTEGER NOT NULL DEFAULT 1";

statements! {
    APPLIED scans = "SELECT version, name, sha256, breaks_older FROM schema_migration ORDER BY version";
    APPLIED_BEFORE scans = "SELECT version, name, sha256, 1 FROM schema_migration ORDER BY version";
    HAS_BREAKS_OLDER scans = "SELECT count(*) FROM pragma_table_info('schema_migration') WHERE name = 'breaks_older'";
    RECORD = "INSERT INTO schema_migration (version, name, sha256, breaks_older) VALUES (?1, ?2, ?3, ?4)";
}

/// Brings the database to this program's schema; refuses a database that it does not understand.
pub(super) fn migrate(db: &mut Connection) -> Result<()> {
    apply(db, MIGRATIONS)
}

fn apply(db: &mut Connection, migrations: &[Migration]) -> Result<()> {
    let transaction = db.transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive)?;
    refuse_strangers(&transaction)?;
    transaction.execute_batch(CREATE_JOURNAL)?;
    if !has_breaks_older(&transaction)? {
        transaction.execute_batch(ADD_BREAKS_OLDER)?;
    }
    let applied = journal(&transaction)?;
    let difference = difference(migrations, &applied)?;
    difference.tell();
    for migration in difference.pending {
        tracing::info!(migration = migration.name, "changing the database schema");
        transaction
            .execute_batch(migration.sql)
            .map_err(|error| match StoreError::from(error) {
                error @ (StoreError::Unavailable(_) | StoreError::Damaged(_)) => error,
                error => StoreError::Unusable(format!("migration {} failed: {error}", migration.name)),
            })?;
        transaction.run(
            RECORD,
            (
                migration.version,
                migration.name,
                checksum(migration.sql),
                migration.breaks_older,
            ),
        )?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    Ok(transaction.commit()?)
}

/// How the schema of a database stands to this program's, when this program can work on it. Changes nothing.
pub(super) fn known(db: &Connection) -> Result<Schema> {
    refuse_strangers(db)?;
    let empty = || StoreError::Unusable("it is empty".to_owned());
    if application_id(db)? == 0 {
        return Err(empty());
    }
    let applied = journal(db)?;
    let difference = difference(MIGRATIONS, &applied)?;
    applied.last().map(|last| difference.with(last)).ok_or_else(empty)
}

/// Refuses a database whose schema is not exactly the one of this program. Changes nothing.
#[cfg(feature = "postgres")]
pub(super) fn refuse_other_steps(db: &Connection) -> Result<()> {
    let applied = journal(db)?;
    let difference = difference(MIGRATIONS, &applied)?;
    if let Some(first) = difference.pending.first() {
        return Err(StoreError::Unusable(format!(
            "it has not got schema step {} yet: run `doorward migrate` with its configuration first",
            first.name
        )));
    }
    difference.refuse_newer()
}

/// Makes what stands in the place of a database that was moved, of an empty file.
#[cfg(feature = "postgres")]
pub(super) fn mark_as_moved(db: &Connection) -> Result<()> {
    Ok(db.pragma_update(None, "application_id", MOVED)?)
}

fn journal(db: &Connection) -> Result<Vec<Applied>> {
    let applied = if has_breaks_older(db)? {
        APPLIED
    } else {
        APPLIED_BEFORE
    };
    let applied = db.list(applied, [], |row| {
        Ok(Applied {
            version: row.get(0)?,
            name: row.get(1)?,
            sha256: row.get(2)?,
            breaks_older: row.get(3)?,
        })
    })?;
    Ok(applied)
}

fn has_breaks_older(db: &Connection) -> Result<bool> {
    Ok(db
        .find(HAS_BREAKS_OLDER, [], |row| row.get::<_, i64>(0))?
        .is_some_and(|columns| columns > 0))
}

fn application_id(db: &Connection) -> rusqlite::Result<i32> {
    db.pragma_query_value(None, "application_id", |row| row.get(0))
}

/// Refuses a database that this program does not understand. Changes nothing.
pub(super) fn refuse(db: &Connection) -> Result<()> {
    if !is_new(db)? {
        known(db)?;
    }
    Ok(())
}

/// Whether nothing is in it yet. Refuses another program's database.
pub(super) fn is_new(db: &Connection) -> Result<bool> {
    refuse_strangers(db)?;
    Ok(application_id(db)? == 0)
}

fn refuse_strangers(db: &Connection) -> Result<()> {
    let id = application_id(db)?;
    if id == MOVED {
        return Err(StoreError::Unusable(
            "what was in it was moved to PostgreSQL (`doorward move`): start with the configuration that names that; what was here is kept beside it, under this name and .moved-1 or a later number"
                .to_owned(),
        ));
    }
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
