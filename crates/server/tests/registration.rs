//! `POST /oauth/register`. Names in brackets are the rows of the security catalogue that a test covers.

#![cfg(test)]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use doorward_server::config::DynamicRegistration;
use http::StatusCode;
use serde_json::{Value, json};
use support::{Authorization, Reply, TestApp};

async fn post(app: &TestApp, body: &Value) -> Reply {
    send(app, "application/json", body.to_string()).await
}

async fn send(app: &TestApp, content_type: &str, body: String) -> Reply {
    app.browser()
        .send("POST", "/oauth/register", &[("content-type", content_type)], body)
        .await
}

async fn register(app: &TestApp, body: &Value) -> Value {
    let reply = post(app, body).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    reply.json()
}

async fn assert_refused(app: &TestApp, body: &Value, error: &str) {
    let reply = post(app, body).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{body} {reply:?}");
    assert_eq!(reply.json()["error"], error, "{body}");
    assert!(
        reply.json()["error_description"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    );
}

fn native() -> Value {
    json!({
        "client_name": "Some Client",
        "redirect_uris": ["http://127.0.0.1/cb"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
    })
}

fn with(member: &str, value: Value) -> Value {
    let mut body = native();
    body[member] = value;
    body
}

/// [DCR-001]
#[tokio::test]
async fn a_public_client_gets_an_id_and_no_secret() {
    let app = TestApp::new().await;
    let reply = post(&app, &native()).await;
    assert_eq!(reply.status, StatusCode::CREATED);
    assert!(reply.header("cache-control").contains("no-store"));
    assert!(reply.header("content-type").starts_with("application/json"));
    let mut body = reply.json();
    assert_eq!(body["client_id_issued_at"], app.context.now().seconds());
    let client_id = body["client_id"].take();
    assert!(client_id.as_str().unwrap().starts_with("dwc_"));
    assert_eq!(
        body,
        json!({
            "client_id": null,
            "client_id_issued_at": 1_800_000_000,
            "client_name": "Some Client",
            "redirect_uris": ["http://127.0.0.1/cb"],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "application_type": "native",
        })
    );
}

/// [DCR-002]
#[tokio::test]
async fn defaults_are_returned() {
    let app = TestApp::new().await;
    let body = register(&app, &json!({ "redirect_uris": ["https://c.example/cb"] })).await;
    assert_eq!(body["token_endpoint_auth_method"], "none");
    assert_eq!(body["response_types"], json!(["code"]));
    assert!(
        body["grant_types"]
            .as_array()
            .unwrap()
            .contains(&json!("authorization_code"))
    );
    assert!(body.get("client_secret").is_none());
}

#[tokio::test]
async fn a_confidential_client_sees_its_secret_once_and_can_use_it() {
    let app = TestApp::new().await;
    let body = register(
        &app,
        &with("token_endpoint_auth_method", json!("client_secret_basic")),
    )
    .await;
    let (client_id, secret) = (
        body["client_id"].as_str().unwrap(),
        body["client_secret"].as_str().unwrap(),
    );
    assert_eq!(body["client_secret_expires_at"], 0);
    assert!(client_id.starts_with("dws_") && secret.starts_with("dwsec_"));
    let stored = app.context.store.client(client_id).await.unwrap().unwrap();
    assert!(!format!("{stored:?}").contains(secret));
    let revoke = |secret: String| {
        let browser = app.browser();
        let form = format!("token=x&client_id={client_id}&client_secret={secret}");
        async move { browser.post("/oauth/revoke", &[], form).await.status }
    };
    assert_eq!(revoke(secret.to_owned()).await, StatusCode::OK);
    assert_eq!(revoke(format!("{secret}x")).await, StatusCode::UNAUTHORIZED);
    let again = register(
        &app,
        &with("token_endpoint_auth_method", json!("client_secret_basic")),
    )
    .await;
    assert_ne!(again["client_id"], body["client_id"]);
    assert_ne!(again["client_secret"], body["client_secret"]);
}

#[tokio::test]
async fn the_same_registration_is_the_same_client_on_any_port_and_another_one_is_not() {
    let app = TestApp::new().await;
    let first = register(
        &app,
        &with(
            "redirect_uris",
            json!(["http://localhost:4000/cb", "cursor://a/b"]),
        ),
    )
    .await;
    app.wait(3600);
    let second = register(
        &app,
        &with(
            "redirect_uris",
            json!(["cursor://a/b", "http://localhost:5000/cb"]),
        ),
    )
    .await;
    assert_eq!(first["client_id"], second["client_id"]);
    assert_eq!(first["client_id_issued_at"], second["client_id_issued_at"]);
    assert_eq!(
        second["redirect_uris"],
        json!(["cursor://a/b", "http://localhost:5000/cb"])
    );
    let other = register(&app, &with("client_name", json!("Other"))).await;
    assert_ne!(first["client_id"], other["client_id"]);
    assert_eq!(app.number_of_clients().await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_storm_of_500_identical_registrations_is_one_client() {
    let app = Arc::new(TestApp::new().await);
    let storm: Vec<_> = (0..500)
        .map(|port| {
            let app = Arc::clone(&app);
            let body = with(
                "redirect_uris",
                json!([format!("http://127.0.0.1:{}/cb", 10_000 + port)]),
            );
            tokio::spawn(async move {
                register(&app, &body).await["client_id"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
        })
        .collect();
    let mut ids = BTreeSet::new();
    for registration in storm {
        ids.insert(registration.await.unwrap());
    }
    assert_eq!(ids.len(), 1);
    assert_eq!(app.number_of_clients().await, 1);
}

/// [DCR-021]
#[tokio::test]
async fn an_address_that_registers_ever_new_clients_is_slowed_down_but_can_register_again_what_is_there() {
    let app = TestApp::new().await;
    let mut created = 0;
    let limited = loop {
        let reply = post(&app, &with("client_name", json!(format!("Client {created}")))).await;
        if reply.status != StatusCode::CREATED {
            break reply;
        }
        created += 1;
        assert!(created < 1000, "no limit");
    };
    assert_eq!(limited.status, StatusCode::TOO_MANY_REQUESTS, "{limited:?}");
    assert_eq!(limited.header("retry-after"), "3");
    assert!(created >= 500);
    register(&app, &with("client_name", json!("Client 0"))).await;
    app.wait(3);
    register(&app, &with("client_name", json!("A new one"))).await;
}

/// [DCR-003]
#[tokio::test]
async fn members_that_nobody_may_choose_have_no_effect() {
    let app = TestApp::new().await;
    let mut body = native();
    for (member, value) in [
        ("client_id", json!("admin")),
        ("client_secret", json!("x")),
        ("client_secret_expires_at", json!(1)),
        ("trusted", json!(true)),
        ("skip_consent", json!(true)),
        ("roles", json!(["admin"])),
        ("source", json!("admin")),
        ("disabled", json!(false)),
        ("resource_server", json!("mcp")),
        ("ssf.enabled", json!(true)),
    ] {
        body[member] = value;
    }
    let registered = register(&app, &body).await;
    assert_eq!(
        registered["client_id"],
        register(&app, &native()).await["client_id"]
    );
    for member in [
        "client_secret",
        "trusted",
        "roles",
        "resource_server",
        "skip_consent",
    ] {
        assert!(registered.get(member).is_none(), "{member}");
    }
    let stored = app
        .context
        .store
        .client(registered["client_id"].as_str().unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (stored.source, stored.resource_server),
        (doorward_store::ClientSource::Dynamic, None)
    );
}

/// [DCR-004, DCR-005, DCR-006, DCR-007]
#[tokio::test]
async fn unsafe_redirect_uris_are_refused() {
    let app = TestApp::new().await;
    assert_refused(
        &app,
        &json!({ "client_name": "x", "grant_types": ["authorization_code"] }),
        "invalid_redirect_uri",
    )
    .await;
    let long = format!("https://c.example/{}", "a".repeat(2100));
    for uri in [
        "javascript:alert(1)",
        "JAVASCRIPT:x",
        "JaVaScRiPt:x",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "blob:https://x",
        "about:blank",
        "ftp://x/",
        "mailto:a@b",
        " javascript:x",
        "java\nscript:x",
        "view-source:https://x",
        "intent://x#Intent;end",
        "chrome://x",
        "ws://x/",
        "http://evil.example/cb",
        "http://192.168.0.5/cb",
        "http://localhost.evil.example/cb",
        "http://127.0.0.1.evil.example/cb",
        "http://0.0.0.0/cb",
        "http://[::]/cb",
        "https://c.example/cb#f",
        "https://u:p@c.example/cb",
        "https://*.c.example/cb",
        "https://c.example/\u{0}",
        "https://c.example/\r\nX: y",
        "",
        "https:///cb",
        "https://c.example:99999/cb",
        long.as_str(),
    ] {
        assert_refused(&app, &with("redirect_uris", json!([uri])), "invalid_redirect_uri").await;
    }
    for uris in [
        json!([1]),
        json!([["https://c.example/cb"]]),
        json!([null]),
        json!("https://c.example/cb"),
        json!([]),
    ] {
        assert_refused(&app, &with("redirect_uris", uris), "invalid_redirect_uri").await;
    }
    assert_eq!(app.number_of_clients().await, 0);
}

#[tokio::test]
async fn one_unsafe_redirect_uri_among_several_is_left_out() {
    let app = TestApp::new().await;
    let uris = json!([
        "http://localhost:8787/callback",
        "javascript:alert(1)",
        "cursor://anysphere.cursor-mcp/oauth/callback",
        "https://www.cursor.com/cb"
    ]);
    let body = register(&app, &with("redirect_uris", uris)).await;
    assert_eq!(
        body["redirect_uris"],
        json!([
            "http://localhost:8787/callback",
            "cursor://anysphere.cursor-mcp/oauth/callback",
            "https://www.cursor.com/cb"
        ])
    );
}

#[tokio::test]
async fn redirect_schemes_are_the_operators_choice() {
    let app =
        TestApp::with(|settings| settings.registration.redirect_schemes = vec!["onlythis".to_owned()]).await;
    register(&app, &with("redirect_uris", json!(["onlythis://cb"]))).await;
    register(&app, &with("redirect_uris", json!(["com.example.app:/cb"]))).await;
    assert_refused(
        &app,
        &with("redirect_uris", json!(["cursor://cb"])),
        "invalid_redirect_uri",
    )
    .await;
}

/// [DCR-017, DCR-018]
#[tokio::test]
async fn grants_that_are_not_for_everybody_cannot_be_registered() {
    let app = TestApp::new().await;
    for grant_type in [
        "client_credentials",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "password",
        "implicit",
    ] {
        assert_refused(
            &app,
            &with("grant_types", json!([grant_type])),
            "invalid_client_metadata",
        )
        .await;
    }
    let body = with(
        "grant_types",
        json!([
            "authorization_code",
            "refresh_token",
            "client_credentials",
            "urn:ietf:params:oauth:grant-type:device_code"
        ]),
    );
    assert_eq!(
        register(&app, &body).await["grant_types"],
        json!([
            "authorization_code",
            "refresh_token",
            "urn:ietf:params:oauth:grant-type:device_code"
        ])
    );
    assert_refused(
        &app,
        &with("response_types", json!(["token"])),
        "invalid_client_metadata",
    )
    .await;
    assert_refused(
        &app,
        &with("token_endpoint_auth_method", json!("client_secret_jwt")),
        "invalid_client_metadata",
    )
    .await;
}

/// [DCR-003, META-006] Bound tokens are promised where they are issued.
#[tokio::test]
async fn bound_tokens_are_promised_where_they_are_issued() {
    for enabled in [true, false] {
        let app = TestApp::with(|settings| settings.dpop.enabled = enabled).await;
        let asked = register(&app, &with("dpop_bound_access_tokens", json!(true))).await;
        assert_eq!(
            asked["dpop_bound_access_tokens"].as_bool() == Some(true),
            enabled,
            "{asked}"
        );
        let plain = register(&app, &native()).await;
        assert_eq!(
            asked["client_id"] == plain["client_id"],
            !enabled,
            "what counts makes another client"
        );
    }
}

/// [DCR-008, DCR-021]
#[tokio::test]
async fn a_registration_has_sixteen_kibibytes_at_most() {
    let app = TestApp::new().await;
    let body = |length: usize| {
        let empty = with("x", json!("")).to_string();
        with("x", json!("a".repeat(length - empty.len()))).to_string()
    };
    let reply = send(&app, "application/json", body(16 * 1024)).await;
    assert_eq!(reply.status, StatusCode::CREATED);
    let reply = send(&app, "application/json", body(16 * 1024 + 1)).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert_eq!(reply.json()["error"], "invalid_client_metadata");
}

/// [DCR-021] Registering again counts as a sign of life.
#[tokio::test]
async fn a_client_that_keeps_registering_is_not_removed_as_unused() {
    let app = TestApp::new().await;
    let month = std::time::Duration::from_hours(30 * 24);
    let client_id = register(&app, &native()).await["client_id"]
        .as_str()
        .unwrap()
        .to_owned();
    for _ in 0..3 {
        app.wait(20 * 86_400);
        register(&app, &native()).await;
        app.context
            .store
            .sweep(app.context.now(), month, 100)
            .await
            .unwrap();
        assert!(app.context.store.client(&client_id).await.unwrap().is_some());
    }
    app.wait(31 * 86_400);
    app.context
        .store
        .sweep(app.context.now(), month, 100)
        .await
        .unwrap();
    assert_eq!(app.context.store.client(&client_id).await.unwrap(), None);
    assert_eq!(register(&app, &native()).await["client_id"], client_id);
}

/// [DCR-008, DCR-010, DCR-011]
#[tokio::test]
async fn what_is_not_one_bounded_json_object_is_refused() {
    let app = TestApp::new().await;
    let valid = native().to_string();
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
        "",
    ] {
        let reply = send(&app, content_type, valid.clone()).await;
        assert!(
            matches!(reply.status.as_u16(), 400 | 415),
            "{content_type} {reply:?}"
        );
        assert_eq!(reply.json()["error"], "invalid_client_metadata");
    }
    assert_eq!(
        send(&app, "application/json; charset=utf-8", valid.clone())
            .await
            .status,
        StatusCode::CREATED
    );
    let twice = valid.replacen('{', r#"{"redirect_uris":["https://evil.example/cb"],"#, 1);
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let bodies = [
        "null",
        "[]",
        "\"x\"",
        "1",
        "true",
        "",
        "{",
        &twice,
        &deep,
        &format!("{valid}{{}}"),
        &format!("\u{feff}{valid}"),
    ];
    for body in bodies {
        let reply = send(&app, "application/json", body.to_owned()).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{body} {reply:?}");
        assert_eq!(reply.json()["error"], "invalid_client_metadata", "{body}");
    }
    assert_eq!(
        send(&app, "application/json", "{}".to_owned()).await.status,
        StatusCode::BAD_REQUEST
    );
    for body in [
        with("client_name", json!("a".repeat(1024 * 1024))),
        with("x", json!("a".repeat(70_000))),
    ] {
        assert!(matches!(post(&app, &body).await.status.as_u16(), 400 | 413));
    }
    for body in [
        with("contacts", json!(vec!["a@b.example"; 1000])),
        with("client_name", json!("a".repeat(201))),
        with("client_name", json!(1)),
    ] {
        assert_refused(&app, &body, "invalid_client_metadata").await;
    }
    let uris: Vec<_> = (0..101)
        .map(|number| format!("https://c.example/{number}"))
        .collect();
    assert_refused(&app, &with("redirect_uris", json!(uris)), "invalid_redirect_uri").await;
}

/// [DCR-012, DCR-019]
#[tokio::test]
async fn private_keys_and_software_statements_are_refused() {
    let app = TestApp::new().await;
    for (member, value) in [
        ("jwks", json!({"keys": [{"kty": "oct", "k": "AAAA"}]})),
        ("jwks", json!([])),
        ("jwks_uri", json!("http://c.example/j")),
        ("jwks_uri", json!("file:///etc/passwd")),
    ] {
        assert_refused(&app, &with(member, value), "invalid_client_metadata").await;
    }
    assert_refused(
        &app,
        &with("software_statement", json!("x.y.z")),
        "unapproved_software_statement",
    )
    .await;
}

/// [DCR-020]
#[tokio::test]
async fn a_closed_server_registers_nobody_and_does_not_advertise_it() {
    let app = TestApp::with(|settings| settings.registration.dcr = DynamicRegistration::AdminOnly).await;
    let reply = post(&app, &native()).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN, "{reply:?}");
    assert_eq!(app.number_of_clients().await, 0);
    let metadata = app
        .browser()
        .get("/.well-known/oauth-authorization-server")
        .await
        .json();
    assert!(metadata.get("registration_endpoint").is_none());
}

#[tokio::test]
async fn approved_redirects_admit_their_clients_only() {
    let app = TestApp::with(|settings| {
        settings.registration.dcr = DynamicRegistration::ApprovedRedirects;
        settings.registration.approved_redirects = vec![
            "https://good.example/cb".to_owned(),
            "http://127.0.0.1/cb".to_owned(),
        ];
    })
    .await;
    register(&app, &with("redirect_uris", json!(["https://good.example/cb"]))).await;
    register(&app, &with("redirect_uris", json!(["http://127.0.0.1:4711/cb"]))).await;
    for uris in [
        json!(["https://good.example/cb/"]),
        json!(["https://good.example/cb", "https://evil.example/cb"]),
        json!(["http://127.0.0.1:4711/other"]),
        json!(["http://localhost:4711/cb"]),
    ] {
        assert_refused(&app, &with("redirect_uris", uris), "invalid_redirect_uri").await;
    }
}

#[tokio::test]
async fn a_disabled_client_cannot_come_back_by_registering_again() {
    let app = TestApp::new().await;
    let client_id = register(&app, &native()).await["client_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut stored = app.context.store.client(&client_id).await.unwrap().unwrap();
    stored.disabled = true;
    app.context.store.update_client(stored.clone()).await.unwrap();
    assert_refused(&app, &native(), "invalid_client_metadata").await;
    assert_eq!(app.context.store.client(&client_id).await.unwrap(), Some(stored));
}

#[tokio::test]
async fn browsers_on_other_origins_may_register() {
    let app = TestApp::new().await;
    let headers = [
        ("content-type", "application/json"),
        ("origin", "http://localhost:6274"),
    ];
    let reply = app
        .browser()
        .send("POST", "/oauth/register", &headers, native().to_string())
        .await;
    assert_eq!(
        (reply.status, reply.header("access-control-allow-origin")),
        (StatusCode::CREATED, "*")
    );
    assert_eq!(
        app.browser().get("/oauth/register").await.status,
        StatusCode::METHOD_NOT_ALLOWED
    );
}

#[tokio::test]
async fn a_registered_client_goes_the_whole_road() {
    let app = TestApp::new().await;
    let client_id = register(&app, &native()).await["client_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let reply = app
        .approve(
            &app.browser(),
            &Authorization::new(&client_id, "http://127.0.0.1:50123/cb"),
        )
        .await;
    let token = app.redeem(&client_id, &reply).await;
    assert_eq!(token.status, StatusCode::OK, "{token:?}");
    assert!(token.json().get("refresh_token").is_some());
}
