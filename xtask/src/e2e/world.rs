//! The servers of a run: Doorward on fresh data, and MCP servers that trust it, each on a free port.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::http;
use crate::install;
use crate::ports::free_port;
use crate::postgres_server::Cluster;
use crate::process::{Running, Stopwatch, run, tail};
use crate::workspace::{e2e, root, target};

pub(super) const EMAIL: &str = "ada@example.com";
pub(super) const PASSWORD: &str = "correct horse battery staple";
pub(super) const ADMIN_KEY: &str = "dwk_end-to-end-suite-0123456789abcdefghijklmnopqrstuv";
/// The scopes of the servers that every client walks on.
pub(crate) const TOOL_SCOPES: [&str; 2] = ["mcp:read", "mcp:write"];
/// 32 bytes in base64url.
const MASTER_KEY: &str = "q7Xk2mVb9TzR4wLc8NfH3sYd6GjP1aEu0oiQZKBxM5s";
/// For a server that starts beside others on a busy machine.
const START_LIMIT: Duration = Duration::from_mins(3);

/// Where the authorization server keeps what it knows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    pub(super) const ALL: [Self; 2] = [Self::Sqlite, Self::Postgres];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }

    /// A new database in the settings of this program; what is returned is its server.
    fn set_up(self, folder: &Path, command: &mut Command) -> Result<Option<Cluster>> {
        if self == Self::Sqlite {
            let file = folder.join("doorward.db");
            command.env("DOORWARD_STORAGE_URL", format!("sqlite://{}", file.display()));
            return Ok(None);
        }
        install::postgresql()?;
        let server = Cluster::start().context("PostgreSQL is not installed")?;
        command
            .env("DOORWARD_STORAGE_URL", server.url("postgres"))
            .env("DOORWARD_KEYS_MASTER_KEY", MASTER_KEY);
        Ok(Some(server))
    }
}

pub(crate) struct World {
    pub(crate) folder: PathBuf,
    pub(super) issuer: String,
    pub(super) admin_port: u16,
    _server: Running,
    /// Ends after the server.
    _database: Option<Cluster>,
}

/// A running MCP server that is registered as a resource.
pub(crate) struct McpServer {
    pub(super) label: String,
    pub(super) url: String,
    /// Whether a missing tool scope is answered with HTTP 403, so that clients can step up.
    pub(super) steps_up: bool,
    /// The client that it is at the authorization server, if it has one.
    pub(crate) client_id: Option<String>,
    /// `None` where the authorization server's program is the MCP server too.
    _running: Option<Running>,
}

/// What an MCP server is registered as.
pub(crate) struct Registration<'r> {
    pub(crate) label: &'r str,
    pub(crate) scopes: &'r [&'r str],
    /// What it asks of every request.
    pub(crate) required: &'r str,
    pub(crate) steps_up: bool,
    /// The grant types of its own client at the authorization server; `None` for no client.
    pub(crate) client: Option<&'r [&'r str]>,
}

impl World {
    /// Builds and starts the authorization server with one person in it.
    pub(crate) fn start(suite: &str) -> Result<Self> {
        Self::start_on(Engine::Sqlite, suite, &[])
    }

    /// The same on one of the engines, with more settings in the server's environment.
    pub(crate) fn start_on(engine: Engine, suite: &str, settings: &[(&str, &str)]) -> Result<Self> {
        build()?;
        let mut command = Command::new(binary("doorward"));
        command.arg("serve").envs(settings.iter().copied());
        Self::start_program(engine, suite, command)
    }

    /// A program that is an authorization server with the settings of `doorward serve`.
    pub(crate) fn start_program(engine: Engine, suite: &str, mut command: Command) -> Result<Self> {
        let folder = e2e().join("run").join(format!("{suite}-{}", engine.name()));
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let (port, admin_port) = (free_port(), free_port());
        let issuer = format!("http://localhost:{port}");
        command
            .current_dir(&folder)
            .env("DOORWARD_SERVER_ISSUER", &issuer)
            .env("DOORWARD_SERVER_ADDRESS", format!("127.0.0.1:{port}"))
            .env("DOORWARD_ADMIN_ADDRESS", format!("127.0.0.1:{admin_port}"))
            .env("DOORWARD_ADMIN_BOOTSTRAP_KEY", ADMIN_KEY);
        let database = engine.set_up(&folder, &mut command)?;
        let server = start_until_ready(
            &mut command,
            &folder,
            "doorward",
            &[(port, "/readyz"), (admin_port, "/readyz")],
        )?;
        let person = json!({ "email": EMAIL, "name": "Ada Lovelace", "password": PASSWORD });
        http::create(admin_port, "/admin/users", ADMIN_KEY, &person)?;
        Ok(Self {
            folder,
            issuer,
            admin_port,
            _server: server,
            _database: database,
        })
    }

    /// The Rust example: rmcp behind the guard.
    pub(crate) fn serve_rust(&self) -> Result<McpServer> {
        self.serve(
            "example-basic",
            Command::new(binary("example-basic")),
            &TOOL_SCOPES,
            "mcp:read",
            true,
        )
    }

    /// The same, taking bound tokens alone (RFC 9449).
    pub(crate) fn serve_bound(&self) -> Result<McpServer> {
        let mut command = Command::new(binary("example-basic"));
        command.env("DOORWARD_DPOP", "require");
        self.serve("example-bound", command, &TOOL_SCOPES, "mcp:read", true)
    }

    /// A FastMCP server, which knows scopes of a tool but no HTTP 403 for them.
    pub(crate) fn serve_python(
        &self,
        generation: &str,
        file: &str,
        name: &str,
        scopes: &str,
    ) -> Result<McpServer> {
        let mut command = Command::new(install::interpreter(generation));
        command.arg(root().join(file)).env("PYTHONDONTWRITEBYTECODE", "1");
        self.serve(
            &format!("{name}-{generation}"),
            command,
            &TOOL_SCOPES,
            scopes,
            false,
        )
    }

    /// Registers a server as a resource with these scopes and starts it; `required` is what it asks of every request.
    pub(crate) fn serve(
        &self,
        label: &str,
        command: Command,
        scopes: &[&str],
        required: &str,
        steps_up: bool,
    ) -> Result<McpServer> {
        let registration = Registration {
            label,
            scopes,
            required,
            steps_up,
            client: None,
        };
        self.serve_as(&registration, command)
    }

    /// The same, for a server that may be a client of the authorization server as well.
    pub(crate) fn serve_as(
        &self,
        registration: &Registration<'_>,
        mut command: Command,
    ) -> Result<McpServer> {
        let port = free_port();
        let base_url = format!("http://localhost:{port}");
        let url = format!("{base_url}/mcp");
        let client = self.register(registration, &url)?;
        if let Some((client_id, secret)) = &client {
            command
                .env("DOORWARD_CLIENT_ID", client_id)
                .env("DOORWARD_CLIENT_SECRET", secret);
        }
        command
            .current_dir(&self.folder)
            .env("DOORWARD_ISSUER", &self.issuer)
            .env("DOORWARD_BASE_URL", &base_url)
            .env("DOORWARD_SCOPES", registration.required)
            .env("PORT", port.to_string());
        let ready = [(port, "/.well-known/oauth-protected-resource/mcp")];
        let running = start_until_ready(&mut command, &self.folder, registration.label, &ready)?;
        Ok(McpServer {
            label: registration.label.to_owned(),
            url,
            steps_up: registration.steps_up,
            client_id: client.map(|(client_id, _)| client_id),
            _running: Some(running),
        })
    }

    /// The MCP server that is part of the authorization server's program, at `/mcp`.
    pub(crate) fn embedded(&self, registration: &Registration<'_>) -> Result<McpServer> {
        let url = format!("{}/mcp", self.issuer);
        self.register(registration, &url)?;
        Ok(McpServer {
            label: registration.label.to_owned(),
            url,
            steps_up: registration.steps_up,
            client_id: None,
            _running: None,
        })
    }

    /// Name and secret of its client, if it has one.
    fn register(&self, registration: &Registration<'_>, url: &str) -> Result<Option<(String, String)>> {
        let create = |path, body: &Value| http::create(self.admin_port, path, ADMIN_KEY, body);
        let label = registration.label;
        let scopes: Vec<_> = registration
            .scopes
            .iter()
            .map(|scope| json!({ "name": scope, "description": format!("Use what needs {scope}") }))
            .collect();
        let resource = json!({
            "slug": label, "uri": url, "backend_kind": "mint", "display_name": label, "scopes": scopes,
        });
        create("/admin/resources", &resource)?;
        let Some(grant_types) = registration.client else {
            return Ok(None);
        };
        let mut client = json!({ "client_name": label, "resource_server": label });
        if !grant_types.is_empty() {
            client["grant_types"] = json!(grant_types);
        }
        let client = create("/admin/clients", &client)?;
        let text = |member: &str| client[member].as_str().map(str::to_owned);
        let known = text("client_id").zip(text("client_secret"));
        Ok(Some(known.context("the client has no name or no secret")?))
    }
}

/// The packages of all programs that suites start.
const PROGRAMS: [&str; 5] = [
    "doorward",
    "doorward-torture",
    "example-basic",
    "example-embedded",
    "example-guard",
];

/// Builds the programs as developers do. All of them, and once: what packages need together is built with the features
/// that they need together, so that fewer of them would be built anew.
pub(crate) fn build() -> Result<()> {
    static IS_BUILT: Mutex<bool> = Mutex::new(false);
    let mut is_built = IS_BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if *is_built {
        return Ok(());
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--bins"]);
    for package in PROGRAMS {
        cargo.args(["--package", package]);
    }
    run(cargo.current_dir(root()).env("CARGO_TARGET_DIR", target()))?;
    *is_built = true;
    Ok(())
}

pub(crate) fn binary(name: &str) -> PathBuf {
    target().join("debug").join(name)
}

/// Starts a server and waits until one of its addresses answers 200.
fn start_until_ready(
    command: &mut Command,
    folder: &Path,
    label: &str,
    ready: &[(u16, &str)],
) -> Result<Running> {
    let log = |kind: &str| folder.join(format!("{label}.{kind}.log"));
    let mut running = Running::start(command, &log("out"), &log("err"))?;
    let watch = Stopwatch::start();
    while watch.elapsed() < START_LIMIT {
        if let Some(status) = running.ended() {
            bail!(
                "{label} ended with {status}:\n{}\n{}",
                tail(&log("out")),
                tail(&log("err"))
            );
        }
        if ready
            .iter()
            .any(|(port, path)| http::status(*port, path) == Some(200))
        {
            return Ok(running);
        }
        thread::sleep(Duration::from_millis(50));
    }
    bail!(
        "{label} was not ready within {} s:\n{}",
        START_LIMIT.as_secs(),
        tail(&log("err"))
    )
}
