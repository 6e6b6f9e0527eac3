//! A closed loop of tool calls: each connection sends its next call when it has the answer to the last.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::servers::Server;

/// What is sent.
pub struct Plan {
    pub token: String,
    pub calls: usize,
    pub connections: usize,
}

const CALL: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"hello"}}}"#;

impl Plan {
    /// Runs it once: calls a second of the server's processor time.
    pub async fn run(&self, server: &Server) -> Result<f64> {
        let sent = Arc::new(AtomicUsize::new(0));
        let mut workers = JoinSet::new();
        let before = server.cpu()?;
        for _ in 0..self.connections {
            let (sent, calls) = (Arc::clone(&sent), self.calls);
            let connection = connect(server.port()).await?;
            workers.spawn(work(connection, server.port(), self.token.clone(), sent, calls));
        }
        while let Some(outcome) = workers.join_next().await {
            outcome??;
        }
        let cpu_seconds = server.cpu()?.since(&before).as_secs_f64();
        ensure!(cpu_seconds > 0.0, "too few calls to be measured; raise --calls");
        let calls = u32::try_from(self.calls).context("too many calls")?;
        Ok(f64::from(calls) / cpu_seconds)
    }
}

async fn connect(port: u16) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn work(
    mut connection: SendRequest<Full<Bytes>>,
    port: u16,
    token: String,
    sent: Arc<AtomicUsize>,
    calls: usize,
) -> Result<()> {
    while sent.fetch_add(1, Ordering::Relaxed) < calls {
        let request = Request::builder()
            .method(Method::POST)
            .uri("/mcp")
            .header(HOST, format!("127.0.0.1:{port}"))
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-06-18")
            .body(Full::from(CALL))?;
        connection.ready().await?;
        let (parts, body) = connection.send_request(request).await?.into_parts();
        let body = body.collect().await.context("the answer broke off")?.to_bytes();
        let text = String::from_utf8_lossy(&body);
        ensure!(
            parts.status.is_success() && text.contains("hello"),
            "{}: {text}",
            parts.status
        );
    }
    Ok(())
}
