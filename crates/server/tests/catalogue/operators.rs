//! ADMIN: what operators can do, and nobody else.

use doorward_jose::Algorithm;
use http::StatusCode;
use serde_json::{Value, json};

use crate::connected::{basic, code, confidential, redemption, refresh, resource_server, text, tokens};
use crate::machine::{ACCESS_TOKEN, EXCHANGE, admin, app, assert_unauthenticated, key};
use crate::support::{ADMIN_KEY, Authorization, Browser, EMAIL, PASSWORD, REDIRECT};

/// ADMIN-004, ADMIN-005: a change is judged by what comes of it, as a whole, and is done whole or not at all.
#[tokio::test]
async fn a_change_of_a_client_is_judged_by_what_comes_of_it() {
    let app = app().await;
    let client = confidential(&app).await;
    let path = format!("/admin/clients/{}", client.client_id);
    let before = admin(&app, "GET", &path, Value::Null).await.json();
    let own = serde_json::to_value(key(Algorithm::Es256).public_jwk()).unwrap();
    let mut private = own.clone();
    private["d"] = json!("AAAA");
    for change in [
        json!({"redirect_uris": ["javascript:alert(1)"], "client_name": "Nice"}),
        json!({"client_name": "Nice", "redirect_uris": ["http://evil.example/cb"]}),
        json!({"client_name": "Nice", "jwks": {"keys": [private]}}),
        json!({"client_name": "Nice", "jwks": {"keys": [own]}, "jwks_uri": "https://keys.example/jwks.json"}),
        json!({"client_name": "Nice", "jwks_uri": "http://169.254.169.254/latest"}),
        json!({"client_name": "Nice", "token_endpoint_auth_method": "none"}),
        json!({"client_name": "Nice", "grant_types": ["client_credentials"]}),
        json!({"client_name": "Nice", "trusted": true}),
        json!({"client_name": "Nice", "skip_consent": true}),
        json!({"client_name": "Nice", "role": "admin"}),
        json!({"client_name": "Nice", "owner": "other"}),
        json!({"client_name": "Nice", "client_id": "other"}),
        json!({"client_name": "Nice", "scope": {"$set": "mcp:admin"}}),
        json!({"client_name": "Nice", "scope": ["mcp:read"]}),
        json!({"client_name": {"$ne": null}}),
    ] {
        let reply = admin(&app, "PATCH", &path, change.clone()).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{change} {reply:?}");
        assert_eq!(
            admin(&app, "GET", &path, Value::Null).await.json(),
            before,
            "{change}"
        );
    }
    let user = format!("/admin/users/{}", app.user.id.0);
    for change in [
        json!({"name": "Nice", "role": "admin"}),
        json!({"name": "Nice", "id": "other"}),
        json!({"name": "Nice", "password_hash": "x"}),
        json!({"name": ["Nice"]}),
    ] {
        let reply = admin(&app, "PATCH", &user, change.clone()).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{change} {reply:?}");
    }
    assert_ne!(
        admin(&app, "GET", &user, Value::Null).await.json()["name"],
        "Nice"
    );
}

/// ADMIN-006: there are no cookies to ride on, and the origin of who has the key does not matter.
#[tokio::test]
async fn a_browser_cannot_be_made_to_administer() {
    let app = app().await;
    let signed_in = app.signed_in().await;
    let browser = Browser::new(app.admin.clone());
    for (name, value) in signed_in.cookies() {
        browser.set_cookie(&name, &value);
    }
    let form = [
        ("origin", "https://evil.example"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let reply = browser
        .send("POST", "/admin/keys/rotate", &form, String::new())
        .await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{reply:?}");
    let preflight = [
        ("origin", "https://evil.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization"),
    ];
    let reply = browser
        .send("OPTIONS", "/admin/users", &preflight, String::new())
        .await;
    assert_eq!(reply.header("access-control-allow-origin"), "", "{reply:?}");
    let bearer = format!("Bearer {ADMIN_KEY}");
    let headers = [
        ("origin", "https://evil.example"),
        ("authorization", bearer.as_str()),
    ];
    let reply = browser.send("GET", "/admin/users", &headers, String::new()).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    assert_eq!(reply.header("access-control-allow-origin"), "");
}

/// ADMIN-008: a client that is disabled gets nothing, anywhere, from then on.
#[tokio::test]
async fn a_disabled_client_gets_nothing_anywhere() {
    let app = app().await;
    let client = confidential(&app).await;
    let guard = basic(&resource_server(&app, "mcp").await);
    let body = tokens(&app, &client).await;
    let waiting = code(&app, &client.client_id).await;
    let path = format!("/admin/clients/{}", client.client_id);
    let disabled = admin(&app, "PATCH", &path, json!({"disabled": true})).await;
    assert_eq!(disabled.status, StatusCode::OK, "{disabled:?}");
    let exchange = [
        ("grant_type", EXCHANGE),
        ("subject_token", text(&body, "access_token")),
        ("subject_token_type", ACCESS_TOKEN),
    ];
    for reply in [
        client.own(&app, &[]).await,
        refresh(&app, &client, text(&body, "refresh_token")).await,
        client.token(&app, &redemption(&waiting), &[]).await,
        client.token(&app, &exchange, &[]).await,
    ] {
        assert_unauthenticated(&reply);
    }
    let form = [("token", text(&body, "access_token"))];
    let headers = [("authorization", guard.as_str())];
    let seen = app
        .browser()
        .post_pairs("/oauth/introspect", &headers, &form)
        .await;
    assert_eq!(seen.json(), json!({"active": false}));
    let request = Authorization::new(&client.client_id, REDIRECT);
    app.browser().get(&request.path()).await.assert_error_page();
    let device = [client.credentials(), vec![("resource", crate::support::RESOURCE)]].concat();
    let reply = app
        .browser()
        .post_pairs("/oauth/device_authorization", &[], &device)
        .await;
    assert_unauthenticated(&reply);
}

/// ADMIN-012, ADMIN-013: the API has nothing that hands out a database, a private key or a secret again, and a person's
/// sign-in is no operator's key.
#[tokio::test]
async fn the_api_hands_out_no_secret_twice() {
    let app = app().await;
    let client = confidential(&app).await;
    let secret = client.secret.clone().unwrap();
    let document = serde_json::to_value(doorward_server::admin_openapi()).unwrap();
    let paths: Vec<_> = document["paths"].as_object().unwrap().keys().collect();
    for word in ["backup", "export", "dump", "database", "private"] {
        assert!(!paths.iter().any(|path| path.contains(word)), "{word}: {paths:?}");
    }
    for path in paths.iter().filter(|path| !path.contains('{')) {
        let reply = admin(&app, "GET", path, Value::Null).await;
        if reply.status == StatusCode::OK {
            assert!(!reply.body.contains(&secret), "{path}");
            for private in ["\"d\":", "password_hash", "argon2", "dwsec_", "PRIVATE KEY"] {
                assert!(!reply.body.contains(private), "{path} {private} {reply:?}");
            }
        }
    }
    let browser = app.browser();
    browser.sign_in("/login", EMAIL, PASSWORD).await;
    let body = tokens(&app, &client).await;
    let bearer = format!("Bearer {}", text(&body, "access_token"));
    let reply = Browser::new(app.admin.clone())
        .send(
            "GET",
            "/admin/clients",
            &[("authorization", &bearer)],
            String::new(),
        )
        .await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{reply:?}");
}
