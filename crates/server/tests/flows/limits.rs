//! `[rate_limit]`: 429 with `Retry-After`, never `invalid_grant`, and nothing is used up.

use doorward_store::ClientSource;
use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{ADMIN_KEY, Authorization, Browser, REDIRECT, Reply, TestApp};

#[track_caller]
fn assert_limited(reply: &Reply) {
    assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS, "{reply:?}");
    assert_eq!(reply.json()["error"], "temporarily_unavailable");
    assert!(reply.header("retry-after").parse::<u64>().unwrap() >= 1);
}

async fn refresh(app: &TestApp, client: &str, token: &str) -> Reply {
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", client),
        ("refresh_token", token),
    ];
    app.token(&form).await
}

async fn connected(app: &TestApp) -> (String, String) {
    let client = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let reply = app
        .approve(&app.browser(), &Authorization::new(&client, REDIRECT))
        .await;
    let body = app.redeem(&client, &reply).await.json();
    (client, body["refresh_token"].as_str().unwrap().to_owned())
}

/// [REF-031] [RATE-007]
#[tokio::test]
async fn tokens_cannot_be_guessed_without_end() {
    let app = TestApp::with(|settings| settings.rate_limit.token_address = "10/1m".parse().unwrap()).await;
    let client = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    for _ in 0..10 {
        refresh(&app, &client, "dwr_guess")
            .await
            .assert_error("invalid_grant");
    }
    assert_limited(&refresh(&app, &client, "dwr_guess").await);
    app.wait(6);
    refresh(&app, &client, "dwr_guess")
        .await
        .assert_error("invalid_grant");
    let metrics = Browser::new(app.admin.clone()).get("/metrics").await.body;
    assert!(
        metrics.contains("doorward_requests_limited_total{limit=\"token_address\"} 1"),
        "{metrics}"
    );
}

/// A limited request uses nothing up: the same refresh token works afterwards.
#[tokio::test]
async fn a_limit_never_costs_a_grant() {
    let app = TestApp::with(|settings| settings.rate_limit.token_account = "2/1m".parse().unwrap()).await;
    let (client, mut token) = connected(&app).await;
    for _ in 0..2 {
        let body = refresh(&app, &client, &token).await.json();
        body["refresh_token"].as_str().unwrap().clone_into(&mut token);
    }
    for _ in 0..5 {
        assert_limited(&refresh(&app, &client, &token).await);
    }
    app.wait(30);
    assert_eq!(refresh(&app, &client, &token).await.status, StatusCode::OK);
}

/// A public client's name is anybody's: who uses it up at one address does not take it from another.
#[tokio::test]
async fn a_public_client_has_a_budget_for_each_address() {
    let app = TestApp::with(|settings| {
        settings.rate_limit.token_client = "3/1m".parse().unwrap();
        settings.server.trusted_proxies = vec!["0.0.0.0/0".parse().unwrap()];
    })
    .await;
    let client = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let from = async |address: &str| {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", &*client),
            ("refresh_token", "dwr_x"),
        ];
        app.browser()
            .post_pairs("/oauth/token", &[("x-forwarded-for", address)], &form)
            .await
    };
    for _ in 0..3 {
        from("192.0.2.1").await.assert_error("invalid_grant");
    }
    assert_limited(&from("192.0.2.1").await);
    from("192.0.2.2").await.assert_error("invalid_grant");
}

/// [RATE-002]: nobody mints addresses by a header.
#[tokio::test]
async fn a_forwarded_address_counts_behind_trusted_proxies_only() {
    let app = TestApp::with(|settings| settings.rate_limit.token_address = "3/1m".parse().unwrap()).await;
    let client = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", &*client),
        ("refresh_token", "dwr_x"),
    ];
    for number in 0..3 {
        let address = format!("192.0.2.{number}");
        let headers = [("x-forwarded-for", &*address), ("x-real-ip", &*address)];
        app.browser()
            .post_pairs("/oauth/token", &headers, &form)
            .await
            .assert_error("invalid_grant");
    }
    let headers = [("x-forwarded-for", "192.0.2.9"), ("forwarded", "for=192.0.2.9")];
    assert_limited(&app.browser().post_pairs("/oauth/token", &headers, &form).await);
}

#[tokio::test]
async fn what_is_off_does_not_limit() {
    let app = TestApp::with(|settings| {
        settings.rate_limit.token_address = "off".parse().unwrap();
        settings.rate_limit.token_client = "off".parse().unwrap();
    })
    .await;
    let client = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    for _ in 0..50 {
        refresh(&app, &client, "dwr_x")
            .await
            .assert_error("invalid_grant");
    }
}

/// [PAR-008] [RATE-008]
#[tokio::test]
async fn pushed_requests_have_a_limit_of_their_own() {
    let app = TestApp::with(|settings| settings.rate_limit.par = "2/1m".parse().unwrap()).await;
    let client = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let request = Authorization::new(&client, REDIRECT).encoded();
    let push = async || app.browser().post("/oauth/par", &[], request.clone()).await;
    for _ in 0..2 {
        assert_eq!(push().await.status, StatusCode::CREATED);
    }
    assert_limited(&push().await);
}

/// Introspects and revokes with these credentials.
async fn ask_about_tokens(app: &TestApp, credentials: &[(&str, &str)]) -> [Reply; 2] {
    let form = [credentials, &[("token", "x")]].concat();
    let browser = app.browser();
    [
        browser.post_pairs("/oauth/introspect", &[], &form).await,
        browser.post_pairs("/oauth/revoke", &[], &form).await,
    ]
}

/// Resource servers ask thousands of times a second; strangers need not.
#[tokio::test]
async fn strangers_are_counted_where_they_ask_about_tokens_and_an_operators_clients_are_not() {
    let app = TestApp::with(|settings| {
        settings.rate_limit.self_registered = "6/1m".parse().unwrap();
        settings.admin.bootstrap_key = Some(ADMIN_KEY.into());
    })
    .await;
    let metadata = json!({"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "client_secret_post"});
    let headers = [("content-type", "application/json")];
    let stranger = app
        .browser()
        .send("POST", "/oauth/register", &headers, metadata.to_string())
        .await
        .json();
    let guard = json!({
        "client_name": "Guard", "resource_server": "mcp", "token_endpoint_auth_method": "client_secret_post",
    });
    let guard = app.administer("POST", "/admin/clients", &guard).await.json();
    let credentials = |client: &Value| {
        ["client_id", "client_secret"].map(|name| (name, client[name].as_str().unwrap().to_owned()))
    };
    let [stranger, guard] = [&stranger, &guard].map(credentials);
    let ask = async |of: &[(&'static str, String); 2]| {
        let form = of.each_ref().map(|(name, value)| (*name, value.as_str()));
        ask_about_tokens(&app, &form).await
    };
    for _ in 0..3 {
        for reply in ask(&stranger).await {
            assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        }
    }
    for reply in ask(&stranger).await {
        assert_limited(&reply);
    }
    for _ in 0..20 {
        for reply in ask(&guard).await {
            assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        }
    }
    // A name with a secret that proves nothing, too.
    let [name, _] = &guard;
    let wrong = [(name.0, name.1.as_str()), ("client_secret", "dwsec_wrong")];
    for reply in ask_about_tokens(&app, &wrong).await {
        assert_limited(&reply);
    }
    // A public client's name is anybody's.
    let public = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    for reply in ask_about_tokens(&app, &[("client_id", &public)]).await {
        assert_limited(&reply);
    }
    app.wait(20);
    let [introspected, revoked] = ask(&stranger).await;
    assert_eq!(
        (introspected.status, revoked.status),
        (StatusCode::OK, StatusCode::OK)
    );
}
