//! `/admin/trusted-issuers`.

use http::StatusCode;
use serde_json::{Value, json};

use crate::machine::{admin, app};
use crate::support::{ISSUER, RESOURCE};
use crate::trusted::{IDP, merge, provider};

const PATH: &str = "/admin/trusted-issuers";

#[tokio::test]
async fn an_issuer_is_made_read_changed_and_removed() {
    let app = app().await;
    let made = admin(
        &app,
        "POST",
        PATH,
        json!({"slug": "idp", "kind": "identity_provider", "issuer": IDP}),
    )
    .await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let body = made.json();
    assert_eq!((&body["max_lifetime"], &body["rules"]), (&json!(600), &json!([])));
    assert_eq!(
        body["algorithms"],
        json!(["ES256", "EdDSA", "ES384", "PS256", "RS256"])
    );
    let one = format!("{PATH}/idp");
    assert_eq!(admin(&app, "GET", &one, Value::Null).await.json(), body);
    assert_eq!(
        admin(&app, "GET", PATH, Value::Null).await.json()["items"],
        json!([body])
    );
    let rule = json!({"name": "r", "client_ids": ["a"], "resource": "mcp", "scope": "mcp:read",
        "claims": {"groups": "ops", "dept": {"glob": "eng/*"}}, "token_lifetime": 60});
    let changed = admin(&app, "PATCH", &one, json!({"rules": [rule], "single_use": true})).await;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    let mut expected = rule;
    expected["resource"] = json!(RESOURCE);
    assert_eq!(changed.json()["rules"], json!([expected]));
    assert_eq!(changed.json()["single_use"], true);
    let again = admin(&app, "PATCH", &one, json!({"max_lifetime": 300}))
        .await
        .json();
    assert_eq!(
        (&again["rules"], &again["max_lifetime"]),
        (&json!([expected]), &json!(300))
    );
    let taken = admin(
        &app,
        "POST",
        PATH,
        json!({"slug": "two", "kind": "identity_provider", "issuer": IDP}),
    )
    .await;
    assert_eq!(taken.status, StatusCode::CONFLICT);
    assert_eq!(
        admin(&app, "DELETE", &one, Value::Null).await.status,
        StatusCode::NO_CONTENT
    );
    for method in ["GET", "DELETE"] {
        assert_eq!(
            admin(&app, method, &one, Value::Null).await.status,
            StatusCode::NOT_FOUND
        );
    }
}

#[tokio::test]
async fn terms_that_cannot_be_meant_are_refused() {
    let app = app().await;
    let rule = |changes: Value| {
        let mut rule = json!({"name": "r", "claims": {"sub": "a"}, "resource": "mcp", "scope": "mcp:read"});
        merge(&mut rule, changes);
        json!({"rules": [rule]})
    };
    for changes in [
        json!({"slug": "No Slug"}),
        json!({"issuer": "http://ci.example"}),
        json!({"issuer": "https://ci.example?x"}),
        json!({"issuer": ISSUER}),
        json!({"kind": "friend"}),
        json!({"unknown": 1}),
        json!({"algorithms": []}),
        json!({"algorithms": ["HS256"]}),
        json!({"algorithms": ["none"]}),
        json!({"jwks": {"keys": []}}),
        json!({"jwks": {"keys": [{"kty": "oct", "k": "AAAA"}]}}),
        json!({"jwks_uri": "http://ci.example/keys"}),
        json!({"jwks_uri": "ftp://x"}),
        json!({"max_lifetime": 0}),
        json!({"max_lifetime": 86_401}),
        json!({"provision": true}),
        json!({"public_clients": true}),
        json!({"audiences": [""]}),
        rule(json!({"claims": null})),
        rule(json!({"claims": {"sub": {"glob": "**"}}})),
        rule(json!({"claims": {"sub": {"regex": ".*"}}})),
        rule(json!({"claims": {"sub": ""}})),
        rule(json!({"claims": {"sub": ["a"]}})),
        rule(json!({"client_ids": ["a"]})),
        rule(json!({"resource": "nowhere"})),
        rule(json!({"scope": "a\"b"})),
        rule(json!({"token_lifetime": 1})),
        rule(json!({"name": ""})),
    ] {
        let mut body = json!({"slug": "ci", "kind": "workload", "issuer": "https://ci.example"});
        merge(&mut body, changes.clone());
        let reply = admin(&app, "POST", PATH, body).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{changes}: {reply:?}");
    }
    assert_eq!(
        admin(&app, "GET", PATH, Value::Null).await.json()["items"],
        json!([])
    );
    for clients in [json!([]), json!([""]), json!(["\0"])] {
        let body = json!({"slug": "idp", "kind": "identity_provider", "issuer": IDP,
            "rules": [{"name": "r", "client_ids": clients, "resource": "mcp", "scope": "mcp:read"}]});
        let reply = admin(&app, "POST", PATH, body).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{clients}: {reply:?}");
    }
}

#[tokio::test]
async fn subjects_are_linked_listed_and_unlinked() {
    let app = app().await;
    provider(&app, json!({})).await;
    let path = format!("{PATH}/idp/subjects");
    let user = app.user.id.0;
    let linked = admin(&app, "POST", &path, json!({"subject": "auth0|a/b", "user": user})).await;
    assert_eq!(linked.status, StatusCode::CREATED, "{linked:?}");
    let again = admin(&app, "POST", &path, json!({"subject": "auth0|a/b", "user": user})).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let first = admin(&app, "GET", &format!("{path}?limit=1"), Value::Null)
        .await
        .json();
    assert_eq!(first["items"][0]["subject"], "00u1");
    let next = first["next"].as_str().unwrap();
    let second = admin(&app, "GET", &format!("{path}?limit=1&cursor={next}"), Value::Null)
        .await
        .json();
    assert_eq!(second["items"][0]["subject"], "auth0|a/b");
    let one = format!("{path}?subject=auth0%7Ca%2Fb");
    assert_eq!(
        admin(&app, "DELETE", &one, Value::Null).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        admin(&app, "DELETE", &one, Value::Null).await.status,
        StatusCode::NOT_FOUND
    );
    for (path, body, status) in [
        (
            path.clone(),
            json!({"subject": "", "user": user}),
            StatusCode::BAD_REQUEST,
        ),
        (
            path.clone(),
            json!({"subject": "x", "user": uuid::Uuid::nil()}),
            StatusCode::NOT_FOUND,
        ),
        (
            format!("{PATH}/nobody/subjects"),
            json!({"subject": "x", "user": user}),
            StatusCode::NOT_FOUND,
        ),
    ] {
        assert_eq!(admin(&app, "POST", &path, body).await.status, status, "{path}");
    }
}
