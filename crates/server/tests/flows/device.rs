//! The device grant at its endpoints (RFC 8628).

use doorward_store::{ClientSource, EndReason, GrantState};
use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Authorization, Browser, REDIRECT, RESOURCE, Reply, TestApp, claims};

pub const DEVICE: &str = "/oauth/device_authorization";
pub const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
pub const CLIENT: &str = "tv";

/// A server with a public client that may connect devices.
pub async fn app() -> TestApp {
    let app = TestApp::new().await;
    let metadata = json!({"client_name": "Television", "grant_types": [GRANT, "refresh_token"]});
    app.add_client_with(CLIENT, ClientSource::Admin, metadata).await;
    app
}

pub async fn begin(app: &TestApp) -> Value {
    let form = [
        ("client_id", CLIENT),
        ("scope", "mcp:read"),
        ("resource", RESOURCE),
    ];
    let reply = app.browser().post_pairs(DEVICE, &[], &form).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    assert_eq!(reply.header("cache-control"), "no-store");
    reply.json()
}

pub fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value[member].as_str().unwrap()
}

pub async fn poll(app: &TestApp, device: &Value) -> Reply {
    poll_as(app, CLIENT, device).await
}

async fn poll_as(app: &TestApp, client_id: &str, device: &Value) -> Reply {
    let form = [
        ("grant_type", GRANT),
        ("client_id", client_id),
        ("device_code", text(device, "device_code")),
    ];
    app.token(&form).await
}

/// Types the code and goes on to the page that asks.
pub async fn consent_page(browser: &Browser, device: &Value) -> Reply {
    let page = browser.open("/device").await;
    let form = page.form("/device").set("user_code", text(device, "user_code"));
    let reply = browser.submit(&form, None).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER, "{reply:?}");
    let mut page = browser.follow(reply).await;
    if page.body.contains("name=\"password\"") {
        page = browser.sign_in_on(&page, crate::support::EMAIL).await;
    }
    page
}

pub async fn decide(browser: &Browser, device: &Value, decision: &str) -> Reply {
    let page = consent_page(browser, device).await;
    browser
        .submit(&page.form("/consent"), Some(("decision", decision)))
        .await
}

/// [DEV-001]
#[tokio::test]
async fn a_device_gets_two_codes() {
    let app = app().await;
    let device = begin(&app).await;
    assert!(text(&device, "device_code").len() >= 22 + 4);
    let user_code = text(&device, "user_code");
    assert_eq!(user_code.len(), 9);
    assert!(
        user_code
            .chars()
            .all(|c| c == '-' || "BCDFGHJKLMNPQRSTVWXZ".contains(c))
    );
    assert_eq!(text(&device, "verification_uri"), "http://localhost:9000/device");
    let complete = text(&device, "verification_uri_complete");
    assert_eq!(
        complete,
        format!("http://localhost:9000/device?user_code={user_code}")
    );
    assert!(device["expires_in"].as_i64().unwrap() <= 900);
    assert!(device["interval"].as_i64().unwrap() >= 5);
    let other = begin(&app).await;
    assert_ne!(text(&other, "device_code"), text(&device, "device_code"));
    assert_ne!(text(&other, "user_code"), user_code);
    let metadata = app
        .browser()
        .get("/.well-known/oauth-authorization-server")
        .await
        .json();
    assert_eq!(
        metadata["device_authorization_endpoint"],
        format!("http://localhost:9000{DEVICE}")
    );
    let grants = metadata["grant_types_supported"].as_array().unwrap();
    assert!(grants.contains(&json!(GRANT)));
}

/// As in a browser: who may not have refresh tokens has nothing to stay connected with.
#[tokio::test]
async fn a_device_that_may_not_refresh_is_not_offered_to_stay_connected() {
    let app = app().await;
    let metadata = json!({"client_name": "Radio", "grant_types": [GRANT]});
    app.add_client_with("radio", ClientSource::Admin, metadata).await;
    let form = [
        ("client_id", "radio"),
        ("scope", "mcp:read offline_access"),
        ("resource", RESOURCE),
    ];
    let device = app.browser().post_pairs(DEVICE, &[], &form).await.json();
    let browser = app.signed_in().await;
    let page = consent_page(&browser, &device).await;
    assert_eq!(page.form("/consent").values("scope"), ["mcp:read"]);
    let allowed = browser
        .submit(&page.form("/consent"), Some(("decision", "allow")))
        .await;
    assert_eq!(allowed.status, StatusCode::OK, "{allowed:?}");
    let token = poll_as(&app, "radio", &device).await.json();
    assert_eq!(token["scope"], "mcp:read");
    assert!(token.get("refresh_token").is_none());
}

/// [DEV-002]
#[tokio::test]
async fn only_clients_with_the_grant_may_begin() {
    let app = app().await;
    let without = app
        .add_client(ClientSource::Admin, &["https://client.example/cb"])
        .await;
    for (client_id, status, error) in [
        (&*without, StatusCode::BAD_REQUEST, "unauthorized_client"),
        ("nobody", StatusCode::UNAUTHORIZED, "invalid_client"),
        ("", StatusCode::UNAUTHORIZED, "invalid_client"),
    ] {
        let form = [("client_id", client_id), ("resource", RESOURCE)];
        let form = if client_id.is_empty() { &form[1..] } else { &form };
        let reply = app.browser().post_pairs(DEVICE, &[], form).await;
        assert_eq!(reply.status, status, "{client_id} {reply:?}");
        assert_eq!(reply.json()["error"], error);
    }
    for (name, value, error) in [
        ("resource", "https://unknown.example", "invalid_target"),
        ("scope", "mcp:unknown", "invalid_scope"),
    ] {
        let reply = app
            .browser()
            .post_pairs(DEVICE, &[], &[("client_id", CLIENT), (name, value)])
            .await;
        reply.assert_error(error);
    }
}

/// [DEV-004] [DEV-006] [DEV-009]
#[tokio::test]
async fn the_device_gets_what_the_person_allowed() {
    let app = app().await;
    let device = begin(&app).await;
    poll(&app, &device).await.assert_error("authorization_pending");
    app.wait(1);
    poll(&app, &device).await.assert_error("slow_down");
    app.wait(6);
    poll(&app, &device).await.assert_error("slow_down");
    app.wait(20);
    poll(&app, &device).await.assert_error("authorization_pending");
    let done = decide(&app.browser(), &device, "allow").await;
    assert_eq!(done.status, StatusCode::OK, "{done:?}");
    assert!(done.text().contains("Your device is connected"));
    let reply = poll(&app, &device).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    let body = reply.json();
    assert!(body["refresh_token"].is_string() && body["refresh_token_expires_in"].as_i64().unwrap() > 0);
    let claims = claims(&body);
    assert_eq!(claims["sub"], app.user.id.0.to_string());
    assert_eq!(claims["client_id"], CLIENT);
    assert_eq!(claims["aud"], RESOURCE);
    assert_eq!(body["scope"], "mcp:read");
}

/// [DEV-007]
#[tokio::test]
async fn a_code_that_is_not_good_gives_nothing() {
    let app = app().await;
    let metadata = json!({"client_name": "Other", "grant_types": [GRANT]});
    app.add_client_with("other", ClientSource::Admin, metadata).await;
    let denied = begin(&app).await;
    let reply = decide(&app.browser(), &denied, "deny").await;
    assert!(reply.text().contains("was not connected"), "{reply:?}");
    poll(&app, &denied).await.assert_error("access_denied");
    let expired = begin(&app).await;
    poll_as(&app, "other", &expired)
        .await
        .assert_error("invalid_grant");
    app.wait(601);
    poll(&app, &expired).await.assert_error("expired_token");
    let used = begin(&app).await;
    decide(&app.browser(), &used, "allow").await;
    poll_as(&app, "other", &used).await.assert_error("invalid_grant");
    assert_eq!(poll(&app, &used).await.status, StatusCode::OK);
    poll(&app, &used).await.assert_error("invalid_grant");
    // What it got goes on: only its device has seen the code.
    assert!(
        app.grants()
            .await
            .iter()
            .any(|grant| grant.state == GrantState::Active)
    );
    for device_code in ["dwd_unknown", "garbage", "dwd_"] {
        poll(&app, &json!({"device_code": device_code}))
            .await
            .assert_error("invalid_grant");
    }
}

/// Both kinds are kept in one place. What an authorization code asks for (`code_verifier`, `redirect_uri`, a key) is asked
/// for at its own grant alone.
#[tokio::test]
async fn an_authorization_code_is_no_device_code() {
    let app = app().await;
    let metadata = json!({
        "client_name": "Both", "redirect_uris": [REDIRECT], "grant_types": ["authorization_code", GRANT],
    });
    app.add_client_with("both", ClientSource::Admin, metadata).await;
    let reply = app
        .approve(&app.browser(), &Authorization::new("both", REDIRECT))
        .await;
    let code = reply.param("code").unwrap();
    poll_as(&app, "both", &json!({"device_code": code}))
        .await
        .assert_error("invalid_grant");
    let redeemed = app.redeem("both", &reply).await;
    assert_eq!(redeemed.status, StatusCode::OK, "{redeemed:?}");
}

/// [DEV-008]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_polls_at_once_get_one_token() {
    let app = app().await;
    let device = begin(&app).await;
    decide(&app.browser(), &device, "allow").await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (browser, code) = (app.browser(), text(&device, "device_code").to_owned());
        tasks.spawn(async move {
            let form = [
                ("grant_type", GRANT),
                ("client_id", CLIENT),
                ("device_code", &*code),
            ];
            browser.post_pairs("/oauth/token", &[], &form).await.status
        });
    }
    let statuses = tasks.join_all().await;
    assert_eq!(
        statuses.iter().filter(|status| status.is_success()).count(),
        1,
        "{statuses:?}"
    );
    assert!(
        statuses
            .iter()
            .all(|status| status.is_success() || *status == StatusCode::BAD_REQUEST)
    );
    assert_eq!(app.grants().await[0].state, GrantState::Active);
}

/// [DEV-015] [REV-012]
#[tokio::test]
async fn what_ended_between_approval_and_poll_gives_no_token() {
    let app = app().await;
    let device = begin(&app).await;
    decide(&app.browser(), &device, "allow").await;
    app.set_disabled(true).await;
    poll(&app, &device).await.assert_error("invalid_grant");
    app.set_disabled(false).await;
    let device = begin(&app).await;
    decide(&app.browser(), &device, "allow").await;
    app.revoke_grants().await;
    poll(&app, &device).await.assert_error("invalid_grant");
    let device = begin(&app).await;
    decide(&app.browser(), &device, "allow").await;
    app.disable_client(CLIENT).await;
    assert_eq!(poll(&app, &device).await.status, StatusCode::UNAUTHORIZED);
    let ended = app.grants().await;
    assert!(
        ended
            .iter()
            .any(|grant| grant.end_reason == Some(EndReason::RevokedByUser))
    );
}

/// [DEV-018] [RATE-008]
#[tokio::test]
async fn an_address_cannot_begin_without_end() {
    let app = TestApp::with(|settings| settings.rate_limit.device_address = "5/10m".parse().unwrap()).await;
    let metadata = json!({"client_name": "Television", "grant_types": [GRANT]});
    app.add_client_with(CLIENT, ClientSource::Admin, metadata).await;
    for _ in 0..5 {
        begin(&app).await;
    }
    let form = [("client_id", CLIENT), ("resource", RESOURCE)];
    let reply = app.browser().post_pairs(DEVICE, &[], &form).await;
    assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS, "{reply:?}");
    assert_eq!(reply.json()["error"], "temporarily_unavailable");
    assert_eq!(reply.header("retry-after"), "120");
}
