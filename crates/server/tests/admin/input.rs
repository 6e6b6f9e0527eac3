//! What is sent in.

use http::StatusCode;
use serde_json::{Value, json};

use crate::operator::{assert_refused, operator};
use crate::support::{ADMIN_KEY, PASSWORD, REDIRECT};

/// ADMIN-004: what is not in the contract is refused, and nothing is half done.
#[tokio::test]
async fn bad_input_is_refused_with_a_sentence_and_changes_nothing() {
    let operator = operator().await;
    let bad_resources = [
        json!({"slug": "Upper", "uri": "https://a.example/mcp"}),
        json!({"slug": "a", "uri": "http://a.example/mcp#f"}),
        json!({"slug": "a", "uri": "not a url"}),
        json!({"slug": "a", "uri": "https://a.example", "backend_kind": "broker"}),
        json!({"slug": "a", "uri": "https://a.example", "surprise": 1}),
        json!({"slug": "a", "uri": "https://a.example", "scopes": [{"name": "a b"}]}),
        json!({"slug": "a", "uri": "https://a.example", "scopes": [{"name": "a"}, {"name": "a"}]}),
        json!({"slug": "a", "uri": "https://a.example", "scopes": [{"name": "offline_access"}]}),
        json!({"slug": "a"}),
        json!([]),
    ];
    for body in bad_resources {
        assert_refused(
            &operator.call("POST", "/admin/resources", body).await,
            StatusCode::BAD_REQUEST,
            "invalid_request",
        );
    }
    let bad_clients = [
        json!({"client_name": "X", "redirect_uris": ["javascript:alert(1)"]}),
        json!({"client_name": "X", "redirect_uris": [REDIRECT, "http://public.example/cb"]}),
        json!({"client_name": "X", "redirect_uris": [REDIRECT], "grant_types": ["authorization_code", "password"]}),
        json!({"client_name": "X", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "private_key_jwt"}),
        json!({"client_name": "X", "redirect_uris": [REDIRECT], "client_secret": "chosen"}),
        json!({"client_name": "X", "resource_server": "nowhere"}),
        json!({"client_name": "\u{7}", "resource_server": "mcp"}),
        json!({"client_name": "X"}),
    ];
    for body in bad_clients {
        assert_refused(
            &operator.call("POST", "/admin/clients", body).await,
            StatusCode::BAD_REQUEST,
            "invalid_request",
        );
    }
    let bad_users = [
        json!({"email": "nobody", "password": PASSWORD}),
        json!({"email": "a@b", "password": "short"}),
        json!({"email": "a@b", "password": "x".repeat(2000)}),
        json!({"email": "a@b", "password": PASSWORD, "role": "admin"}),
    ];
    for body in bad_users {
        assert_refused(
            &operator.call("POST", "/admin/users", body).await,
            StatusCode::BAD_REQUEST,
            "invalid_request",
        );
    }
    let headers = [
        ("authorization", &*format!("Bearer {ADMIN_KEY}")),
        ("content-type", "application/json"),
    ];
    let malformed = operator
        .admin
        .send("POST", "/admin/users", &headers, "{".to_owned())
        .await;
    assert_refused(&malformed, StatusCode::BAD_REQUEST, "invalid_request");
    assert_refused(
        &operator.call("GET", "/admin/users/not-a-uuid", Value::Null).await,
        StatusCode::BAD_REQUEST,
        "invalid_request",
    );
    for (path, count) in [("resources", 1), ("clients", 0), ("users", 1)] {
        assert_eq!(
            operator.get(&format!("/admin/{path}")).await["items"]
                .as_array()
                .unwrap()
                .len(),
            count,
            "{path}"
        );
    }
}

/// An array is no object whose members come one after the other, at any depth.
#[tokio::test]
async fn an_array_is_no_object() {
    let operator = operator().await;
    let scope = json!(["mcp:read", "", null, true]);
    let rule = json!(["all", ["*"], {}, "other", "mcp:read", null]);
    let arrays = [
        ("users", json!(["a@b.example", PASSWORD])),
        (
            "resources",
            json!({"slug": "other", "uri": "http://localhost:9000/mcp", "scopes": [scope]}),
        ),
        (
            "resources",
            json!({"slug": "other", "uri": "http://localhost:9000/mcp", "policy": []}),
        ),
        (
            "trusted-issuers",
            json!({"slug": "ci", "kind": "workload", "issuer": "https://ci.example", "rules": [rule]}),
        ),
        (
            "assertion-audiences",
            json!({"slug": "chat", "issuer": "https://chat.example", "rules": [["all", ["*"], "https://chat.example/mcp", "read"]]}),
        ),
        ("keys/rotate", json!([true])),
    ];
    for (path, body) in arrays {
        let reply = operator.call("POST", &format!("/admin/{path}"), body).await;
        assert_refused(&reply, StatusCode::BAD_REQUEST, "invalid_request");
        let said = reply.json()["error_description"].to_string();
        assert!(said.contains("expected an object"), "{path}: {said}");
    }
}
