//! Token exchange (RFC 8693): the catalogue's section TX.

use doorward_jose::Algorithm;
use doorward_store::ClientSource;
use http::StatusCode;
use serde_json::{Value, json};

use crate::machine::{
    ACCESS_TOKEN, EXCHANGE, Machine, SEARCH, access_token, admin, allow_exchange, app, app_with, assertion,
    assertion_claims, key, machine, person, proof, set_policy, statuses,
};
use crate::support::{REDIRECT, RESOURCE, Reply, TestApp, claims};

/// A person's token for [`RESOURCE`], held by a program that may exchange it for one for [`SEARCH`].
struct Scene {
    app: TestApp,
    client_id: String,
    agent: Machine,
    /// The person's token response.
    response: Value,
}

impl Scene {
    async fn new() -> Self {
        Self::with(app().await).await
    }

    async fn with(app: TestApp) -> Self {
        let client_id = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
        let agent = machine(&app, json!({"client_name": "Agent"})).await;
        allow_exchange(&app, "search", &[&agent]).await;
        let response = person(&app, &client_id, "mcp:read mcp:write").await;
        Self {
            app,
            client_id,
            agent,
            response,
        }
    }

    fn subject(&self) -> &str {
        self.response["access_token"].as_str().unwrap()
    }

    async fn exchange(&self, changes: &[(&str, &str)]) -> Reply {
        self.agent.exchange(&self.app, self.subject(), changes, &[]).await
    }
}

/// TX-001.
#[tokio::test]
async fn a_program_gets_a_narrower_token_for_the_same_person() {
    let scene = Scene::new().await;
    scene.app.wait(100);
    let reply = scene.exchange(&[("scope", "mcp:read")]).await;
    assert_eq!(reply.header("cache-control"), "no-store");
    access_token(&reply);
    let body = reply.json();
    assert_eq!(body["issued_token_type"], ACCESS_TOKEN);
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 200, "no longer than the subject token");
    assert_eq!(body["scope"], "mcp:read");
    assert_eq!(body.get("refresh_token"), None, "TX-027");
    let (before, after) = (claims(&scene.response), claims(&body));
    assert_eq!(after["sub"], before["sub"]);
    assert_eq!(after["gid"], before["gid"], "it hangs under the same grant");
    assert_eq!(after["aud"], SEARCH);
    assert_eq!(after["client_id"], scene.agent.client_id);
    assert_eq!(after["act"], json!({"sub": scene.agent.client_id}));
    assert_eq!(after["parent_jti"], before["jti"]);
    assert_ne!(after["jti"], before["jti"]);
    assert_eq!(
        (&after["auth_time"], &after["amr"]),
        (&before["auth_time"], &before["amr"])
    );
}

/// TX-003, TX-020.
#[tokio::test]
async fn only_access_tokens_of_this_server_are_exchanged_and_issued() {
    let scene = Scene::new().await;
    let of = |name: &str| format!("urn:ietf:params:oauth:token-type:{name}");
    for name in ["saml2", "refresh_token", "id_token", "id-jag"] {
        for parameter in ["subject_token_type", "requested_token_type"] {
            scene
                .exchange(&[(parameter, &of(name))])
                .await
                .assert_error("invalid_request");
        }
    }
    for changes in [
        [("subject_token_type", "access_token")],
        [("subject_token_type", "")],
        [("subject_token", "")],
        [("requested_token_type", "bogus")],
    ] {
        scene.exchange(&changes).await.assert_error("invalid_request");
    }
    for (parameter, name) in [
        ("subject_token_type", "jwt"),
        ("requested_token_type", "jwt"),
        ("requested_token_type", "access_token"),
    ] {
        access_token(&scene.exchange(&[(parameter, &of(name))]).await);
    }
    let issued = scene.exchange(&[("requested_token_type", &of("jwt"))]).await;
    assert_eq!(issued.json()["issued_token_type"], of("jwt"));
    let twice = [
        ("grant_type", EXCHANGE),
        ("subject_token", scene.subject()),
        ("subject_token", scene.subject()),
        ("subject_token_type", ACCESS_TOKEN),
    ];
    scene
        .agent
        .token(&scene.app, &twice, &[])
        .await
        .assert_error("invalid_request");
}

/// TX-004, TX-005.
#[tokio::test]
async fn what_is_no_live_access_token_is_no_subject() {
    let scene = Scene::new().await;
    let app = &scene.app;
    let key = key(Algorithm::Es256);
    let another_kind = assertion(&key, &assertion_claims(app, &scene.agent.client_id));
    let proof = proof(app, &key);
    let refresh_token = scene.response["refresh_token"].as_str().unwrap_or("dwr_x");
    let flipped = scene.subject().replace(".ey", ".eY");
    for subject in [
        "x.y.z",
        "garbage",
        refresh_token,
        &another_kind,
        &proof,
        &flipped,
        &"A".repeat(40_000),
    ] {
        scene
            .exchange(&[("subject_token", subject)])
            .await
            .assert_error("invalid_request");
    }
    let revoke = [("token", scene.subject()), ("client_id", &*scene.client_id)];
    app.browser().post_pairs("/oauth/revoke", &[], &revoke).await;
    scene.exchange(&[]).await.assert_error("invalid_request");
    let fresh = person(app, &scene.client_id, "mcp:read").await;
    let fresh = fresh["access_token"].as_str().unwrap();
    access_token(&scene.exchange(&[("subject_token", fresh)]).await);
    app.wait(300);
    scene
        .exchange(&[("subject_token", fresh)])
        .await
        .assert_error("invalid_request");
}

/// TX-006, TX-009: a stolen token is worth nothing to a client that no policy names.
#[tokio::test]
async fn a_client_that_nobody_named_gets_nothing_for_a_token_of_others() {
    let scene = Scene::new().await;
    let app = &scene.app;
    let thief = machine(app, json!({})).await;
    thief
        .exchange(app, scene.subject(), &[], &[])
        .await
        .assert_error("invalid_target");
    for own in [("resource", RESOURCE), ("resource", "")] {
        thief
            .exchange(app, scene.subject(), &[own], &[])
            .await
            .assert_error("invalid_request");
    }
    for (name, value) in [
        ("resource", "https://unlisted.example"),
        ("resource", "https://search.example/mcp#f"),
        ("audience", &*thief.client_id),
    ] {
        scene
            .exchange(&[("resource", ""), (name, value)])
            .await
            .assert_error("invalid_target");
    }
    let several = [
        ("grant_type", EXCHANGE),
        ("subject_token", scene.subject()),
        ("subject_token_type", ACCESS_TOKEN),
        ("resource", SEARCH),
        ("resource", RESOURCE),
    ];
    scene
        .agent
        .token(app, &several, &[])
        .await
        .assert_error("invalid_target");
    scene
        .exchange(&[("audience", "mcp")])
        .await
        .assert_error("invalid_target");
    for audience in ["search", SEARCH] {
        access_token(&scene.exchange(&[("resource", ""), ("audience", audience)]).await);
        access_token(&scene.exchange(&[("audience", audience)]).await);
    }
}

/// TX-007, TX-008.
#[tokio::test]
async fn the_caller_has_to_prove_itself_and_be_registered_for_it() {
    let scene = Scene::new().await;
    let app = &scene.app;
    for secret in [None, Some("wrong".to_owned())] {
        let nobody = Machine {
            client_id: scene.agent.client_id.clone(),
            secret,
        };
        crate::machine::assert_unauthenticated(&nobody.exchange(app, scene.subject(), &[], &[]).await);
    }
    let public = Machine {
        client_id: scene.client_id.clone(),
        secret: None,
    };
    public
        .exchange(app, scene.subject(), &[], &[])
        .await
        .assert_error("unauthorized_client");
    let without = machine(app, json!({"grant_types": ["client_credentials"]})).await;
    without
        .exchange(app, scene.subject(), &[], &[])
        .await
        .assert_error("unauthorized_client");
}

#[tokio::test]
async fn without_the_setting_nothing_is_exchanged() {
    let app = app_with(|settings| settings.token_exchange.enabled = false).await;
    let agent = machine(&app, json!({"grant_types": ["client_credentials"]})).await;
    let token = access_token(&agent.own(&app, &[]).await);
    agent
        .exchange(&app, &token, &[], &[])
        .await
        .assert_error("unsupported_grant_type");
    let would_be = json!({"client_id": agent.client_id, "subject_token": token});
    let reply = admin(&app, "POST", "/admin/token-exchange/explain", would_be).await;
    assert_eq!(reply.json()["rule"], "grant_disabled");
    let metadata = app.browser().get("/.well-known/oauth-authorization-server").await;
    let grants = metadata.json()["grant_types_supported"].clone();
    assert!(!grants.as_array().unwrap().contains(&json!(EXCHANGE)));
}

/// The depth is the operator's.
#[tokio::test]
async fn the_settings_choose_how_long_a_chain_may_be() {
    let scene = Scene::with(app_with(|settings| settings.token_exchange.max_depth = 1).await).await;
    let token = access_token(&scene.exchange(&[]).await);
    scene
        .exchange(&[("subject_token", &token)])
        .await
        .assert_error("invalid_request");
}

/// TX-010, and self-exchange narrows.
#[tokio::test]
async fn without_a_target_the_audience_stays() {
    let scene = Scene::new().await;
    let app = &scene.app;
    let server = machine(app, json!({"resource_server": "mcp"})).await;
    let narrower = [("resource", ""), ("scope", "mcp:read")];
    let reply = server.exchange(app, scene.subject(), &narrower, &[]).await;
    let token = access_token(&reply);
    let after = claims(&reply.json());
    assert_eq!(
        (&after["aud"], &after["scope"]),
        (&json!(RESOURCE), &json!("mcp:read"))
    );
    for wider in ["mcp:write", "mcp:read mcp:write"] {
        let wider = [("resource", ""), ("scope", wider)];
        server
            .exchange(app, &token, &wider, &[])
            .await
            .assert_error("invalid_scope");
    }
    let whole = claims(
        &server
            .exchange(app, &token, &[("resource", "")], &[])
            .await
            .json(),
    );
    assert_eq!(
        whole["scope"], "mcp:read",
        "what was left out once does not come back"
    );
}

/// TX-011.
#[tokio::test]
async fn scopes_only_shrink() {
    let scene = Scene::new().await;
    for scope in [
        "search:run",
        "mcp:read search:run",
        "MCP:READ",
        "mcp:admin",
        "a\"b",
    ] {
        scene
            .exchange(&[("scope", scope)])
            .await
            .assert_error("invalid_scope");
    }
    let all = claims(&scene.exchange(&[]).await.json());
    assert_eq!(
        all["scope"], "mcp:read",
        "what the target does not have is left out"
    );
    let some = claims(
        &scene
            .exchange(&[("scope", "mcp:read mcp:write offline_access")])
            .await
            .json(),
    );
    assert_eq!(some["scope"], "mcp:read");
    scene
        .exchange(&[("scope", "mcp:write")])
        .await
        .assert_error("invalid_scope");
}

/// TX-014, TX-015, TX-016.
#[tokio::test]
async fn the_chain_of_actors_grows_from_the_front_and_ends() {
    let scene = Scene::new().await;
    let app = &scene.app;
    let second = machine(app, json!({})).await;
    allow_exchange(app, "mcp", &[&second]).await;
    let first = access_token(&scene.exchange(&[]).await);
    let invented = [("resource", RESOURCE), ("act", "{\"sub\":\"admin\"}")];
    let reply = second.exchange(app, &first, &invented, &[]).await;
    let mut token = access_token(&reply);
    let chain = json!({"sub": second.client_id, "act": {"sub": scene.agent.client_id}});
    assert_eq!(claims(&reply.json())["act"], chain);
    let exp = claims(&scene.response)["exp"].clone();
    for _ in 0..3 {
        scene.app.wait(10);
        let reply = second.exchange(app, &token, &[("resource", RESOURCE)], &[]).await;
        assert_eq!(claims(&reply.json())["exp"], exp, "TX-016");
        token = access_token(&reply);
    }
    second
        .exchange(app, &token, &[("resource", RESOURCE)], &[])
        .await
        .assert_error("invalid_request");
    let answer = second.introspect(app, &token).await;
    let mut actors = Vec::new();
    let mut actor = &answer["act"];
    while let Some(sub) = actor["sub"].as_str() {
        actors.push(sub);
        actor = &actor["act"];
    }
    let (a, b) = (&*second.client_id, &*scene.agent.client_id);
    assert_eq!(actors, [a, a, a, a, b], "introspection tells the whole chain");
}

/// TX-017.
#[tokio::test]
async fn an_actor_token_may_only_say_what_the_authentication_says() {
    let scene = Scene::new().await;
    let app = &scene.app;
    let own = access_token(&scene.agent.own(app, &[]).await);
    let other = machine(app, json!({})).await;
    let foreign = access_token(&other.own(app, &[]).await);
    let delegated = access_token(&scene.exchange(&[]).await);
    let typed = ("actor_token_type", ACCESS_TOKEN);
    for changes in [
        vec![("actor_token", &*own)],
        vec![typed],
        vec![("actor_token", "x.y.z"), typed],
        vec![("actor_token", &*foreign), typed],
        vec![("actor_token", &*delegated), typed],
        vec![("actor_token", scene.subject()), typed],
        vec![("actor_token", &*own), ("actor_token_type", "access_token")],
    ] {
        scene.exchange(&changes).await.assert_error("invalid_request");
    }
    let reply = scene.exchange(&[("actor_token", &own), typed]).await;
    access_token(&reply);
    assert_eq!(
        claims(&reply.json())["act"],
        json!({"sub": scene.agent.client_id})
    );

    let chained = scene.exchange(&[("subject_token", &own)]).await;
    let chain = claims(&chained.json());
    let agent = json!(scene.agent.client_id);
    assert_eq!((&chain["sub"], &chain["client_id"]), (&agent, &agent));
    assert_eq!(chain["act"], json!({"sub": agent}));
    let chained = access_token(&chained);
    scene
        .exchange(&[("actor_token", &chained), typed])
        .await
        .assert_error("invalid_request");
    scene
        .exchange(&[("subject_token", &own), ("actor_token", &own), typed])
        .await
        .assert_error("invalid_request");

    let (bound_to, other) = (key(Algorithm::Es256), key(Algorithm::Es256));
    let bound = access_token(&scene.agent.own(app, &[("dpop", &proof(app, &bound_to))]).await);
    let with_bound = [("actor_token", &*bound), typed];
    scene.exchange(&with_bound).await.assert_error("invalid_request");
    let by = async |key| {
        let headers = [("dpop", &*proof(app, key))];
        let agent = &scene.agent;
        agent.exchange(app, scene.subject(), &with_bound, &headers).await
    };
    by(&other).await.assert_error("invalid_request");
    access_token(&by(&bound_to).await);
}

/// TX-021, DPOP-030.
#[tokio::test]
async fn a_bound_token_is_exchanged_with_its_key_and_stays_bound() {
    let scene = Scene::new().await;
    let app = &scene.app;
    let (own, other) = (key(Algorithm::Es256), key(Algorithm::Es256));
    let bound = scene.agent.own(app, &[("dpop", &proof(app, &own))]).await;
    let bound = access_token(&bound);
    for headers in [vec![], vec![("dpop", proof(app, &other))]] {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
        scene
            .agent
            .exchange(app, &bound, &[], &headers)
            .await
            .assert_error("invalid_dpop_proof");
    }
    let once = proof(app, &own);
    let reply = scene.agent.exchange(app, &bound, &[], &[("dpop", &once)]).await;
    access_token(&reply);
    assert_eq!(claims(&reply.json())["cnf"]["jkt"], own.public_jwk().thumbprint());
    scene
        .agent
        .exchange(app, &bound, &[], &[("dpop", &once)])
        .await
        .assert_error("invalid_dpop_proof");
    let policy =
        json!({"exchange_clients": [scene.agent.client_id], "dpop_bound_access_tokens_required": true});
    set_policy(app, "search", policy).await;
    scene.exchange(&[]).await.assert_error("invalid_dpop_proof");
    let upgraded = [("dpop", &*proof(app, &other))];
    let reply = scene.agent.exchange(app, scene.subject(), &[], &upgraded).await;
    assert_eq!(
        claims(&reply.json())["cnf"]["jkt"],
        other.public_jwk().thumbprint()
    );
}

/// TX-028: an exchanged token opens nothing of this server's own.
#[tokio::test]
async fn an_exchanged_token_is_no_credential_here() {
    let scene = Scene::new().await;
    let token = access_token(&scene.exchange(&[]).await);
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", &*bearer)];
    let admin = crate::support::Browser::new(scene.app.admin.clone());
    let reply = admin.get_with("/admin/clients", &headers).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    let form = [("token", &*token)];
    let reply = scene
        .app
        .browser()
        .post_pairs("/oauth/introspect", &headers, &form)
        .await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
}

/// Revocation and exchange at the same moment: what was answered before lives as long as its grant, nothing after.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_the_grant_is_revoked_no_exchanged_token_lives() {
    let scene = Scene::new().await;
    let app = &scene.app;
    let calls = (0..50).map(|caller| {
        let scene = &scene;
        async move {
            if caller == 25 {
                scene.app.revoke_grants().await;
            }
            scene.exchange(&[]).await
        }
    });
    let replies = futures_util::future::join_all(calls).await;
    assert!(
        statuses(&replies)
            .keys()
            .all(|status| [200, 400].contains(status))
    );
    for reply in replies.iter().filter(|reply| reply.status == StatusCode::OK) {
        let token = access_token(reply);
        assert_eq!(
            scene.agent.introspect(app, &token).await,
            json!({"active": false})
        );
    }
    scene.exchange(&[]).await.assert_error("invalid_request");
}

/// `POST /admin/token-exchange/explain` says what the token endpoint does, and why.
#[tokio::test]
async fn an_operator_is_told_which_rule_stops_an_exchange() {
    let scene = Scene::new().await;
    let app = &scene.app;
    let thief = machine(app, json!({})).await;
    let without = machine(app, json!({"grant_types": ["client_credentials"]})).await;
    let explain = async |changes: Value| {
        let mut body =
            json!({"client_id": scene.agent.client_id, "subject_token": scene.subject(), "resource": SEARCH});
        for (name, value) in changes.as_object().unwrap() {
            body[name] = value.clone();
        }
        let reply = admin(app, "POST", "/admin/token-exchange/explain", body).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        reply.json()
    };
    let allowed = explain(json!({})).await;
    assert_eq!(allowed["allowed"], true, "{allowed}");
    let real = claims(&scene.exchange(&[]).await.json());
    for name in ["sub", "aud", "client_id", "scope", "exp", "act"] {
        assert_eq!(allowed["token"][name], real[name], "{name}");
    }
    for (changes, rule, error) in [
        (
            json!({"client_id": thief.client_id}),
            "target_not_allowed",
            "invalid_target",
        ),
        (
            json!({"client_id": thief.client_id, "resource": RESOURCE}),
            "not_entitled",
            "invalid_request",
        ),
        (
            json!({"client_id": without.client_id}),
            "grant_type",
            "unauthorized_client",
        ),
        (json!({"client_id": "nobody"}), "client", "invalid_client"),
        (
            json!({"subject_token": "x.y.z"}),
            "subject_token",
            "invalid_request",
        ),
        (
            json!({"resource": "https://nowhere.example"}),
            "target_unknown",
            "invalid_target",
        ),
        (json!({"scope": "search:run"}), "scope_not_held", "invalid_scope"),
        (json!({"scope": "mcp:write"}), "no_scope_left", "invalid_scope"),
        (json!({"scope": "a\"b"}), "scope_malformed", "invalid_scope"),
    ] {
        let answer = explain(changes.clone()).await;
        assert_eq!(
            (&answer["allowed"], &answer["rule"], &answer["error"]),
            (&json!(false), &json!(rule), &json!(error)),
            "{changes}: {answer}"
        );
        assert!(answer["message"].as_str().unwrap().len() > 20);
    }
}
