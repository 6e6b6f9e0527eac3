//! A measured program as a child process: without this project's settings of whoever started us, its output in a file.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::http::Connection;

/// Longer than any start takes, on a busy machine too.
const START: Duration = Duration::from_mins(1);
/// How often a starting server is asked whether it is ready.
const ASK: Duration = Duration::from_micros(200);
/// Longer than a server takes to drain.
const STOP: Duration = Duration::from_secs(15);

/// A running server, killed when it is dropped.
pub struct Process {
    child: Child,
    pub id: u32,
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

impl Process {
    /// Starts a program and waits until it answers a request for `path` with success.
    pub async fn start(
        mut command: Command,
        address: std::net::SocketAddr,
        path: &str,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let file = File::options().create(true).append(true).open(log)?;
        let inherited = std::env::vars_os().map(|(name, _)| name);
        let given: Vec<_> = command
            .as_std()
            .get_envs()
            .map(|(name, _)| name.to_owned())
            .collect();
        for name in
            inherited.filter(|name| name.to_string_lossy().starts_with("DOORWARD_") && !given.contains(name))
        {
            command.env_remove(name);
        }
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .kill_on_drop(true);
        let program = command.as_std().get_program().to_owned();
        let started = Instant::now();
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let id = child.id().context("the server ended at once")?;
        let mut process = Self {
            child,
            id,
            ready_after: Duration::ZERO,
        };
        let ready = timeout(START, process.until_ready(address, path));
        if let Err(error) = ready.await.context("it did not become ready").flatten() {
            let said = fs::read_to_string(log).unwrap_or_default();
            let end = said.len().saturating_sub(2000);
            let end = said.get(end..).unwrap_or_default();
            return Err(error.context(format!("{}: {end}", program.display())));
        }
        process.ready_after = started.elapsed();
        Ok(process)
    }

    async fn until_ready(&mut self, address: std::net::SocketAddr, path: &str) -> anyhow::Result<()> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status}");
            }
            if let Ok(mut connection) = Connection::open(address).await
                && let Ok(answer) = connection.get(path, None).await
                && answer.status.is_success()
            {
                return Ok(());
            }
            sleep(ASK).await;
        }
    }

    /// What it holds.
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

    /// Asks it to end (SIGTERM) and waits until it has.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        Command::new("kill").arg(self.id.to_string()).status().await?;
        timeout(STOP, self.child.wait())
            .await
            .context("the server does not stop")??;
        Ok(())
    }
}
