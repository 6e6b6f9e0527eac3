//! No more files can be opened. In a process of its own, all of which the limit is for.

#![cfg(test)]

use std::fs::File;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use doorward_server::http::metrics::Metrics;
use doorward_server::http::serve::{Peers, ServeLimits, serve};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

async fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/", get(|| async { "hello" }));
    let (limits, shutdown) = (ServeLimits::default(), CancellationToken::new());
    let peers = Peers::new(&[], Metrics::new());
    tokio::spawn(serve(listener, router, limits, peers, shutdown));
    address
}

/// Asks on a connection, which stays open.
async fn ask(stream: &mut TcpStream) {
    let mut status = [0; 12];
    let answered = async {
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await?;
        stream.read_exact(&mut status).await
    };
    let answered = timeout(Duration::from_secs(20), answered).await;
    answered.expect("an answer").unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
}

/// CRASH-021
#[tokio::test]
async fn when_files_run_out_idle_connections_give_theirs_back() {
    let address = start().await;
    let few = Rlimit {
        current: Some(64),
        ..getrlimit(Resource::Nofile)
    };
    setrlimit(Resource::Nofile, few).unwrap();
    // A file of ours for when it is we who find none: then the server will.
    let mut last = Some(File::open("/dev/null").unwrap());
    let mut held = Vec::new();
    // Both ends of a connection are ours: of 64 files there are no more than 32.
    while held.len() < 40 {
        match TcpStream::connect(address).await {
            Ok(mut stream) => {
                ask(&mut stream).await;
                held.push(stream);
            }
            Err(error) => drop(last.take().ok_or(error).unwrap()),
        }
    }
}
