//! ID-JAG: what an identity provider says of a person (section JWTB of the catalogue).

use doorward_jose::{Algorithm, sign};
use doorward_server::AuthorizationServer;
use doorward_server::context::Parts;
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};

use crate::machine::{Machine, TOKEN, access_token, admin, app, app_with, key, machine, statuses};
use crate::support::{Browser, Engine, ISSUER, Reply};
use crate::trusted::{IDP, JWT_BEARER_GRANT, assert_error, desktop, provider, show, show_alone};

/// JWTB-002.
#[tokio::test]
async fn another_typ_is_no_id_jag() {
    let app = app().await;
    let (idp, client) = (provider(&app, json!({})).await, desktop(&app).await);
    for typ in ["JWT", "at+jwt", "dpop+jwt", "id-jag+jwt"] {
        let claims = idp.jag_claims(&app, &client, json!({}));
        let reply = show(&app, &client, &sign(&idp.key, typ, &claims).unwrap(), &[]).await;
        assert_error(&reply, "invalid_grant");
    }
    for typ in ["OAUTH-ID-JAG+JWT", "application/oauth-id-jag+jwt"] {
        let claims = idp.jag_claims(&app, &client, json!({}));
        access_token(&show(&app, &client, &sign(&idp.key, typ, &claims).unwrap(), &[]).await);
    }
}

/// JWTB-003, JWTB-004, JWTB-006, JWTB-007, JWTB-009: one answer for everything.
#[tokio::test]
async fn an_assertion_that_does_not_hold_is_no_grant() {
    let app = app().await;
    let (idp, client) = (provider(&app, json!({})).await, desktop(&app).await);
    let other = desktop(&app).await;
    let now = app.context.now().seconds();
    let mut answers = Vec::new();
    for (name, value) in [
        ("aud", json!("https://other-as.example")),
        ("aud", json!(format!("{ISSUER}{TOKEN}"))),
        ("aud", json!(format!("{ISSUER}.evil.example"))),
        ("aud", json!([ISSUER, "https://other.example"])),
        ("aud", json!([ISSUER, ISSUER])),
        ("aud", json!([])),
        ("aud", json!(123)),
        ("aud", Value::Null),
        ("client_id", json!(other.client_id)),
        ("client_id", json!(format!("{} ", client.client_id))),
        ("client_id", json!([client.client_id])),
        ("client_id", Value::Null),
        ("iss", json!("https://evil.example")),
        ("iss", json!(format!("{IDP}/"))),
        ("iss", json!("https://IDP.example")),
        ("iss", json!("http://idp.example")),
        ("iss", json!("https://xn--dp-5ja.example")),
        ("iss", Value::Null),
        ("jti", Value::Null),
        ("jti", json!(7)),
        ("jti", json!("j".repeat(10_240))),
        ("exp", json!(now)),
        ("exp", json!(now + 86_400)),
        ("iat", json!(now + 3600)),
        ("scope", json!(["mcp:read"])),
        ("sub", json!("")),
        ("tenant", json!("acme")),
        // It would be wider than the provider allowed.
        ("authorization_details", json!([{"type": "mcp", "tools": ["a"]}])),
        ("cnf", json!({"jkt": "a", "x5t#S256": "b"})),
    ] {
        let mut changes = json!({});
        changes[name] = value.clone();
        // Null leaves the claim out.
        let reply = idp.show(&app, &client, changes).await;
        assert_error(&reply, "invalid_grant");
        answers.push((name, reply.json()["error_description"].clone()));
    }
    let forged = sign(
        &key(Algorithm::Es256),
        "oauth-id-jag+jwt",
        &idp.jag_claims(&app, &client, json!({})),
    );
    let reply = show(&app, &client, &forged.unwrap(), &[]).await;
    answers.push(("signature", reply.json()["error_description"].clone()));
    assert!(
        answers.iter().all(|(_, answer)| *answer == answers[0].1),
        "{answers:?}"
    );
    for garbage in ["x", "a.b.c", "e30.e30.", &"A".repeat(20_000)] {
        assert_error(&show(&app, &client, garbage, &[]).await, "invalid_grant");
    }
    assert!(app.grants().await.is_empty());
}

/// JWTB-001: a subject is somebody's together with issuer and tenant.
#[tokio::test]
async fn another_tenant_of_the_issuer_is_nobody() {
    let app = app().await;
    let (idp, client) = (
        provider(&app, json!({"tenant": "acme"})).await,
        desktop(&app).await,
    );
    for tenant in [json!("evil"), json!(7), json!(["acme"]), Value::Null] {
        let reply = idp.show(&app, &client, json!({"tenant": tenant})).await;
        assert_error(&reply, "invalid_grant");
    }
    let reply = idp.show(&app, &client, json!({"tenant": "acme"})).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    let shown = app
        .administer("GET", "/admin/trusted-issuers/idp", &Value::Null)
        .await;
    assert_eq!(shown.json()["tenant"], "acme");
}

/// JWTB-003, B.2: as the issuer, or as libraries write it that end a host with a slash.
#[tokio::test]
async fn the_audience_is_this_server_with_or_without_a_slash() {
    let app = app().await;
    let (idp, client) = (provider(&app, json!({})).await, desktop(&app).await);
    for aud in [json!(ISSUER), json!([ISSUER]), json!(format!("{ISSUER}/"))] {
        access_token(&idp.show(&app, &client, json!({"aud": aud})).await);
    }
    idp.change(&app, json!({"audiences": [ISSUER]})).await;
    let reply = idp
        .show(&app, &client, json!({"aud": format!("{ISSUER}/")}))
        .await;
    assert_error(&reply, "invalid_grant");
}

/// JWTB-005.
#[tokio::test]
async fn only_a_client_that_authenticates_shows_an_id_jag() {
    let app = app().await;
    let (idp, client) = (provider(&app, json!({})).await, desktop(&app).await);
    let jag = idp.jag(&app, &client, json!({}));
    assert_error(&show_alone(&app, &jag, &[]).await, "invalid_client");
    let unproven = [("client_id", client.client_id.as_str())];
    assert_error(&show_alone(&app, &jag, &unproven).await, "invalid_client");
    let wrong = [unproven[0], ("client_secret", "wrong")];
    assert_error(&show_alone(&app, &jag, &wrong).await, "invalid_client");
    let public = json!({"grant_types": [JWT_BEARER_GRANT], "token_endpoint_auth_method": "none"});
    let public = machine(&app, public).await;
    assert_error(&idp.show(&app, &public, json!({})).await, "unauthorized_client");
    idp.change(&app, json!({"public_clients": true})).await;
    access_token(&idp.show(&app, &public, json!({})).await);
    let without_grant = machine(&app, json!({})).await;
    assert_error(
        &idp.show(&app, &without_grant, json!({})).await,
        "unauthorized_client",
    );
}

/// JWTB-005: who registers a client for assertions and says nothing of authentication gets one with a secret.
#[tokio::test]
async fn a_client_for_assertions_is_confidential_unless_somebody_says_otherwise() {
    let app = app().await;
    let client = machine(&app, json!({"grant_types": [JWT_BEARER_GRANT]})).await;
    assert!(client.secret.is_some());
    let shown = admin(
        &app,
        "GET",
        &format!("/admin/clients/{}", client.client_id),
        Value::Null,
    )
    .await;
    assert_eq!(shown.json()["token_endpoint_auth_method"], "client_secret_basic");
    let keys =
        json!({"grant_types": [JWT_BEARER_GRANT], "jwks": {"keys": [key(Algorithm::Es256).public_jwk()]}});
    assert_eq!(machine(&app, keys).await.secret, None);
    let idp = provider(&app, json!({})).await;
    access_token(&idp.show(&app, &client, json!({})).await);
}

/// JWTB-007, B.2: shown again by the same client until it ends.
#[tokio::test]
async fn an_assertion_may_be_shown_again_by_its_client_alone() {
    let app = app().await;
    let (idp, client) = (provider(&app, json!({})).await, desktop(&app).await);
    let jag = idp.jag(&app, &client, json!({}));
    access_token(&show(&app, &client, &jag, &[]).await);
    access_token(&show(&app, &client, &jag, &[]).await);
    assert_error(
        &show(&app, &desktop(&app).await, &jag, &[]).await,
        "invalid_grant",
    );
    app.wait(300);
    assert_error(&show(&app, &client, &jag, &[]).await, "invalid_grant");
}

/// JWTB-007.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_callers_with_one_single_use_assertion_one_gets_a_token() {
    let app = app().await;
    let (idp, client) = (
        provider(&app, json!({"single_use": true})).await,
        desktop(&app).await,
    );
    for _ in 0..3 {
        let jag = idp.jag(&app, &client, json!({}));
        let replies = join_all((0..50).map(|_| show(&app, &client, &jag, &[]))).await;
        assert_eq!(statuses(&replies), [(200, 1), (400, 49)].into());
    }
    // What is refused for another reason uses nothing up.
    let jag = idp.jag(&app, &client, json!({}));
    assert_error(
        &show(&app, &client, &jag, &[("scope", "mcp:write")]).await,
        "invalid_scope",
    );
    access_token(&show(&app, &client, &jag, &[]).await);
}

/// JWTB-007: single use is remembered by the store, whichever process is asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_assertion_counts_once_over_restarts_and_nodes() {
    let app = app().await;
    let idp = provider(&app, json!({"single_use": true})).await;
    let client = desktop(&app).await;
    let (used, raced) = (
        idp.jag(&app, &client, json!({})),
        idp.jag(&app, &client, json!({})),
    );
    access_token(&show(&app, &client, &used, &[]).await);
    let parts = Parts {
        clock: app.context.clock.clone(),
        random: app.context.random.clone(),
    };
    let settings = app.context.settings.clone();
    if Engine::is_postgres() {
        let other = AuthorizationServer::open(settings, parts).await.unwrap();
        let nodes = [app.public.clone(), other.routers().public];
        assert_error(&show_at(&nodes[1], &client, &used).await, "invalid_grant");
        let replies = join_all((0..50).map(|caller| show_at(&nodes[caller % 2], &client, &raced))).await;
        assert_eq!(statuses(&replies), [(200, 1), (400, 49)].into());
    } else {
        assert_eq!(app.server.close().await, Ok(()));
        let again = AuthorizationServer::open(settings, parts).await.unwrap();
        let router = again.routers().public;
        assert_error(&show_at(&router, &client, &used).await, "invalid_grant");
        let replies = join_all((0..50).map(|_| show_at(&router, &client, &raced))).await;
        assert_eq!(statuses(&replies), [(200, 1), (400, 49)].into());
    }
}

/// Shows an assertion to one of several processes.
async fn show_at(router: &axum::Router, client: &Machine, assertion: &str) -> Reply {
    let form = [
        client.credentials(),
        vec![("grant_type", JWT_BEARER_GRANT), ("assertion", assertion)],
    ];
    Browser::new(router.clone())
        .post_pairs(TOKEN, &[], &form.concat())
        .await
}

/// JWTB-018.
#[tokio::test]
async fn an_assertion_comes_once_and_in_the_form() {
    let app = app().await;
    let (idp, client) = (provider(&app, json!({})).await, desktop(&app).await);
    let jag = idp.jag(&app, &client, json!({}));
    let twice = show(&app, &client, &jag, &[("assertion", &jag)]).await;
    assert_error(&twice, "invalid_request");
    let credentials = client.credentials();
    let form = [credentials, vec![("grant_type", JWT_BEARER_GRANT)]].concat();
    let path = format!("{TOKEN}?assertion={jag}");
    assert_error(
        &app.browser().post_pairs(&path, &[], &form).await,
        "invalid_request",
    );
    let body = json!({"grant_type": JWT_BEARER_GRANT, "assertion": jag}).to_string();
    let headers = [("content-type", "application/json")];
    let reply = app.browser().send("POST", TOKEN, &headers, body).await;
    assert!(reply.status.is_client_error(), "{reply:?}");
}

/// B.2: told by the metadata, when it is there.
#[tokio::test]
async fn the_metadata_lists_the_grant_while_it_is_on() {
    let grants = |document: &Value| document["grant_types_supported"].as_array().unwrap().clone();
    let path = "/.well-known/oauth-authorization-server";
    let app = app().await;
    let document = app.browser().open(path).await.json();
    assert!(grants(&document).contains(&json!(JWT_BEARER_GRANT)));
    let profiles = &document["authorization_grant_profiles_supported"];
    assert_eq!(*profiles, json!(["urn:ietf:params:oauth:grant-profile:id-jag"]));
    let off = app_with(|settings| settings.jwt_bearer.enabled = false).await;
    let document = off.browser().open(path).await.json();
    assert!(!grants(&document).contains(&json!(JWT_BEARER_GRANT)));
    assert_eq!(document.get("authorization_grant_profiles_supported"), None);
    assert_error(
        &show_alone(&off, "a.b.c", &[("client_id", "x")]).await,
        "invalid_client",
    );
    let client = machine(&off, json!({})).await;
    assert_error(&show(&off, &client, "a.b.c", &[]).await, "unsupported_grant_type");
}
