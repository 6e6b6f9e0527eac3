//! What is sent in.

use http::StatusCode;
use serde_json::{Value, json};

use crate::operator::{assert_refused, operator};
use crate::support::log::Log;
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
        json!({"slug": "a", "uri": "https://a.example", "scopes": [{"name": "a", "upstream": "x".repeat(257)}]}),
        json!({"slug": "a", "uri": "https://a.example", "scopes": [{"name": "a", "upstream": "a\0b"}]}),
        json!({"slug": "a", "uri": "https://a.example", "display_name": "\u{200b}"}),
        json!({"slug": "a", "uri": "https://a.example", "display_name": "\u{202e}evil"}),
        json!({"slug": "a", "uri": "https://a.example", "policy": {"exchange_clients": ["\0"]}}),
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
        json!({"email": "\u{200b}@\u{200b}", "password": PASSWORD}),
        json!({"email": "\u{202e}a@b", "password": PASSWORD}),
        json!({"email": "a@b", "name": "\u{2060}", "password": PASSWORD}),
        json!({"email": "a@b", "name": "\u{202e}adA", "password": PASSWORD}),
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

/// The same sentence wherever it stands.
#[tokio::test]
async fn an_id_that_is_none_is_called_malformed() {
    let operator = operator().await;
    let provider = json!({"slug": "idp", "kind": "identity_provider", "issuer": "https://idp.example"});
    operator.create("/admin/trusted-issuers", provider).await;
    let link = json!({"subject": "a", "user": "ann"});
    for (method, path, body, place) in [
        ("GET", "/admin/users/ann", Value::Null, "the path"),
        ("GET", "/admin/grants?user=ann", Value::Null, "user"),
        ("GET", "/admin/audit?grant=ann", Value::Null, "grant"),
        ("POST", "/admin/grants/revoke", json!({"user": "ann"}), "user"),
        ("POST", "/admin/trusted-issuers/idp/subjects", link, "user"),
    ] {
        let reply = operator.call(method, path, body).await;
        assert_refused(&reply, StatusCode::BAD_REQUEST, "invalid_request");
        assert_eq!(
            reply.json()["error_description"],
            format!("The id in {place} is malformed; list the records to see their ids."),
            "{method} {path}"
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

/// What a policy has goes into every token of its resource, and whoever reads those reads strictly.
#[tokio::test]
async fn a_policy_has_only_claims_that_a_token_can_have() {
    let operator = operator().await;
    let body = |claims: &str| {
        let resource = r#"{"slug": "a", "uri": "https://a.example", "policy": {"claims": {"#;
        format!("{resource}{claims}}}}}}}")
    };
    let nested = |levels: usize| format!(r#""a": {}1{}"#, "[".repeat(levels), "]".repeat(levels));
    let headers = [
        ("authorization", &*format!("Bearer {ADMIN_KEY}")),
        ("content-type", "application/json"),
    ];
    for (claims, said) in [
        (r#""a\u0000b": 1"#, "NUL"),
        (r#""a": {"b\u0000": 1}"#, "NUL"),
        (nested(30).as_str(), "at most 32 levels"),
        (nested(100).as_str(), "at most 32 levels"),
        (r#""a": 1, "a": 2"#, "twice"),
        (r#""a": {"b": 1, "b": 1}"#, "twice"),
        (r#""a": 18446744073709551616"#, "too large"),
        (r#""a": [{"b": -9223372036854775809}]"#, "too large"),
    ] {
        let send = operator
            .admin
            .send("POST", "/admin/resources", &headers, body(claims));
        let reply = send.await;
        assert_refused(&reply, StatusCode::BAD_REQUEST, "invalid_request");
        assert!(reply.body.contains(said), "{claims}: {}", reply.body);
    }
    let good = format!(
        r#"{}, "b": [18446744073709551615, -9223372036854775808, 1.5, "\u0000"]"#,
        nested(29)
    );
    let send = operator
        .admin
        .send("POST", "/admin/resources", &headers, body(&good));
    assert_eq!(send.await.status, StatusCode::CREATED);
    let kept = &operator.get("/admin/resources/a").await["policy"]["claims"];
    assert_eq!(kept["b"], json!([u64::MAX, i64::MIN, 1.5, "\0"]));
}

/// A password that is a number is refused, and no less a password.
#[tokio::test]
async fn what_a_body_has_in_the_wrong_place_is_not_in_the_log() {
    let log = Log::start();
    let operator = operator().await;
    for body in [
        json!({"email": "a@example.com", "password": 123_456_789_012_345_u64}),
        json!("canary-canary"),
        json!({"email": "a@example.com", "canary-canary": 1}),
    ] {
        let reply = operator.call("POST", "/admin/users", body).await;
        assert_refused(&reply, StatusCode::BAD_REQUEST, "invalid_request");
        let line = log.request();
        assert_eq!(line["error"], "invalid_request", "{line}");
        let told = line.to_string();
        assert!(
            !told.contains("123456789012345") && !told.contains("canary"),
            "{told}"
        );
    }
    let reply = operator
        .admin
        .administer("GET", "/admin/users?canary-canary=1", &Value::Null)
        .await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert!(!log.request().to_string().contains("canary"));
}
