//! `client_credentials`: a program gets tokens for itself.

use doorward_store::{ClientSource, GrantFilter, PageRequest};
use http::StatusCode;
use serde_json::json;

use crate::machine::{Machine, SEARCH, TOKEN, access_token, admin, app, app_with, machine};
use crate::support::{ISSUER, REDIRECT, RESOURCE, claims};

/// B.1; CAUTH-038.
#[tokio::test]
async fn a_program_gets_a_token_that_nobody_takes_for_a_persons() {
    let app = app().await;
    let machine = machine(&app, json!({})).await;
    let reply = machine.own(&app, &[]).await;
    assert_eq!(reply.header("cache-control"), "no-store");
    let token = access_token(&reply);
    let body = reply.json();
    assert_eq!(
        (&body["token_type"], &body["scope"], &body["expires_in"]),
        (&json!("Bearer"), &json!("mcp:read mcp:write"), &json!(300))
    );
    assert_eq!(body.get("refresh_token"), None, "OAuth 2.1 §4.2.3");
    let claims = claims(&body);
    assert_eq!(
        (&claims["iss"], &claims["aud"], &claims["sub"]),
        (&json!(ISSUER), &json!(RESOURCE), &json!(machine.client_id))
    );
    assert_eq!(claims["client_id"], claims["sub"]);
    for of_person in ["auth_time", "amr", "act", "cnf"] {
        assert_eq!(claims.get(of_person), None, "{of_person}");
    }
    let answer = machine.introspect(&app, &token).await;
    assert_eq!(answer["active"], true);
    assert_eq!(answer["gid"], claims["gid"]);
}

/// Every token of a client for a resource hangs under one grant, which an operator can end.
#[tokio::test]
async fn an_operator_ends_what_a_program_got() {
    let app = app().await;
    let machine = machine(&app, json!({})).await;
    let tokens = [
        access_token(&machine.own(&app, &[]).await),
        access_token(&machine.own(&app, &[]).await),
    ];
    let grants = admin(&app, "GET", "/admin/grants", json!(null)).await.json();
    assert_eq!(grants["items"].as_array().unwrap().len(), 1, "{grants}");
    let grant = &grants["items"][0];
    assert_eq!(
        (grant.get("user"), &grant["subject"]),
        (None, &json!(machine.client_id))
    );
    let path = format!("/admin/grants/{}", grant["id"].as_str().unwrap());
    let ended = admin(&app, "DELETE", &path, json!(null)).await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    for token in &tokens {
        assert_eq!(machine.introspect(&app, token).await, json!({"active": false}));
    }
    let next = access_token(&machine.own(&app, &[]).await);
    assert_eq!(machine.introspect(&app, &next).await["active"], true);
}

/// The registered scope is the ceiling.
#[tokio::test]
async fn a_program_gets_no_more_than_it_is_registered_for() {
    let app = app().await;
    let narrow = machine(&app, json!({"scope": "mcp:read"})).await;
    let ask = async |machine: &Machine, scope: &str, resource: &str| {
        let form = [
            ("grant_type", "client_credentials"),
            ("resource", resource),
            ("scope", scope),
        ];
        machine.token(&app, &form, &[]).await
    };
    assert_eq!(
        ask(&narrow, "mcp:read", RESOURCE).await.json()["scope"],
        "mcp:read"
    );
    assert_eq!(
        ask(&narrow, "mcp:read offline_access", SEARCH).await.json()["scope"],
        "mcp:read"
    );
    for scope in ["mcp:write", "mcp:read mcp:write", "nothing", "mcp:read  x\""] {
        ask(&narrow, scope, RESOURCE).await.assert_error("invalid_scope");
    }
    let without = machine(&app, json!({"scope": null})).await;
    ask(&without, "mcp:read", RESOURCE)
        .await
        .assert_error("invalid_scope");
    without.own(&app, &[]).await.assert_error("invalid_scope");
    let path = format!("/admin/clients/{}", without.client_id);
    let raised = admin(&app, "PATCH", &path, json!({"scope": "mcp:write"})).await;
    assert_eq!(raised.status, StatusCode::OK, "{raised:?}");
    assert_eq!(without.own(&app, &[]).await.json()["scope"], "mcp:write");
}

/// RES-002.
#[tokio::test]
async fn the_resource_has_to_be_one_that_is_registered() {
    let app = app().await;
    let machine = machine(&app, json!({})).await;
    for resource in ["", "https://nowhere.example", "https://mcp.example/mcp#f"] {
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend((!resource.is_empty()).then_some(("resource", resource)));
        machine
            .token(&app, &form, &[])
            .await
            .assert_error("invalid_target");
    }
    let twice = [
        ("grant_type", "client_credentials"),
        ("resource", RESOURCE),
        ("resource", SEARCH),
    ];
    machine
        .token(&app, &twice, &[])
        .await
        .assert_error("invalid_target");
}

/// CAUTH-001; only clients that an operator registered, and only while the grant is on.
#[tokio::test]
async fn the_grant_is_for_confidential_clients_of_operators() {
    let app = app().await;
    let registered = admin(
        &app,
        "POST",
        "/admin/clients",
        json!({"client_name": "M", "grant_types": ["client_credentials"], "token_endpoint_auth_method": "none"}),
    )
    .await;
    assert_eq!(registered.status, StatusCode::BAD_REQUEST);
    let public = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", &*public),
        ("resource", RESOURCE),
    ];
    app.token(&form).await.assert_error("unauthorized_client");

    let machine = machine(&app, json!({})).await;
    let no_secret = Machine {
        client_id: machine.client_id.clone(),
        secret: None,
    };
    crate::machine::assert_unauthenticated(&no_secret.own(&app, &[]).await);
    app.disable_client(&machine.client_id).await;
    crate::machine::assert_unauthenticated(&machine.own(&app, &[]).await);

    let off = app_with(|settings| settings.client_credentials.enabled = false).await;
    let metadata = off
        .browser()
        .get("/.well-known/oauth-authorization-server")
        .await
        .json();
    assert!(
        !metadata["grant_types_supported"]
            .as_array()
            .unwrap()
            .contains(&json!("client_credentials"))
    );
    let refused = admin(
        &off,
        "POST",
        "/admin/clients",
        json!({"client_name": "M", "grant_types": ["client_credentials"]}),
    )
    .await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
}

/// A stranger cannot register itself into the grant, nor by a record that was made before.
#[tokio::test]
async fn a_client_that_registered_itself_gets_nothing_for_itself() {
    let app = app().await;
    let metadata = json!({
        "redirect_uris": [REDIRECT], "grant_types": ["authorization_code", "client_credentials"],
        "token_endpoint_auth_method": "client_secret_post", "scope": "mcp:read",
    });
    let headers = [("content-type", "application/json")];
    let reply = app
        .browser()
        .send("POST", "/oauth/register", &headers, metadata.to_string())
        .await;
    let body = reply.json();
    let machine = Machine {
        client_id: body["client_id"].as_str().unwrap().to_owned(),
        secret: body["client_secret"].as_str().map(str::to_owned),
    };
    machine.own(&app, &[]).await.assert_error("unauthorized_client");
    let store = &app.context.store;
    let mut record = store.client(&machine.client_id).await.unwrap().unwrap();
    record.metadata = record.metadata.replace(
        "\"authorization_code\"",
        "\"authorization_code\",\"client_credentials\"",
    );
    store.update_client(record).await.unwrap();
    machine.own(&app, &[]).await.assert_error("unauthorized_client");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_first_tokens_at_once_share_one_grant() {
    let app = app().await;
    let machine = machine(&app, json!({})).await;
    let replies = futures_util::future::join_all((0..50).map(|_| machine.own(&app, &[]))).await;
    assert!(replies.iter().all(|reply| reply.status == StatusCode::OK));
    let grants = app
        .context
        .store
        .grants(GrantFilter::default(), PageRequest::default());
    assert_eq!(grants.await.unwrap().items.len(), 1);
}

/// CAUTH-013.
#[tokio::test]
async fn credentials_in_the_query_are_not_read() {
    let app = app().await;
    let machine = machine(&app, json!({})).await;
    let query = format!(
        "{TOKEN}?client_id={}&client_secret={}",
        machine.client_id,
        machine.secret.as_deref().unwrap()
    );
    let form = [("grant_type", "client_credentials"), ("resource", RESOURCE)];
    crate::machine::assert_unauthenticated(&app.browser().post_pairs(&query, &[], &form).await);
}
