//! A throw-away `PostgreSQL` server, durable as one in use is, and `pgbench` on it as the physical limit.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use doorward_bench::cpu;
use tempfile::TempDir;

/// `initdb` and the server refuse to run as root.
const UNPRIVILEGED: u32 = 65534;
/// Lives as long as its standard input: when this process ends, however it ends, so does the server.
const KEEPER: &str = r#"
    "$1/postgres" -D "$2/data" >"$2/log" 2>&1 </dev/null &
    server=$!
    cat >/dev/null
    kill -INT "$server"
    wait "$server"
"#;
/// All that differs from a new server's own settings: only a socket, and room for the pools. Commits are durable.
const SETTINGS: &str = "\nlisten_addresses = ''\nmax_connections = 300\nshared_buffers = 256MB\n\
     logging_collector = off\n";
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
const PORT: &str = "5432";

/// A running server, gone with this value.
pub struct Cluster {
    binaries: PathBuf,
    folder: TempDir,
    keeper: Child,
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
        let binaries = find_binaries()?;
        let folder = tempfile::Builder::new().prefix("dw-pg-").tempdir()?;
        if is_root()? {
            std::os::unix::fs::chown(&folder, Some(UNPRIVILEGED), Some(UNPRIVILEGED))?;
        }
        let mut initdb = unprivileged(&binaries.join("initdb"))?;
        initdb
            .args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C"])
            .args(["--username=doorward", "-D"])
            .arg(folder.path().join("data"));
        said(&mut initdb)?;
        let mut settings = OpenOptions::new()
            .append(true)
            .open(folder.path().join("data/postgresql.conf"))?;
        settings.write_all(SETTINGS.as_bytes())?;
        writeln!(
            settings,
            "unix_socket_directories = '{}'",
            folder.path().display()
        )?;
        let keeper = unprivileged(Path::new("/bin/sh"))?
            .args(["-c", KEEPER, "sh"])
            .args([binaries.as_path(), folder.path()])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let cluster = Self {
            binaries,
            folder,
            keeper,
            databases: AtomicU32::new(0),
        };
        cluster.until_ready()?;
        cluster.sql("postgres", &format!("CREATE DATABASE {LIMIT}"))?;
        cluster.sql(LIMIT, TABLES)?;
        std::fs::write(cluster.script(), SCRIPT)?;
        Ok(cluster)
    }

    fn until_ready(&self) -> anyhow::Result<()> {
        for _ in 0..600 {
            let answer = self.program("pg_isready").arg("-q").status()?;
            if answer.success() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!(
            "PostgreSQL does not start: {}",
            std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
        )
    }

    /// The server's version.
    pub fn version(&self) -> anyhow::Result<String> {
        said(Command::new(self.binaries.join("postgres")).arg("--version"))
    }

    /// The processor time of the server, all its processes together.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        cpu::of_tree(self.keeper.id())
    }

    /// A new database.
    pub fn new_database(&self) -> anyhow::Result<String> {
        let name = format!("doorward_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(name)
    }

    /// A database as the server's setting names it.
    pub fn url(&self, database: &str) -> String {
        let mut socket = String::new();
        for byte in self.folder.path().as_os_str().as_encoded_bytes() {
            // Writing into a text does not fail.
            let _ = write!(socket, "%{byte:02X}");
        }
        format!("postgres://doorward@{socket}/{database}")
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
            self.sql(
                database,
                &format!(
                    "INSERT INTO {table} ({key}, {columns}) SELECT {fresh}, {columns} \
                     FROM (SELECT * FROM {table} {which} LIMIT 1000) source, generate_series(1, {missing}) LIMIT {missing}"
                ),
            )?;
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
        let mut command = Command::new(self.binaries.join(name));
        command
            .env("PGHOST", self.folder.path())
            .env("PGPORT", PORT)
            .env("PGUSER", "doorward");
        command
    }

    fn script(&self) -> PathBuf {
        self.folder.path().join("limit.sql")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // Nothing can be done about a keeper that cannot be waited for.
        let _ = self.keeper.wait();
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

fn find_binaries() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    versions.sort();
    let folder = versions
        .into_iter()
        .rev()
        .chain(std::env::split_paths(&path))
        .find(|folder| ["postgres", "initdb", "pgbench"].iter().all(|name| folder.join(name).exists()))
        .context("there are no `postgres`, `initdb` and `pgbench` in /usr/lib/postgresql/*/bin or PATH: install postgresql")?;
    Ok(folder)
}

fn is_root() -> anyhow::Result<bool> {
    Ok(said(Command::new("id").arg("-u"))? == "0")
}

/// A command that does not run as root.
fn unprivileged(program: &Path) -> anyhow::Result<Command> {
    let mut command = if is_root()? {
        let mut command = Command::new("setpriv");
        command
            .arg(format!("--reuid={UNPRIVILEGED}"))
            .arg(format!("--regid={UNPRIVILEGED}"))
            .args(["--clear-groups", "--"])
            .arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir("/").env("LC_ALL", "C").env("HOME", "/");
    Ok(command)
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
