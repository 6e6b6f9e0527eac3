//! A key at `POST /oauth/par` and in the authorization request (RFC 9449 §10).

use doorward_jose::{Algorithm, SigningKey};
use doorward_store::ClientSource;
use http::StatusCode;
use serde_json::{Value, json};

use crate::machine::{
    JWT_BEARER, app, assert_unauthenticated, assertion, assertion_claims, machine, proof, proof_with,
};
use crate::support::{Authorization, ISSUER, REDIRECT, Reply, TestApp, VERIFIER};

const PAR: &str = "/oauth/par";

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::Es256).unwrap()
}

fn proof_at_par(app: &TestApp, key: &SigningKey) -> String {
    proof_with(app, key, json!({"htu": format!("{ISSUER}{PAR}")}))
}

async fn push(app: &TestApp, request: &Authorization, proof: &str) -> Reply {
    app.browser()
        .post(PAR, &[("dpop", proof)], request.encoded())
        .await
}

async fn redeem(app: &TestApp, client: &str, code: &str, key: Option<&SigningKey>) -> Reply {
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", client),
        ("code", code),
        ("code_verifier", VERIFIER),
    ];
    let proof = key.map(|key| proof(app, key));
    let headers: Vec<(&str, &str)> = proof.iter().map(|proof| ("dpop", proof.as_str())).collect();
    app.browser().post_pairs("/oauth/token", &headers, &form).await
}

async fn only_with(app: &TestApp, client: &str, code: &str, key: &SigningKey) {
    for wrong in [None, Some(&self::key())] {
        redeem(app, client, code, wrong)
            .await
            .assert_error("invalid_dpop_proof");
    }
    let reply = redeem(app, client, code, Some(key)).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    assert_eq!(reply.json()["token_type"], "DPoP");
}

/// [PAR-010]
#[tokio::test]
async fn a_proof_binds_the_code_of_a_pushed_request() {
    let (app, key) = (app().await, key());
    let client = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let request = Authorization::new(&client, REDIRECT);
    let first = proof_at_par(&app, &key);
    let reply = push(&app, &request, &first).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    push(&app, &request, &first)
        .await
        .assert_error("invalid_dpop_proof");
    let request_uri = reply.json()["request_uri"].as_str().unwrap().to_owned();
    let pushed = Authorization::of(&[("client_id", &client), ("request_uri", &request_uri)]);
    let code = app.approve(&app.browser(), &pushed).await.param("code").unwrap();
    only_with(&app, &client, &code, &key).await;
}

/// [PAR-010]
#[tokio::test]
async fn a_proof_of_another_key_or_for_another_place_is_refused() {
    let (app, key) = (app().await, key());
    let client = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let request = Authorization::new(&client, REDIRECT);
    let elsewhere = proof(&app, &key);
    push(&app, &request, &elsewhere)
        .await
        .assert_error("invalid_dpop_proof");
    let other = self::key().public_jwk().thumbprint().to_owned();
    let contradicting = request.set("dpop_jkt", &other);
    let reply = push(&app, &contradicting, &proof_at_par(&app, &key)).await;
    reply.assert_error("invalid_dpop_proof");
}

/// RFC 9449 §10, without a pushed request.
#[tokio::test]
async fn a_request_can_name_the_key_of_its_code() {
    let (app, key) = (app().await, key());
    let client = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let thumbprint = key.public_jwk().thumbprint().to_owned();
    let request = Authorization::new(&client, REDIRECT).set("dpop_jkt", &thumbprint);
    let code = app.approve(&app.browser(), &request).await.param("code").unwrap();
    only_with(&app, &client, &code, &key).await;
}

/// The refusals in the audit list, oldest first.
async fn refusals(app: &TestApp) -> Vec<Value> {
    app.context.audit.settled().await;
    let reply = app
        .administer("GET", "/admin/audit?outcome=refused", &Value::Null)
        .await;
    let lines = reply.json()["items"].as_array().unwrap().clone();
    lines.into_iter().rev().collect()
}

/// An assertion counts once here too, and what a client is refused that an operator made is told.
#[tokio::test]
async fn refusals_of_who_signs_are_told() {
    let (app, key) = (app().await, key());
    let metadata = json!({"jwks": {"keys": [key.public_jwk()]}, "redirect_uris": [REDIRECT],
        "token_endpoint_auth_method": "private_key_jwt", "grant_types": ["authorization_code"]});
    let client = machine(&app, metadata).await.client_id;
    let mut claims = assertion_claims(&app, &client);
    claims["exp"] = json!(claims["exp"].as_i64().unwrap() + 120);
    let assertion = assertion(&key, &claims);
    let request = Authorization::new(&client, REDIRECT)
        .add("client_assertion_type", JWT_BEARER)
        .add("client_assertion", &assertion);
    let push = async |request: &Authorization, headers: &[(&str, &str)]| {
        app.wait(1);
        app.browser().post(PAR, headers, request.encoded()).await
    };
    let elsewhere = request.clone().set("redirect_uri", "https://evil.example/cb");
    push(&elsewhere, &[]).await.assert_error("invalid_request");
    // A request that is refused uses nothing up.
    let pushed = push(&request, &[]).await;
    assert_eq!(pushed.status, StatusCode::CREATED, "{pushed:?}");
    assert_unauthenticated(&push(&request, &[]).await);
    // The same once more within a minute costs no row.
    assert_unauthenticated(&push(&request, &[]).await);
    app.wait(60);
    let proof = proof_at_par(&app, &key);
    assert_unauthenticated(&push(&request, &[("dpop", &proof)]).await);

    let refusals = refusals(&app).await;
    let members = |line: &Value| ["action", "actor", "actor_id"].map(|member| line[member].clone());
    let expected = ["request.refused", "assertion.replayed", "assertion.replayed"];
    let expected = expected.map(|action| [json!(action), json!("client"), json!(client)]);
    let lines: Vec<_> = refusals.iter().map(members).collect();
    assert_eq!(lines, expected, "{refusals:?}");
    assert_eq!(refusals[0]["target"], "POST /oauth/par");
    assert_eq!(refusals[0]["reason"], "invalid_request");
}
