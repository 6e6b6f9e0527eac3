//! The engine for several nodes: a database on a server of this machine, filled by `COPY`.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use doorward_store::postgres::{PostgresOptions, PostgresStore};
use doorward_store::{Partitioned, Store};
use futures_util::SinkExt as _;
use tokio::sync::mpsc;
use tokio_postgres::{Client, NoTls};

use crate::rows::{TABLES, Table, Value};
use crate::world::{NOW, World};

const CHUNK: usize = 1 << 20;
/// The server's default.
const RETENTION: Duration = Duration::from_hours(30 * 24);

pub struct Database {
    server: String,
    name: String,
}

impl Database {
    pub async fn fill(server: &str, world: &World) -> Result<Self> {
        let name = format!("growth_{}", world.grants);
        let database = Self {
            server: server.to_owned(),
            name,
        };
        database.remove().await?;
        let admin = connect(server).await?;
        admin
            .batch_execute(&format!("CREATE DATABASE {}", database.name))
            .await?;
        let store = database.open().await?;
        // As it would have been done day by day.
        for day in 0..35 {
            let now = NOW - Duration::from_hours(24 * (35 - day));
            store
                .keep_partitions(Partitioned::Issuances, now, RETENTION)
                .await?;
        }
        store.close().await?;
        let db = connect(&database.url()?).await?;
        fill(&db, world).await?;
        Ok(database)
    }

    fn url(&self) -> Result<String> {
        let (base, _) = self
            .server
            .rsplit_once('/')
            .context("the URL names no database")?;
        Ok(format!("{base}/{}", self.name))
    }

    pub async fn open(&self) -> Result<PostgresStore> {
        let options = PostgresOptions {
            connections: 8,
            ..PostgresOptions::default()
        };
        Ok(PostgresStore::open(&self.url()?, &options).await?)
    }

    pub async fn bytes(&self) -> Result<u64> {
        let admin = connect(&self.server).await?;
        let row = admin
            .query_one("SELECT pg_database_size($1::text::name)", &[&self.name])
            .await?;
        Ok(u64::try_from(row.try_get::<_, i64>(0)?)?)
    }

    /// The server's processes that work for this database.
    pub async fn processes(&self) -> Result<Vec<u32>> {
        let admin = connect(&self.server).await?;
        let rows = admin
            .query(
                "SELECT pid FROM pg_stat_activity WHERE datname = $1::text",
                &[&self.name],
            )
            .await?;
        rows.iter()
            .map(|row| Ok(u32::try_from(row.try_get::<_, i32>(0)?)?))
            .collect()
    }

    pub async fn remove(&self) -> Result<()> {
        let admin = connect(&self.server).await?;
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        Ok(admin.batch_execute(&drop).await?)
    }
}

async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// The indexes last, and no foreign key is checked row by row.
async fn fill(db: &Client, world: &World) -> Result<()> {
    db.batch_execute("SET session_replication_role = replica; SET synchronous_commit = off")
        .await?;
    let indexes = db
        .query(
            "SELECT i.indexname::text, i.indexdef FROM pg_indexes i WHERE i.schemaname = 'public' \
             AND i.tablename IN ('session', 'consent', 'access_grant', 'code', 'issuance') \
             AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conname = i.indexname)",
            &[],
        )
        .await?;
    for index in &indexes {
        db.batch_execute(&format!("DROP INDEX {}", index.get::<_, &str>(0)))
            .await?;
    }
    for table in TABLES {
        copy(db, table, world).await?;
    }
    for index in &indexes {
        db.batch_execute(index.get(1)).await?;
    }
    db.batch_execute("VACUUM ANALYZE").await?;
    Ok(db.batch_execute("CHECKPOINT").await?)
}

async fn copy(db: &Client, table: &'static Table, world: &World) -> Result<()> {
    let (chunks, mut made) = mpsc::channel::<Bytes>(8);
    let world = world.clone();
    let rows = tokio::task::spawn_blocking(move || {
        let mut text = String::with_capacity(CHUNK + 4096);
        (table.rows)(&world, &mut |row| {
            line(&mut text, row)?;
            if text.len() >= CHUNK {
                chunks.blocking_send(std::mem::take(&mut text).into())?;
            }
            Ok(())
        })?;
        Ok::<_, anyhow::Error>(chunks.blocking_send(text.into())?)
    });
    let sql = format!("COPY {} ({}) FROM STDIN", table.name, table.columns);
    let sink = db.copy_in::<_, Bytes>(&sql).await?;
    let mut sink = std::pin::pin!(sink);
    while let Some(chunk) = made.recv().await {
        sink.send(chunk).await?;
    }
    rows.await??;
    sink.finish().await?;
    Ok(())
}

/// The text format of `COPY`. No text here has a character that would need an escape.
fn line(text: &mut String, row: &[Value<'_>]) -> Result<()> {
    for (place, value) in row.iter().enumerate() {
        if place > 0 {
            text.push('\t');
        }
        match value {
            Value::Null => text.push_str("\\N"),
            Value::Int(number) => write!(text, "{number}")?,
            Value::Bool(yes) => text.push(if *yes { 't' } else { 'f' }),
            Value::Text(value) => text.push_str(value),
            Value::Id(id) => write!(text, "{id}")?,
            Value::NoNumbers => text.push_str("{}"),
            Value::Bytes(bytes) => {
                text.push_str("\\\\x");
                for byte in *bytes {
                    write!(text, "{byte:02x}")?;
                }
            }
        }
    }
    text.push('\n');
    Ok(())
}
