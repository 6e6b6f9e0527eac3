//! What an ID-JAG gives: whose token, for what, and for how long (section JWTB of the catalogue).

use doorward_jose::Algorithm;
use doorward_store::{EndReason, GrantFilter, GrantState, PageRequest};
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};

use crate::machine::{access_token, admin, app, key, machine, proof, set_policy, statuses};
use crate::support::{EMAIL, RESOURCE, claims};
use crate::trusted::{JWT_BEARER_GRANT, assert_error, desktop, provider, show, trust};

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
    for ahead in [now + 61, now * 1000, i64::MAX] {
        let reply = idp.show(&app, &client, json!({"auth_time": ahead})).await;
        assert_error(&reply, "invalid_grant");
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
    let hidden = json!({"sub": "00u12", "email": "hidden@example.com", "name": "\u{202e}Hid\u{200b}den"});
    access_token(&idp.show(&app, &client, hidden).await);
    let store = &app.context.store;
    let person = store.user_by_email("hidden@example.com").await.unwrap();
    assert_eq!(person.unwrap().name, "Hidden");
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
    // The provider's clock may be ahead.
    let ahead = app.context.now().seconds() + 50;
    let of_later = idp.jag(&app, &client, json!({"iat": ahead}));
    access_token(&show(&app, &client, &of_later, &[]).await);
    app.wait(1);
    let ended = app.context.store.revoke_grants(
        GrantFilter::default(),
        EndReason::RevokedByAdmin,
        app.context.now(),
    );
    assert_eq!(ended.await, Ok(1));
    assert_eq!(server.introspect(&app, &token).await["active"], false);
    for older in [&jag, &of_later] {
        assert_error(&show(&app, &client, older, &[]).await, "invalid_grant");
    }
    app.wait(61);
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
