//! SIGTERM: what has begun is answered, nothing new is taken, and the end comes in time.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use tokio::time::Instant;

use crate::support::{Browser, Client, FOR_STALLED, PATIENCE, Place, Server, Tokens, eventually};

/// A request whose body the server waits for.
struct Begun(TcpStream);

const BODY: &str = "grant_type=refresh_token&refresh_token=x&client_id=y";

impl Begun {
    fn new(server: &Server) -> Self {
        let address = server.public_url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!(
            "POST /oauth/token HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
            BODY.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        // This comes when the body is being waited for: the request runs.
        let mut interim = [0; 25];
        stream.read_exact(&mut interim).unwrap();
        assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
        Self(stream)
    }

    /// Sends the body and reads to the end of the connection.
    fn complete(mut self) -> String {
        self.0.write_all(BODY.as_bytes()).unwrap();
        let mut answer = String::new();
        self.0.read_to_string(&mut answer).unwrap();
        answer
    }
}

async fn refused(server: &Server) {
    let address = server.public_url.strip_prefix("http://").unwrap();
    let address = address.to_socket_addrs().unwrap().next().unwrap();
    eventually("new connections are refused", || async {
        TcpStream::connect_timeout(&address, Duration::from_secs(1))
            .is_err()
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_request_that_has_begun_is_answered_and_new_ones_are_refused() {
    let place = Place::new();
    let server = place.serve().await;
    let begun = Begun::new(&server);
    server.process.terminate();
    refused(&server).await;
    let answer = begun.complete();
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert!(answer.contains("\"error\":"), "{answer}");
    let stopped = server.process.finish();
    assert_eq!(stopped.code, Some(0), "{stopped:?}");
    assert!(
        stopped.stderr.lines().last().unwrap().contains("\"stopped\""),
        "{stopped:?}"
    );
}

#[tokio::test]
async fn a_client_that_stalls_does_not_hold_up_the_end() {
    let mut took = end_with_a_stalled_client().await;
    for _ in 0..2 {
        // Eight seconds, and what a busy machine takes. One that stands still shows nothing.
        if took >= Duration::from_secs(10) {
            took = end_with_a_stalled_client().await;
        }
    }
    assert!(took < Duration::from_secs(10), "{took:?}");
}

async fn end_with_a_stalled_client() -> Duration {
    let place = Place::new();
    let server = place.serve().await;
    let stalled = Begun::new(&server);
    let started = Instant::now();
    server.process.terminate();
    refused(&server).await;
    // Asking again changes nothing.
    server.process.terminate();
    let stopped = server.process.finish();
    assert_eq!(stopped.code, Some(0), "{stopped:?}");
    let took = started.elapsed();
    drop(stalled);
    took
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_the_end() {
    let place = Place::new();
    let server = place.serve().await;
    let address = server.public_url.strip_prefix("http://").unwrap();
    let mut idle = TcpStream::connect(address).unwrap();
    let request = format!("GET /livez HTTP/1.1\r\nHost: {address}\r\n\r\n");
    idle.write_all(request.as_bytes()).unwrap();
    let mut first = [0; 15];
    idle.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    let silent = TcpStream::connect(address).unwrap();
    let started = Instant::now();
    assert_eq!(server.stop().code, Some(0));
    assert!(started.elapsed() < FOR_STALLED, "{:?}", started.elapsed());
    drop((idle, silent));
}

/// Refreshes until the server is gone; the last token that was answered.
async fn refresh_until_gone(client: Client, mut tokens: Tokens) -> (Client, Tokens, usize) {
    let mut answered = 0;
    while let Ok(answer) = client.refresh(&tokens.refresh).await {
        // An answer is a success, also while the server drains.
        tokens = Tokens::of(answer);
        answered += 1;
    }
    (client, tokens, answered)
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_every_answer_is_a_success_and_every_token_still_works_afterwards() {
    let place = Place::new();
    let server = place.serve().await;
    place.populate();
    let browser = Browser::new();
    let mut running = Vec::new();
    for number in 0..4 {
        let client = Client::register(&server, &format!("Client {number}")).await;
        let callback = browser.approve(&client.authorization_url()).await;
        let code = callback
            .query_pairs()
            .find(|(name, _)| name == "code")
            .unwrap()
            .1
            .into_owned();
        let tokens = Tokens::of(client.redeem(&code).await.unwrap());
        running.push(tokio::spawn(refresh_until_gone(client, tokens)));
    }
    eventually("some refreshes are answered", || async {
        (server.process.stderr().matches("/oauth/token").count() > 40).then_some(())
    })
    .await;
    let stopped = server.stop();
    assert_eq!(stopped.code, Some(0), "{stopped:?}");
    assert!(
        !stopped.stderr.contains("\"level\":\"ERROR\""),
        "{}",
        stopped.stderr
    );

    let _server = place.serve().await;
    let mut refreshes = 0;
    for client in running {
        let (client, tokens, answered) = client.await.unwrap();
        // How many each client got done is the scheduler's; the log above counted them together.
        refreshes += answered;
        Tokens::of(client.refresh(&tokens.refresh).await.unwrap());
    }
    assert!(refreshes > 0);
}
