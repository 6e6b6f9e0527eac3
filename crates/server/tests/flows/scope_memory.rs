//! A request for one more scope keeps those that were allowed before.

use doorward_store::ClientSource;
use http::StatusCode;
use serde_json::json;

use crate::support::{Authorization, REDIRECT, TestApp};

async fn granted(app: &TestApp, client: &str, scope: &str) -> String {
    let request = Authorization::new(client, REDIRECT).set("scope", scope);
    let browser = app.signed_in().await;
    let page = browser.open(&request.path()).await;
    let reply = if page.location().is_some() {
        page
    } else {
        browser
            .submit(&page.form("/consent"), Some(("decision", "allow")))
            .await
    };
    let token = app.redeem(client, &reply).await;
    assert_eq!(token.status, StatusCode::OK, "{token:?}");
    token.json()["scope"].as_str().unwrap().to_owned()
}

/// SEP-2350: who steps up with the new scope alone does not lose the old one.
#[tokio::test]
async fn a_new_scope_keeps_the_old_ones() {
    let app = TestApp::new().await;
    let client = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    assert_eq!(granted(&app, &client, "mcp:read").await, "mcp:read");
    let mut both: Vec<String> = granted(&app, &client, "mcp:write")
        .await
        .split(' ')
        .map(str::to_owned)
        .collect();
    both.sort();
    assert_eq!(both, ["mcp:read", "mcp:write"]);
    // Who asks for less than it has gets less.
    assert_eq!(granted(&app, &client, "mcp:read").await, "mcp:read");
}

#[tokio::test]
async fn the_page_says_what_was_allowed_before() {
    let app = TestApp::new().await;
    let client = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    granted(&app, &client, "mcp:read").await;
    let request = Authorization::new(&client, REDIRECT).set("scope", "mcp:write");
    let page = app.signed_in().await.open(&request.path()).await;
    assert_eq!(
        page.text().matches("allowed before").count(),
        2,
        "{}",
        page.text()
    );
    let form = page.form("/consent");
    assert_eq!(form.values("scope"), ["mcp:write", "mcp:read", "offline_access"]);
}

/// [RES-014]
#[tokio::test]
async fn it_can_be_switched_off() {
    let app = TestApp::with(|settings| settings.tokens.scope_memory = false).await;
    let client = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    granted(&app, &client, "mcp:read").await;
    assert_eq!(granted(&app, &client, "mcp:write").await, "mcp:write");
}

/// [RES-013]: neither another person's nor another resource's.
#[tokio::test]
async fn what_was_allowed_elsewhere_does_not_count() {
    let app = TestApp::new().await;
    app.add_resource("mail", "https://mail.example/mcp", &["mcp:read", "mcp:write"])
        .await;
    let client = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    granted(&app, &client, "mcp:read").await;
    let request = Authorization::new(&client, REDIRECT)
        .set("scope", "mcp:write")
        .set("resource", "https://mail.example/mcp");
    let browser = app.signed_in().await;
    let page = browser.open(&request.path()).await;
    let reply = browser
        .submit(&page.form("/consent"), Some(("decision", "allow")))
        .await;
    assert_eq!(app.redeem(&client, &reply).await.json()["scope"], "mcp:write");
}

/// A registered `scope` is a hint: it never stands in the way of a step-up.
#[tokio::test]
async fn a_registered_scope_never_caps_a_step_up() {
    let app = TestApp::new().await;
    let metadata = json!({"redirect_uris": [REDIRECT], "scope": "mcp:read"});
    app.add_client_with("modest", ClientSource::Admin, metadata).await;
    assert_eq!(granted(&app, "modest", "mcp:read").await, "mcp:read");
    assert!(granted(&app, "modest", "mcp:write").await.contains("mcp:write"));
}
