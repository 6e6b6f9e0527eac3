//! On real sockets: a client that dawdles, overfills or talks nonsense is cut off, and nobody else notices.

use std::convert::Infallible;
use std::net::Ipv4Addr;

use axum::routing::{get, post};
use futures_util::stream::{pending, unfold};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::*;
use crate::http::limits::{Limits, room_for_bodies};
use crate::http::metrics::Metrics;
use crate::http::route::Endpoints;
use crate::http::straight::Way;

mod by_address;

const SHORT: Duration = Duration::from_millis(200);

struct Server {
    address: SocketAddr,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

async fn start(change: impl FnOnce(&mut ServeLimits)) -> Server {
    start_with(Peers::only([], Metrics::new()), change).await
}

async fn start_with(peers: Peers, change: impl FnOnce(&mut ServeLimits)) -> Server {
    let mut serve_limits = ServeLimits {
        header_time: Duration::from_mins(1),
        idle_time: Duration::from_mins(1),
        ..ServeLimits::default()
    };
    change(&mut serve_limits);
    let limits = Limits {
        body_time: SHORT,
        ..Limits::FORMS
    };
    let router = Router::new()
        .route("/", get(|| async { "hello" }))
        .route(
            "/echo",
            post(|body: String| async move { body.len().to_string() }),
        )
        .route(
            "/slow",
            get(|| async {
                sleep(SHORT * 3).await;
                "done"
            }),
        )
        .route(
            "/stuck",
            get(|| async { Body::from_stream(pending::<Result<String, Infallible>>()) }),
        )
        .route("/trickle", get(trickle));
    let (endpoints, room) = (Endpoints::new(router), Arc::new(room_for_bodies()));
    let router = Router::new().fallback_service(tower::service_fn(move |request| {
        let (way, room) = (Way::Routed(endpoints.clone()), Arc::clone(&room));
        async move {
            Ok::<_, Infallible>(
                limits
                    .answer(request, way, &room, Ipv4Addr::LOCALHOST.into())
                    .await,
            )
        }
    }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(serve(listener, router, serve_limits, peers, shutdown.clone()));
    Server {
        address,
        shutdown,
        task,
    }
}

async fn trickle() -> Body {
    Body::from_stream(unfold(1, |number| async move {
        sleep(SHORT / 2).await;
        (number <= 5).then(|| (Ok::<_, Infallible>(number.to_string()), number + 1))
    }))
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A connection on which a request was answered, as far as its status.
    async fn answered(&self) -> TcpStream {
        let mut stream = self.connect().await;
        let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        stream
    }

    /// Sends the bytes and returns all that comes until the server closes.
    async fn talk(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // The server may close before it has read everything.
        let _ = stream.write_all(bytes).await;
        read_to_end(&mut stream).await
    }

    async fn get(&self, path: &str) -> String {
        self.talk(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())
            .await
    }
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    // A reset after the answer is as good an end as any; a client that waits for ever is not.
    let _ = read.expect("the server closes the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends one byte every 50 ms until the server has closed; returns what it said and how long it took.
async fn drip(mut stream: TcpStream, first: &[u8], byte: u8) -> (String, Duration) {
    let started = Instant::now();
    stream.write_all(first).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let mut answer = Vec::new();
    let dripping = async {
        while writer.write_all(&[byte]).await.is_ok() {
            sleep(Duration::from_millis(50)).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = dripping => {}
        _ = timeout(Duration::from_secs(10), reader.read_to_end(&mut answer)) => {}
    }
    (String::from_utf8_lossy(&answer).into_owned(), started.elapsed())
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let server = start(|limits| limits.header_time = SHORT).await;
    for start in ["", "P", "PRI * HTTP/2.0\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let started = Instant::now();
        server.talk(start.as_bytes()).await;
        assert!(started.elapsed() < Duration::from_secs(5), "after {start:?}");
    }
}

/// HTTP-007, and HTTP/2 with a window of 0: asked for and not taken.
#[tokio::test]
async fn an_answer_that_makes_no_progress_ends_the_connection() {
    let server = start(|limits| limits.answer_time = SHORT).await;
    let started = Instant::now();
    let answer = server.get("/stuck").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(started.elapsed() < Duration::from_secs(5));
    // Slow is not stuck.
    assert!(server.get("/trickle").await.ends_with("\r\n5\r\n0\r\n\r\n"));
}

/// HTTP-007: a few strangers who hold connections open do not shut everybody else out.
#[tokio::test]
async fn idle_connections_make_room_when_there_are_too_many() {
    let server = start(|limits| limits.connections = 3).await;
    let mut idle = Vec::new();
    for _ in 0..5 {
        let answered = timeout(Duration::from_secs(5), server.answered()).await;
        idle.push(answered.expect("somebody made room"));
    }
    assert!(server.get("/").await.ends_with("hello"));
}

#[tokio::test]
async fn with_room_an_idle_connection_stays() {
    let server = start(|limits| limits.connections = 4).await;
    let mut stream = server.connect().await;
    for _ in 0..3 {
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .unwrap();
        let mut answer = [0; 1024];
        let length = stream.read(&mut answer).await.unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 200"));
        assert!(server.get("/").await.ends_with("hello"));
    }
}

#[tokio::test]
async fn slow_headers_are_cut_off() {
    let server = start(|limits| limits.header_time = SHORT).await;
    let (answer, elapsed) = drip(server.connect().await, b"GET / HTTP/1.1\r\nX-Slow: ", b'a').await;
    assert!(
        elapsed < Duration::from_secs(5),
        "a byte now and then buys no time: {elapsed:?}"
    );
    assert!(!answer.contains(" 200 "), "{answer}");
}

#[tokio::test]
async fn slow_headers_of_a_second_request_are_cut_off() {
    let server = start(|limits| limits.header_time = SHORT).await;
    let stream = server.answered().await;
    let (_, elapsed) = drip(stream, b"GET / HTTP/1.1\r\nX-Slow: ", b'a').await;
    assert!(elapsed < Duration::from_secs(5), "{elapsed:?}");
}

#[tokio::test]
async fn a_slow_body_is_cut_off() {
    let server = start(|_| ()).await;
    let head = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n";
    let (answer, elapsed) = drip(server.connect().await, head, b'a').await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(elapsed < Duration::from_secs(5), "{elapsed:?}");
}

#[tokio::test]
async fn an_idle_connection_is_closed_but_a_running_request_is_not() {
    let server = start(|limits| limits.idle_time = SHORT).await;
    assert!(server.get("/slow").await.contains("done"));
    let started = Instant::now();
    let answer = server.talk(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(answer.contains("hello") && started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn bodies_over_64_kib_are_refused_with_413() {
    let server = start(|_| ()).await;
    let post = |length: usize, body: Vec<u8>| {
        [
            format!(
                "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
            )
            .into_bytes(),
            body,
        ]
        .concat()
    };
    let fits = server.talk(&post(65_536, vec![b'a'; 65_536])).await;
    assert!(fits.ends_with("65536"), "{fits}");
    let over = server.talk(&post(65_537, vec![b'a'; 65_537])).await;
    assert!(over.starts_with("HTTP/1.1 413"), "{over}");

    let mut chunked = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..65 {
        chunked.extend_from_slice(b"400\r\n");
        chunked.extend_from_slice(&[b'a'; 1024]);
        chunked.extend_from_slice(b"\r\n");
    }
    let over = server.talk(&chunked).await;
    assert!(over.starts_with("HTTP/1.1 413"), "{over}");

    let huge =
        b"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10737418240\r\n\r\n";
    let refused = server.talk(huge).await;
    assert!(
        refused.starts_with("HTTP/1.1 413"),
        "no 100 Continue for what is not wanted: {refused}"
    );
}

#[tokio::test]
async fn headers_that_are_too_large_or_too_many_are_refused_with_431() {
    let server = start(|_| ()).await;
    let large = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nX-Large: {}\r\n\r\n",
        "a".repeat(40_000)
    );
    assert!(server.talk(large.as_bytes()).await.starts_with("HTTP/1.1 431"));
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-Many: a\r\n".repeat(101));
    assert!(server.talk(many.as_bytes()).await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn nonsense_is_refused_and_hurts_nobody() {
    let server = start(|_| ()).await;
    let nonsense: [&[u8]; 9] = [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    ];
    for bytes in nonsense {
        let answer = server.talk(bytes).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
            "{:?}: {answer}",
            String::from_utf8_lossy(bytes)
        );
    }
    // A good request, then nonsense in the same breath: the good one is answered, the rest is not.
    let answer = server
        .talk(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n\x00\x00\x00\r\n\r\nGET / HTTP/1.1\r\n\r\n")
        .await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
    assert!(server.get("/").await.ends_with("hello"));
}

#[tokio::test]
async fn a_body_with_both_lengths_ends_the_connection() {
    let server = start(|_| ()).await;
    let smuggled =
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n\
                     0\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = server.talk(smuggled).await;
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
}

#[tokio::test]
async fn running_requests_finish_after_the_shutdown_signal_and_new_ones_find_nobody() {
    let server = start(|_| ()).await;
    let running = server.get("/slow");
    let stop = async {
        sleep(SHORT).await;
        server.shutdown.cancel();
    };
    let (answer, ()) = tokio::join!(running, stop);
    assert!(answer.contains("done"), "{answer}");
    server.task.await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_stuck_client_does_not_hold_up_the_shutdown() {
    let server = start(|limits| limits.drain_time = SHORT).await;
    let mut stuck = server.connect().await;
    stuck.write_all(b"POST /echo HTTP/1.1\r\n").await.unwrap();
    sleep(SHORT).await;
    server.shutdown.cancel();
    timeout(Duration::from_secs(5), server.task)
        .await
        .expect("the bound holds")
        .unwrap();
}

#[tokio::test]
async fn an_http2_connection_has_few_streams_and_small_windows() {
    let server = start(|_| ()).await;
    let settings_of_ours = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
    let mut stream = server.connect().await;
    stream.write_all(settings_of_ours).await.unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(head[3], 4, "the first frame has the settings");
    let mut settings = vec![0; usize::from(head[2])];
    stream.read_exact(&mut settings).await.unwrap();
    let setting = |id: u8| {
        let mut entries = settings.chunks_exact(6);
        let entry = entries.find(|entry| entry[..2] == [0, id]).unwrap();
        u32::from_be_bytes(entry[2..].try_into().unwrap())
    };
    assert_eq!(setting(3), 16, "SETTINGS_MAX_CONCURRENT_STREAMS");
    assert_eq!(setting(4), 65_536, "SETTINGS_INITIAL_WINDOW_SIZE");
}

/// They come to no endpoint, so that they have no line and no number of their own.
#[tokio::test]
async fn what_is_no_request_is_counted() {
    let metrics = Metrics::new();
    let peers = Peers::only([], metrics.clone());
    let server = start_with(peers, |limits| {
        limits.header_bytes = 8192;
        limits.header_time = SHORT;
    })
    .await;
    let large = format!("GET / HTTP/1.1\r\nX-Large: {}\r\n\r\n", "x".repeat(20_000));
    for (sent, status) in [
        ("GET / HTTP/1.1\r\nno header\r\n\r\n", "400"),
        (&*large, "431"),
        ("\u{16}\u{3}\u{1} a TLS handshake\r\n\r\n", "400"),
    ] {
        let answer = server.talk(sent.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
    // Who goes away without a word, or is answered, is none of them.
    server.talk(b"").await;
    server.get("/").await;
    drop(server.connect().await);
    server.shutdown.cancel();
    server.task.await.unwrap();
    let text = metrics.encode().unwrap();
    assert!(
        text.contains("doorward_http_unreadable_requests_total 3\n"),
        "{text}"
    );
}

#[tokio::test]
async fn open_connections_are_counted_by_listener() {
    let metrics = Metrics::new();
    let peers = Peers::only([], metrics.clone()).of("public");
    let server = start_with(peers, |_| ()).await;
    let stream = server.answered().await;
    let text = metrics.encode().unwrap();
    assert!(
        text.contains("doorward_connections{listener=\"public\"} 1\n"),
        "{text}"
    );
    drop(stream);
    server.shutdown.cancel();
    server.task.await.unwrap();
    let text = metrics.encode().unwrap();
    assert!(
        text.contains("doorward_connections{listener=\"public\"} 0\n"),
        "{text}"
    );
}
