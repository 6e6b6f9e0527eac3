//! Proofs that the client sends (row 52).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use doorward_guard::Guard;
use doorward_guard::client::{ClientAuth, ClientError, OAuthClient, TokenType};
use doorward_jose::{Algorithm, SigningKey, base64url};
use doorward_oauth::dpop::{Proof, ProofContext, ProofRules, TargetUri};
use doorward_oauth::time::UnixSeconds;
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use wiremock::{Request, ResponseTemplate};

use crate::client::support::{Server, own, text};

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

fn bound(server: &Server) -> OAuthClient {
    let key = Arc::new(SigningKey::generate(Algorithm::Es256).unwrap());
    server.builder().dpop(key).build().unwrap()
}

fn check(proof: &str, method: &str, uri: &str, access_token: Option<&str>) -> Proof {
    let request = ProofContext {
        method,
        uri: &TargetUri::parse(uri).unwrap(),
        access_token,
        nonces: None,
    };
    ProofRules::default().verify(proof, &request, NOW).unwrap()
}

fn proof(request: &Request) -> &str {
    request.headers["dpop"].to_str().unwrap()
}

fn claim(proof: &str, name: &str) -> Value {
    let claims: Value =
        serde_json::from_slice(&base64url::decode(proof.split('.').nth(1).unwrap()).unwrap()).unwrap();
    claims[name].clone()
}

fn dpop_token() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({
        "access_token": "b", "token_type": "DPoP", "expires_in": 300,
    }))
}

fn wants_nonce(status: u16, nonce: &str) -> ResponseTemplate {
    ResponseTemplate::new(status)
        .insert_header("DPoP-Nonce", nonce)
        .set_body_json(json!({"error": "use_dpop_nonce"}))
}

#[tokio::test]
async fn row_52_every_call_carries_a_proof() {
    let server = Server::start().await;
    server.on("/token", dpop_token()).await;
    server
        .on(
            "/introspect",
            ResponseTemplate::new(200).set_body_json(json!({"active": false})),
        )
        .await;
    server.on("/revoke", ResponseTemplate::new(200)).await;
    let client = bound(&server);
    let token = own(&client).await.unwrap();
    assert_eq!(token.token_type, TokenType::Dpop);
    client.introspect("x").await.unwrap();
    client.revoke("x").await.unwrap();
    let mut keys = Vec::new();
    for (request, at) in server.posts().await.iter().zip(["token", "introspect", "revoke"]) {
        let good = check(proof(request), "POST", &format!("{}/{at}", server.issuer()), None);
        keys.push(good.key_thumbprint().to_owned());
        assert_eq!(claim(proof(request), "ath"), Value::Null);
        assert_eq!(claim(proof(request), "nonce"), Value::Null);
    }
    assert_eq!(keys.len(), 3);
    assert!(keys.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn row_52_a_nonce_is_answered_with_one_retry_and_remembered() {
    for status in [400, 401] {
        let server = Server::start().await;
        server
            .on("/token", move |request: &Request| {
                match claim(proof(request), "nonce").as_str() {
                    Some("n-1") => dpop_token().insert_header("dpop-nonce", "n-2"),
                    Some("n-2") => dpop_token(),
                    _ => wants_nonce(status, "n-1"),
                }
            })
            .await;
        let client = server
            .builder()
            .token_cache(0)
            .dpop(Arc::new(SigningKey::generate(Algorithm::EdDsa).unwrap()))
            .build()
            .unwrap();
        own(&client).await.unwrap();
        own(&client).await.unwrap();
        let posts = server.posts().await;
        let nonces: Vec<_> = posts
            .iter()
            .map(|request| claim(proof(request), "nonce"))
            .collect();
        // The nonce of a success counts as well.
        assert_eq!(nonces, [Value::Null, json!("n-1"), json!("n-2")]);
        assert_ne!(claim(proof(&posts[0]), "jti"), claim(proof(&posts[1]), "jti"));
    }
}

#[tokio::test]
async fn row_52_a_second_demand_for_a_nonce_is_the_answer() {
    let server = Server::start().await;
    let asked = AtomicUsize::new(0);
    server
        .on("/token", move |_: &Request| {
            wants_nonce(400, &format!("n-{}", asked.fetch_add(1, Ordering::SeqCst)))
        })
        .await;
    let error = own(&bound(&server)).await.unwrap_err();
    assert!(matches!(&error, ClientError::InvalidDpopProof(refusal) if refusal.code() == "use_dpop_nonce"));
    assert_eq!(server.hits("/token").await, 2);
}

#[tokio::test]
async fn without_a_new_nonce_there_is_no_retry() {
    for answer in [
        ResponseTemplate::new(400).set_body_json(json!({"error": "use_dpop_nonce"})),
        wants_nonce(400, "not a nonce"),
        // Another error does not become better by a nonce.
        ResponseTemplate::new(400)
            .insert_header("dpop-nonce", "n")
            .set_body_json(json!({"error": "invalid_grant"})),
        ResponseTemplate::new(503)
            .insert_header("dpop-nonce", "n")
            .set_body_json(json!({"error": "use_dpop_nonce"})),
    ] {
        let server = Server::start().await;
        server.on("/token", answer).await;
        assert!(own(&bound(&server)).await.is_err());
        assert_eq!(server.hits("/token").await, 1);
    }
}

#[tokio::test]
async fn a_client_without_a_key_does_not_answer_nonces() {
    let server = Server::start().await;
    server.on("/token", wants_nonce(400, "n")).await;
    let error = own(&server.client()).await.unwrap_err();
    assert!(matches!(error, ClientError::InvalidDpopProof(_)));
    let posts = server.posts().await;
    assert_eq!(posts.len(), 1);
    assert!(!posts[0].headers.contains_key("dpop"));
}

#[tokio::test]
async fn row_52_a_token_that_is_not_bound_is_refused_unless_that_is_wanted() {
    let server = Server::start().await;
    server
        .issues(&json!({"access_token": "b", "token_type": "Bearer"}))
        .await;
    assert!(matches!(
        own(&bound(&server)).await,
        Err(ClientError::Protocol(_))
    ));
    let lenient = server
        .builder()
        .dpop(Arc::new(SigningKey::generate(Algorithm::Es256).unwrap()))
        .require_bound_tokens(false)
        .build()
        .unwrap();
    let token = own(&lenient).await.unwrap();
    assert_eq!(token.token_type, TokenType::Bearer);
    let headers = lenient
        .headers_for(&token, "GET", "https://api.example/")
        .unwrap();
    assert_eq!(headers["authorization"], "Bearer b");
    assert!(!headers.contains_key("dpop"));
}

#[tokio::test]
async fn a_bound_token_without_a_key_is_refused() {
    let server = Server::start().await;
    server.on("/token", dpop_token()).await;
    assert!(matches!(
        own(&server.client()).await,
        Err(ClientError::Protocol(_))
    ));
}

#[tokio::test]
async fn calls_to_other_services_carry_token_and_proof() {
    let server = Server::start().await;
    server.on("/token", dpop_token()).await;
    let client = bound(&server);
    let token = own(&client).await.unwrap();
    let url = "https://api.example/items?page=2";
    let headers = client.headers_for(&token, "GET", url).unwrap();
    assert_eq!(headers["authorization"], "DPoP b");
    assert!(headers["authorization"].is_sensitive());
    let first = headers["dpop"].to_str().unwrap();
    check(first, "GET", "https://api.example/items", Some(text(&token)));
    assert_eq!(claim(first, "nonce"), Value::Null);

    let nonce: HeaderMap = [(
        http::HeaderName::from_static("dpop-nonce"),
        HeaderValue::from_static("n-9"),
    )]
    .into_iter()
    .collect();
    assert!(client.remember_dpop_nonce(url, &nonce));
    assert!(!client.remember_dpop_nonce(url, &nonce));
    let again = client.headers_for(&token, "GET", url).unwrap();
    assert_eq!(claim(again["dpop"].to_str().unwrap(), "nonce"), "n-9");
    assert!(matches!(
        client.headers_for(&token, "GET", "/items"),
        Err(ClientError::Request(_))
    ));
    assert!(!server.client().remember_dpop_nonce(url, &nonce));
    assert!(matches!(
        server.client().dpop_proof("GET", url, None),
        Err(ClientError::Request(_))
    ));
}

/// The guard's own client, with the key that the guard was given.
#[tokio::test]
async fn the_tokens_of_a_guard_are_bound_to_its_key() {
    let server = Server::start().await;
    server.on("/token", dpop_token()).await;
    let key = Arc::new(SigningKey::generate(Algorithm::Es256).unwrap());
    let guard = Guard::builder(server.issuer(), "http://localhost:8080/mcp")
        .clock(Arc::new(server.clock.clone()))
        .client_auth(ClientAuth::basic("app", "secret"))
        .client_dpop(key.clone())
        .build()
        .unwrap();
    let token = own(guard.client()).await.unwrap();
    assert_eq!(token.token_type, TokenType::Dpop);
    let url = format!("{}/token", server.issuer());
    let requests = server.http.received_requests().await.unwrap();
    let request = requests
        .iter()
        .find(|request| request.url.path() == "/token")
        .unwrap();
    let proof = check(proof(request), "POST", &url, None);
    assert_eq!(proof.key_thumbprint(), key.public_jwk().thumbprint());
}
