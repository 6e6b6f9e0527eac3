//! Keys over real HTTP on loopback.

use doorward_guard::{Algorithm, Guard, VerifyError};
use doorward_jose::{SigningKey, sign};
use serde_json::{Value, json};
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
