//! What strangers may ask of a server that others need.

use std::time::Duration;

use doorward_jose::{Algorithm, SigningKey};
use doorward_store::UnixSeconds;
use http::StatusCode;
use serde_json::json;

use crate::machine::{JWT_BEARER, access_token, app, assertion, assertion_claims, key, machine};
use crate::support::{REDIRECT, Reply, TestApp};

/// Introspects with an assertion of its own.
async fn introspect(app: &TestApp, client_id: &str, key: &SigningKey, token: &str) -> Reply {
    let signed = assertion(key, &assertion_claims(app, client_id));
    let form = [
        ("token", token),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", &signed),
    ];
    app.browser().post_pairs("/oauth/introspect", &[], &form).await
}

/// How many assertions are remembered as used; none afterwards.
async fn remembered(app: &TestApp) -> u64 {
    let end_of_time = UnixSeconds(4_000_000_000);
    let second = Duration::from_secs(1);
    let swept = app
        .context
        .store
        .sweep(end_of_time, second, 10_000)
        .await
        .unwrap();
    let spent = swept.kinds().find(|(kind, _)| *kind == "spent");
    spent.map_or(0, |(_, rows)| rows)
}

/// An assertion that was used is a row for over an hour: nobody gets one for a token that they may not see.
#[tokio::test]
async fn who_may_see_nothing_costs_no_row_at_introspection() {
    let app = app().await;
    let key = key(Algorithm::Es256);
    let keys = json!({"keys": [key.public_jwk()]});
    let metadata = json!({
        "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "private_key_jwt", "jwks": keys,
    });
    let headers = [("content-type", "application/json")];
    let stranger = app
        .browser()
        .send("POST", "/oauth/register", &headers, metadata.to_string())
        .await;
    assert_eq!(stranger.status, StatusCode::CREATED, "{stranger:?}");
    let stranger = stranger.json()["client_id"].as_str().unwrap().to_owned();
    let other = machine(&app, json!({})).await;
    let token = access_token(&other.own(&app, &[]).await);
    for _ in 0..10 {
        for token in [&*token, "nobody's"] {
            let reply = introspect(&app, &stranger, &key, token).await;
            assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
            assert_eq!(reply.json(), json!({"active": false}));
        }
    }
    assert_eq!(remembered(&app).await, 0);

    let guard = machine(&app, json!({"jwks": keys, "resource_server": "mcp"})).await;
    let reply = introspect(&app, &guard.client_id, &key, "nobody's").await;
    assert_eq!(reply.json(), json!({"active": false}));
    assert_eq!(remembered(&app).await, 1, "a resource server's counts once");
}
