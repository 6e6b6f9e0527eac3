//! The least that a server over HTTP costs: a constant answer, and a signed token without any question. A child process,
//! measured as the servers are.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::anyhow;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use doorward_bench::issuer;
use doorward_jose::{Algorithm, SigningKey};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::process::Process;
use crate::server::free_port;
use crate::world::{Call, Offers, World};

const CONSTANT: &str = "/constant";
const SIGN: &str = "/sign";
/// About as long as an authorization server's metadata.
const DOCUMENT: &[u8] = &[b' '; 2048];

/// What signs.
struct Signer {
    key: SigningKey,
    next: AtomicUsize,
}

/// Serves until it is killed.
pub fn serve(port: u16) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let key = SigningKey::generate(Algorithm::Es256).map_err(|error| anyhow!("no key: {error}"))?;
    let signer = Signer {
        key,
        next: AtomicUsize::new(0),
    };
    let app = Router::new()
        .route(CONSTANT, get(constant))
        .route(SIGN, post(sign))
        .with_state(Arc::new(signer));
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        Ok(axum::serve(listener, app).await?)
    })
}

async fn constant() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], Bytes::from_static(DOCUMENT))
}

async fn sign(State(signer): State<Arc<Signer>>, form: Bytes) -> Response {
    // The form is read, as every token request is, and means nothing.
    let number = signer.next.fetch_add(1, Ordering::Relaxed) + form.len();
    match issuer::token(&signer.key, number) {
        Ok(token) => {
            let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
            let body = format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":300}}"#);
            (headers, body).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Starts it.
pub async fn start() -> anyhow::Result<(Process, World, TempDir)> {
    let address: SocketAddr = free_port()?.local_addr()?;
    let folder = TempDir::new()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--floor-server", &address.port().to_string()]);
    let process = Process::start(command, address, CONSTANT, &folder.path().join("log")).await?;
    let form = [
        ("grant_type", "client_credentials"),
        ("resource", crate::world::RESOURCE),
        ("scope", "tools/read tools/write"),
    ];
    let offers = Offers {
        constant: Some(CONSTANT),
        sign: Some(Call::new(SIGN, &form)),
        ..Offers::default()
    };
    Ok((process, World::new(address, offers), folder))
}
