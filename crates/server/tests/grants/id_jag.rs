//! ID-JAG: what an identity provider says of a person (section JWTB of the catalogue).

use doorward_jose::{Algorithm, sign};
use doorward_server::AuthorizationServer;
use doorward_server::context::Parts;
use doorward_store::{EndReason, GrantFilter, GrantState, PageRequest};
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};

use crate::machine::{
    Machine, TOKEN, access_token, admin, app, app_with, key, machine, proof, set_policy, statuses,
};
use crate::support::{Browser, EMAIL, Engine, ISSUER, RESOURCE, Reply, claims};
use crate::trusted::{IDP, JWT_BEARER_GRANT, assert_error, desktop, provider, show, show_alone, trust};

/// JWTB-001.
#[tokio::test]
async fn an_id_jag_gives_a_token_of_the_linked_person() {
    let app = app().await;
    let (idp, client) = (provider(&app, json!({})).await, desktop(&app).await);
    let now = app.context.now().seconds();
    let signed_in = json!({"auth_time": now - 60, "amr": ["pwd", "otp", "\u{7}"]});
    let reply = idp.show(&app, &client, signed_in).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    assert_eq!(reply.header("cache-control"), "no-store");
    let response = reply.json();
    assert_eq!(response.get("refresh_token"), None);
    assert_eq!(response["scope"], "mcp:read");
    let claims = claims(&response);
    assert_eq!(claims["sub"], app.user.id.0.to_string());
    assert_eq!(claims["client_id"], client.client_id);
    assert_eq!(claims["aud"], RESOURCE);
    assert_eq!(claims["scope"], "mcp:read");
    assert_eq!(
        (&claims["auth_time"], &claims["amr"]),
        (&json!(now - 60), &json!(["pwd", "otp"]))
    );
    let grants = app.grants().await;
    assert_eq!(grants[0].trusted_issuer.as_deref(), Some("idp"));
    assert_eq!(claims["gid"], grants[0].id.0.to_string());
    let without = idp.show(&app, &client, json!({})).await;
    assert_eq!(crate::support::claims(&without.json()).get("auth_time"), None);
    assert_eq!(app.grants().await.len(), 1, "the same grant again");
}

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

/// RFC 9470: the provider has to say that the person signed in lately.
#[tokio::test]
async fn a_resource_that_wants_a_recent_sign_in_gets_one() {
    let app = app().await;
    let (idp, client) = (provider(&app, json!({})).await, desktop(&app).await);
    set_policy(&app, "mcp", json!({"max_auth_age": 60})).await;
    let now = app.context.now().seconds();
    for (auth_time, taken) in [
        (Value::Null, false),
        (json!(now - 61), false),
        (json!(now - 60), true),
        (json!(now), true),
    ] {
        let reply = idp.show(&app, &client, json!({"auth_time": auth_time})).await;
        if taken {
            assert_eq!(claims(&reply.json())["auth_time"], auth_time);
        } else {
            assert_error(&reply, "invalid_grant");
            assert!(reply.body.contains("recent sign-in"), "{reply:?}");
        }
    }
}

/// JWTB-009, JWTB-023.
#[tokio::test]
async fn scopes_are_what_assertion_request_and_rules_have_in_common() {
    let app = app().await;
    let rules = json!({"rules": [
        {"name": "readers", "client_ids": ["*"], "resource": RESOURCE, "scope": "mcp:read gone"},
    ]});
    let (idp, client) = (provider(&app, rules).await, desktop(&app).await);
    for (asserted, requested, granted) in [
        (json!("mcp:read mcp:write"), "", Ok("mcp:read")),
        (json!("mcp:read"), "mcp:read offline_access", Ok("mcp:read")),
        (json!("mcp:read"), "mcp:read mcp:admin", Ok("mcp:read")),
        (Value::Null, "", Ok("mcp:read")),
        (Value::Null, "mcp:read mcp:write", Ok("mcp:read")),
        (json!("mcp:read"), "mcp:admin", Err("invalid_scope")),
        (json!("mcp:write"), "", Err("invalid_scope")),
        (json!("gone"), "", Err("invalid_scope")),
        (json!("mcp:read"), "a  b", Err("invalid_scope")),
    ] {
        let jag = idp.jag(&app, &client, json!({"scope": asserted}));
        let more: &[(&str, &str)] = if requested.is_empty() {
            &[]
        } else {
            &[("scope", requested)]
        };
        let reply = show(&app, &client, &jag, more).await;
        match granted {
            Ok(scope) => {
                assert_eq!(reply.json()["scope"], scope, "{reply:?}");
                assert_eq!(claims(&reply.json())["scope"], scope);
            }
            Err(error) => assert_error(&reply, error),
        }
    }
}

/// JWTB-010.
#[tokio::test]
async fn the_token_is_for_the_resource_of_the_assertion() {
    let app = app().await;
    let (idp, client) = (provider(&app, json!({})).await, desktop(&app).await);
    let search = crate::machine::SEARCH;
    for (asserted, requested, outcome) in [
        (json!(RESOURCE), RESOURCE, Ok(())),
        (json!([RESOURCE]), RESOURCE, Ok(())),
        (json!([RESOURCE, search]), RESOURCE, Ok(())),
        (json!([RESOURCE, search]), "", Err("invalid_target")),
        (json!(RESOURCE), search, Err("invalid_target")),
        (
            json!([RESOURCE, search]),
            "https://third.example",
            Err("invalid_target"),
        ),
        (json!("https://unregistered.example"), "", Err("invalid_target")),
        (json!(format!("{RESOURCE}#f")), "", Err("invalid_target")),
        (Value::Null, "", Err("invalid_target")),
        (Value::Null, RESOURCE, Err("invalid_target")),
        // No rule is about it.
        (json!(search), "", Err("invalid_grant")),
    ] {
        let jag = idp.jag(&app, &client, json!({"resource": asserted}));
        let more: &[(&str, &str)] = if requested.is_empty() {
            &[]
        } else {
            &[("resource", requested)]
        };
        let reply = show(&app, &client, &jag, more).await;
        match outcome {
            Ok(()) => assert_eq!(claims(&reply.json())["aud"], RESOURCE),
            Err(error) => assert_error(&reply, error),
        }
    }
    let only = crate::support::TestApp::with_admin_key().await;
    let (idp, client) = (provider(&only, json!({})).await, desktop(&only).await);
    access_token(&idp.show(&only, &client, json!({"resource": null})).await);
}

/// JWTB-014, TX-026: the issuer's name and the subject, nothing else.
#[tokio::test]
async fn a_subject_is_who_it_was_linked_to_and_nobody_else() {
    let app = app().await;
    let (idp, client) = (provider(&app, json!({})).await, desktop(&app).await);
    for stranger in [
        json!({"sub": "00u2"}),
        json!({"sub": "00U1"}),
        json!({"sub": "00u2", "email": EMAIL, "email_verified": true}),
        json!({"sub": app.user.id.0.to_string()}),
    ] {
        assert_error(&idp.show(&app, &client, stranger).await, "invalid_grant");
    }
    let rules = json!({"rules": [
        {"name": "all", "client_ids": ["*"], "resource": "mcp", "scope": "mcp:read"},
    ], "provision": true});
    let second = trust(
        &app,
        "identity_provider",
        "second",
        "https://second.example",
        rules,
    )
    .await;
    let theirs = claims(&second.show(&app, &client, json!({})).await.json());
    assert_ne!(theirs["sub"], app.user.id.0.to_string(), "another issuer's 00u1");
    app.set_disabled(true).await;
    assert_error(&idp.show(&app, &client, json!({})).await, "invalid_grant");
    app.set_disabled(false).await;
    app.wait(1);
    access_token(&idp.show(&app, &client, json!({})).await);
    let gone = app
        .context
        .store
        .delete_user(app.user.id, app.context.now())
        .await;
    assert_eq!(gone, Ok(()));
    app.wait(1);
    assert_error(&idp.show(&app, &client, json!({})).await, "invalid_grant");
}

/// JWTB-014: just in time, where the operator lets it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_person_is_added_once_where_the_issuer_may_bring_people() {
    let app = app().await;
    let (idp, client) = (
        provider(&app, json!({"provision": true})).await,
        desktop(&app).await,
    );
    let new = json!({"sub": "00u9", "email": "new@example.com", "name": "New"});
    let replies = join_all((0..50).map(|_| idp.show(&app, &client, new.clone()))).await;
    assert_eq!(statuses(&replies), [(200, 50)].into());
    let person = app
        .context
        .store
        .user_by_email("new@example.com")
        .await
        .unwrap()
        .unwrap();
    let all = app
        .context
        .store
        .users(PageRequest::default())
        .await
        .unwrap()
        .items;
    assert_eq!(
        (all.len(), person.name.as_str(), person.password_hash),
        (2, "New", None)
    );
    for reply in &replies {
        assert_eq!(claims(&reply.json())["sub"], person.id.0.to_string());
    }
    // Somebody here has the address: an operator links them, or nobody does.
    let same_address = json!({"sub": "00u10", "email": EMAIL, "email_verified": true});
    assert_error(&idp.show(&app, &client, same_address).await, "invalid_grant");
    let unverified = json!({"sub": "00u11", "email": "other@example.com", "email_verified": false});
    access_token(&idp.show(&app, &client, unverified).await);
    assert_eq!(
        app.context.store.user_by_email("other@example.com").await,
        Ok(None)
    );
}

/// TX-031, JWTB-015: denied unless a rule names client, resource and claims.
#[tokio::test]
async fn without_a_rule_that_matches_nobody_gets_a_token() {
    let app = app().await;
    let client = desktop(&app).await;
    let idp = provider(&app, json!({"rules": []})).await;
    assert_error(&idp.show(&app, &client, json!({})).await, "invalid_grant");
    let other = desktop(&app).await;
    let rule = json!({"name": "ops", "client_ids": [client.client_id], "resource": "mcp", "scope": "mcp:read",
        "claims": {"groups": "ops"}, "token_lifetime": 60});
    idp.change(&app, json!({"rules": [rule]})).await;
    assert_error(&idp.show(&app, &client, json!({})).await, "invalid_grant");
    let in_group = json!({"groups": ["dev", "ops"]});
    assert_error(&idp.show(&app, &other, in_group.clone()).await, "invalid_grant");
    let reply = idp.show(&app, &client, in_group.clone()).await;
    assert_eq!(reply.json()["expires_in"], 60, "{reply:?}");
    let claims = claims(&reply.json());
    assert_eq!(
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        60
    );
    let recorded = app
        .context
        .store
        .issuance(claims["jti"].as_str().unwrap())
        .await
        .unwrap();
    assert_eq!(
        recorded.unwrap().expires_at.seconds(),
        claims["exp"].as_i64().unwrap()
    );
    idp.change(&app, json!({"disabled": true})).await;
    assert_error(&idp.show(&app, &client, in_group).await, "invalid_grant");
}

/// JWTB-024.
#[tokio::test]
async fn the_providers_word_about_actors_counts_for_nothing() {
    let app = app().await;
    let (idp, client) = (provider(&app, json!({})).await, desktop(&app).await);
    let act = json!({"act": {"sub": "admin-agent"}, "may_act": {"sub": "evil"}, "groups": ["root"]});
    let claims = claims(&idp.show(&app, &client, act).await.json());
    for claim in ["act", "may_act", "groups"] {
        assert_eq!(claims.get(claim), None, "{claim}");
    }
    assert_eq!(claims["client_id"], client.client_id);
}

/// B.2: revoked by grant, by (issuer, subject) and with the trust; an old assertion brings nothing back.
#[tokio::test]
async fn a_revoked_grant_is_not_had_again_by_an_older_assertion() {
    let app = app().await;
    let (idp, client) = (provider(&app, json!({})).await, desktop(&app).await);
    let server = machine(&app, json!({"resource_server": "mcp"})).await;
    let jag = idp.jag(&app, &client, json!({}));
    let token = access_token(&show(&app, &client, &jag, &[]).await);
    assert_eq!(server.introspect(&app, &token).await["active"], true);
    app.wait(1);
    let ended = app.context.store.revoke_grants(
        GrantFilter::default(),
        EndReason::RevokedByAdmin,
        app.context.now(),
    );
    assert_eq!(ended.await, Ok(1));
    assert_eq!(server.introspect(&app, &token).await["active"], false);
    assert_error(&show(&app, &client, &jag, &[]).await, "invalid_grant");
    app.wait(1);
    let token = access_token(&idp.show(&app, &client, json!({})).await);
    let path = "/admin/trusted-issuers/idp/subjects?subject=00u1";
    let reply = admin(&app, "DELETE", path, Value::Null).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT);
    assert_eq!(server.introspect(&app, &token).await["active"], false);
    let grants = app.grants().await;
    assert_eq!(grants[0].end_reason, Some(EndReason::TrustEnded));
    assert!(grants.iter().all(|grant| grant.state == GrantState::Ended));
}

/// RFC 9449: bound when a proof came; an assertion that is bound needs its key.
#[tokio::test]
async fn a_token_is_bound_to_the_key_that_was_proven() {
    let app = app().await;
    let (idp, client) = (provider(&app, json!({})).await, desktop(&app).await);
    let mine = key(Algorithm::Es256);
    let jkt = mine.public_jwk().thumbprint().to_owned();
    let bound = idp.jag(&app, &client, json!({"cnf": {"jkt": jkt}}));
    assert_error(&show(&app, &client, &bound, &[]).await, "invalid_dpop_proof");
    let form = [("grant_type", JWT_BEARER_GRANT), ("assertion", bound.as_str())];
    let other = proof(&app, &key(Algorithm::Es256));
    let reply = client.token(&app, &form, &[("dpop", &other)]).await;
    assert_error(&reply, "invalid_dpop_proof");
    let reply = client.token(&app, &form, &[("dpop", &proof(&app, &mine))]).await;
    assert_eq!(reply.json()["token_type"], "DPoP");
    assert_eq!(claims(&reply.json())["cnf"]["jkt"], jkt);
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
