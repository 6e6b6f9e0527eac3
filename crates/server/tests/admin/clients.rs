//! Clients.

use http::StatusCode;
use serde_json::{Value, json};

use crate::operator::{assert_refused, operator};
use crate::support::REDIRECT;

#[tokio::test]
async fn a_secret_is_shown_once_and_rotates_with_an_overlap() {
    let operator = operator().await;
    let body = json!({"client_name": "Backend", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "client_secret_post"});
    let client = operator.create("/admin/clients", body).await;
    let id = client["client_id"].as_str().unwrap().to_owned();
    let first = client["client_secret"].as_str().unwrap().to_owned();
    let path = format!("/admin/clients/{id}");
    assert!(operator.get(&path).await.get("client_secret").is_none());
    assert!(!operator.get("/admin/clients").await.to_string().contains(&first));

    let rotated = operator
        .call("POST", &format!("{path}/rotate-secret"), Value::Null)
        .await
        .json();
    let second = rotated["client_secret"].as_str().unwrap().to_owned();
    let works = async |secret: &str| {
        let form = format!("client_id={id}&client_secret={secret}&token=x");
        operator
            .app
            .browser()
            .post("/oauth/revoke", &[], form)
            .await
            .status
            == StatusCode::OK
    };
    assert!(works(&first).await && works(&second).await);
    operator.app.wait(24 * 60 * 60 + 1);
    assert!(!works(&first).await && works(&second).await);

    let public = operator
        .create(
            "/admin/clients",
            json!({"client_name": "P", "redirect_uris": [REDIRECT]}),
        )
        .await;
    let path = format!(
        "/admin/clients/{}/rotate-secret",
        public["client_id"].as_str().unwrap()
    );
    assert_refused(
        &operator.call("POST", &path, Value::Null).await,
        StatusCode::BAD_REQUEST,
        "invalid_request",
    );
}

/// A client that describes itself is not rewritten behind its back.
#[tokio::test]
async fn what_a_client_says_of_itself_can_only_be_switched_off() {
    let operator = operator().await;
    let client = operator
        .app
        .add_client(doorward_store::ClientSource::Dynamic, &[REDIRECT])
        .await;
    let path = format!("/admin/clients/{client}");
    let reply = operator
        .call("PATCH", &path, json!({"client_name": "Bank"}))
        .await;
    assert_refused(&reply, StatusCode::BAD_REQUEST, "invalid_request");
    assert_eq!(
        operator
            .call("PATCH", &path, json!({"disabled": true}))
            .await
            .json()["disabled"],
        true
    );
}

/// A name or redirect URI that changed is shown to people again: the fingerprint changes.
#[tokio::test]
async fn a_changed_client_is_a_new_one_to_people() {
    let operator = operator().await;
    let client = operator
        .create(
            "/admin/clients",
            json!({"client_name": "A", "redirect_uris": [REDIRECT]}),
        )
        .await;
    let id = client["client_id"].as_str().unwrap();
    let store = &operator.app.context.store;
    let before = store.client(id).await.unwrap().unwrap().fingerprint;
    let path = format!("/admin/clients/{id}");
    operator.call("PATCH", &path, json!({"client_name": "B"})).await;
    let renamed = store.client(id).await.unwrap().unwrap();
    assert_ne!(before, renamed.fingerprint);
    let bad = operator
        .call("PATCH", &path, json!({"redirect_uris": ["javascript:x"]}))
        .await;
    assert_refused(&bad, StatusCode::BAD_REQUEST, "invalid_request");
    assert_eq!(
        store.client(id).await.unwrap().unwrap(),
        renamed,
        "nothing is half done"
    );
}

#[tokio::test]
async fn a_client_that_only_introspects_can_be_renamed_and_gets_no_redirect_uris() {
    let operator = operator().await;
    let body = json!({"client_name": "Guard", "resource_server": "mcp"});
    let client = operator.create("/admin/clients", body).await;
    let path = format!("/admin/clients/{}", client["client_id"].as_str().unwrap());
    for change in [
        json!({"redirect_uris": [REDIRECT]}),
        json!({"client_name": "\u{7}"}),
    ] {
        let reply = operator.call("PATCH", &path, change).await;
        assert_refused(&reply, StatusCode::BAD_REQUEST, "invalid_request");
    }
    let renamed = operator
        .call("PATCH", &path, json!({"client_name": "Guard of the files"}))
        .await;
    assert_eq!(renamed.status, StatusCode::OK, "{renamed:?}");
    let client = operator.get(&path).await;
    assert_eq!(client["client_name"], "Guard of the files");
    assert_eq!(client["resource_server"], "mcp");
}

/// What it cannot have it is not promised.
#[tokio::test]
async fn a_client_that_only_introspects_is_refused_what_it_cannot_have() {
    let operator = operator().await;
    let guard = || json!({"client_name": "Guard", "resource_server": "mcp"});
    for (member, value) in [
        ("token_endpoint_auth_method", json!("private_key_jwt")),
        ("token_endpoint_auth_method", json!("none")),
        ("application_type", json!("native")),
        ("scope", json!("mcp:read")),
        ("jwks", json!({"keys": []})),
        ("jwks_uri", json!("https://guard.example/keys")),
        ("dpop_bound_access_tokens", json!(true)),
        ("require_pushed_authorization_requests", json!(true)),
    ] {
        let mut body = guard();
        body[member] = value;
        let reply = operator.call("POST", "/admin/clients", body).await;
        assert_refused(&reply, StatusCode::BAD_REQUEST, "invalid_request");
        assert!(
            reply.body.contains("only introspects"),
            "{member}: {}",
            reply.body
        );
    }
    for method in ["client_secret_basic", "client_secret_post"] {
        let mut body = guard();
        body["token_endpoint_auth_method"] = method.into();
        body["dpop_bound_access_tokens"] = false.into();
        let made = operator.create("/admin/clients", body).await;
        assert_eq!(made["token_endpoint_auth_method"], method);
    }
}

#[tokio::test]
async fn a_client_has_a_name_that_people_can_read() {
    let operator = operator().await;
    let app = |name: &str| json!({"client_name": name, "redirect_uris": [REDIRECT]});
    let client = operator.create("/admin/clients", app("App")).await;
    let path = format!("/admin/clients/{}", client["client_id"].as_str().unwrap());
    for name in ["", " ", "\u{202e}evil", "a\u{200b}b", "a\nb", &"a".repeat(201)] {
        for (method, path, body) in [
            ("POST", "/admin/clients", app(name)),
            ("PATCH", &*path, json!({"client_name": name})),
        ] {
            let reply = operator.call(method, path, body).await;
            assert_refused(&reply, StatusCode::BAD_REQUEST, "invalid_request");
            assert!(
                reply.body.contains("client_name must be"),
                "{method} {name:?}: {}",
                reply.body
            );
        }
    }
    assert_eq!(operator.get(&path).await["client_name"], "App");
}
