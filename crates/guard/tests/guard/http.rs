//! Keys and refusals over real HTTP on loopback, in real time.

use std::time::Duration;

use doorward_guard::{Algorithm, Guard, VerifyError};
use doorward_jose::{SigningKey, sign};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

const RESOURCE: &str = "http://localhost:8080/mcp";

async fn issuer(keys: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    let metadata = json!({"issuer": server.uri(), "jwks_uri": format!("{}/jwks", server.uri())});
    Mock::given(path("/.well-known/openid-configuration"))
        .respond_with(ResponseTemplate::new(200).set_body_json(metadata))
        .mount(&server)
        .await;
    Mock::given(path("/jwks")).respond_with(keys).mount(&server).await;
    server
}

fn token(key: &SigningKey, issuer: &str) -> String {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let claims = json!({
        "iss": issuer, "sub": "alice", "aud": RESOURCE, "client_id": "c", "jti": "j", "iat": now, "exp": now + 300,
    });
    sign(key, "at+jwt", &claims).unwrap()
}

fn key_set(key: &SigningKey) -> Value {
    json!({"keys": [key.public_jwk()]})
}

#[tokio::test]
async fn the_default_fetch_finds_the_keys_of_an_issuer_on_loopback() {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let server = issuer(ResponseTemplate::new(200).set_body_json(key_set(&key))).await;
    let guard = Guard::builder(server.uri(), RESOURCE).build().unwrap();
    let verified = guard.verify(&token(&key, &server.uri())).await;
    assert_eq!(verified.unwrap().subject, "alice");
}

/// RS-023: redirects, other content types and large answers are no key sets.
#[tokio::test]
async fn the_default_fetch_takes_nothing_but_json_of_a_decent_size() {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let elsewhere = MockServer::start().await;
    Mock::given(path("/jwks"))
        .respond_with(ResponseTemplate::new(200).set_body_json(key_set(&key)))
        .expect(0)
        .mount(&elsewhere)
        .await;
    let mut large = key_set(&key);
    large["x"] = json!("y".repeat(64 * 1024));
    for bad in [
        ResponseTemplate::new(302).insert_header("location", format!("{}/jwks", elsewhere.uri())),
        ResponseTemplate::new(200).set_body_raw(key_set(&key).to_string(), "text/html"),
        ResponseTemplate::new(500).set_body_json(key_set(&key)),
        ResponseTemplate::new(200).set_body_json(large),
    ] {
        let server = issuer(bad).await;
        let guard = Guard::builder(server.uri(), RESOURCE).build().unwrap();
        let refused = guard.verify(&token(&key, &server.uri())).await;
        assert!(
            matches!(refused, Err(VerifyError::KeysUnavailable { .. })),
            "{refused:?}"
        );
    }
}

/// A server on loopback with nothing but the guard in it.
async fn serve() -> std::net::SocketAddr {
    let guard = Guard::builder("http://localhost:9000", RESOURCE).build().unwrap();
    let app = axum::Router::new()
        .route("/mcp", axum::routing::post(async || "reached"))
        .layer(guard.layer());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

/// Sends the head of a request, and the body when the server had the time to answer. Returns the answer's head.
async fn head_then_body(connection: &mut TcpStream, length: usize, body: &[u8]) -> String {
    let head = format!("POST /mcp HTTP/1.1\r\nhost: localhost:8080\r\ncontent-length: {length}\r\n\r\n");
    connection.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    connection.write_all(body).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = connection.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..read]).to_ascii_lowercase()
}

#[tokio::test]
async fn after_a_refusal_the_connection_takes_the_next_request() {
    let mut connection = TcpStream::connect(serve().await).await.unwrap();
    for _ in 0..3 {
        let answer = head_then_body(&mut connection, 2, b"{}").await;
        assert!(answer.starts_with("http/1.1 401"), "{answer}");
        assert!(!answer.contains("connection: close"), "{answer}");
    }
}

#[tokio::test]
async fn a_refusal_that_does_not_wait_for_the_body_ends_the_connection_and_says_so() {
    for (length, body) in [(2, Vec::new()), (1 << 20, vec![b' '; 80 * 1024])] {
        let mut connection = TcpStream::connect(serve().await).await.unwrap();
        let answer = head_then_body(&mut connection, length, &body).await;
        assert!(answer.starts_with("http/1.1 401"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
}
