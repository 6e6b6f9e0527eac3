//! Bound tokens at the token endpoint (RFC 9449): the catalogue's section DPOP as far as it is about the server.

use doorward_jose::{Algorithm, SigningKey, sign};
use doorward_oauth::dpop::ProofRules;
use doorward_store::{ClientSource, GrantState};
use http::StatusCode;
use serde_json::{Value, json};

use crate::machine::{
    ACCESS_TOKEN, EXCHANGE, Machine, SEARCH, access_token, admin, app, app_with, assertion, assertion_claims,
    key, machine, own_by_assertion, proof, proof_with, set_policy, sign_proof, signing_machine, statuses,
};
use crate::support::{Authorization, ISSUER, REDIRECT, RESOURCE, Reply, TestApp, VERIFIER, claims};
use crate::trusted::{JWT_BEARER_GRANT, provider};
use crate::vouching::{AUDIENCES, CHAT, ID_JAG, OTHER};

const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// DPOP-001, with every advertised algorithm; DPOP-030: introspection shows the key.
#[tokio::test]
async fn a_proof_binds_the_token_to_its_key() {
    let app = app().await;
    let machine = machine(&app, json!({})).await;
    for algorithm in ProofRules::ALGORITHMS {
        let key = key(algorithm);
        let reply = machine.own(&app, &[("dpop", &proof(&app, &key))]).await;
        let token = access_token(&reply);
        let body = reply.json();
        assert_eq!(body["token_type"], "DPoP", "{algorithm}");
        assert_eq!(
            claims(&body)["cnf"],
            json!({"jkt": key.public_jwk().thumbprint()})
        );
        let answer = machine.introspect(&app, &token).await;
        assert_eq!(
            (&answer["token_type"], &answer["cnf"]["jkt"]),
            (&json!("DPoP"), &json!(key.public_jwk().thumbprint()))
        );
    }
    let bearer = machine.own(&app, &[]).await.json();
    assert_eq!(bearer["token_type"], "Bearer", "no proof, no binding");
    assert_eq!(claims(&bearer).get("cnf"), None);
}

/// DPOP-003 … DPOP-014.
#[tokio::test]
async fn a_proof_that_does_not_fit_is_refused() {
    let app = app().await;
    let machine = machine(&app, json!({})).await;
    let key = key(Algorithm::Es256);
    let now = app.context.now().seconds();
    for changes in [
        json!({"htm": "GET"}),
        json!({"htm": null}),
        json!({"htu": "https://evil.example/oauth/token"}),
        json!({"htu": format!("{ISSUER}/oauth/revoke")}),
        json!({"htu": "/oauth/token"}),
        json!({"htu": [format!("{ISSUER}/oauth/token")]}),
        json!({"htu": null}),
        json!({"iat": now - 301}),
        json!({"iat": now + 61}),
        json!({"iat": "now"}),
        json!({"iat": null}),
        json!({"jti": ""}),
        json!({"jti": "x".repeat(257)}),
        json!({"jti": null}),
    ] {
        let bad = proof_with(&app, &key, changes.clone());
        let reply = machine.own(&app, &[("dpop", &bad)]).await;
        reply.assert_error("invalid_dpop_proof");
    }
    let public = serde_json::to_value(key.public_jwk()).unwrap();
    let mut private = public.clone();
    private["d"] = json!("AAAA");
    let good = json!({"jti": "1", "htm": "POST", "htu": format!("{ISSUER}/oauth/token"), "iat": now});
    let other = serde_json::to_value(self::key(Algorithm::Es256).public_jwk()).unwrap();
    for (typ, jwk) in [
        ("JWT", &public),
        ("at+jwt", &public),
        ("dpop+jwt", &private),
        ("dpop+jwt", &other),
        ("dpop+jwt", &Value::Null),
    ] {
        let bad = sign_proof(&key, typ, jwk, &good);
        machine
            .own(&app, &[("dpop", &bad)])
            .await
            .assert_error("invalid_dpop_proof");
    }
    let joined = format!("{}, {}", proof(&app, &key), proof(&app, &key));
    for bad in ["", "x", "a.b.c", &joined, &"A".repeat(65_000)] {
        let reply = machine.own(&app, &[("dpop", bad)]).await;
        assert!(reply.status.is_client_error(), "{reply:?}");
    }
    // DPOP-012.
    let (one, two) = (proof(&app, &key), proof(&app, &key));
    machine
        .own(&app, &[("dpop", &one), ("dpop", &two)])
        .await
        .assert_error("invalid_dpop_proof");
}

/// DPOP-005: the public name counts, whatever the request says.
#[tokio::test]
async fn the_uri_is_the_configured_one() {
    let app = app_with(|settings| "https://auth.example".clone_into(&mut settings.server.issuer)).await;
    let machine = machine(&app, json!({})).await;
    let key = key(Algorithm::Es256);
    for (htu, good) in [
        ("https://auth.example/oauth/token", true),
        ("HTTPS://AUTH.EXAMPLE:443/oauth/token", true),
        ("http://localhost:9000/oauth/token", false),
        ("https://evil.example/oauth/token", false),
    ] {
        let proof = proof_with(&app, &key, json!({"htu": htu}));
        let headers = [("dpop", &*proof), ("x-forwarded-host", "evil.example")];
        let reply = machine.own(&app, &headers).await;
        assert_eq!(reply.status == StatusCode::OK, good, "{htu}: {reply:?}");
    }
}

/// DPOP-019, and DPOP-033 for the skew.
#[tokio::test]
async fn a_proof_counts_once() {
    let app = app().await;
    let machine = machine(&app, json!({})).await;
    let key = key(Algorithm::Es256);
    let once = proof(&app, &key);
    access_token(&machine.own(&app, &[("dpop", &once)]).await);
    machine
        .own(&app, &[("dpop", &once)])
        .await
        .assert_error("invalid_dpop_proof");
    let now = app.context.now().seconds();
    for iat in [now + 25, now - 25, now + 60, now - 300] {
        let proof = proof_with(&app, &key, json!({"iat": iat}));
        access_token(&machine.own(&app, &[("dpop", &proof)]).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_identical_proofs_one_gets_a_token() {
    let app = app().await;
    let machine = machine(&app, json!({})).await;
    let key = key(Algorithm::Es256);
    for _ in 0..5 {
        let once = proof(&app, &key);
        let headers = [("dpop", &*once)];
        let replies = futures_util::future::join_all((0..50).map(|_| machine.own(&app, &headers))).await;
        assert_eq!(statuses(&replies), [(200, 1), (400, 49)].into());
    }
}

fn with_nonces(settings: &mut doorward_server::config::Settings) {
    settings.dpop.require_nonce = true;
}

/// DPOP-023, DPOP-026: nothing is used up before the nonce is there, not the assertion, not the code.
#[tokio::test]
async fn after_a_nonce_challenge_the_same_request_works() {
    let app = app_with(with_nonces).await;
    let (signing, bound) = (key(Algorithm::Es256), key(Algorithm::EdDsa));
    let machine = signing_machine(&app, &signing).await;
    let signed = assertion(&signing, &assertion_claims(&app, &machine.client_id));
    let challenge = own_by_assertion(&app, &signed, &[("dpop", &proof(&app, &bound))]).await;
    challenge.assert_error("use_dpop_nonce");
    let nonce = challenge.header("dpop-nonce");
    assert_eq!(nonce.len(), 32);
    let with_nonce = proof_with(&app, &bound, json!({"nonce": nonce}));
    let reply = own_by_assertion(&app, &signed, &[("dpop", &with_nonce)]).await;
    access_token(&reply);
    assert!(!reply.header("dpop-nonce").is_empty(), "RFC 9449 §8.2");

    let client_id = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let request = Authorization::new(&client_id, REDIRECT);
    let code = app.approve(&app.browser(), &request).await.param("code").unwrap();
    redeem(&app, &client_id, &code, Some(&proof(&app, &bound)))
        .await
        .assert_error("use_dpop_nonce");
    let with_nonce = proof_with(&app, &bound, json!({"nonce": nonce}));
    access_token(&redeem(&app, &client_id, &code, Some(&with_nonce)).await);
}

#[tokio::test]
async fn a_nonce_is_good_for_a_while_and_only_when_it_is_ours() {
    let app = app_with(with_nonces).await;
    let machine = machine(&app, json!({})).await;
    let key = key(Algorithm::Es256);
    let nonce = machine.own(&app, &[("dpop", &proof(&app, &key))]).await;
    let nonce = nonce.header("dpop-nonce").to_owned();
    let by = async |nonce: &str| {
        machine
            .own(
                &app,
                &[("dpop", &proof_with(&app, &key, json!({"nonce": nonce})))],
            )
            .await
    };
    access_token(&by(&nonce).await);
    access_token(&by(&nonce).await);
    by(&"A".repeat(32)).await.assert_error("use_dpop_nonce");
    app.wait(301);
    by(&nonce).await.assert_error("use_dpop_nonce");
    let reply = machine.own(&app, &[]).await;
    assert_eq!((reply.status, reply.header("dpop-nonce")), (StatusCode::OK, ""));
}

/// DPOP-027, and the same demand of a resource.
#[tokio::test]
async fn where_bound_tokens_are_demanded_no_other_is_given() {
    let app = app().await;
    let key = key(Algorithm::Es256);
    let demanding = machine(&app, json!({"dpop_bound_access_tokens": true})).await;
    demanding.own(&app, &[]).await.assert_error("invalid_dpop_proof");
    access_token(&demanding.own(&app, &[("dpop", &proof(&app, &key))]).await);

    let machine = machine(&app, json!({})).await;
    access_token(&machine.own(&app, &[]).await);
    set_policy(&app, "mcp", json!({"dpop_bound_access_tokens_required": true})).await;
    machine.own(&app, &[]).await.assert_error("invalid_dpop_proof");
    access_token(&machine.own(&app, &[("dpop", &proof(&app, &key))]).await);
    let document = app
        .browser()
        .get("/.well-known/oauth-protected-resource/mcp")
        .await;
    assert_eq!(document.json()["dpop_bound_access_tokens_required"], true);

    let client_id = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let request = Authorization::new(&client_id, REDIRECT);
    let code = app.approve(&app.browser(), &request).await.param("code").unwrap();
    redeem(&app, &client_id, &code, None)
        .await
        .assert_error("invalid_dpop_proof");
    access_token(&redeem(&app, &client_id, &code, Some(&proof(&app, &key))).await);
}

/// DPOP-027 for refresh tokens, which are bound to no key where the client authenticates itself.
#[tokio::test]
async fn where_bound_tokens_are_demanded_no_refresh_gives_another() {
    for of_client in [true, false] {
        let app = app().await;
        let changes = json!({"grant_types": ["authorization_code", "refresh_token"], "redirect_uris": [REDIRECT],
            "token_endpoint_auth_method": "client_secret_post"});
        let machine = machine(&app, changes).await;
        let form = code_of(&app, &machine, "mcp:read offline_access").await;
        let first = refresh_token(&machine.token(&app, &pairs(&form), &[]).await);
        let reply = refresh(&app, &machine.credentials(), &first, None).await;
        let token = refresh_token(&reply);
        assert_eq!(reply.json()["token_type"], "Bearer");

        demand_keys(&app, &machine, of_client).await;
        refresh(&app, &machine.credentials(), &token, None)
            .await
            .assert_error("invalid_dpop_proof");
        let form = [("grant_type", "refresh_token"), ("refresh_token", &*token)];
        let reply = by(&machine, &app, &form, &key(Algorithm::Es256)).await;
        access_token(&reply);
        assert_eq!(reply.json()["token_type"], "DPoP");
    }
}

/// DPOP-027 for the other grants. What was refused is not used up: it is good with a proof.
#[tokio::test]
async fn every_grant_asks_for_a_key_where_one_is_demanded() {
    for of_client in [true, false] {
        let app = app().await;
        let changes = json!({"grant_types": ["authorization_code", DEVICE, JWT_BEARER_GRANT, EXCHANGE],
            "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "client_secret_post"});
        let machine = machine(&app, changes).await;
        let requests = requests_for_a_person(&app, &machine).await;
        demand_keys(&app, &machine, of_client).await;
        for (name, form) in &requests {
            // The resource of an ID-JAG is another server's.
            if *name == "to another server" && !of_client {
                continue;
            }
            let refused = machine.token(&app, &pairs(form), &[]).await;
            let error = &refused.json()["error"];
            assert_eq!(error, "invalid_dpop_proof", "{name}, {of_client}: {refused:?}");
            let given = by(&machine, &app, &pairs(form), &key(Algorithm::Es256)).await;
            assert_eq!(given.status, StatusCode::OK, "{name}, {of_client}: {given:?}");
        }
    }
}

/// From now on the client has to bind its tokens, or everybody those for a resource.
async fn demand_keys(app: &TestApp, machine: &Machine, of_client: bool) {
    if of_client {
        let path = format!("/admin/clients/{}", machine.client_id);
        let reply = admin(app, "PATCH", &path, json!({"dpop_bound_access_tokens": true})).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        return;
    }
    let policy = json!({"exchange_clients": [machine.client_id], "dpop_bound_access_tokens_required": true});
    for slug in ["mcp", "search"] {
        set_policy(app, slug, policy.clone()).await;
    }
}

type Fields = Vec<(&'static str, String)>;

fn pairs(form: &Fields) -> Vec<(&str, &str)> {
    form.iter().map(|(name, value)| (*name, &**value)).collect()
}

/// The form that redeems a code which a person has allowed.
async fn code_of(app: &TestApp, machine: &Machine, scope: &str) -> Fields {
    let request = Authorization::new(&machine.client_id, REDIRECT).set("scope", scope);
    let code = app.approve(&app.browser(), &request).await.param("code").unwrap();
    vec![
        ("grant_type", "authorization_code".to_owned()),
        ("code", code),
        ("code_verifier", VERIFIER.to_owned()),
    ]
}

/// The form that redeems a device code which a person has allowed.
async fn device_code_of(app: &TestApp, machine: &Machine) -> Fields {
    let form = [
        machine.credentials(),
        vec![("scope", "mcp:read"), ("resource", RESOURCE)],
    ]
    .concat();
    let device = app
        .browser()
        .post_pairs("/oauth/device_authorization", &[], &form)
        .await
        .json();
    let browser = app.signed_in().await;
    let page = browser.open("/device").await;
    let typed = page
        .form("/device")
        .set("user_code", device["user_code"].as_str().unwrap());
    let reply = browser.submit(&typed, None).await;
    let page = browser.follow(reply).await;
    browser
        .submit(&page.form("/consent"), Some(("decision", "allow")))
        .await;
    let code = device["device_code"].as_str().unwrap();
    vec![
        ("grant_type", DEVICE.to_owned()),
        ("device_code", code.to_owned()),
    ]
}

/// What a client that has these grants asks for, with nothing that is bound to a key.
async fn requests_for_a_person(app: &TestApp, machine: &Machine) -> Vec<(&'static str, Fields)> {
    let exchange_clients = json!({"exchange_clients": [machine.client_id]});
    set_policy(app, "search", exchange_clients).await;
    let rule =
        json!({"name": "chat", "client_ids": [machine.client_id], "resource": CHAT, "scope": "chat.read"});
    let body = json!({"slug": "chat", "issuer": OTHER, "rules": [rule]});
    let reply = admin(app, "POST", AUDIENCES, body).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    let idp = provider(app, json!({"id_token_clients": {&machine.client_id: "0oa1"}})).await;
    let now = app.context.now().seconds();
    let id_token = json!({"iss": idp.issuer, "sub": "00u1", "aud": "0oa1", "iat": now, "exp": now + 300});
    let id_token = sign(&idp.key, "JWT", &id_token).unwrap();
    let code = code_of(app, machine, "mcp:read").await;
    let token = access_token(&machine.token(app, &pairs(&code), &[]).await);

    let exchange = |subject: &str, subject_type: &str, more: &[(&'static str, &str)]| {
        let mut form = vec![
            ("grant_type", EXCHANGE.to_owned()),
            ("subject_token", subject.to_owned()),
            ("subject_token_type", subject_type.to_owned()),
        ];
        form.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        form
    };
    let to_chat = [
        ("requested_token_type", ID_JAG),
        ("audience", OTHER),
        ("resource", CHAT),
    ];
    let id_token_type = "urn:ietf:params:oauth:token-type:id_token";
    vec![
        ("device code", device_code_of(app, machine).await),
        (
            "ID-JAG",
            vec![
                ("grant_type", JWT_BEARER_GRANT.to_owned()),
                ("assertion", idp.jag(app, machine, json!({}))),
            ],
        ),
        (
            "ID token",
            exchange(&id_token, id_token_type, &[("resource", RESOURCE)]),
        ),
        (
            "exchange",
            exchange(&token, ACCESS_TOKEN, &[("resource", SEARCH)]),
        ),
        ("to another server", exchange(&token, ACCESS_TOKEN, &to_chat)),
    ]
}

async fn redeem(app: &TestApp, client_id: &str, code: &str, proof: Option<&str>) -> Reply {
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", client_id),
        ("code", code),
        ("code_verifier", VERIFIER),
    ];
    let headers: Vec<_> = proof.map(|proof| ("dpop", proof)).into_iter().collect();
    app.browser().post_pairs("/oauth/token", &headers, &form).await
}

async fn refresh(app: &TestApp, credentials: &[(&str, &str)], token: &str, proof: Option<&str>) -> Reply {
    let form = [
        credentials,
        &[("grant_type", "refresh_token"), ("refresh_token", token)],
    ]
    .concat();
    let headers: Vec<_> = proof.map(|proof| ("dpop", proof)).into_iter().collect();
    app.browser().post_pairs("/oauth/token", &headers, &form).await
}

fn refresh_token(reply: &Reply) -> String {
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    reply.json()["refresh_token"].as_str().unwrap().to_owned()
}

/// DPOP-029: a public client's refresh tokens are bound; DPOP-030: to revoke one needs no key.
#[tokio::test]
async fn a_public_client_refreshes_with_its_key_alone() {
    let app = app().await;
    let client_id = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let (own, other) = (key(Algorithm::Es256), key(Algorithm::Es256));
    let request = Authorization::new(&client_id, REDIRECT).set("scope", "mcp:read offline_access");
    let code = app.approve(&app.browser(), &request).await.param("code").unwrap();
    let mut token = refresh_token(&redeem(&app, &client_id, &code, Some(&proof(&app, &own))).await);
    let credentials = [("client_id", &*client_id)];
    for _ in 0..3 {
        for wrong in [None, Some(&proof(&app, &other))] {
            refresh(&app, &credentials, &token, wrong.map(String::as_str))
                .await
                .assert_error("invalid_dpop_proof");
        }
        let reply = refresh(&app, &credentials, &token, Some(&proof(&app, &own))).await;
        token = refresh_token(&reply);
        assert_eq!(claims(&reply.json())["cnf"]["jkt"], own.public_jwk().thumbprint());
    }
    assert_eq!(
        app.grants().await[0].state,
        GrantState::Active,
        "nothing was used up"
    );
    let form = [("client_id", &*client_id), ("token", &*token)];
    let revoked = app.browser().post_pairs("/oauth/revoke", &[], &form).await;
    assert_eq!(revoked.status, StatusCode::OK);
    assert_eq!(app.grants().await[0].state, GrantState::Ended);
}

/// DPOP-029: a confidential client has its credentials; each access token gets the key of its own proof.
#[tokio::test]
async fn a_confidential_client_may_change_its_key() {
    let app = app().await;
    let changes = json!({"grant_types": ["authorization_code", "refresh_token"], "redirect_uris": [REDIRECT],
        "token_endpoint_auth_method": "client_secret_post"});
    let machine = machine(&app, changes).await;
    let request = Authorization::new(&machine.client_id, REDIRECT).set("scope", "mcp:read offline_access");
    let code = app.approve(&app.browser(), &request).await.param("code").unwrap();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("code_verifier", VERIFIER),
    ];
    let mut token = refresh_token(&by(&machine, &app, &form, &key(Algorithm::Es256)).await);
    for key in [key(Algorithm::Es256), key(Algorithm::EdDsa)] {
        let form = [("grant_type", "refresh_token"), ("refresh_token", &*token)];
        let reply = by(&machine, &app, &form, &key).await;
        assert_eq!(claims(&reply.json())["cnf"]["jkt"], key.public_jwk().thumbprint());
        token = refresh_token(&reply);
    }
    let bearer = refresh(&app, &machine.credentials(), &token, None).await;
    assert_eq!(bearer.json()["token_type"], "Bearer");
}

async fn by(machine: &Machine, app: &TestApp, form: &[(&str, &str)], key: &SigningKey) -> Reply {
    machine.token(app, form, &[("dpop", &proof(app, key))]).await
}

/// A proof says nothing where tokens are not bound.
#[tokio::test]
async fn without_the_setting_every_token_is_a_bearer_token() {
    let app = app_with(|settings| settings.dpop.enabled = false).await;
    let machine = machine(&app, json!({})).await;
    let reply = machine.own(&app, &[("dpop", "not read")]).await;
    assert_eq!(reply.json()["token_type"], "Bearer");
    let metadata = app.browser().get("/.well-known/oauth-authorization-server").await;
    assert_eq!(metadata.json().get("dpop_signing_alg_values_supported"), None);
}

/// DPOP-009: what the settings leave out is not taken.
#[tokio::test]
async fn the_settings_choose_the_algorithms() {
    let app = app_with(|settings| settings.dpop.algorithms = vec![Algorithm::EdDsa]).await;
    let machine = machine(&app, json!({})).await;
    access_token(
        &machine
            .own(&app, &[("dpop", &proof(&app, &key(Algorithm::EdDsa)))])
            .await,
    );
    machine
        .own(&app, &[("dpop", &proof(&app, &key(Algorithm::Es256)))])
        .await
        .assert_error("invalid_dpop_proof");
    let metadata = app.browser().get("/.well-known/oauth-authorization-server").await;
    assert_eq!(
        metadata.json()["dpop_signing_alg_values_supported"],
        json!(["EdDSA"])
    );
}

/// Browser clients can read the nonce.
#[tokio::test]
async fn the_nonce_is_exposed_to_other_origins() {
    let app = app_with(with_nonces).await;
    let machine = machine(&app, json!({})).await;
    let proof = proof(&app, &key(Algorithm::Es256));
    let headers = [("dpop", &*proof), ("origin", "https://app.example")];
    let reply = machine.own(&app, &headers).await;
    assert!(
        reply
            .header("access-control-expose-headers")
            .to_ascii_lowercase()
            .contains("dpop-nonce")
    );
}
