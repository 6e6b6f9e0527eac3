//! A program that has every grant, and a person who uses it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Value, json};

use crate::machine::{EXCHANGE, Machine, admin, machine};
use crate::support::{Authorization, REDIRECT, RESOURCE, Reply, TestApp, VERIFIER};

pub const ASSERTION_GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
pub const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A confidential client that may do everything.
pub async fn confidential(app: &TestApp) -> Machine {
    let grants = [
        "authorization_code",
        "refresh_token",
        "client_credentials",
        EXCHANGE,
        ASSERTION_GRANT,
        DEVICE_GRANT,
    ];
    machine(
        app,
        json!({"grant_types": grants, "redirect_uris": [REDIRECT], "scope": "mcp:read mcp:write"}),
    )
    .await
}

/// The client that is the resource server of `slug`.
pub async fn resource_server(app: &TestApp, slug: &str) -> Machine {
    let body = json!({"client_name": "Guard", "resource_server": slug});
    let reply = admin(app, "POST", "/admin/clients", body).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    let body = reply.json();
    Machine {
        client_id: body["client_id"].as_str().unwrap().to_owned(),
        secret: body["client_secret"].as_str().map(str::to_owned),
    }
}

/// The `Authorization` header of a client with a secret.
pub fn basic(client: &Machine) -> String {
    let secret = client.secret.as_deref().unwrap();
    format!(
        "Basic {}",
        STANDARD.encode(format!("{}:{secret}", client.client_id))
    )
}

/// A code that the person allowed.
pub async fn code(app: &TestApp, client_id: &str) -> String {
    let request = Authorization::new(client_id, REDIRECT)
        .set("scope", "mcp:read mcp:write offline_access")
        .set("prompt", "consent");
    let reply = app.approve(&app.browser(), &request).await;
    reply.param("code").unwrap_or_else(|| panic!("{reply:?}"))
}

/// The form that redeems a code.
pub fn redemption(code: &str) -> Vec<(&str, &str)> {
    vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("code_verifier", VERIFIER),
        ("resource", RESOURCE),
    ]
}

/// The token response of a code.
pub async fn tokens(app: &TestApp, client: &Machine) -> Value {
    let code = code(app, &client.client_id).await;
    let reply = client.token(app, &redemption(&code), &[]).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    reply.json()
}

pub async fn refresh(app: &TestApp, client: &Machine, token: &str) -> Reply {
    let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
    client.token(app, &form, &[]).await
}

pub fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member]
        .as_str()
        .unwrap_or_else(|| panic!("no {member}: {value}"))
}
