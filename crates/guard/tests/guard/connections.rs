//! What becomes of a connection after a refusal: real HTTP/1.1 over pipes in memory, on virtual time.

use std::io;
use std::sync::Arc;

use axum::serve::Listener;
use doorward_guard::{Decision, Guard};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

/// Connections that were made by handing over one end of a pipe.
struct Pipes(UnboundedReceiver<DuplexStream>);

impl Listener for Pipes {
    type Io = DuplexStream;
    type Addr = ();

    async fn accept(&mut self) -> (DuplexStream, ()) {
        match self.0.recv().await {
            Some(pipe) => (pipe, ()),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A server with nothing but the guard in it.
struct Server {
    connections: UnboundedSender<DuplexStream>,
    /// The guard has decided.
    decided: Arc<Notify>,
}

impl Server {
    fn start() -> Self {
        let decided = Arc::new(Notify::new());
        let tell = Arc::clone(&decided);
        let guard = Guard::builder("http://localhost:9000", "http://localhost:8080/mcp")
            .on_decision(Arc::new(move |_: &Decision<'_>| tell.notify_one()))
            .build()
            .unwrap();
        let app = axum::Router::new()
            .route("/mcp", axum::routing::post(async || "reached"))
            .layer(guard.layer());
        let (connections, pipes) = unbounded_channel();
        tokio::spawn(async move { axum::serve(Pipes(pipes), app).await.unwrap() });
        Self { connections, decided }
    }

    fn connect(&self) -> DuplexStream {
        let (client, server) = duplex(256 * 1024);
        self.connections.send(server).unwrap();
        client
    }

    /// Sends the head of a request, and the body when the guard has refused it. Returns the answer's head.
    async fn head_then_body(&self, connection: &mut DuplexStream, length: usize, body: &[u8]) -> String {
        let head = format!("POST /mcp HTTP/1.1\r\nhost: localhost:8080\r\ncontent-length: {length}\r\n\r\n");
        connection.write_all(head.as_bytes()).await.unwrap();
        self.decided.notified().await;
        connection.write_all(body).await.unwrap();
        let mut answer = vec![0; 4096];
        let read = connection.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..read]).to_ascii_lowercase()
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_refusal_the_connection_takes_the_next_request() {
    let server = Server::start();
    let mut connection = server.connect();
    let began = Instant::now();
    for _ in 0..3 {
        let answer = server.head_then_body(&mut connection, 2, b"{}").await;
        assert!(answer.starts_with("http/1.1 401"), "{answer}");
        assert!(!answer.contains("connection: close"), "{answer}");
    }
    assert!(began.elapsed().is_zero(), "nobody waited for anything");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_does_not_wait_for_the_body_ends_the_connection_and_says_so() {
    let server = Server::start();
    for (length, body, seconds) in [(2, Vec::new(), 1), (1 << 20, vec![b' '; 80 * 1024], 0)] {
        let mut connection = server.connect();
        let began = Instant::now();
        let answer = server.head_then_body(&mut connection, length, &body).await;
        assert!(answer.starts_with("http/1.1 401"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
        assert_eq!(began.elapsed().as_secs(), seconds);
    }
}
