//! The servers: children of this program, each on a free port.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use doorward_bench::cpu::{OwnCore, Threads};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// Longer than any of them needs to start.
const START: Duration = Duration::from_mins(1);

/// What `verify --fixtures` wrote.
pub struct Fixtures(pub Value);

impl Fixtures {
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self(serde_json::from_slice(&text)?))
    }

    pub fn token(&self) -> Result<String> {
        let token = self.0["tokens"][0]
            .as_str()
            .context("the fixtures hold no token")?;
        Ok(token.to_owned())
    }
}

/// What is measured.
#[derive(Clone, PartialEq, Eq)]
pub enum Kind {
    Rmcp {
        guarded: bool,
    },
    Fastmcp {
        python: PathBuf,
        program: PathBuf,
        /// `none`, `pass` (a verifier that lets everything through), `stock` or `doorward` (the verifiers of tokens), or
        /// `guard`.
        auth: &'static str,
    },
}

impl Kind {
    pub fn name(&self) -> String {
        match self {
            Self::Rmcp { guarded: false } => "rmcp".to_owned(),
            Self::Rmcp { guarded: true } => "rmcp, guarded".to_owned(),
            Self::Fastmcp { auth, .. } => format!("FastMCP, {auth}"),
        }
    }

    /// The same server without any check.
    pub fn without_check(&self) -> Self {
        match self {
            Self::Rmcp { .. } => Self::Rmcp { guarded: false },
            Self::Fastmcp { python, program, .. } => Self::Fastmcp {
                python: python.clone(),
                program: program.clone(),
                auth: "none",
            },
        }
    }

    fn command(&self, port: u16, fixtures: &Path) -> Result<Command> {
        let mut command = match self {
            Self::Rmcp { guarded } => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("serve").args(guarded.then_some("--guarded"));
                command.arg("--fixtures").arg(fixtures);
                command
            }
            Self::Fastmcp {
                python,
                program,
                auth,
            } => {
                let mut command = Command::new(python);
                command.arg(program).args(["--auth", auth]);
                command.arg("--fixtures").arg(fixtures);
                command
            }
        };
        command.args(["--port", &port.to_string()]);
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        Ok(command)
    }

    /// Starts it and waits until it listens.
    pub async fn start(&self, fixtures: &Path, core: OwnCore) -> Result<Server> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut child = self.command(port, fixtures)?.spawn()?;
        let id = child.id().context("the server ended at once")?;
        core.give_to(id)?;
        let started = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
            if let Some(status) = child.try_wait()? {
                bail!("{} ended with {status}", self.name());
            }
            if started.elapsed() > START {
                bail!("{} does not listen", self.name());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(Server {
            _child: child,
            id,
            port,
        })
    }
}

/// A running server; killed when it is dropped.
pub struct Server {
    _child: Child,
    id: u32,
    port: u16,
}

impl Server {
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The processor time that it has used.
    pub fn cpu(&self) -> Result<Threads> {
        Threads::of_process(self.id)
    }
}
