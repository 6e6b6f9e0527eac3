//! The keys of trusted issuers: discovered, renewed, and not for ever.

use doorward_jose::{Algorithm, SigningKey, sign};
use http::StatusCode;
use serde_json::{Value, json};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::machine::{Machine, access_token, app, key};
use crate::support::TestApp;
use crate::trusted::{Trusted, assert_error, desktop, provider, show};

const METADATA: &str = "/.well-known/openid-configuration";
const KEYS: &str = "/keys";

async fn serve(server: &MockServer, at: &str, body: Value) {
    Mock::given(path(at))
        .respond_with(ResponseTemplate::new(200).set_body_json(body))
        .mount(server)
        .await;
}

async fn publish(server: &MockServer, keys: &[&SigningKey]) {
    let keys: Vec<_> = keys.iter().map(|key| key.public_jwk()).collect();
    serve(
        server,
        METADATA,
        json!({"issuer": server.uri(), "jwks_uri": format!("{}{KEYS}", server.uri())}),
    )
    .await;
    serve(server, KEYS, json!({"keys": keys})).await;
}

async fn breaks(server: &MockServer) {
    server.reset().await;
    Mock::given(wiremock::matchers::any())
        .respond_with(ResponseTemplate::new(500))
        .mount(server)
        .await;
}

async fn asked(server: &MockServer, at: &str) -> usize {
    let requests = server.received_requests().await.unwrap();
    requests.iter().filter(|request| request.url.path() == at).count()
}

/// A provider whose keys are where its metadata says.
async fn discovered(app: &TestApp, server: &MockServer) -> (Trusted, Machine) {
    let body = json!({"issuer": server.uri(), "jwks": null});
    let mut idp = provider(app, body).await;
    idp.issuer = server.uri();
    (idp, desktop(app).await)
}

#[tokio::test]
async fn keys_are_discovered_and_asked_for_again_when_one_is_missing() {
    let server = MockServer::start().await;
    let app = app().await;
    let (mut idp, client) = discovered(&app, &server).await;
    publish(&server, &[&idp.key]).await;
    access_token(&idp.show(&app, &client, json!({})).await);
    access_token(&idp.show(&app, &client, json!({})).await);
    assert_eq!(
        (asked(&server, METADATA).await, asked(&server, KEYS).await),
        (1, 1)
    );
    let next = key(Algorithm::Es256);
    server.reset().await;
    publish(&server, &[&idp.key, &next]).await;
    idp.key = next;
    access_token(&idp.show(&app, &client, json!({})).await);
}

/// JWTB-012, JWTB-006.
#[tokio::test]
async fn a_flood_of_unknown_keys_makes_one_request() {
    let server = MockServer::start().await;
    let app = app().await;
    let (idp, client) = discovered(&app, &server).await;
    publish(&server, &[&idp.key]).await;
    access_token(&idp.show(&app, &client, json!({})).await);
    for _ in 0..50 {
        let claims = idp.jag_claims(&app, &client, json!({}));
        let unknown = sign(&key(Algorithm::Es256), "oauth-id-jag+jwt", &claims).unwrap();
        assert_error(&show(&app, &client, &unknown, &[]).await, "invalid_grant");
    }
    access_token(&idp.show(&app, &client, json!({})).await);
    assert_eq!(asked(&server, KEYS).await, 2);
    let nobody = MockServer::start().await;
    let reply = idp.show(&app, &client, json!({"iss": nobody.uri()})).await;
    assert_error(&reply, "invalid_grant");
    assert!(
        nobody.received_requests().await.unwrap().is_empty(),
        "nobody trusts it"
    );
}

/// JWTB-013.
#[tokio::test]
async fn keys_that_cannot_be_had_are_nobodys_fault_and_old_ones_work_for_a_day() {
    let server = MockServer::start().await;
    let app = app().await;
    let (idp, client) = discovered(&app, &server).await;
    breaks(&server).await;
    let reply = idp.show(&app, &client, json!({})).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{reply:?}");
    assert_eq!(reply.json()["error"], "temporarily_unavailable");
    assert!(!reply.header("retry-after").is_empty());
    server.reset().await;
    publish(&server, &[&idp.key]).await;
    app.wait(60);
    access_token(&idp.show(&app, &client, json!({})).await);
    breaks(&server).await;
    app.wait(23 * 3600);
    access_token(&idp.show(&app, &client, json!({})).await);
    app.wait(2 * 3600);
    let reply = idp.show(&app, &client, json!({})).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{reply:?}");
}

/// Who no longer says where the keys are may have given that address to somebody else.
#[tokio::test]
async fn metadata_that_cannot_be_had_counts_for_a_day() {
    let server = MockServer::start().await;
    let app = app().await;
    let (idp, client) = discovered(&app, &server).await;
    publish(&server, &[&idp.key]).await;
    access_token(&idp.show(&app, &client, json!({})).await);
    server.reset().await;
    serve(&server, KEYS, json!({"keys": [idp.key.public_jwk()]})).await;
    app.wait(23 * 3600);
    access_token(&idp.show(&app, &client, json!({})).await);
    app.wait(2 * 3600);
    let reply = idp.show(&app, &client, json!({})).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{reply:?}");
}

/// OpenID Connect Discovery §4.3: metadata of another issuer is nobody's.
#[tokio::test]
async fn metadata_of_another_issuer_is_not_believed() {
    let server = MockServer::start().await;
    let app = app().await;
    let (idp, client) = discovered(&app, &server).await;
    let other = json!({"issuer": "https://other.example", "jwks_uri": format!("{}{KEYS}", server.uri())});
    serve(&server, METADATA, other).await;
    serve(&server, KEYS, json!({"keys": [idp.key.public_jwk()]})).await;
    let reply = idp.show(&app, &client, json!({})).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{reply:?}");
    assert_eq!(asked(&server, KEYS).await, 0);
    idp.change(&app, json!({"jwks_uri": format!("{}{KEYS}", server.uri())}))
        .await;
    access_token(&idp.show(&app, &client, json!({})).await);
}
