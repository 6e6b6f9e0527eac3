//! What is refused, or left out.

use http::StatusCode;
use serde_json::json;

use crate::asking::{assert_refused, native, post, register, send, with};
use crate::support::TestApp;

/// [DCR-004, DCR-005, DCR-006, DCR-007]
#[tokio::test]
async fn unsafe_redirect_uris_are_refused() {
    let app = TestApp::new().await;
    assert_refused(
        &app,
        &json!({ "client_name": "x", "grant_types": ["authorization_code"] }),
        "invalid_redirect_uri",
    )
    .await;
    let long = format!("https://c.example/{}", "a".repeat(2100));
    for uri in [
        "javascript:alert(1)",
        "JAVASCRIPT:x",
        "JaVaScRiPt:x",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "blob:https://x",
        "about:blank",
        "ftp://x/",
        "mailto:a@b",
        " javascript:x",
        "java\nscript:x",
        "view-source:https://x",
        "intent://x#Intent;end",
        "chrome://x",
        "ws://x/",
        "http://evil.example/cb",
        "http://192.168.0.5/cb",
        "http://localhost.evil.example/cb",
        "http://127.0.0.1.evil.example/cb",
        "http://0.0.0.0/cb",
        "http://[::]/cb",
        "https://c.example/cb#f",
        "https://u:p@c.example/cb",
        "https://*.c.example/cb",
        "https://c.example/\u{0}",
        "https://c.example/\r\nX: y",
        "",
        "https:///cb",
        "https://c.example:99999/cb",
        long.as_str(),
    ] {
        assert_refused(&app, &with("redirect_uris", json!([uri])), "invalid_redirect_uri").await;
    }
    for uris in [
        json!([1]),
        json!([["https://c.example/cb"]]),
        json!([null]),
        json!("https://c.example/cb"),
        json!([]),
    ] {
        assert_refused(&app, &with("redirect_uris", uris), "invalid_redirect_uri").await;
    }
    assert_eq!(app.number_of_clients().await, 0);
}

#[tokio::test]
async fn one_unsafe_redirect_uri_among_several_is_left_out() {
    let app = TestApp::new().await;
    let uris = json!([
        "http://localhost:8787/callback",
        "javascript:alert(1)",
        "cursor://anysphere.cursor-mcp/oauth/callback",
        "https://www.cursor.com/cb"
    ]);
    let body = register(&app, &with("redirect_uris", uris)).await;
    assert_eq!(
        body["redirect_uris"],
        json!([
            "http://localhost:8787/callback",
            "cursor://anysphere.cursor-mcp/oauth/callback",
            "https://www.cursor.com/cb"
        ])
    );
}

#[tokio::test]
async fn redirect_schemes_are_the_operators_choice() {
    let app =
        TestApp::with(|settings| settings.registration.redirect_schemes = vec!["onlythis".to_owned()]).await;
    register(&app, &with("redirect_uris", json!(["onlythis://cb"]))).await;
    register(&app, &with("redirect_uris", json!(["com.example.app:/cb"]))).await;
    assert_refused(
        &app,
        &with("redirect_uris", json!(["cursor://cb"])),
        "invalid_redirect_uri",
    )
    .await;
}

/// [DCR-017, DCR-018]
#[tokio::test]
async fn grants_that_are_not_for_everybody_cannot_be_registered() {
    let app = TestApp::new().await;
    for grant_type in [
        "client_credentials",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "password",
        "implicit",
    ] {
        assert_refused(
            &app,
            &with("grant_types", json!([grant_type])),
            "invalid_client_metadata",
        )
        .await;
    }
    let body = with(
        "grant_types",
        json!([
            "authorization_code",
            "refresh_token",
            "client_credentials",
            "urn:ietf:params:oauth:grant-type:device_code"
        ]),
    );
    assert_eq!(
        register(&app, &body).await["grant_types"],
        json!([
            "authorization_code",
            "refresh_token",
            "urn:ietf:params:oauth:grant-type:device_code"
        ])
    );
    assert_refused(
        &app,
        &with("response_types", json!(["token"])),
        "invalid_client_metadata",
    )
    .await;
    assert_refused(
        &app,
        &with("token_endpoint_auth_method", json!("client_secret_jwt")),
        "invalid_client_metadata",
    )
    .await;
}

/// [DCR-008, DCR-021]
#[tokio::test]
async fn a_registration_has_sixteen_kibibytes_at_most() {
    let app = TestApp::new().await;
    let body = |length: usize| {
        let empty = with("x", json!("")).to_string();
        with("x", json!("a".repeat(length - empty.len()))).to_string()
    };
    let reply = send(&app, "application/json", body(16 * 1024)).await;
    assert_eq!(reply.status, StatusCode::CREATED);
    let reply = send(&app, "application/json", body(16 * 1024 + 1)).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert_eq!(reply.json()["error"], "invalid_client_metadata");
}

/// [DCR-008, DCR-010, DCR-011]
#[tokio::test]
async fn what_is_not_one_bounded_json_object_is_refused() {
    let app = TestApp::new().await;
    let valid = native().to_string();
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
        "",
    ] {
        let reply = send(&app, content_type, valid.clone()).await;
        assert!(
            matches!(reply.status.as_u16(), 400 | 415),
            "{content_type} {reply:?}"
        );
        assert_eq!(reply.json()["error"], "invalid_client_metadata");
    }
    assert_eq!(
        send(&app, "application/json; charset=utf-8", valid.clone())
            .await
            .status,
        StatusCode::CREATED
    );
    let twice = valid.replacen('{', r#"{"redirect_uris":["https://evil.example/cb"],"#, 1);
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let bodies = [
        "null",
        "[]",
        "\"x\"",
        "1",
        "true",
        "",
        "{",
        &twice,
        &deep,
        &format!("{valid}{{}}"),
        &format!("\u{feff}{valid}"),
    ];
    for body in bodies {
        let reply = send(&app, "application/json", body.to_owned()).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{body} {reply:?}");
        assert_eq!(reply.json()["error"], "invalid_client_metadata", "{body}");
    }
    assert_eq!(
        send(&app, "application/json", "{}".to_owned()).await.status,
        StatusCode::BAD_REQUEST
    );
    for body in [
        with("client_name", json!("a".repeat(1024 * 1024))),
        with("x", json!("a".repeat(70_000))),
    ] {
        assert!(matches!(post(&app, &body).await.status.as_u16(), 400 | 413));
    }
    for body in [
        with("contacts", json!(vec!["a@b.example"; 1000])),
        with("client_name", json!("a".repeat(201))),
        with("client_name", json!(1)),
    ] {
        assert_refused(&app, &body, "invalid_client_metadata").await;
    }
    let uris: Vec<_> = (0..101)
        .map(|number| format!("https://c.example/{number}"))
        .collect();
    assert_refused(&app, &with("redirect_uris", json!(uris)), "invalid_redirect_uri").await;
}

/// [DCR-012, DCR-019]
#[tokio::test]
async fn private_keys_and_software_statements_are_refused() {
    let app = TestApp::new().await;
    for (member, value) in [
        ("jwks", json!({"keys": [{"kty": "oct", "k": "AAAA"}]})),
        ("jwks", json!([])),
        ("jwks_uri", json!("http://c.example/j")),
        ("jwks_uri", json!("file:///etc/passwd")),
    ] {
        assert_refused(&app, &with(member, value), "invalid_client_metadata").await;
    }
    assert_refused(
        &app,
        &with("software_statement", json!("x.y.z")),
        "unapproved_software_statement",
    )
    .await;
}
