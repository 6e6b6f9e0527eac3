//! Connections of one address.

use super::*;

const CAP: usize = 2;

/// With at most two connections of an address, when fewer than half of all are free.
async fn start_for(peers: Peers, connections: usize) -> Server {
    start_with(peers, |limits| {
        limits.connections = connections;
        limits.connections_of_address = CAP;
    })
    .await
}

/// A connection on which one request was answered; `None` when it was closed without an answer.
async fn answered(server: &Server) -> Option<TcpStream> {
    let mut stream = server.connect().await;
    let mut status = [0; 12];
    let answer = async {
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await?;
        stream.read_exact(&mut status).await
    };
    let answer = timeout(Duration::from_secs(5), answer).await;
    answer.expect("an answer or an end").ok()?;
    assert_eq!(&status, b"HTTP/1.1 200");
    Some(stream)
}

/// HTTP-007
#[tokio::test]
async fn an_address_holds_so_many_connections_and_gets_others_when_it_gives_some_up() {
    let metrics = Metrics::new();
    let server = start_for(Peers::only([], metrics.clone()), CAP * 2).await;
    let mut held = Vec::new();
    for _ in 0..CAP {
        held.push(answered(&server).await.unwrap());
    }
    assert!(answered(&server).await.is_none());
    assert!(
        metrics
            .encode()
            .unwrap()
            .contains("doorward_connections_refused_total 1\n")
    );
    held.clear();
    let again = async {
        loop {
            if let Some(stream) = answered(&server).await {
                break stream;
            }
        }
    };
    timeout(Duration::from_secs(5), again).await.unwrap();
}

/// Of a proxy that nobody has named, for example.
#[tokio::test]
async fn as_long_as_half_of_all_are_free_an_address_may_hold_more() {
    let server = start_for(Peers::only([], Metrics::new()), CAP * 5).await;
    let mut held = Vec::new();
    for _ in 0..CAP * 5 / 2 {
        held.push(answered(&server).await.unwrap());
    }
    assert!(answered(&server).await.is_none());
}

#[tokio::test]
async fn a_peer_that_is_known_may_hold_all_connections() {
    let network = "127.0.0.0/8".parse().unwrap();
    let server = start_for(Peers::only([network], Metrics::new()), CAP * 3).await;
    let mut held = Vec::new();
    for _ in 0..CAP * 2 {
        held.push(answered(&server).await.unwrap());
    }
}
