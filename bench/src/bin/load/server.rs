//! Doorward under load: the real program with its default settings, on free ports, on a database of its own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use clap::ValueEnum;
use rusqlite::Connection as Sqlite;
use tempfile::TempDir;
use tokio::process::Command;

use crate::postgres::Cluster;
use crate::process::Process;

/// The limits count as always, and are not reached: all of the load comes from one address.
const OUT_OF_REACH: &str = "1000000/1s";

/// What keeps the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// The embedded database.
    Sqlite,
    /// A throw-away `PostgreSQL` server.
    Postgres,
}

impl Engine {
    /// As in the tables.
    pub fn subject(self) -> &'static str {
        match self {
            Self::Sqlite => "Doorward, SQLite",
            Self::Postgres => "Doorward, PostgreSQL",
        }
    }
}

/// Where the data is.
enum Storage {
    Sqlite(PathBuf),
    Postgres { cluster: Arc<Cluster>, database: String },
}

/// What is started, and where it keeps its data.
pub struct Installation {
    program: PathBuf,
    log_level: String,
    folder: TempDir,
    storage: Storage,
    pub public: SocketAddr,
    pub admin: SocketAddr,
    pub admin_key: String,
}

impl Installation {
    /// A new, empty one: in `cluster`, or embedded.
    pub fn new(program: &Path, log_level: &str, cluster: Option<&Arc<Cluster>>) -> anyhow::Result<Self> {
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).map_err(|_| anyhow!("no randomness"))?;
        // Both are held until both are known, so that they differ.
        let (public, admin) = (free_port()?, free_port()?);
        let folder = TempDir::new()?;
        let storage = match cluster {
            None => Storage::Sqlite(folder.path().join("doorward.db")),
            Some(cluster) => Storage::Postgres {
                database: cluster.new_database()?,
                cluster: Arc::clone(cluster),
            },
        };
        Ok(Self {
            program: program.to_owned(),
            log_level: log_level.to_owned(),
            folder,
            storage,
            public: public.local_addr()?,
            admin: admin.local_addr()?,
            admin_key: format!(
                "dwk_{}",
                base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(key)
            ),
        })
    }

    /// The issuer.
    pub fn issuer(&self) -> String {
        format!("http://{}", self.public)
    }

    /// Starts the server and waits until it is ready. The log goes to a file.
    pub async fn start(&self) -> anyhow::Result<Process> {
        let url = match &self.storage {
            Storage::Sqlite(file) => format!("sqlite://{}", file.display()),
            Storage::Postgres { cluster, database } => cluster.url(database),
        };
        let mut command = Command::new(&self.program);
        command
            .arg("serve")
            .env("DOORWARD_SERVER_ISSUER", self.issuer())
            .env("DOORWARD_SERVER_ADDRESS", self.public.to_string())
            .env("DOORWARD_ADMIN_ADDRESS", self.admin.to_string())
            .env("DOORWARD_ADMIN_BOOTSTRAP_KEY", &self.admin_key)
            .env("DOORWARD_STORAGE_URL", url)
            .env(
                "DOORWARD_KEYS_MASTER_KEY_FILE",
                self.folder.path().join("master.key"),
            )
            .env("DOORWARD_OBSERVABILITY_LOG_LEVEL", &self.log_level);
        for limit in ["TOKEN_ADDRESS", "TOKEN_CLIENT", "TOKEN_ACCOUNT"] {
            command.env(format!("DOORWARD_RATE_LIMIT_{limit}"), OUT_OF_REACH);
        }
        Process::start(
            command,
            self.public,
            "/readyz",
            &self.folder.path().join("server.log"),
        )
        .await
    }

    /// Makes grants and records of tokens out of those that are there, until there are so many grants. The server must
    /// not run. The copies lie between the grants that are used, so that neighbours in use are far apart in the data.
    pub fn grow(&self, grants: u64) -> anyhow::Result<()> {
        match &self.storage {
            Storage::Sqlite(file) => grow_sqlite(file, grants),
            Storage::Postgres { cluster, database } => cluster.grow(database, grants),
        }
    }
}

/// A port that nobody has.
pub fn free_port() -> anyhow::Result<TcpListener> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?)
}

/// Grants of people that are copied.
const SOURCES: i64 = 1000;

/// Rows go in by their keys' order and the indexes are made last, so that each is sorted once.
fn grow_sqlite(file: &Path, grants: u64) -> anyhow::Result<()> {
    let grants = i64::try_from(grants).context("too many grants")?;
    let db = Sqlite::open(file)?;
    db.execute_batch(
        "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA cache_size = -262144; PRAGMA temp_store = FILE;",
    )?;
    let copies = [
        (
            "access_grant",
            "id",
            "CAST(substr(id, 1, 6) || randomblob(10) AS BLOB)",
            "WHERE state = 'active' AND user_id <> zeroblob(16)",
        ),
        ("issuance", "jti", "lower(hex(randomblob(16)))", ""),
    ];
    for (table, key, fresh, which) in copies {
        let columns: String = db.query_row(
            "SELECT group_concat('\"' || name || '\"', ', ') FROM pragma_table_info(?1) WHERE name <> ?2",
            [table, key],
            |row| row.get(0),
        )?;
        let there: i64 = db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
        let missing = grants.saturating_sub(there).max(0);
        let indexes: Vec<(String, String)> = db
            .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = ?1")?
            .query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        for (name, _) in &indexes {
            db.execute_batch(&format!("DROP INDEX {name}"))?;
        }
        let sources = format!("(SELECT * FROM {table} {which} LIMIT {SOURCES})");
        let made = db.execute(
            &format!(
                "INSERT INTO {table} ({key}, {columns}) SELECT * FROM (SELECT {fresh}, {columns} FROM {sources}, \
                 (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n \
                 WHERE i <= ?1 / max(1, (SELECT count(*) FROM {sources}))) SELECT i FROM n) LIMIT ?1) ORDER BY 1"
            ),
            [missing],
        )?;
        anyhow::ensure!(
            i64::try_from(made)? == missing,
            "there is nothing to copy in {table}"
        );
        for (_, sql) in &indexes {
            db.execute_batch(sql)?;
        }
    }
    // Back to the server's own.
    db.execute_batch("PRAGMA journal_mode = WAL;")
        .context("cannot finish the copies")
}
