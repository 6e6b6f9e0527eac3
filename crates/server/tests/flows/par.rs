//! `POST /oauth/par` (RFC 9126).

use doorward_store::ClientSource;
use http::StatusCode;
use serde_json::json;

use crate::support::{Authorization, ISSUER, REDIRECT, Reply, TestApp, challenge_of};

const PAR: &str = "/oauth/par";

struct Scene {
    app: TestApp,
    client_id: String,
}

async fn scene() -> Scene {
    let app = TestApp::new().await;
    let client_id = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    Scene { app, client_id }
}

impl Scene {
    fn request(&self) -> Authorization {
        Authorization::new(&self.client_id, REDIRECT)
    }

    async fn push(&self, request: &Authorization) -> Reply {
        self.app.browser().post(PAR, &[], request.encoded()).await
    }

    async fn pushed(&self, request: &Authorization) -> String {
        let reply = self.push(request).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
        reply.json()["request_uri"].as_str().unwrap().to_owned()
    }

    fn authorize(&self, request_uri: &str) -> Authorization {
        Authorization::of(&[("client_id", &self.client_id), ("request_uri", request_uri)])
    }
}

/// A client with a secret, registered through the endpoint; its id and `Authorization` header.
async fn confidential(app: &TestApp, redirect_uri: &str) -> (String, String) {
    use base64::Engine as _;
    let body = json!({"redirect_uris": [redirect_uri], "token_endpoint_auth_method": "client_secret_basic",
        "grant_types": ["authorization_code", "refresh_token"]});
    let reply = app
        .browser()
        .send(
            "POST",
            "/oauth/register",
            &[("content-type", "application/json")],
            body.to_string(),
        )
        .await
        .json();
    let text = |member: &str| reply[member].as_str().unwrap().to_owned();
    let (id, secret) = (text("client_id"), text("client_secret"));
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}"));
    (id, format!("Basic {basic}"))
}

/// [PAR-001]
#[tokio::test]
async fn a_pushed_request_goes_the_whole_road() {
    let scene = scene().await;
    let reply = scene.push(&scene.request()).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    assert_eq!(reply.header("cache-control"), "no-store");
    let body = reply.json();
    let request_uri = body["request_uri"].as_str().unwrap();
    assert!(request_uri.starts_with("urn:ietf:params:oauth:request_uri:"));
    assert!((5..=600).contains(&body["expires_in"].as_i64().unwrap()));
    let reply = scene
        .app
        .approve(&scene.app.browser(), &scene.authorize(request_uri))
        .await;
    assert!(reply.location().unwrap().starts_with(REDIRECT), "{reply:?}");
    assert_eq!(reply.param("state").as_deref(), Some("xyz"));
    assert_eq!(reply.param("iss").as_deref(), Some(ISSUER));
    let token = scene.app.redeem(&scene.client_id, &reply).await;
    assert_eq!(token.status, StatusCode::OK, "{token:?}");
}

/// [PAR-003] [PAR-009]
#[tokio::test]
async fn what_is_pushed_is_checked_at_once() {
    let scene = scene().await;
    let urn = "urn:ietf:params:oauth:request_uri:x";
    for (name, value, error) in [
        ("request_uri", urn, "invalid_request"),
        ("scope", "mcp:unknown", "invalid_scope"),
        ("code_challenge", "x", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("redirect_uri", "https://evil.example/cb", "invalid_request"),
        ("response_type", "token", "unsupported_response_type"),
        ("resource", "https://unknown.example", "invalid_target"),
        ("dpop_jkt", "garbage", "invalid_request"),
        (
            "acr_values",
            "urn:example:gold",
            "unmet_authentication_requirements",
        ),
    ] {
        let reply = scene.push(&scene.request().set(name, value)).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{name} {reply:?}");
        assert_eq!(reply.json()["error"], error, "{name}");
        assert!(reply.location().is_none());
    }
    let reply = scene.push(&scene.request().set("client_id", "nobody")).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    assert_eq!(reply.json()["error"], "invalid_client");
}

/// [PAR-005]: what stands beside the `request_uri` does not count.
#[tokio::test]
async fn the_front_channel_cannot_change_a_pushed_request() {
    let scene = scene().await;
    let request_uri = scene.pushed(&scene.request()).await;
    let request = scene
        .authorize(&request_uri)
        .add("redirect_uri", "https://evil.example/cb")
        .add("scope", "mcp:write")
        .add("response_type", "token")
        .add(
            "code_challenge",
            &challenge_of("another-verifier-of-forty-three-characters!"),
        )
        .add("resource", "https://unknown.example")
        .add("state", "evil");
    let reply = scene.app.approve(&scene.app.browser(), &request).await;
    assert!(reply.location().unwrap().starts_with(REDIRECT), "{reply:?}");
    assert_eq!(reply.param("state").as_deref(), Some("xyz"));
    let token = scene.app.redeem(&scene.client_id, &reply).await;
    assert_eq!(token.json()["scope"], "mcp:read", "{token:?}");
}

/// [PAR-004]
#[tokio::test]
async fn a_request_uri_that_is_not_the_clients_own_is_refused_on_a_page() {
    let scene = scene().await;
    let other = scene.app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let request_uri = scene.pushed(&scene.request()).await;
    let of_other = Authorization::of(&[("client_id", &other), ("request_uri", &request_uri)]);
    let unknown = scene.authorize("urn:ietf:params:oauth:request_uri:unknown");
    for request in [of_other, unknown] {
        scene.app.browser().get(&request.path()).await.assert_error_page();
    }
    // Another kind is refused like any other error of a request.
    let foreign = scene.request().set("request_uri", "https://evil.example/r");
    let reply = scene.app.browser().get(&foreign.path()).await;
    assert_eq!(
        reply.param("error").as_deref(),
        Some("invalid_request_uri"),
        "{reply:?}"
    );
    scene.app.wait(91);
    let expired = scene.authorize(&request_uri);
    scene.app.browser().get(&expired.path()).await.assert_error_page();
}

/// What was checked is not what the client is now: nobody is sent to a redirect URI that it has lost.
#[tokio::test]
async fn a_request_of_a_client_that_changed_is_not_opened() {
    let scene = scene().await;
    let request_uri = scene.pushed(&scene.request().set("prompt", "none")).await;
    let store = &scene.app.context.store;
    let mut client = store.client(&scene.client_id).await.unwrap().unwrap();
    let metadata = client.metadata.replace(REDIRECT, "http://127.0.0.1/other");
    assert_ne!(metadata, client.metadata);
    client.metadata = metadata;
    client.fingerprint.push('!');
    store.update_client(client).await.unwrap();
    let path = scene.authorize(&request_uri).path();
    scene.app.browser().get(&path).await.assert_error_page();
}

/// [PAR-004]: for who authenticates, the second use is refused; fifty at once are one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_request_uri_of_a_confidential_client_is_opened_once() {
    let app = TestApp::new().await;
    let (client_id, basic) = confidential(&app, REDIRECT).await;
    let request = Authorization::new(&client_id, REDIRECT);
    let unauthenticated = app.browser().post(PAR, &[], request.encoded()).await;
    assert_eq!(unauthenticated.status, StatusCode::UNAUTHORIZED);
    let headers = [("authorization", &*basic)];
    let reply = app.browser().post(PAR, &headers, request.encoded()).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    let request_uri = reply.json()["request_uri"].as_str().unwrap().to_owned();
    let path = Authorization::of(&[("client_id", &client_id), ("request_uri", &request_uri)]).path();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (browser, path) = (app.browser(), path.clone());
        tasks.spawn(async move { browser.get(&path).await.status });
    }
    let statuses = tasks.join_all().await;
    let opened = statuses.iter().filter(|status| **status == StatusCode::SEE_OTHER);
    assert_eq!(opened.count(), 1, "{statuses:?}");
}

/// What leads nowhere at the moment is not used up.
#[tokio::test]
async fn a_request_uri_survives_that_its_client_is_away() {
    let app = TestApp::new().await;
    let (client_id, basic) = confidential(&app, REDIRECT).await;
    let request = Authorization::new(&client_id, REDIRECT);
    let reply = app
        .browser()
        .post(PAR, &[("authorization", &*basic)], request.encoded())
        .await;
    let request_uri = reply.json()["request_uri"].as_str().unwrap().to_owned();
    let path = Authorization::of(&[("client_id", &client_id), ("request_uri", &request_uri)]).path();
    app.disable_client(&client_id).await;
    assert!(app.browser().get(&path).await.status.is_client_error());
    let store = &app.context.store;
    let mut client = store.client(&client_id).await.unwrap().unwrap();
    client.disabled = false;
    store.update_client(client).await.unwrap();
    assert_eq!(app.browser().get(&path).await.status, StatusCode::SEE_OTHER);
    assert!(app.browser().get(&path).await.status.is_client_error(), "once");
}

/// A public client's `request_uri` may be opened again (a browser that reloads); it still gives one code.
#[tokio::test]
async fn a_request_uri_of_a_public_client_gives_one_code() {
    let scene = scene().await;
    let request_uri = scene.pushed(&scene.request()).await;
    let first = scene
        .app
        .approve(&scene.app.browser(), &scene.authorize(&request_uri))
        .await;
    let token = scene.app.redeem(&scene.client_id, &first).await;
    assert_eq!(token.status, StatusCode::OK);
    // The second time the consent is remembered, and the request is answered already.
    let browser = scene.app.signed_in().await;
    let again = browser.get(&scene.authorize(&request_uri).path()).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{again:?}");
    assert!(again.location().is_none());
}

/// [PAR-007]
#[tokio::test]
async fn who_has_to_push_cannot_do_without() {
    let app = TestApp::with(|settings| settings.par.required = true).await;
    let client_id = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let scene = Scene { app, client_id };
    let reply = scene.app.browser().get(&scene.request().path()).await;
    reply.assert_error_redirect(REDIRECT, "invalid_request", Some("xyz"));
    let request_uri = scene.pushed(&scene.request()).await;
    let reply = scene
        .app
        .approve(&scene.app.browser(), &scene.authorize(&request_uri))
        .await;
    assert!(reply.param("code").is_some());
    let metadata = scene
        .app
        .browser()
        .get("/.well-known/oauth-authorization-server")
        .await
        .json();
    assert_eq!(metadata["require_pushed_authorization_requests"], true);

    let app = TestApp::new().await;
    let metadata = json!({"redirect_uris": [REDIRECT], "require_pushed_authorization_requests": true});
    app.add_client_with("careful", ClientSource::Admin, metadata)
        .await;
    let reply = app
        .browser()
        .get(&Authorization::new("careful", REDIRECT).path())
        .await;
    reply.assert_error_redirect(REDIRECT, "invalid_request", Some("xyz"));
}

/// [PAR-008]
#[tokio::test]
async fn the_endpoint_takes_small_forms_by_post() {
    let scene = scene().await;
    let browser = scene.app.browser();
    assert_eq!(browser.get(PAR).await.status, StatusCode::METHOD_NOT_ALLOWED);
    let large = scene.request().set("state", &"x".repeat(100_000));
    assert_eq!(scene.push(&large).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let json = [("content-type", "application/json")];
    let reply = browser.send("POST", PAR, &json, "{}".to_owned()).await;
    assert_eq!(reply.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn what_is_switched_off_is_neither_there_nor_advertised() {
    let app = TestApp::with(|settings| {
        settings.par.enabled = false;
        settings.device.enabled = false;
    })
    .await;
    let metadata = app
        .browser()
        .get("/.well-known/oauth-authorization-server")
        .await
        .json();
    assert!(metadata.get("pushed_authorization_request_endpoint").is_none());
    assert!(metadata.get("device_authorization_endpoint").is_none());
    for path in [PAR, "/oauth/device_authorization"] {
        let reply = app.browser().post_pairs(path, &[], &[("client_id", "x")]).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(app.browser().get("/device").await.status, StatusCode::NOT_FOUND);
}

/// Nothing is stored for a request that a public client sends in advance.
#[tokio::test]
async fn strangers_cost_no_row() {
    let scene = scene().await;
    for _ in 0..20 {
        scene.pushed(&scene.request()).await;
    }
    assert!(scene.app.grants().await.is_empty());
    let swept = scene.app.context.store.sweep(
        doorward_store::UnixSeconds(4_000_000_000),
        std::time::Duration::from_secs(1),
        1000,
    );
    assert_eq!(swept.await.unwrap().total(), 0);
}
