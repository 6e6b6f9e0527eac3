//! A database and the nodes on it.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use tempfile::TempDir;

use crate::balancer::Balancer;
use crate::database::Database;
use crate::node::{Node, free_address};

/// The setting that names the master key.
pub const MASTER_KEY: &str = "DOORWARD_KEYS_MASTER_KEY";

const ISSUER: &str = "DOORWARD_SERVER_ISSUER";

/// What is kept where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    /// As in names of scenarios.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// A database, and the nodes that work on it.
pub struct Site {
    pub nodes: Vec<Node>,
    pub database: Option<Database>,
    /// The issuer, whose host and port every node answers for: nobody listens there.
    pub host: HeaderValue,
    pub admin_key: String,
    folder: TempDir,
    program: PathBuf,
    environment: Vec<(String, String)>,
}

impl Site {
    /// An empty database of this engine, and no nodes yet.
    pub fn new(program: &Path, engine: Engine) -> anyhow::Result<Self> {
        let database = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(Database::start()?),
        };
        Self::on(program, database)
    }

    /// The same, on a database that is there.
    pub fn on(program: &Path, database: Option<Database>) -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let issuer = free_address();
        let url = match &database {
            Some(database) => database.url(),
            None => format!("sqlite://{}", folder.path().join("data/doorward.db").display()),
        };
        let admin_key = format!("dwk_{}", secret()?);
        let mut site = Self {
            nodes: Vec::new(),
            database,
            host: HeaderValue::from_str(&format!("localhost:{}", issuer.port()))?,
            admin_key,
            folder,
            program: program.to_owned(),
            environment: Vec::new(),
        };
        site.set(ISSUER, &format!("http://localhost:{}", issuer.port()));
        let admin_key = site.admin_key.clone();
        site.set("DOORWARD_ADMIN_BOOTSTRAP_KEY", &admin_key);
        site.set(MASTER_KEY, &secret()?);
        site.set("DOORWARD_STORAGE_URL", &url);
        // Everything comes from one address, and what is tested is not how often it may ask.
        for limit in [
            "TOKEN_ADDRESS",
            "TOKEN_CLIENT",
            "TOKEN_ACCOUNT",
            "SELF_REGISTERED",
            "REGISTRATION",
            "PAR",
            "DEVICE_ADDRESS",
            "DEVICE_TOTAL",
        ] {
            site.set(&format!("DOORWARD_RATE_LIMIT_{limit}"), "off");
        }
        // Each code of a device that somebody types is an attempt of the one address.
        site.set("DOORWARD_LOGIN_FREE_ATTEMPTS", "1000000");
        // Tokens outlive the run, so that all of them can be held against it at its end.
        site.set("DOORWARD_TOKENS_ACCESS_TTL", "1h");
        site.set("DOORWARD_OBSERVABILITY_LOG_LEVEL", "warn");
        Ok(site)
    }

    /// Gives it a name as servers have that are not tried out: without a port.
    pub fn name(&mut self, host: &'static str) {
        self.host = HeaderValue::from_static(host);
        self.set(ISSUER, &format!("https://{host}"));
    }

    /// The issuer.
    pub fn issuer(&self) -> anyhow::Result<String> {
        self.value(ISSUER)
    }

    /// For all nodes that are added from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// What the nodes are told by this name.
    pub fn value(&self, name: &str) -> anyhow::Result<String> {
        let told = self.environment.iter().find(|(known, _)| known == name);
        let (_, value) = told.with_context(|| format!("{name} is not set"))?;
        Ok(value.clone())
    }

    /// Adds so many nodes and starts them, one after the other.
    pub async fn add_nodes(&mut self, number: usize) -> anyhow::Result<()> {
        for _ in 0..number {
            let mut node = self.prepare();
            node.start().await?;
            self.nodes.push(node);
        }
        Ok(())
    }

    /// A node that is not started, nor one of this site's.
    pub fn prepare(&self) -> Node {
        let environment = self.environment.clone();
        Node::new(
            &self.program,
            self.folder(),
            self.nodes.len(),
            &self.host,
            environment,
        )
    }

    /// A balancer before the nodes.
    pub fn balancer(&self) -> Balancer {
        let addresses: Vec<_> = self.nodes.iter().map(|node| node.public).collect();
        Balancer::new(&addresses, &self.host)
    }

    /// Where the nodes keep what they keep, and their logs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where an embedded database is.
    pub fn sqlite_file(&self) -> PathBuf {
        let url = self.value("DOORWARD_STORAGE_URL").unwrap_or_default();
        url.strip_prefix("sqlite://")
            .map_or_else(|| self.folder().join("data/doorward.db"), PathBuf::from)
    }

    /// The database server.
    pub fn database(&mut self) -> anyhow::Result<&mut Database> {
        self.database.as_mut().context("this site has no database server")
    }
}

/// 32 random bytes as settings take them.
pub fn secret() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    doorward_jose::fill_random(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
