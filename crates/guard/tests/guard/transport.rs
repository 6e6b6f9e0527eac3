//! The default transport, over real sockets: development mode, proxy, timeouts, and the answers of row 31.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use doorward_guard::{Algorithm, BuildError, Clock, Guard, GuardBuilder, SystemClock, Timeouts, VerifyError};
use doorward_jose::{SigningKey, sign};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::{ISSUER, RESOURCE, with_causes};

struct Issuer {
    server: MockServer,
    key: SigningKey,
}

impl Issuer {
    async fn new() -> Self {
        Self {
            server: MockServer::start().await,
            key: SigningKey::generate(Algorithm::Es256).unwrap(),
        }
    }

    fn url(&self) -> String {
        self.server.uri()
    }

    fn metadata(&self) -> Value {
        json!({"issuer": self.url(), "jwks_uri": format!("{}/keys", self.url())})
    }

    fn keys(&self) -> Value {
        json!({"keys": [self.key.public_jwk()]})
    }

    async fn answer(&self, at: &str, response: ResponseTemplate) {
        Mock::given(path(at))
            .respond_with(response)
            .mount(&self.server)
            .await;
    }

    async fn hits(&self, at: &str) -> usize {
        let requests = self.server.received_requests().await.unwrap();
        requests.iter().filter(|request| request.url.path() == at).count()
    }
}

const METADATA: &str = "/.well-known/oauth-authorization-server";

fn token(key: &SigningKey, issuer: &str) -> String {
    let now = SystemClock.now().seconds();
    let claims = json!({
        "iss": issuer, "sub": "alice", "aud": RESOURCE, "client_id": "client-1", "jti": "token-1", "iat": now,
        "exp": now + 300,
    });
    sign(key, "at+jwt", &claims).unwrap()
}

async fn verify(builder: GuardBuilder, token: &str) -> Result<(), VerifyError> {
    let guard = builder.key_wait(Duration::from_secs(30)).build().unwrap();
    guard.verify(token).await.map(drop)
}

fn ok(document: &Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(document)
}

/// Row 33 with a real issuer on loopback.
#[tokio::test]
async fn an_issuer_on_loopback_needs_no_development_mode() {
    let issuer = Issuer::new().await;
    issuer.answer(METADATA, ok(&issuer.metadata())).await;
    issuer.answer("/keys", ok(&issuer.keys())).await;
    let builder = Guard::builder(issuer.url(), RESOURCE);
    assert_eq!(verify(builder, &token(&issuer.key, &issuer.url())).await, Ok(()));
    assert_eq!(issuer.hits("/keys").await, 1);
}

/// Row 31: what is too large, redirected or no JSON is no document.
#[tokio::test]
async fn answers_that_are_no_documents_are_refused() {
    let padding = "x".repeat(130 * 1024);
    let bad: [fn(&Issuer, &str) -> ResponseTemplate; 5] = [
        |issuer, padding| {
            let mut metadata = issuer.metadata();
            metadata["padding"] = padding.into();
            ok(&metadata)
        },
        |issuer, _| {
            ResponseTemplate::new(302).insert_header("location", format!("{}/elsewhere", issuer.url()))
        },
        |issuer, _| ResponseTemplate::new(200).set_body_raw(issuer.metadata().to_string(), "text/html"),
        |_, _| ResponseTemplate::new(200).set_body_raw("<html>", "application/json"),
        |issuer, _| ResponseTemplate::new(206).set_body_json(issuer.metadata()),
    ];
    for answer in bad {
        let issuer = Issuer::new().await;
        issuer.answer(METADATA, answer(&issuer, &padding)).await;
        issuer.answer("/elsewhere", ok(&issuer.metadata())).await;
        issuer.answer("/keys", ok(&issuer.keys())).await;
        let outcome = verify(
            Guard::builder(issuer.url(), RESOURCE),
            &token(&issuer.key, &issuer.url()),
        )
        .await;
        assert!(
            matches!(outcome, Err(VerifyError::KeysUnavailable { .. })),
            "{outcome:?}"
        );
        assert_eq!(
            (issuer.hits("/keys").await, issuer.hits("/elsewhere").await),
            (0, 0)
        );
    }
}

/// Row 31: a key set above 64 KiB.
#[tokio::test]
async fn a_key_set_that_is_too_large_is_refused() {
    for (padding, expected) in [(60 * 1024, true), (65 * 1024, false)] {
        let issuer = Issuer::new().await;
        let mut keys = issuer.keys();
        keys["padding"] = "x".repeat(padding).into();
        issuer.answer(METADATA, ok(&issuer.metadata())).await;
        issuer.answer("/keys", ok(&keys)).await;
        let builder = Guard::builder(issuer.url(), RESOURCE);
        let outcome = verify(builder, &token(&issuer.key, &issuer.url())).await;
        assert_eq!(outcome.is_ok(), expected, "{padding}");
    }
}

/// Row 31: a slow authorization server, by the timeouts that were set.
#[tokio::test(start_paused = true)]
async fn timeouts_end_a_request_to_a_slow_issuer() {
    let issuer = Issuer::new().await;
    // Never, as far as virtual time goes: it passes as soon as nothing else is to do.
    let slow = ok(&issuer.metadata()).set_delay(Duration::from_secs(20));
    issuer.answer(METADATA, slow).await;
    let began = Instant::now();
    let builder = Guard::builder(issuer.url(), RESOURCE).timeouts(Timeouts::both(Duration::from_millis(100)));
    let outcome = verify(builder, &token(&issuer.key, &issuer.url())).await;
    assert!(matches!(outcome, Err(VerifyError::KeysUnavailable { .. })));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

/// A proxy for `http`: answers with the documents of `issuer`, and writes down what it was asked.
async fn proxy(metadata: Value, keys: Value) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://user:secret@{}", listener.local_addr().unwrap());
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let log = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let length = stream.read(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(&head[..length]).into_owned();
            let body = if head.contains("/keys") { &keys } else { &metadata }.to_string();
            log.lock().unwrap().push(head);
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url, asked)
}

/// `http` off loopback is for development, and a proxy is asked for it by the name that it has there.
#[tokio::test]
async fn an_http_issuer_of_a_development_network_is_reached_through_a_proxy() {
    let issuer = "http://as.internal:9000";
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let (url, asked) = proxy(
        json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys")}),
        json!({"keys": [key.public_jwk()]}),
    )
    .await;
    let builder = Guard::builder(issuer, RESOURCE).dev_mode(true).proxy(url);
    assert_eq!(verify(builder, &token(&key, issuer)).await, Ok(()));
    let asked = asked.lock().unwrap();
    assert!(
        asked[0].starts_with("GET http://as.internal:9000/.well-known/oauth-authorization-server HTTP/1.1"),
        "{asked:?}"
    );
    assert!(
        asked[0]
            .to_ascii_lowercase()
            .contains("proxy-authorization: basic")
    );
}

/// Development mode is for the issuer's own address: its metadata cannot send the guard anywhere else.
#[tokio::test]
async fn in_development_mode_no_other_private_address_is_reached() {
    let issuer = "http://as.internal:9000";
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    for jwks_uri in [
        "http://db.internal:9000/keys",
        "http://as.internal:9001/keys",
        "http://127.0.0.1:9000/keys",
        "http://169.254.169.254/keys",
        "https://10.0.0.1/keys",
    ] {
        let (url, asked) = proxy(
            json!({"issuer": issuer, "jwks_uri": jwks_uri}),
            json!({"keys": [key.public_jwk()]}),
        )
        .await;
        let builder = Guard::builder(issuer, RESOURCE).dev_mode(true).proxy(url);
        let outcome = verify(builder, &token(&key, issuer)).await;
        assert!(
            matches!(outcome, Err(VerifyError::KeysUnavailable { .. })),
            "{jwks_uri}: {outcome:?}"
        );
        let asked = asked.lock().unwrap();
        assert!(asked.iter().all(|head| !head.contains("/keys")), "{asked:?}");
    }
}

type Change = fn(GuardBuilder) -> GuardBuilder;

/// Every mistake is told when the guard is built, with what to change.
#[test]
fn a_setting_that_cannot_work_is_refused_with_its_remedy() {
    let build = |change: Change| with_causes(&change(Guard::builder(ISSUER, RESOURCE)).build().unwrap_err());
    let rows: [(Change, &str); 11] = [
        (|builder| builder.issuer("http://as.example"), "dev_mode(true)"),
        (|builder| builder.issuer("/as"), "scheme"),
        (|builder| builder.issuer("https://as.example/#x"), "fragment"),
        (|builder| builder.issuer(""), "the issuer ``"),
        (|builder| builder.required_scopes([""]), "at least one character"),
        (|builder| builder.scopes(["a", ""]), "at least one character"),
        (
            |builder| builder.proxy("proxy.example:3128"),
            "http://proxy.corp.example:3128",
        ),
        (
            |builder| builder.proxy("socks5://proxy.example"),
            "http://proxy.corp.example:3128",
        ),
        (
            |builder| builder.root_certificates("no certificate"),
            "no certificate in PEM form",
        ),
        (
            |builder| builder.clock_skew(Duration::from_secs(61)),
            "60 seconds",
        ),
        (|builder| builder.algorithms([]), "at least one"),
    ];
    for (change, remedy) in rows {
        let message = build(change);
        assert!(message.contains(remedy), "{message}");
    }
    for (resource, remedy) in [
        ("/mcp", "scheme"),
        ("https://mcp.example/mcp#x", "fragment"),
        ("http://mcp.example/mcp", "https://"),
    ] {
        let message = with_causes(&Guard::builder(ISSUER, resource).build().unwrap_err());
        assert!(message.contains(remedy), "{message}");
    }
    let in_development = Guard::builder("http://as.internal:9000", RESOURCE).dev_mode(true);
    assert!(in_development.build().is_ok());
    assert!(matches!(
        Guard::builder("http://as.internal:9000", RESOURCE).build(),
        Err(BuildError::InsecureIssuer(_))
    ));
}
