//! One process of the server: the real program, on ports that it keeps when it is started again.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use http::HeaderValue;
use tokio::time::{Instant, sleep};

use crate::balancer::{Ask, Balancer};
use crate::ports::free_port;
use crate::previous::Previous;

/// Longer than any start or drain takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(20);

/// A node: where it listens, how it is started, and its process while it runs.
pub struct Node {
    program: PathBuf,
    folder: PathBuf,
    environment: Vec<(String, String)>,
    /// What its program is not told of that.
    unknown: &'static [&'static str],
    pub public: SocketAddr,
    pub admin: SocketAddr,
    host: HeaderValue,
    log: PathBuf,
    child: Option<Child>,
}

/// What a process holds.
#[derive(Debug, Clone, Copy)]
pub struct Holds {
    /// Memory of its own (not the program file), in bytes.
    pub memory: u64,
    /// Open file descriptors.
    pub files: u64,
}

impl Node {
    /// A node that has not been started.
    pub fn new(
        program: &Path,
        folder: &Path,
        number: usize,
        host: &HeaderValue,
        environment: Vec<(String, String)>,
    ) -> Self {
        Self {
            program: program.to_owned(),
            folder: folder.to_owned(),
            environment,
            unknown: &[],
            public: free_address(),
            admin: free_address(),
            host: host.clone(),
            log: folder.join(format!("node{number}.log")),
            child: None,
        }
    }

    /// From its next start it is this program.
    pub fn replace(&mut self, program: &Path) {
        program.clone_into(&mut self.program);
        self.unknown = &[];
    }

    /// From its next start it is this other version.
    pub fn go_back(&mut self, to: &Previous) {
        self.replace(&to.program);
        self.unknown = to.unknown;
    }

    /// Adds to its environment; counts from its next start.
    pub fn set(&mut self, name: &str, value: &str) {
        self.unset(name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Takes from its environment; counts from its next start.
    pub fn unset(&mut self, name: &str) {
        self.environment.retain(|(known, _)| known != name);
    }

    /// Starts the process.
    pub fn spawn(&mut self) -> anyhow::Result<()> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let child = self
            .command(&["serve"])
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        self.child = Some(child);
        Ok(())
    }

    /// The program with other arguments, where this node is and by its settings.
    pub fn command(&self, arguments: &[&str]) -> Command {
        // It ends when this program does, however that ends.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(&self.program)
            .args(arguments);
        command.current_dir(&self.folder).env_clear();
        command.envs(std::env::vars().filter(|(name, _)| name == "PATH" || name.starts_with("LLVM_")));
        let known = self.environment.iter();
        let known = known.filter(|(name, _)| !self.unknown.contains(&name.as_str()));
        command.envs(known.map(|(name, value)| (name, value)));
        command
            .env("DOORWARD_SERVER_ADDRESS", self.public.to_string())
            .env("DOORWARD_ADMIN_ADDRESS", self.admin.to_string())
            .stdin(Stdio::null());
        command
    }

    /// Starts it and waits until it is ready.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        self.spawn()?;
        self.until_ready().await
    }

    /// Waits until it says that it is ready.
    pub async fn until_ready(&mut self) -> anyhow::Result<()> {
        let balancer = Balancer::new(&[self.public], &self.host);
        let began = Instant::now();
        loop {
            if let Some(status) = self.process()?.try_wait()? {
                bail!("the server ended with {status}: {}", self.last_words());
            }
            let answer = balancer.send_to(0, &Ask::get("/readyz")).await;
            if answer.is_ok_and(|answer| answer.status.is_success()) {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                bail!(
                    "the server is not ready after {} s: {}",
                    PATIENCE.as_secs(),
                    self.last_words()
                );
            }
            sleep(LOOK).await;
        }
    }

    /// `kill -9`.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        let mut child = self.child.take().context("the node does not run")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Asks it to end (SIGTERM) and waits until it has, which must be a good end.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.signal("TERM")?;
        let began = Instant::now();
        loop {
            if let Some(status) = self.process()?.try_wait()? {
                self.child = None;
                if status.success() {
                    return Ok(());
                }
                bail!("the server ended with {status}: {}", self.last_words());
            }
            if began.elapsed() > PATIENCE {
                bail!("the server does not end");
            }
            sleep(LOOK).await;
        }
    }

    /// Sends it a signal.
    pub fn signal(&mut self, name: &str) -> anyhow::Result<()> {
        let id = self.process()?.id();
        signal(id, name)
    }

    /// What it holds now.
    pub fn holds(&mut self) -> anyhow::Result<Holds> {
        let id = self.process()?.id();
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let own = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let own = own.and_then(|rest| rest.split_ascii_whitespace().next()?.parse::<u64>().ok());
        let files = fs::read_dir(format!("/proc/{id}/fd"))?.count();
        Ok(Holds {
            memory: own.context("the process status has no RssAnon")? * 1024,
            files: u64::try_from(files)?,
        })
    }

    /// Lines of its log that tell of a panic.
    pub fn panics(&self) -> anyhow::Result<Vec<String>> {
        self.lines(|line| line.contains("panicked at"))
    }

    /// Lines of its log that somebody has to look at, as long as nothing is broken.
    pub fn errors(&self) -> anyhow::Result<Vec<String>> {
        self.lines(|line| line.contains("\"level\":\"ERROR\""))
    }

    fn lines(&self, wanted: fn(&str) -> bool) -> anyhow::Result<Vec<String>> {
        let log = fs::read_to_string(&self.log).with_context(|| format!("{}", self.log.display()))?;
        let lines = log.lines().filter(|line| wanted(line));
        Ok(lines.map(str::to_owned).collect())
    }

    fn process(&mut self) -> anyhow::Result<&mut Child> {
        self.child.as_mut().context("the node does not run")
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Sends a process a signal.
pub fn signal(id: u32, name: &str) -> anyhow::Result<()> {
    run(Command::new("kill").arg(format!("-{name}")).arg(id.to_string()))
}

/// Runs a command that has nothing to say.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{} ended with {}: {said}",
            command.get_program().display(),
            output.status
        );
    }
    Ok(())
}

/// An address that nobody listens on, and that stays free when its process is started again.
pub fn free_address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()))
}
