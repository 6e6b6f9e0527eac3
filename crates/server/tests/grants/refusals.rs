//! Every grant asks again whether what it rests on still stands.

use doorward_store::ClientSource;
use serde_json::json;

use crate::machine::{SEARCH, access_token, admin, allow_exchange, app, machine, person, resource};
use crate::support::{REDIRECT, RESOURCE};

/// INTR-011: whatever an exchanged token rests on, when it falls the token is dead at once.
#[tokio::test]
async fn an_exchanged_token_falls_with_whatever_it_rests_on() {
    for what in ["person", "client", "agent", "grant", "parent", "resource"] {
        let app = app().await;
        let client_id = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
        let agent = machine(&app, json!({"resource_server": "search"})).await;
        let watcher = machine(&app, json!({"resource_server": "search"})).await;
        allow_exchange(&app, "search", &[&agent]).await;
        let subject = person(&app, &client_id, "mcp:read").await;
        let subject = subject["access_token"].as_str().unwrap();
        let token = access_token(&agent.exchange(&app, subject, &[], &[]).await);
        assert_eq!(watcher.introspect(&app, &token).await["active"], true, "{what}");
        match what {
            "person" => app.set_disabled(true).await,
            "client" => app.disable_client(&client_id).await,
            "agent" => app.disable_client(&agent.client_id).await,
            "grant" => app.revoke_grants().await,
            "parent" => {
                let form = [("token", subject), ("client_id", &*client_id)];
                app.browser().post_pairs("/oauth/revoke", &[], &form).await;
            }
            _ => {
                let path = "/admin/resources/mcp";
                admin(&app, "DELETE", path, json!(null)).await;
            }
        }
        assert_eq!(
            watcher.introspect(&app, &token).await,
            json!({"active": false}),
            "{what}"
        );
        if what != "agent" {
            agent
                .exchange(&app, subject, &[], &[])
                .await
                .assert_error("invalid_request");
        }
    }
}

/// A scope that the resource no longer has is gone from the next token on, whatever the token before says.
#[tokio::test]
async fn a_scope_that_was_taken_away_is_not_exchanged() {
    let app = app().await;
    let client_id = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let agent = machine(&app, json!({})).await;
    allow_exchange(&app, "search", &[&agent]).await;
    let subject = person(&app, &client_id, "mcp:read").await;
    let subject = subject["access_token"].as_str().unwrap();
    access_token(&agent.exchange(&app, subject, &[], &[]).await);
    let scopes = json!({"scopes": [{"name": "mcp:write"}]});
    admin(&app, "PATCH", "/admin/resources/mcp", scopes).await;
    agent
        .exchange(&app, subject, &[], &[])
        .await
        .assert_error("invalid_scope");
    assert_eq!(resource(&app, "search").await.uri, SEARCH);
    assert_ne!(SEARCH, RESOURCE);
}
