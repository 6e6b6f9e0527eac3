//! ID-JAGs of clients with a metadata document that nobody has approved here (MCP's enterprise-managed authorization).

use doorward_jose::{Algorithm, SigningKey, sign};
use doorward_store::ClientSource;
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::machine::{
    JWT_BEARER, Machine, access_token, app, app_with, assertion, assertion_claims, key, statuses,
};
use crate::support::{Reply, TestApp, claims};
use crate::trusted::{JWT_BEARER_GRANT, Trusted, assert_error, merge, provider, show};

/// A client that describes itself at a URL.
struct Newcomer {
    server: MockServer,
    url: String,
    key: SigningKey,
}

impl Newcomer {
    async fn new(changes: Value) -> Self {
        let server = MockServer::start().await;
        let url = format!("http://127.0.0.1:{}/client.json", server.address().port());
        let key = key(Algorithm::Es256);
        let mut document = json!({
            "client_id": url, "client_name": "Desktop",
            "redirect_uris": [format!("http://127.0.0.1:{}/cb", server.address().port())],
            "grant_types": ["authorization_code", JWT_BEARER_GRANT],
            "token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [key.public_jwk()]},
        });
        merge(&mut document, changes);
        let answer = ResponseTemplate::new(200)
            .set_body_json(document)
            .insert_header("cache-control", "max-age=3600");
        Mock::given(path("/client.json"))
            .respond_with(answer)
            .mount(&server)
            .await;
        Self { server, url, key }
    }

    fn client(&self) -> Machine {
        Machine {
            client_id: self.url.clone(),
            secret: None,
        }
    }

    /// Shows an ID-JAG, with a client assertion of its own.
    async fn show(&self, app: &TestApp, jag: &str) -> Reply {
        let signed = assertion(&self.key, &assertion_claims(app, &self.url));
        let proven = [
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", &*signed),
        ];
        show(app, &self.client(), jag, &proven).await
    }

    async fn asked(&self) -> usize {
        self.server.received_requests().await.unwrap().len()
    }
}

fn jag(app: &TestApp, idp: &Trusted, newcomer: &Newcomer) -> String {
    idp.jag(app, &newcomer.client(), json!({}))
}

/// EMA: the provider vouches for the person, the rules for the client; nobody has to have been asked before.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_that_nobody_approved_shows_an_id_jag() {
    let app = app().await;
    let newcomer = Newcomer::new(json!({})).await;
    let idp = provider(&app, json!({})).await;
    assert_eq!(app.context.store.client(&newcomer.url).await, Ok(None));
    let assertions: Vec<_> = (0..50).map(|_| jag(&app, &idp, &newcomer)).collect();
    let replies = join_all(assertions.iter().map(|jag| newcomer.show(&app, jag))).await;
    assert_eq!(statuses(&replies), [(200, 50)].into());
    assert_eq!(newcomer.asked().await, 1, "its document is fetched once");
    let token = claims(&replies[0].json());
    assert_eq!(
        (&token["client_id"], &token["sub"]),
        (&json!(newcomer.url), &json!(app.user.id.0))
    );
    let kept = app.context.store.client(&newcomer.url).await.unwrap().unwrap();
    assert_eq!(kept.source, ClientSource::MetadataDocument);
    assert_eq!(app.grants().await.len(), 1);
    app.disable_client(&newcomer.url).await;
    assert_error(
        &newcomer.show(&app, &jag(&app, &idp, &newcomer)).await,
        "invalid_client",
    );
}

/// JWTB-005: public ones only where the issuer's terms say so, and rules count for them as for others.
#[tokio::test]
async fn a_public_newcomer_needs_the_operators_word() {
    let app = app().await;
    let public = Newcomer::new(json!({"token_endpoint_auth_method": "none", "jwks": null})).await;
    let idp = provider(&app, json!({})).await;
    let client = public.client();
    let attempt = async || show(&app, &client, &jag(&app, &idp, &public), &[]).await;
    assert_error(&attempt().await, "unauthorized_client");
    idp.change(&app, json!({"public_clients": true})).await;
    access_token(&attempt().await);
    let others =
        json!([{"name": "others", "client_ids": ["somebody"], "resource": "mcp", "scope": "mcp:read"}]);
    idp.change(&app, json!({"rules": others})).await;
    assert_error(&attempt().await, "invalid_grant");
    let silent = Newcomer::new(json!({"grant_types": ["authorization_code"]})).await;
    let reply = silent.show(&app, &jag(&app, &idp, &silent)).await;
    assert_error(&reply, "unauthorized_client");
}

/// What is refused leaves nothing behind, and nobody makes the server fetch for nothing.
#[tokio::test]
async fn a_newcomer_that_proves_nothing_leaves_nothing() {
    let app = app().await;
    let newcomer = Newcomer::new(json!({})).await;
    let idp = provider(&app, json!({})).await;
    let good = jag(&app, &idp, &newcomer);
    let imposter = Newcomer {
        key: key(Algorithm::Es256),
        url: newcomer.url.clone(),
        server: MockServer::start().await,
    };
    assert_error(&imposter.show(&app, &good).await, "invalid_client");
    assert_error(
        &show(&app, &newcomer.client(), &good, &[]).await,
        "invalid_client",
    );
    let forged = sign(
        &key(Algorithm::Es256),
        "oauth-id-jag+jwt",
        &idp.jag_claims(&app, &newcomer.client(), json!({})),
    );
    assert_error(&newcomer.show(&app, &forged.unwrap()).await, "invalid_grant");
    assert_eq!(app.context.store.client(&newcomer.url).await, Ok(None));
    assert!(app.grants().await.is_empty());
    // Of another grant it would have to be known.
    let form = [("grant_type", "refresh_token"), ("refresh_token", "dwr_x")];
    let unknown = Newcomer::new(json!({})).await;
    assert_error(&unknown.client().token(&app, &form, &[]).await, "invalid_client");
    assert_error(
        &show(&app, &unknown.client(), "a.b.c", &[]).await,
        "invalid_client",
    );
    assert_eq!(unknown.asked().await, 0);
    let off = app_with(|settings| settings.registration.cimd = false).await;
    let idp = provider(&off, json!({})).await;
    let reply = unknown.show(&off, &jag(&off, &idp, &unknown)).await;
    assert_eq!(
        (reply.status, unknown.asked().await),
        (StatusCode::UNAUTHORIZED, 0)
    );
}
