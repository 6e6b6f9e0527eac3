//! A throw-away `PostgreSQL` server, durable as one in use is, and `pgbench` on it as the physical limit.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use doorward_bench::cpu;

use crate::postgres_server;

/// All that differs from a new server's own settings, besides what the tests' server has: room for the pools, and commits
/// that are durable.
const SETTINGS: &str = "\nshared_buffers = 256MB\nfsync = on\nfull_page_writes = on\n";
/// What `pgbench` works on: as many rows as `ROWS`, and a table that it adds to.
const TABLES: &str = "
    CREATE TABLE account (id BIGINT PRIMARY KEY, generation BIGINT NOT NULL, used_at BIGINT NOT NULL, filler TEXT NOT NULL)
        WITH (fillfactor = 70);
    INSERT INTO account SELECT i, 0, 0, repeat('x', 300) FROM generate_series(1, 10000) i;
    CREATE TABLE record (id TEXT COLLATE \"C\" PRIMARY KEY, account BIGINT NOT NULL, client TEXT NOT NULL, subject TEXT NOT NULL,
        resource TEXT NOT NULL, issued_at BIGINT NOT NULL, expires_at BIGINT NOT NULL);";
/// What a rotation has to do at least: a row changed, a record added, both by primary key, one durable transaction.
const SCRIPT: &str = "\\set id random(1, 10000)
BEGIN;
UPDATE account SET generation = generation + 1, used_at = 1800000000 WHERE id = :id;
INSERT INTO record VALUES (gen_random_uuid()::text, :id, 'dwc_0123456789012345678901234567890123456789012',
    '00000000-0000-4000-8000-000000000000', 'https://mcp.example.com/mcp', 1800000000, 1800000300);
COMMIT;
";
/// The database of `pgbench`.
const LIMIT: &str = "pgbench_limit";

/// A running server, gone with this value.
pub struct Cluster {
    server: postgres_server::Cluster,
    databases: AtomicU32,
}

/// What `pgbench` did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Transactions {
    pub per_second: f64,
    pub mean_ms: f64,
}

impl Cluster {
    /// A new server with data of its own.
    pub fn start() -> anyhow::Result<Self> {
        let mut server = postgres_server::Cluster::make().context("install PostgreSQL")?;
        ensure!(
            server.binaries.join("pgbench").exists(),
            "there is no `pgbench` in {}: install postgresql",
            server.binaries.display()
        );
        server.configure("postgresql.conf", SETTINGS);
        server.run();
        let cluster = Self {
            server,
            databases: AtomicU32::new(0),
        };
        cluster.sql("postgres", &format!("CREATE DATABASE {LIMIT}"))?;
        cluster.sql(LIMIT, TABLES)?;
        std::fs::write(cluster.script(), SCRIPT)?;
        Ok(cluster)
    }

    /// The server's version.
    pub fn version(&self) -> anyhow::Result<String> {
        said(Command::new(self.server.binaries.join("postgres")).arg("--version"))
    }

    /// The processor time of the server, all its processes together.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        cpu::of_tree(self.process()?)
    }

    /// The process that started all of its processes.
    pub fn process(&self) -> anyhow::Result<u32> {
        let keeper = self.server.keeper.as_ref().context("the server does not run")?;
        Ok(keeper.id())
    }

    /// A new database.
    pub fn new_database(&self) -> anyhow::Result<String> {
        let name = format!("doorward_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(name)
    }

    /// A database as the server's setting names it.
    pub fn url(&self, database: &str) -> String {
        self.server.url(database)
    }

    /// The physical limit: the transaction above, for so long, over so many connections.
    pub fn pgbench(&self, connections: usize, time: Duration) -> anyhow::Result<Transactions> {
        let seconds = time.as_secs().max(1).to_string();
        let connections = connections.to_string();
        let threads = if connections == "1" { "1" } else { "2" };
        let mut pgbench = self.program("pgbench");
        pgbench
            .args(["--no-vacuum", "--protocol=prepared", "--time", &seconds])
            .args(["--client", &connections, "--jobs", threads, "--file"])
            .arg(self.script())
            .arg(LIMIT);
        Transactions::parse(&said(&mut pgbench)?).context("pgbench said something else than expected")
    }

    /// See [`Installation::grow`](crate::server::Installation::grow).
    pub fn grow(&self, database: &str, grants: u64) -> anyhow::Result<()> {
        let copies = [
            (
                "access_grant",
                "id",
                "(left(replace(id::text, '-', ''), 12) || right(replace(gen_random_uuid()::text, '-', ''), 20))::uuid",
                "WHERE state = 'active' AND user_id <> '00000000-0000-0000-0000-000000000000'",
            ),
            ("issuance", "jti", "gen_random_uuid()::text", ""),
        ];
        for (table, key, fresh, which) in copies {
            let columns = self.sql(
                database,
                &format!(
                    "SELECT string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position) \
                     FROM information_schema.columns WHERE table_name = '{table}' AND table_schema = current_schema() \
                     AND column_name <> '{key}'"
                ),
            )?;
            let there: u64 = self
                .sql(database, &format!("SELECT count(*) FROM {table}"))?
                .parse()?;
            let missing = grants.saturating_sub(there);
            // As in the embedded database: in the keys' order, and other indexes are made last. Those of parts go and come with the
            // index of the whole.
            let indexes = self.sql(
                database,
                &format!(
                    "SELECT indexrelid::regclass || ';' || replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ') \
                     FROM pg_index WHERE indrelid = '{table}'::regclass AND NOT EXISTS \
                     (SELECT FROM pg_constraint WHERE conindid = indexrelid)"
                ),
            )?;
            let indexes: Vec<(&str, &str)> =
                indexes.lines().filter_map(|line| line.split_once(';')).collect();
            for (name, _) in &indexes {
                self.sql(database, &format!("DROP INDEX {name}"))?;
            }
            self.sql(
                database,
                &format!(
                    "INSERT INTO {table} ({key}, {columns}) SELECT * FROM (SELECT {fresh} AS fresh, {columns} \
                     FROM (SELECT * FROM {table} {which} LIMIT 1000) source, generate_series(1, {missing}) LIMIT {missing}) made \
                     ORDER BY fresh"
                ),
            )?;
            for (_, definition) in &indexes {
                self.sql(database, definition)?;
            }
            self.sql(database, &format!("VACUUM ANALYZE {table}"))?;
        }
        self.sql(database, "CHECKPOINT")?;
        Ok(())
    }

    fn sql(&self, database: &str, sql: &str) -> anyhow::Result<String> {
        let mut psql = self.program("psql");
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"]);
        said(
            psql.args(["--set", "ON_ERROR_STOP=1", "--dbname", database])
                .args(["--command", sql]),
        )
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.server.binaries.join(name));
        command
            .env("PGHOST", &self.server.directory)
            .env("PGPORT", "5432")
            .env("PGUSER", "doorward");
        command
    }

    fn script(&self) -> PathBuf {
        self.server.directory.join("limit.sql")
    }
}

impl Transactions {
    fn parse(text: &str) -> Option<Self> {
        let figure = |name: &str| {
            let line = text.lines().find_map(|line| line.trim().strip_prefix(name))?;
            line.split_ascii_whitespace().next()?.parse().ok()
        };
        Some(Self {
            per_second: figure("tps = ")?,
            mean_ms: figure("latency average = ")?,
        })
    }
}

/// What a command prints.
fn said(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().display().to_string();
    let output = command.output().with_context(|| format!("cannot start {name}"))?;
    ensure!(
        output.status.success(),
        "{name} failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_read_from_what_pgbench_prints() {
        let text = "transaction type: limit.sql\nnumber of transactions actually processed: 9\n\
                    latency average = 3.250 ms\ninitial connection time = 5.1 ms\ntps = 4923.25 (without initial connection time)\n";
        let read = Transactions::parse(text).unwrap();
        assert_eq!((read.per_second, read.mean_ms), (4923.25, 3.25));
        assert_eq!(Transactions::parse("pgbench: error"), None);
    }
}
