//! PostgreSQL servers that die, come back, and are succeeded by their standbys.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, NoTls};

use crate::node::{free_address, run, signal};
use crate::postgres_server::{Cluster, unprivileged};

/// The database that the nodes use.
const NAME: &str = "doorward";
const PATIENCE: Duration = Duration::from_mins(1);

/// A PostgreSQL server, on a port of its own. It is lost to the system's end, not to its own: `fsync` is off.
pub struct Database {
    cluster: Cluster,
    pub address: SocketAddr,
}

impl Database {
    /// A new one with an empty database.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with("")
    }

    /// The same, with more settings.
    pub fn start_with(settings: &str) -> anyhow::Result<Self> {
        Self::create(make()?, settings)
    }

    /// The same, with its files in a folder.
    pub fn start_in(folder: &Path, settings: &str) -> anyhow::Result<Self> {
        let cluster = make()?;
        let data = cluster.directory.join("data");
        run(Command::new("cp").arg("-a").arg(&data).arg(folder))?;
        std::fs::remove_dir_all(&data)?;
        std::os::unix::fs::symlink(folder.join("data"), &data)?;
        let database = Self::create(cluster, settings)?;
        // Neither `initdb`, as it was told, nor the copy did.
        run(Command::new("sync").arg("-f").arg(folder))?;
        Ok(database)
    }

    fn create(cluster: Cluster, settings: &str) -> anyhow::Result<Self> {
        let database = Self::begin(cluster, settings);
        let create = format!("CREATE DATABASE {NAME}");
        let mut psql = Command::new(database.cluster.binaries.join("psql"));
        run(psql.args(["-q", "-d", &database.url_of("postgres"), "-c", &create]))?;
        Ok(database)
    }

    fn begin(mut cluster: Cluster, settings: &str) -> Self {
        let address = free_address();
        let listen = format!(
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = '{}'\n{settings}\n",
            address.port(),
            cluster.directory.display()
        );
        cluster.configure("postgresql.conf", &listen);
        cluster.run();
        Self { cluster, address }
    }

    /// What the nodes are told.
    pub fn url(&self) -> String {
        self.url_of(NAME)
    }

    fn url_of(&self, name: &str) -> String {
        format!("postgres://doorward@{}/{name}?sslmode=disable", self.address)
    }

    /// Two servers by one URL: whichever takes writes.
    pub fn url_of_both(&self, other: &Self) -> String {
        format!(
            "postgres://doorward@{},{}/{NAME}?sslmode=disable&target_session_attrs=read-write",
            self.address, other.address
        )
    }

    /// A connection of an operator.
    pub async fn connect(&self) -> anyhow::Result<Client> {
        self.connect_as("doorward").await
    }

    /// A connection of another user.
    pub async fn connect_as(&self, user: &str) -> anyhow::Result<Client> {
        let url = self.url().replace("doorward@", &format!("{user}@"));
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// `kill -9`: every process of it dies as in a crash.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        let server = self.process()?;
        // So that it begins no more of them.
        signal(server, "STOP")?;
        let others = begun_by(server)?;
        signal(server, "KILL")?;
        self.end_keeper()?;
        // The others notice that it is gone, and only then a new one may start.
        let began = Instant::now();
        while others.iter().any(|process| is_running(*process)) {
            ensure!(began.elapsed() < PATIENCE, "processes of a dead database go on");
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Starts it again if it has ended by itself; whether it had.
    pub fn restart_if_ended(&mut self) -> anyhow::Result<bool> {
        // Its file may outlive it.
        let runs = self.process().is_ok_and(is_running);
        if !runs {
            self.end_keeper()?;
            self.restart();
        }
        Ok(!runs)
    }

    /// Ends what ends with the server, and leaves its data.
    fn end_keeper(&mut self) -> anyhow::Result<()> {
        let restart = self.cluster.directory.join("restart");
        std::fs::write(&restart, "")?;
        let mut keeper = self.cluster.keeper.take().context("the database does not run")?;
        drop(keeper.stdin.take());
        keeper.wait()?;
        Ok(std::fs::remove_file(restart)?)
    }

    /// Starts it again on its data.
    pub fn restart(&mut self) {
        self.cluster.run();
    }

    /// The server's process.
    fn process(&self) -> anyhow::Result<u32> {
        let file = std::fs::read_to_string(self.cluster.directory.join("data/postmaster.pid"))?;
        let line = file
            .lines()
            .next()
            .context("the file of the server's process is empty")?;
        Ok(line.trim().parse()?)
    }

    /// A standby that streams from it. From now on nothing is committed before the standby has it on its disk.
    pub async fn standby(&self) -> anyhow::Result<Self> {
        let cluster = make()?;
        let data = cluster.directory.join("data");
        std::fs::remove_dir_all(&data)?;
        let source = format!(
            "host=127.0.0.1 port={} user=doorward application_name=standby",
            self.address.port()
        );
        let mut copy = unprivileged(&cluster.binaries.join("pg_basebackup"));
        copy.args(["-R", "--no-sync", "--checkpoint=fast", "-d", &source, "-D"]);
        run(copy.arg(&data))?;
        let standby = Self::begin(cluster, "hot_standby = on");
        let client = self.connect().await?;
        client
            .batch_execute("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
            .await?;
        client.batch_execute("SELECT pg_reload_conf()").await?;
        let began = Instant::now();
        loop {
            let row = client
                .query_one(
                    "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'",
                    &[],
                )
                .await?;
            if row.get::<_, i64>(0) == 1 {
                return Ok(standby);
            }
            if began.elapsed() > PATIENCE {
                bail!("the standby does not follow");
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Makes a standby the server that takes writes.
    pub fn promote(&self) -> anyhow::Result<()> {
        let mut promote = unprivileged(&self.cluster.binaries.join("pg_ctl"));
        promote
            .args(["-w", "-D"])
            .arg(self.cluster.directory.join("data"));
        run(promote.arg("promote"))
    }
}

/// The processes that this one has begun.
fn begun_by(process: u32) -> anyhow::Result<Vec<u32>> {
    let parent = format!("PPid:\t{process}");
    let mut begun = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(number) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // One that ends meanwhile is none of them.
        let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        if status.lines().any(|line| line == parent) {
            begun.push(number);
        }
    }
    Ok(begun)
}

/// Whether there is such a process, and not what is left of one.
fn is_running(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"));
    status.is_ok_and(|status| !status.lines().any(|line| line.starts_with("State:\tZ")))
}

fn make() -> anyhow::Result<Cluster> {
    Cluster::make().context("PostgreSQL is not installed: no `postgres` and `initdb`")
}
