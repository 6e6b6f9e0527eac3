//! Resources and scopes.

use crate::support::{Authorization, EMAIL, TestApp};
use crate::{REDIRECT, app_with_client, assert_error};
use doorward_store::ClientSource::Admin;
use doorward_store::ResourceScope;
use http::StatusCode;

/// [RES-003, RES-004, RES-007, RES-019]
#[tokio::test]
async fn an_unknown_resource_is_an_invalid_target() {
    let resources = [
        "https://unregistered.example/mcp",
        "https://mcp.example/mcp#f",
        "/mcp",
        "%%%",
        "",
        "mcp.example/mcp",
        "urn:x",
        "https://u@mcp.example/mcp",
        "https://mcp.example/mcp?x=1",
        "https://mcp.example/other",
        "https://mcp.example/mcpx",
        "https://mcp.example/x/../mcp",
        "https://mcp.example/mcp/child",
        "https://mcp.example/mcp/",
        "https://mcp.example",
        "https://mcp.example/%6Dcp",
        "https://mcp.example/mcp%2F",
        "https://mcp.example/mcp\",\"admin\":\"x",
        "https://mcp.example/mcp\n",
    ];
    for resource in resources {
        assert_error(|request| request.set("resource", resource), "invalid_target").await;
    }
}

/// [RES-005, RES-006]
#[tokio::test]
async fn a_resource_is_known_by_its_aliases_and_named_as_registered() {
    let app = TestApp::empty(|_| {}).await;
    app.context.store.create_user(app.user.clone()).await.unwrap();
    app.add_resource("root", "https://r.example", &["mcp:read"]).await;
    let client_id = app.add_client(Admin, &[REDIRECT]).await;
    let browser = app.signed_in().await;
    for alias in [
        "https://r.example/",
        "https://r.example:443",
        "HTTPS://R.EXAMPLE",
        "https://r.example:443/",
    ] {
        let request = Authorization::new(&client_id, REDIRECT)
            .set("resource", alias)
            .set("prompt", "consent");
        let page = browser.open(&request.path()).await;
        assert!(
            page.text().contains("https://r.example\n") || page.body.contains(">https://r.example<"),
            "{page:?}"
        );
        let reply = browser
            .submit(&page.form("/consent"), Some(("decision", "allow")))
            .await;
        let code = doorward_jose::sha256(reply.param("code").unwrap().as_bytes());
        let (_, grant) = app.context.store.code(&code).await.unwrap().unwrap();
        assert_eq!(grant.resource, "https://r.example");
    }
    let request = Authorization::new(&client_id, REDIRECT).set("resource", "https://r.example//");
    browser
        .get(&request.path())
        .await
        .assert_error_redirect(REDIRECT, "invalid_target", Some("xyz"));
}

#[tokio::test]
async fn the_only_resource_may_go_without_saying() {
    let (app, request) = app_with_client().await;
    let request = request.without("resource");
    assert_eq!(app.browser().open(&request.path()).await.status, StatusCode::OK);
    app.add_resource("other", "https://other.example/mcp", &["other:read"])
        .await;
    app.wait(2);
    let reply = app.browser().get(&request.path()).await;
    reply.assert_error_redirect(REDIRECT, "invalid_target", Some("xyz"));
}

/// [AUTHZ-013, RES-011]: unknown scopes are dropped, as long as something is left.
#[tokio::test]
async fn scopes_of_nobody_and_of_others_are_never_granted() {
    let (app, request) = app_with_client().await;
    app.add_resource("other", "https://other.example/mcp", &["other:write"])
        .await;
    for scope in ["admin:root", "other:write", "mcp:read\u{0}", "\"", "MCP:READ"] {
        let reply = app
            .browser()
            .get(&request.clone().set("scope", scope).path())
            .await;
        reply.assert_error_redirect(REDIRECT, "invalid_scope", Some("xyz"));
    }
    let page = {
        let browser = app.browser();
        let page = browser
            .open(
                &request
                    .set("scope", "mcp:read admin:root other:write openid")
                    .path(),
            )
            .await;
        browser.sign_in_on(&page, EMAIL).await
    };
    // Staying connected is offered to every client that is registered for refresh tokens.
    assert_eq!(
        page.form("/consent").values("scope"),
        ["mcp:read", "offline_access"]
    );
}

#[tokio::test]
async fn without_a_scope_the_defaults_are_asked_for() {
    let (app, request) = app_with_client().await;
    let mut resource = app.context.store.resource("mcp").await.unwrap().unwrap();
    resource.scopes.push(ResourceScope {
        name: "mcp:admin".into(),
        description: "Everything".into(),
        upstream: None,
        default: false,
    });
    app.context.store.update_resource(resource).await.unwrap();
    app.wait(2);
    let page = app.signed_in().await.open(&request.without("scope").path()).await;
    assert_eq!(
        page.form("/consent").values("scope"),
        ["mcp:read", "mcp:write", "offline_access"]
    );
}
