//! What the tests share: a fetcher on loopback, and servers that misbehave.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use doorward_fetch::{FetchPolicy, Fetcher, Limits};
use doorward_oauth::time::{ManualClock, UnixSeconds};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

pub(crate) fn clock() -> ManualClock {
    ManualClock::new(UnixSeconds(1_800_000_000))
}

pub(crate) fn on_loopback() -> FetchPolicy {
    FetchPolicy {
        allow_loopback_http: true,
        ..FetchPolicy::default()
    }
}

pub(crate) fn fetcher(clock: &ManualClock) -> Fetcher {
    Fetcher::new(on_loopback(), Arc::new(clock.clone())).unwrap()
}

/// Short enough that a test of a slow server does not take long.
pub(crate) fn impatient() -> Limits {
    Limits {
        timeout: Duration::from_millis(300),
        ..Limits::default()
    }
}

pub(crate) fn json(body: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(body.as_bytes().to_vec(), "application/json")
}

/// A server that answers every request with `response`.
pub(crate) async fn server(response: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(response).mount(&server).await;
    server
}

pub(crate) async fn requests(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

/// A server that answers when it is told to, with [`answer`], and its URL.
pub(crate) async fn holding() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/c.json", listener.local_addr().unwrap());
    (listener, url)
}

/// Reads a request, which ends so, and answers it with an empty object.
pub(crate) async fn answer(mut stream: TcpStream, end: &str) {
    let mut request = Vec::new();
    while !request.ends_with(end.as_bytes()) {
        let read = stream.read_buf(&mut request).await.unwrap();
        assert!(read > 0, "nobody waits for the answer");
    }
    let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
    stream.write_all(answer.as_bytes()).await.unwrap();
}

/// A server that reads the request, writes `head`, then `piece` again and again with `pause` between, as
/// long as the other side listens. Returns its URL and the number of bytes written after the head.
pub(crate) async fn endless(
    head: &'static str,
    piece: &'static [u8],
    pause: Duration,
) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/c.json", listener.local_addr().unwrap());
    let written = Arc::new(AtomicUsize::new(0));
    let count = written.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(pour(stream, head, piece, pause, count.clone()));
        }
    });
    (url, written)
}

async fn pour(mut stream: TcpStream, head: &str, piece: &[u8], pause: Duration, count: Arc<AtomicUsize>) {
    let _ = stream.read(&mut [0; 4096]).await;
    let _ = stream.write_all(head.as_bytes()).await;
    while stream.write_all(piece).await.is_ok() {
        count.fetch_add(piece.len(), Ordering::SeqCst);
        tokio::time::sleep(pause).await;
    }
}
