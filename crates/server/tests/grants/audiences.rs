//! Other servers that get ID-JAGs, as operators and clients see them.

use http::StatusCode;
use serde_json::{Value, json};

use crate::machine::{admin, app, app_with, members};
use crate::support::{ISSUER, RESOURCE, TestApp, claims};
use crate::trusted::assert_error;
use crate::vouching::{AUDIENCES, CHAT, ID_JAG, OTHER, REFRESH_TOKEN, Scene, web_client};

/// Told by the metadata, when it is there.
#[tokio::test]
async fn the_metadata_says_that_the_server_vouches_while_it_does() {
    const MEMBER: &str = "identity_chaining_requested_token_types_supported";
    let metadata = async |app: &TestApp| {
        let reply = app
            .browser()
            .open("/.well-known/oauth-authorization-server")
            .await;
        reply.json().get(MEMBER).cloned()
    };
    assert_eq!(metadata(&app().await).await, Some(json!([ID_JAG])));
    let off = Scene::with(app_with(|settings| settings.token_exchange.id_jag = false).await).await;
    assert_eq!(metadata(&off.app).await, None);
    assert_error(&off.ask(&[]).await, "invalid_request");
    let neither = app_with(|settings| settings.token_exchange.enabled = false).await;
    assert_eq!(metadata(&neither).await, None);
}

#[tokio::test]
async fn an_audience_is_made_read_changed_and_removed() {
    let app = app().await;
    let new = json!({"slug": "chat", "issuer": OTHER});
    let made = admin(&app, "POST", AUDIENCES, new.clone()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let body = made.json();
    assert_eq!((&body["lifetime"], &body["rules"]), (&json!(300), &json!([])));
    let one = format!("{AUDIENCES}/chat");
    assert_eq!(admin(&app, "GET", &one, Value::Null).await.json(), body);
    let all = admin(&app, "GET", AUDIENCES, Value::Null).await.json();
    assert_eq!(all["items"], json!([body]));
    let rule = json!({"name": "r", "client_ids": ["a"], "resource": CHAT, "scope": "chat.read"});
    let change = json!({"rules": [rule], "client_names": {"a": "b"}});
    let changed = admin(&app, "PATCH", &one, change).await.json();
    assert_eq!(
        (&changed["rules"], &changed["client_names"]["a"]),
        (&json!([rule]), &json!("b"))
    );
    let again = admin(&app, "PATCH", &one, json!({"lifetime": 60})).await.json();
    assert_eq!(
        (&again["rules"], &again["lifetime"]),
        (&json!([rule]), &json!(60))
    );
    assert_eq!(
        admin(&app, "POST", AUDIENCES, new).await.status,
        StatusCode::CONFLICT
    );
    let with_rule = |changes: Value| {
        let mut rule = rule.clone();
        crate::trusted::merge(&mut rule, changes);
        json!({"rules": [rule]})
    };
    for refused in [
        json!({"lifetime": 301}),
        json!({"lifetime": 0}),
        json!({"person_claims": ["sub"]}),
        json!({"client_names": {"": "b"}}),
        json!({"unknown": 1}),
        json!({"issuer": "https://elsewhere.example"}),
        with_rule(json!({"client_ids": []})),
        with_rule(json!({"client_ids": null})),
        with_rule(json!({"resource": "chat"})),
        with_rule(json!({"scope": "a\"b"})),
        with_rule(json!({"name": ""})),
    ] {
        let reply = admin(&app, "PATCH", &one, refused.clone()).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{refused}: {reply:?}");
    }
    assert_eq!(admin(&app, "GET", &one, Value::Null).await.json(), again);
    for issuer in [ISSUER, "http://other.example", "https://other.example?x"] {
        let reply = admin(&app, "POST", AUDIENCES, json!({"slug": "x", "issuer": issuer})).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{issuer}");
    }
    for status in [StatusCode::NO_CONTENT, StatusCode::NOT_FOUND] {
        assert_eq!(admin(&app, "DELETE", &one, Value::Null).await.status, status);
    }
    for method in ["GET", "PATCH"] {
        assert_eq!(
            admin(&app, method, &one, json!({})).await.status,
            StatusCode::NOT_FOUND
        );
    }
}

/// `POST /admin/token-exchange/explain` says what the token endpoint does, and why.
#[tokio::test]
async fn an_operator_is_told_which_rule_stops_an_id_jag() {
    let scene = Scene::new().await;
    let app = &scene.app;
    let other = web_client(app).await;
    let explain = async |changes: Value| {
        let mut body = json!({
            "client_id": scene.client.client_id, "subject_token": scene.token(), "requested_token_type": ID_JAG,
            "audience": OTHER, "resource": CHAT,
        });
        for (name, value) in members(changes) {
            body[name] = value;
        }
        let reply = admin(app, "POST", "/admin/token-exchange/explain", body).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        reply.json()
    };
    let allowed = explain(json!({"scope": "chat.read"})).await;
    let real = claims(&scene.ask(&[("scope", "chat.read")]).await.json());
    assert_eq!(allowed["allowed"], true, "{allowed}");
    for name in ["sub", "aud", "client_id", "scope", "exp", "resource", "act"] {
        assert_eq!(allowed["token"].get(name), real.get(name), "{name}");
    }
    let by_refresh = json!({"subject_token": scene.refresh_token(), "subject_token_type": REFRESH_TOKEN});
    assert_eq!(explain(by_refresh).await["allowed"], true);
    for (changes, rule, error) in [
        (
            json!({"client_id": other.client_id}),
            "not_entitled",
            "invalid_request",
        ),
        (
            json!({"audience": "https://nobody.example"}),
            "audience_unknown",
            "invalid_target",
        ),
        (json!({"audience": null}), "audience_needed", "invalid_request"),
        (
            json!({"resource": RESOURCE}),
            "audience_not_allowed",
            "invalid_target",
        ),
        (json!({"scope": "mcp:read"}), "no_scope_allowed", "invalid_scope"),
        (
            json!({"subject_token": "x.y.z"}),
            "subject_token",
            "invalid_request",
        ),
        (
            json!({"subject_token_type": "bogus"}),
            "token_type",
            "invalid_request",
        ),
    ] {
        let answer = explain(changes.clone()).await;
        assert_eq!(
            (&answer["allowed"], &answer["rule"], &answer["error"]),
            (&json!(false), &json!(rule), &json!(error)),
            "{changes}: {answer}"
        );
        assert!(answer["message"].as_str().unwrap().len() > 20);
    }
}
