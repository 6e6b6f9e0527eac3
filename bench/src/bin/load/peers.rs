//! Other authorization servers, driven by the same client. Each signs everybody in by itself and remembers consent.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::http::Connection;
use crate::pages::basic;
use crate::process::Process;
use crate::server::free_port;
use crate::world::{Call, Cookies, Offers, REDIRECT_URI, RESOURCE, World, authorization, code_of, text};

const SCOPE: &str = "tools/read tools/write";
/// More than any walk takes.
const REDIRECTS: usize = 10;

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `authgent-server`: Python, `SQLite`.
    Authgent,
    /// `oidc-provider`: Node, in memory.
    OidcProvider,
    /// `FastMCP`'s `InMemoryOAuthProvider`: Python, in memory, opaque tokens.
    Fastmcp,
}

/// One to be measured: `NAME=PROGRAM[,ARGUMENT]`.
#[derive(Debug, Clone)]
pub struct Peer {
    kind: Kind,
    program: PathBuf,
    /// The script that the program runs.
    script: Option<PathBuf>,
}

/// One that runs. Its files go with it.
pub struct RunningPeer {
    pub process: Process,
    pub world: World,
    pub folder: TempDir,
}

impl FromStr for Peer {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (name, command) = text.split_once('=').context("NAME=PROGRAM[,SCRIPT] is wanted")?;
        let kind = match name {
            "authgent" => Kind::Authgent,
            "oidc-provider" => Kind::OidcProvider,
            "fastmcp" => Kind::Fastmcp,
            _ => bail!("{name:?} is not one of authgent, oidc-provider, fastmcp"),
        };
        let (program, script) = match command.split_once(',') {
            Some((program, script)) => (program, Some(PathBuf::from(script))),
            None => (command, None),
        };
        ensure!(
            script.is_some() == (kind != Kind::Authgent),
            "{name} is a program of its own, or a program and its script: see the help"
        );
        // They run in a folder of their own. A name without a folder is looked for in PATH.
        let program = if program.contains('/') {
            std::path::absolute(program)?
        } else {
            program.into()
        };
        Ok(Self {
            kind,
            program,
            script: script.map(std::path::absolute).transpose()?,
        })
    }
}

impl Peer {
    /// As in the tables.
    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::Authgent => "authgent-server",
            Kind::OidcProvider => "oidc-provider, in memory",
            Kind::Fastmcp => "FastMCP, in memory",
        }
    }

    /// Starts it, registers clients and signs a person in.
    pub async fn start(&self) -> anyhow::Result<RunningPeer> {
        let address = free_port()?.local_addr()?;
        let folder = TempDir::new()?;
        let log = folder.path().join("log");
        let health = match self.kind {
            Kind::Authgent => "/health",
            Kind::OidcProvider => "/jwks",
            Kind::Fastmcp => "/.well-known/oauth-authorization-server",
        };
        let process = Process::start(self.command(address, &folder), address, health, &log).await?;
        let world = World::new(address, self.offers(address).await?);
        let authorize = world.offers.authorize.as_deref().context("no authorization")?;
        world.browsers.put(sign_in(address, authorize).await?);
        Ok(RunningPeer {
            process,
            world,
            folder,
        })
    }

    fn command(&self, address: SocketAddr, folder: &TempDir) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.script);
        if self.kind == Kind::Authgent {
            command.args(["run", "--host", "127.0.0.1"]);
            command.env("AUTHGENT_SERVER_URL", format!("http://{address}"));
            // Its defaults are limits a minute.
            command.env("AUTHGENT_TOKEN_RATE_LIMIT", "1000000000");
        }
        command.args(["--port", &address.port().to_string()]);
        command.current_dir(folder.path());
        command
    }

    async fn offers(&self, address: SocketAddr) -> anyhow::Result<Offers> {
        let metadata = Some("/.well-known/oauth-authorization-server");
        Ok(match self.kind {
            Kind::Authgent => {
                let scope = "tools:read tools:write";
                let client = register(address, &["client_credentials"], scope).await?;
                let (id, secret) = (text(&client, "client_id")?, text(&client, "client_secret")?);
                let machine = [("grant_type", "client_credentials"), ("client_id", &id)];
                let client = register(address, &["authorization_code", "refresh_token"], scope).await?;
                let client_id = text(&client, "client_id")?;
                Offers {
                    metadata,
                    jwks: Some("/.well-known/jwks.json"),
                    token: Some(Call::new("/token", &[("client_id", &client_id)])),
                    authorize: Some(authorization("/authorize", &client_id, scope, None)),
                    client_credentials: Some(Call::new(
                        "/token",
                        &[machine[0], machine[1], ("client_secret", &secret)],
                    )),
                    introspection: Some(Call::new("/introspect", &[])),
                    ..Offers::default()
                }
            }
            Kind::OidcProvider => {
                let machine = json!({ "client_id": "machine", "client_secret": "a-secret-of-the-machine-that-nobody-guesses" });
                let machine = basic(&machine)?;
                let scope = "openid offline_access tools/read tools/write";
                let grant = ("grant_type", "client_credentials");
                Offers {
                    metadata: Some("/.well-known/openid-configuration"),
                    jwks: Some("/jwks"),
                    token: Some(Call::new(
                        "/token",
                        &[("client_id", "public"), ("resource", RESOURCE)],
                    )),
                    authorize: Some(authorization("/auth", "public", scope, Some(RESOURCE))),
                    client_credentials: Some(Call {
                        authorization: Some(machine),
                        ..Call::new("/token", &[grant, ("resource", RESOURCE), ("scope", SCOPE)])
                    }),
                    // It introspects opaque tokens, not those that are JWTs.
                    introspection: None,
                    ..Offers::default()
                }
            }
            Kind::Fastmcp => {
                let grants = ["authorization_code", "refresh_token"];
                let client_id = text(&register(address, &grants, SCOPE).await?, "client_id")?;
                Offers {
                    metadata,
                    token: Some(Call::new("/token", &[("client_id", &client_id)])),
                    authorize: Some(authorization("/authorize", &client_id, SCOPE, None)),
                    ..Offers::default()
                }
            }
        })
    }
}

/// Registers a client (RFC 7591).
async fn register(address: SocketAddr, grants: &[&str], scope: &str) -> anyhow::Result<Value> {
    let public = if grants.contains(&"client_credentials") {
        "client_secret_post"
    } else {
        "none"
    };
    let body = json!({
        "client_name": "Load", "redirect_uris": [REDIRECT_URI], "grant_types": grants, "response_types": ["code"],
        "scope": scope, "token_endpoint_auth_method": public,
    });
    let mut request = Request::builder()
        .method(Method::POST)
        .uri("/register")
        .body(Full::from(Bytes::from(body.to_string())))?;
    request
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let answer = Connection::open(address).await?.send(request).await?;
    ensure!(
        answer.status.is_success(),
        "cannot register a client: {}",
        answer.summary()
    );
    Ok(serde_json::from_slice(&answer.body)?)
}

/// Follows redirects until there is a code. Returns the cookies that this brought; none is well too.
async fn sign_in(address: SocketAddr, authorize: &str) -> anyhow::Result<HeaderValue> {
    let own = format!("http://{address}");
    let mut connection = Connection::open(address).await?;
    let mut cookies = Cookies::default();
    let mut path = authorize.to_owned();
    for _ in 0..REDIRECTS {
        let answer = connection.get(&path, Some(&cookies.header()?)).await?;
        cookies.keep(&answer.headers)?;
        if code_of(&answer).is_some() {
            return cookies.header();
        }
        let location = answer
            .location()
            .with_context(|| format!("no redirect: {}", answer.summary()))?;
        path = location.strip_prefix(&own).unwrap_or(location).to_owned();
        ensure!(path.starts_with('/'), "a redirect elsewhere: {location}");
    }
    bail!("no code after {REDIRECTS} redirects")
}
