//! The server under load: the real program as a child process, with its default settings, on free ports and
//! with a data folder of its own.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use base64::Engine as _;
use doorward_bench::cpu;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::http::Connection;

/// Longer than any start takes.
const START: Duration = Duration::from_secs(20);
/// How often a starting server is asked whether it is ready.
const ASK: Duration = Duration::from_micros(200);
/// Longer than the server takes to drain.
const STOP: Duration = Duration::from_secs(15);

/// What is started, and where it keeps its data.
pub struct Installation {
    program: PathBuf,
    log_level: String,
    folder: TempDir,
    pub public: SocketAddr,
    pub admin: SocketAddr,
    pub admin_key: String,
}

/// A running server.
pub struct Server {
    child: Child,
    id: u32,
    /// From its start to its first ready answer.
    pub ready_after: Duration,
}

/// What a process holds, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// In physical memory now.
    pub resident: u64,
    /// Of that, what is not the program file and other files.
    pub own: u64,
    /// At most, since the process began.
    pub peak: u64,
    /// Threads.
    pub threads: u64,
}

impl Installation {
    /// A new, empty one.
    pub fn new(program: &Path, log_level: &str) -> anyhow::Result<Self> {
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).map_err(|_| anyhow!("no randomness"))?;
        // Both are held until both are known, so that they differ.
        let (public, admin) = (free_port()?, free_port()?);
        Ok(Self {
            program: program.to_owned(),
            log_level: log_level.to_owned(),
            folder: TempDir::new()?,
            public: public.local_addr()?,
            admin: admin.local_addr()?,
            admin_key: format!(
                "dwk_{}",
                base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(key)
            ),
        })
    }

    /// Where the data is.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The issuer.
    pub fn issuer(&self) -> String {
        format!("http://{}", self.public)
    }

    /// Starts the server and waits until it is ready. The log goes to a file.
    pub async fn start(&self) -> anyhow::Result<Server> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let mut command = Command::new(&self.program);
        let inherited = std::env::vars_os().map(|(name, _)| name);
        for name in inherited.filter(|name| name.to_string_lossy().starts_with("DOORWARD_")) {
            command.env_remove(name);
        }
        command
            .arg("serve")
            .env("DOORWARD_SERVER_ISSUER", self.issuer())
            .env("DOORWARD_SERVER_ADDRESS", self.public.to_string())
            .env("DOORWARD_ADMIN_ADDRESS", self.admin.to_string())
            .env("DOORWARD_ADMIN_BOOTSTRAP_KEY", &self.admin_key)
            .env(
                "DOORWARD_STORAGE_URL",
                format!("sqlite://{}", self.folder().join("doorward.db").display()),
            )
            .env("DOORWARD_OBSERVABILITY_LOG_LEVEL", &self.log_level)
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        let started = Instant::now();
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        let id = child.id().context("the server ended at once")?;
        let mut server = Server {
            child,
            id,
            ready_after: Duration::ZERO,
        };
        timeout(START, self.until_ready(&mut server))
            .await
            .context("the server did not become ready")??;
        server.ready_after = started.elapsed();
        Ok(server)
    }

    async fn until_ready(&self, server: &mut Server) -> anyhow::Result<()> {
        loop {
            if let Some(status) = server.child.try_wait()? {
                bail!(
                    "the server ended with {status}: {}",
                    fs::read_to_string(self.log()).unwrap_or_default()
                );
            }
            if let Ok(mut connection) = Connection::open(self.public).await
                && connection
                    .get("/readyz", None)
                    .await
                    .is_ok_and(|answer| answer.status.is_success())
            {
                return Ok(());
            }
            sleep(ASK).await;
        }
    }

    fn log(&self) -> PathBuf {
        self.folder().join("server.log")
    }
}

fn free_port() -> anyhow::Result<TcpListener> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?)
}

impl Server {
    /// The processor time that the server has used.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        cpu::of_process(self.id)
    }

    /// What the server holds.
    pub fn memory(&self) -> anyhow::Result<Memory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id))?;
        let field = |name: &str| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let number = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
            number.with_context(|| format!("the process status has no {name}"))
        };
        Ok(Memory {
            resident: field("VmRSS")? * 1024,
            own: field("RssAnon")? * 1024,
            peak: field("VmHWM")? * 1024,
            threads: field("Threads")?,
        })
    }

    /// Asks the server to end (SIGTERM) and waits until it has.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        Command::new("kill").arg(self.id.to_string()).status().await?;
        timeout(STOP, self.child.wait())
            .await
            .context("the server does not stop")??;
        Ok(())
    }
}
