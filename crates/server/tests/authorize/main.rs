//! `/oauth/authorize`. Names in brackets are the rows of the security catalogue that a test covers.

#![cfg(test)]

mod errors;
mod pkce;
mod prompts;
mod road;
mod scopes;
#[path = "../support/mod.rs"]
mod support;

use doorward_store::ClientSource::Admin;
use support::{Authorization, REDIRECT, TestApp};

async fn app_with_client() -> (TestApp, Authorization) {
    let app = TestApp::new().await;
    let client_id = app.add_client(Admin, &[REDIRECT, "http://127.0.0.1/cb"]).await;
    (app, Authorization::new(&client_id, REDIRECT))
}

/// Sends a broken request and expects the error at the client.
async fn assert_error(broken: impl FnOnce(Authorization) -> Authorization, error: &str) {
    let (app, request) = app_with_client().await;
    let reply = app.browser().get(&broken(request).path()).await;
    reply.assert_error_redirect(REDIRECT, error, Some("xyz"));
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(reply.header("referrer-policy"), "no-referrer");
}

/// Sends a broken request and expects a page.
async fn assert_page(broken: impl FnOnce(Authorization) -> Authorization) {
    let (app, request) = app_with_client().await;
    app.browser()
        .get(&broken(request).path())
        .await
        .assert_error_page();
}
