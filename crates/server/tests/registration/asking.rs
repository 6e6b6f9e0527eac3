//! Registering.

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Reply, TestApp};

pub(crate) async fn post(app: &TestApp, body: &Value) -> Reply {
    send(app, "application/json", body.to_string()).await
}

pub(crate) async fn send(app: &TestApp, content_type: &str, body: String) -> Reply {
    app.browser()
        .send("POST", "/oauth/register", &[("content-type", content_type)], body)
        .await
}

pub(crate) async fn register(app: &TestApp, body: &Value) -> Value {
    let reply = post(app, body).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    reply.json()
}

pub(crate) async fn assert_refused(app: &TestApp, body: &Value, error: &str) {
    let reply = post(app, body).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{body} {reply:?}");
    assert_eq!(reply.json()["error"], error, "{body}");
    assert!(
        reply.json()["error_description"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    );
}

pub(crate) fn native() -> Value {
    json!({
        "client_name": "Some Client",
        "redirect_uris": ["http://127.0.0.1/cb"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
    })
}

pub(crate) fn with(member: &str, value: Value) -> Value {
    let mut body = native();
    body[member] = value;
    body
}
