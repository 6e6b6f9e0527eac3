//! The embedded engine: a file, filled in large transactions.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use doorward_store::Store;
use doorward_store::sqlite::{SqliteOptions, SqliteStore};
use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, ToSql};

use crate::rows::{TABLES, Value};
use crate::world::World;

pub struct File(PathBuf);

impl File {
    pub async fn fill(folder: &Path, world: &World) -> Result<Self> {
        let path = folder.join(format!("growth-{}.db", world.grants));
        let file = Self(path);
        file.remove();
        // Makes the schema.
        file.open()?.close().await?;
        let world = world.clone();
        let path = file.0.clone();
        tokio::task::spawn_blocking(move || fill(&path, &world)).await??;
        Ok(file)
    }

    pub fn open(&self) -> Result<SqliteStore> {
        Ok(SqliteStore::open(
            &self.0.display().to_string(),
            &SqliteOptions::default(),
        )?)
    }

    pub fn bytes(&self) -> Result<u64> {
        Ok(fs::metadata(&self.0)?.len())
    }

    pub fn remove(&self) {
        for end in ["", "-wal", "-shm", "-lock", ".lock"] {
            // It may not be there.
            let _ = fs::remove_file(format!("{}{end}", self.0.display()));
        }
    }
}

/// The indexes last: each is then sorted once.
fn fill(path: &Path, world: &World) -> Result<()> {
    let mut db = Connection::open(path)?;
    db.execute_batch(
        "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; \
         PRAGMA cache_size = -1000000; PRAGMA temp_store = FILE; PRAGMA threads = 2;",
    )?;
    let indexes: Vec<(String, String)> = db
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (name, _) in &indexes {
        db.execute_batch(&format!("DROP INDEX {name}"))?;
    }
    for table in TABLES {
        let marks = vec!["?"; table.columns.split(',').count()].join(", ");
        let sql = format!("INSERT INTO {} ({}) VALUES ({marks})", table.name, table.columns);
        let transaction = db.transaction()?;
        let mut insert = transaction.prepare(&sql)?;
        (table.rows)(world, &mut |row| {
            insert.execute(rusqlite::params_from_iter(row))?;
            Ok(())
        })?;
        drop(insert);
        transaction.commit()?;
    }
    for (_, sql) in &indexes {
        db.execute_batch(sql)?;
    }
    db.execute_batch("PRAGMA journal_mode = WAL;")?;
    Ok(())
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::from(rusqlite::types::Null),
            Self::Int(number) => ToSqlOutput::from(*number),
            Self::Bool(yes) => ToSqlOutput::from(*yes),
            Self::Text(text) => ToSqlOutput::from(*text),
            Self::Bytes(bytes) => ToSqlOutput::from(*bytes),
            Self::Id(id) => ToSqlOutput::from(id.as_bytes().as_slice()),
            Self::NoNumbers => ToSqlOutput::from([0_u8; 0].as_slice()),
        })
    }
}
