//! What somebody hostile would try at the machine side, and what an operator takes away while it is used.

use doorward_jose::Algorithm;
use doorward_store::{ClientSource, Revoked, UnixSeconds};
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::machine::{
    JWT_BEARER, SEARCH, TOKEN, access_token, admin, allow_exchange, app, assert_unauthenticated, assertion,
    assertion_claims, key, machine, own_by_assertion, person, proof, set_policy, signing_machine,
};
use crate::support::{REDIRECT, RESOURCE, Reply, TestApp, claims};
use crate::trusted::{CI, IDP, JWT_BEARER_GRANT, desktop, provider, show_alone, trust};

/// How many rows a sweep after everything has expired would take.
async fn rows(app: &TestApp) -> u64 {
    let end_of_time = UnixSeconds(4_000_000_000);
    let second = std::time::Duration::from_secs(1);
    app.context
        .store
        .sweep(end_of_time, second, 10_000)
        .await
        .unwrap()
        .total()
}

/// A token for another resource is one of that resource: with its lifetime and its claims.
#[tokio::test]
async fn an_exchanged_token_follows_the_policy_of_its_resource() {
    let app = app().await;
    let client_id = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let agent = machine(&app, json!({})).await;
    let policy =
        json!({"access_ttl": 30, "claims": {"tier": "inner"}, "exchange_clients": [agent.client_id]});
    set_policy(&app, "search", policy).await;
    let subject = person(&app, &client_id, "mcp:read").await;
    let reply = agent
        .exchange(&app, subject["access_token"].as_str().unwrap(), &[], &[])
        .await;
    access_token(&reply);
    assert_eq!(reply.json()["expires_in"], 30);
    assert_eq!(claims(&reply.json())["tier"], "inner");
}

/// RFC 9470: who wants a token of a resource that demands a recent sign-in cannot get it in exchange for an older one.
#[tokio::test]
async fn an_exchange_is_no_way_around_a_recent_sign_in() {
    let app = app().await;
    let client_id = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let agent = machine(&app, json!({})).await;
    let policy = json!({"max_auth_age": 60, "exchange_clients": [agent.client_id]});
    set_policy(&app, "search", policy).await;
    let subject = person(&app, &client_id, "mcp:read").await;
    let subject = subject["access_token"].as_str().unwrap();
    access_token(&agent.exchange(&app, subject, &[], &[]).await);
    app.wait(61);
    agent
        .exchange(&app, subject, &[], &[])
        .await
        .assert_error("invalid_request");
    // A program that acts for itself has never signed in.
    let own = access_token(&agent.own(&app, &[]).await);
    access_token(&agent.exchange(&app, &own, &[("scope", "mcp:read")], &[]).await);
}

/// INTR-011: what a removed client holds is dead, also under the grant of another one.
#[tokio::test]
async fn a_removed_client_takes_the_tokens_along_that_it_got_by_exchange() {
    let app = app().await;
    let client_id = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let agent = machine(&app, json!({})).await;
    let next = machine(&app, json!({"resource_server": "search"})).await;
    allow_exchange(&app, "search", &[&agent, &next]).await;
    let subject = person(&app, &client_id, "mcp:read").await;
    let subject = subject["access_token"].as_str().unwrap();
    let token = access_token(&agent.exchange(&app, subject, &[], &[]).await);
    assert_eq!(next.introspect(&app, &token).await["active"], true);
    let path = format!("/admin/clients/{}", agent.client_id);
    assert_eq!(
        admin(&app, "DELETE", &path, Value::Null).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(next.introspect(&app, &token).await, json!({"active": false}));
    next.exchange(&app, &token, &[], &[])
        .await
        .assert_error("invalid_request");
    let told = app.context.store.revocations(0, 100).await.unwrap().items;
    let of_client = Revoked::Client(agent.client_id.clone());
    assert!(told.iter().any(|entry| entry.revoked == of_client), "{told:?}");
    // The grant was never the agent's: its owner's token stands.
    let own = [("token", subject), ("client_id", &*client_id)];
    assert_eq!(
        app.browser().post_pairs("/oauth/revoke", &[], &own).await.status,
        StatusCode::OK
    );
}

/// REV-001: a revocation that was answered is true, whoever exchanges in this moment.
#[tokio::test]
async fn nothing_that_was_exchanged_during_a_revocation_lives_on() {
    let app = app().await;
    let client_id = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let agent = machine(&app, json!({"resource_server": "search"})).await;
    allow_exchange(&app, "search", &[&agent]).await;
    for _ in 0..5 {
        let subject = person(&app, &client_id, "mcp:read").await;
        let subject = subject["access_token"].as_str().unwrap();
        let at_once = join_all((0..30).map(|_| agent.exchange(&app, subject, &[], &[])));
        let revocation = async {
            tokio::task::yield_now().await;
            let form = [("token", subject), ("client_id", &*client_id)];
            app.browser().post_pairs("/oauth/revoke", &[], &form).await
        };
        let (replies, revoked) = tokio::join!(at_once, revocation);
        assert_eq!(revoked.status, StatusCode::OK);
        for reply in replies {
            if reply.status == StatusCode::OK {
                let state = agent.introspect(&app, &access_token(&reply)).await;
                assert_eq!(state, json!({"active": false}));
            }
        }
    }
}

/// An issuer that wants nothing stored is not asked once for every request that a stranger sends.
#[tokio::test]
async fn a_stranger_cannot_make_the_server_ask_an_issuer_all_the_time() {
    let server = MockServer::start().await;
    let app = app().await;
    let body = json!({"issuer": server.uri(), "jwks": null, "rules": [
        {"name": "deploy", "claims": {"sub": "job-1"}, "resource": "mcp", "scope": "mcp:read"},
    ]});
    let mut platform = trust(&app, "workload", "ci", CI, body).await;
    platform.issuer = server.uri();
    let document = json!({
        "issuer": server.uri(), "jwks_uri": format!("{}/keys", server.uri()),
        "keys": [platform.key.public_jwk()],
    });
    let answer = ResponseTemplate::new(200)
        .set_body_json(document)
        .insert_header("cache-control", "no-store");
    Mock::given(any()).respond_with(answer).mount(&server).await;
    for _ in 0..20 {
        let token = platform.workload(&app, json!({}));
        access_token(&show_alone(&app, &token, &[("resource", RESOURCE)]).await);
    }
    let asked = server.received_requests().await.unwrap().len();
    assert!(asked <= 2, "asked {asked} times for metadata and keys");
    app.wait(60);
    let token = platform.workload(&app, json!({}));
    access_token(&show_alone(&app, &token, &[("resource", RESOURCE)]).await);
    let asked = server.received_requests().await.unwrap().len();
    assert_eq!(asked, 4, "and is asked again in time");
}

/// CAUTH-034: the same for the keys of clients, at endpoints without a limit, and for a document that is no key set.
#[tokio::test]
async fn a_client_cannot_make_the_server_ask_somebody_all_the_time() {
    let app = app().await;
    let signing = key(Algorithm::Es256);
    let usable = json!({"keys": [signing.public_jwk()]});
    for document in [usable, json!({"weather": "fine"})] {
        let server = MockServer::start().await;
        let answer = ResponseTemplate::new(200)
            .set_body_json(&document)
            .insert_header("cache-control", "no-store");
        Mock::given(any()).respond_with(answer).mount(&server).await;
        let uri = format!("http://127.0.0.1:{}/jwks.json", server.address().port());
        let client_id = machine(&app, json!({"jwks_uri": uri})).await.client_id;
        for _ in 0..20 {
            let assertion = assertion(&signing, &assertion_claims(&app, &client_id));
            let form = [
                ("token", "x"),
                ("client_assertion_type", JWT_BEARER),
                ("client_assertion", &assertion),
            ];
            app.browser().post_pairs("/oauth/introspect", &[], &form).await;
        }
        let asked = server.received_requests().await.unwrap().len();
        assert!(asked <= 2, "asked {asked} times for {document}");
    }
}

/// A proof of a stranger about nothing is not worth a row.
#[tokio::test]
async fn a_device_code_that_nobody_has_costs_no_row() {
    let app = app().await;
    let metadata =
        json!({"client_name": "Television", "grant_types": ["urn:ietf:params:oauth:grant-type:device_code"]});
    app.add_client_with("tv", ClientSource::Admin, metadata).await;
    let key = key(Algorithm::Es256);
    for _ in 0..10 {
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("client_id", "tv"),
            ("device_code", "dwd_nobody-has-this-code"),
        ];
        let proof = proof(&app, &key);
        let reply = app.browser().post_pairs(TOKEN, &[("dpop", &proof)], &form).await;
        reply.assert_error("invalid_grant");
    }
    assert_eq!(rows(&app).await, 0);
}

/// Whatever is sent in any place, the answer is the client's fault, on every engine.
#[tokio::test]
async fn no_text_in_any_parameter_breaks_anything() {
    let app = app().await;
    let machine = machine(&app, json!({"grant_types": ["client_credentials", crate::machine::EXCHANGE, JWT_BEARER_GRANT], "token_endpoint_auth_method": "client_secret_post"})).await;
    let own = access_token(&machine.own(&app, &[]).await);
    let long = "x".repeat(20_000);
    let texts = [
        "\0",
        "a\0b",
        "\u{202e}\u{fffd}",
        "%00",
        "{}",
        "\r\nx: y",
        "🦀",
        &long,
    ];
    let names = [
        "client_id",
        "client_secret",
        "client_assertion",
        "client_assertion_type",
        "resource",
        "audience",
        "scope",
        "subject_token",
        "subject_token_type",
        "actor_token",
        "actor_token_type",
        "requested_token_type",
        "assertion",
        "code",
        "code_verifier",
        "redirect_uri",
        "refresh_token",
        "device_code",
        "token",
        "token_type_hint",
        "dpop_jkt",
        "request_uri",
        "login_hint",
        "state",
        "code_challenge",
    ];
    let grants = [
        "client_credentials",
        crate::machine::EXCHANGE,
        JWT_BEARER_GRANT,
        "authorization_code",
        "refresh_token",
        "urn:ietf:params:oauth:grant-type:device_code",
    ];
    let check = |reply: &Reply, what: &str| {
        assert!(reply.status.as_u16() < 500, "{what}: {reply:?}");
        if !reply.body.is_empty() {
            reply.json();
        }
    };
    for text in texts {
        for name in names {
            for path in [
                "/oauth/introspect",
                "/oauth/revoke",
                "/oauth/par",
                "/oauth/device_authorization",
            ] {
                let mut form = machine.credentials();
                form.retain(|(other, _)| *other != name);
                form.push((name, text));
                check(
                    &app.browser().post_pairs(path, &[], &form).await,
                    &format!("{path} {name}={text:.9?}"),
                );
            }
            for grant in grants {
                let mut form = [
                    machine.credentials(),
                    vec![
                        ("grant_type", grant),
                        ("subject_token", &own),
                        ("subject_token_type", crate::machine::ACCESS_TOKEN),
                    ],
                ]
                .concat();
                form.retain(|(other, _)| *other != name);
                form.push((name, text));
                check(
                    &app.browser().post_pairs(TOKEN, &[], &form).await,
                    &format!("{grant} {name}={text:.9?}"),
                );
            }
        }
    }
}

/// The same in signed claims: the issuer is trusted, its users are not.
#[tokio::test]
async fn no_claim_of_an_assertion_breaks_anything() {
    let app = app().await;
    let idp = provider(&app, json!({"provision": true})).await;
    let client = desktop(&app).await;
    let platform = trust(
        &app,
        "workload",
        "ci",
        CI,
        json!({"rules": [
            {"name": "any", "claims": {"iss": CI}, "resource": "mcp", "scope": "mcp:read"},
        ]}),
    )
    .await;
    let long = "x".repeat(1024);
    let longer = "é".repeat(4000);
    let texts = [
        json!("a\0b"),
        json!("\0"),
        json!(long),
        json!(longer),
        json!(1e300),
        json!([["x"]]),
        json!({"a": 1}),
    ];
    for name in [
        "iss",
        "sub",
        "aud",
        "jti",
        "scope",
        "resource",
        "client_id",
        "email",
        "name",
        "amr",
        "auth_time",
        "iat",
        "nbf",
        "cnf",
        "act",
    ] {
        for value in &texts {
            let mut changes = json!({});
            changes[name] = value.clone();
            let reply = idp.show(&app, &client, changes.clone()).await;
            assert!(reply.status.as_u16() < 500, "{name}={value:.20}: {reply:?}");
            let token = platform.workload(&app, changes);
            let reply = show_alone(&app, &token, &[("resource", RESOURCE)]).await;
            assert!(reply.status.as_u16() < 500, "{name}={value:.20}: {reply:?}");
        }
    }
    assert_ne!(IDP, CI);
}

/// Operators' paths and queries reach the database too.
#[tokio::test]
async fn no_text_in_an_operators_request_breaks_anything() {
    let app = app().await;
    provider(&app, json!({})).await;
    for text in ["%00", "a%00b", "%F0%9F%A6%80", &"x".repeat(5000)] {
        for (method, path) in [
            ("GET", format!("/admin/clients/{text}")),
            ("DELETE", format!("/admin/clients/{text}")),
            ("POST", format!("/admin/clients/{text}/rotate-secret")),
            ("GET", format!("/admin/clients?after={text}")),
            ("GET", format!("/admin/clients?page_token={text}")),
            ("GET", format!("/admin/resources/{text}")),
            ("DELETE", format!("/admin/resources/{text}")),
            ("GET", format!("/admin/grants?client_id={text}")),
            ("GET", format!("/admin/grants?resource={text}")),
            ("GET", format!("/admin/grants?user={text}")),
            ("GET", format!("/admin/users?email={text}")),
            ("GET", format!("/admin/trusted-issuers/{text}")),
            ("DELETE", format!("/admin/trusted-issuers/{text}")),
            ("GET", format!("/admin/trusted-issuers/{text}/subjects")),
            ("DELETE", format!("/admin/trusted-issuers/idp/subjects/{text}")),
            (
                "DELETE",
                format!("/admin/trusted-issuers/idp/subjects?subject={text}"),
            ),
        ] {
            let reply = admin(&app, method, &path, Value::Null).await;
            assert!(reply.status.as_u16() < 500, "{method} {path:.80}: {reply:?}");
        }
        let path = format!("/oauth/register/{text}");
        let headers = [("authorization", "Bearer dwm_nobody")];
        for method in ["GET", "PUT", "DELETE"] {
            let reply = app.browser().send(method, &path, &headers, "{}".to_owned()).await;
            assert!(reply.status.as_u16() < 500, "{method} {path:.80}: {reply:?}");
        }
    }
    for body in [
        json!({"client_id": "a\0b", "subject_token": "x"}),
        json!({"client_id": "x", "subject_token": "a\0b", "resource": ["\0"], "audience": ["\0"]}),
    ] {
        let reply = admin(&app, "POST", "/admin/token-exchange/explain", body).await;
        assert!(reply.status.as_u16() < 500, "{reply:?}");
    }
    let body = json!({"subject": "a\0b", "user": app.user.id.0});
    let reply = admin(&app, "POST", "/admin/trusted-issuers/idp/subjects", body).await;
    assert!(reply.status.is_client_error(), "{reply:?}");
}

/// A signing client may be removed while it asks; nobody else's assertion counts for it.
#[tokio::test]
async fn an_assertion_of_one_client_is_none_of_another() {
    let app = app().await;
    let (one, two) = (key(Algorithm::Es256), key(Algorithm::Es256));
    let victim = signing_machine(&app, &one).await;
    let thief = signing_machine(&app, &two).await;
    for claims in [
        json!({"iss": victim.client_id}),
        json!({"sub": victim.client_id}),
        json!({"iss": victim.client_id, "sub": victim.client_id}),
    ] {
        let mut changed = assertion_claims(&app, &thief.client_id);
        for (name, value) in crate::machine::members(claims) {
            changed[name] = value;
        }
        assert_unauthenticated(&own_by_assertion(&app, &assertion(&two, &changed), &[]).await);
    }
    assert_ne!(SEARCH, RESOURCE);
}
