//! Policies of resources: lifetimes, recent sign-in, claims.

use doorward_store::ClientSource;
use http::StatusCode;
use serde_json::{Value, json};

use crate::device::{self, begin, poll, text};
use crate::support::{Authorization, EMAIL, REDIRECT, TestApp, claims};

async fn app(policy: Value) -> (TestApp, String) {
    let app = TestApp::with_admin_key().await;
    let reply = app
        .administer("PATCH", "/admin/resources/mcp", &json!({"policy": policy}))
        .await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    let client = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    (app, client)
}

async fn token(app: &TestApp, client: &str) -> Value {
    let request = Authorization::new(client, REDIRECT);
    let reply = app.approve(&app.browser(), &request).await;
    app.redeem(client, &reply).await.json()
}

#[tokio::test]
async fn a_resource_has_its_own_lifetimes() {
    let policy = json!({"access_ttl": 60, "refresh_idle_ttl": 120, "refresh_absolute_ttl": 200});
    let (app, client) = app(policy).await;
    let body = token(&app, &client).await;
    assert_eq!(body["expires_in"], 60);
    assert_eq!(body["refresh_token_expires_in"], 120);
    let refresh = async |body: &Value| {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", &*client),
            ("refresh_token", body["refresh_token"].as_str().unwrap()),
        ];
        app.token(&form).await
    };
    app.wait(100);
    let second = refresh(&body).await.json();
    assert_eq!(second["refresh_token_expires_in"], 100);
    app.wait(100);
    refresh(&second).await.assert_error("invalid_grant");
    // Why is told by the admin API.
    let grants = app.administer("GET", "/admin/grants", &Value::Null).await.json();
    assert_eq!(grants["items"][0]["end_reason"], "expired", "{grants}");
}

/// The server's own lifetimes, told to the client.
#[tokio::test]
async fn a_client_is_told_when_its_refresh_token_ends() {
    let (app, client) = app(json!({})).await;
    let body = token(&app, &client).await;
    assert_eq!(body["refresh_token_expires_in"], 30 * 86_400);
}

#[tokio::test]
async fn claims_are_added_as_the_operator_says() {
    let policy = json!({"person_claims": ["email", "name"], "claims": {"tenant": "blue", "tier": 3}});
    let (app, client) = app(policy).await;
    let body = token(&app, &client).await;
    let claims = claims(&body);
    assert_eq!(claims["email"], EMAIL);
    assert_eq!(claims["name"], app.user.name);
    assert_eq!(
        (claims["tenant"].as_str(), claims["tier"].as_i64()),
        (Some("blue"), Some(3))
    );
    assert_eq!(claims["acr"], "urn:doorward:acr:password");
}

#[tokio::test]
async fn a_refreshed_token_says_what_is_known_of_the_person_now() {
    let (app, client) = app(json!({"person_claims": ["email", "name"]})).await;
    let first = token(&app, &client).await;
    let person = format!("/admin/users/{}", app.user.id.0);
    let renamed = app.administer("PATCH", &person, &json!({"name": "Ada"})).await;
    assert_eq!(renamed.status, StatusCode::OK, "{renamed:?}");
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", &*client),
        ("refresh_token", first["refresh_token"].as_str().unwrap()),
    ];
    let claims = claims(&app.token(&form).await.json());
    assert_eq!(
        (&claims["email"], &claims["name"]),
        (&EMAIL.into(), &"Ada".into())
    );
}

/// [RFC 9470 §5]
#[tokio::test]
async fn a_resource_can_want_a_recent_sign_in() {
    let (app, client) = app(json!({"max_auth_age": 300})).await;
    let browser = app.signed_in().await;
    let request = Authorization::new(&client, REDIRECT);
    app.wait(299);
    assert!(
        browser
            .open(&request.path())
            .await
            .body
            .contains("name=\"decision\"")
    );
    app.wait(2);
    let page = browser.open(&request.path()).await;
    assert!(page.body.contains("name=\"password\""), "{page:?}");
    // What the request itself wants counts when it is less.
    let browser = app.signed_in().await;
    app.wait(20);
    let page = browser.open(&request.clone().set("max_age", "10").path()).await;
    assert!(page.body.contains("name=\"password\""));
    let page = browser.open(&request.set("max_age", "100000").path()).await;
    assert!(page.body.contains("name=\"decision\""));
}

/// [RFC 9470 §5]
#[tokio::test]
async fn a_device_for_a_resource_that_wants_a_recent_sign_in_gets_one() {
    let (app, _) = app(json!({"max_auth_age": 300})).await;
    let metadata = json!({"client_name": "Television", "grant_types": [device::GRANT]});
    app.add_client_with(device::CLIENT, ClientSource::Admin, metadata)
        .await;
    let browser = app.signed_in().await;
    app.wait(301);
    let device = begin(&app).await;
    let page = browser.open("/device").await;
    let form = page.form("/device").set("user_code", text(&device, "user_code"));
    let reply = browser.submit(&form, None).await;
    let page = browser.follow(reply).await;
    assert!(page.body.contains("name=\"password\""), "{page:?}");
    let page = browser.sign_in_on(&page, EMAIL).await;
    browser
        .submit(&page.form("/consent"), Some(("decision", "allow")))
        .await;
    let token = poll(&app, &device).await;
    assert_eq!(token.status, StatusCode::OK, "{token:?}");
    let now = app.context.now().seconds();
    assert_eq!(claims(&token.json())["auth_time"], now);
}

#[tokio::test]
async fn a_class_that_cannot_be_reached_is_refused() {
    let (app, client) = app(json!({})).await;
    let request = Authorization::new(&client, REDIRECT);
    let reply = app
        .browser()
        .get(&request.clone().set("acr_values", "urn:example:gold").path())
        .await;
    reply.assert_error_redirect(REDIRECT, "unmet_authentication_requirements", Some("xyz"));
    let both = request.set("acr_values", "urn:example:gold urn:doorward:acr:password");
    let page = app.browser().open(&both.path()).await;
    assert!(page.body.contains("name=\"password\""));
    let metadata = app
        .browser()
        .get("/.well-known/oauth-authorization-server")
        .await
        .json();
    assert_eq!(
        metadata["acr_values_supported"],
        json!(["urn:doorward:acr:password"])
    );
}

#[tokio::test]
async fn a_policy_that_cannot_hold_is_refused_and_nothing_changes() {
    let (app, _) = app(json!({"access_ttl": 60})).await;
    for policy in [
        json!({"access_ttl": 5}),
        json!({"access_ttl": 86_401}),
        json!({"refresh_idle_ttl": 1}),
        json!({"max_auth_age": 0}),
        json!({"person_claims": ["password_hash"]}),
        json!({"claims": {"sub": "somebody"}}),
        json!({"claims": {"acr": "gold"}}),
        json!({"claims": {"email": "x"}}),
        json!({"claims": {"long": "x".repeat(3000)}}),
        json!({"claims": []}),
        json!({"unknown": true}),
    ] {
        let reply = app
            .administer("PATCH", "/admin/resources/mcp", &json!({"policy": policy}))
            .await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{policy} {reply:?}");
    }
    let resource = app
        .administer("GET", "/admin/resources/mcp", &Value::Null)
        .await
        .json();
    assert_eq!(resource["policy"]["access_ttl"], 60);
}
