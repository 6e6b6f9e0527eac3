//! What comes of a registration.

use http::StatusCode;
use serde_json::json;

use crate::asking::{native, post, register, with};
use crate::support::{Authorization, TestApp};

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
    assert_eq!(
        body["grant_types"],
        json!(["authorization_code", "refresh_token"])
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
