//! `private_key_jwt` (RFC 7523): the catalogue's section CAUTH.

use std::time::Duration;

use axum::body::Body;
use doorward_jose::{Algorithm, SigningKey};
use doorward_oauth::assertion::AssertionRules;
use doorward_server::config::Span;
use http::{HeaderValue, Request, StatusCode, header};
use serde_json::json;
use tower::ServiceExt as _;
use url::form_urlencoded;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::machine::{
    JWT_BEARER, TOKEN, access_token, app, app_with, assert_unauthenticated, assertion, assertion_claims, key,
    machine, own_by_assertion, signing_machine, statuses,
};
use crate::support::{ISSUER, RESOURCE, TestApp};

/// CAUTH-020; B.1: the body need not have a `client_id`.
#[tokio::test]
async fn a_client_authenticates_with_every_advertised_algorithm() {
    let app = app().await;
    for algorithm in AssertionRules::ALGORITHMS {
        let key = key(algorithm);
        let machine = signing_machine(&app, &key).await;
        let signed = assertion(&key, &assertion_claims(&app, &machine.client_id));
        access_token(&own_by_assertion(&app, &signed, &[]).await);
    }
}

/// CAUTH-021, CAUTH-026, CAUTH-027, CAUTH-037: what is wrong is for the log alone.
#[tokio::test]
async fn an_assertion_that_does_not_hold_proves_nothing() {
    let app = app().await;
    let key = key(Algorithm::Es256);
    let machine = signing_machine(&app, &key).await;
    let now = app.context.now().seconds();
    let mut answers = Vec::new();
    for (name, value) in [
        ("aud", json!([ISSUER, "https://evil.example"])),
        ("aud", json!("http://localhost:9000.evil.example")),
        ("exp", json!(now)),
        ("exp", json!(now + 3600)),
        ("iat", json!(now + 600)),
        ("iat", json!(now - 86_400)),
        ("sub", json!("somebody")),
        ("jti", json!("")),
    ] {
        let mut claims = assertion_claims(&app, &machine.client_id);
        claims[name] = value;
        let reply = own_by_assertion(&app, &assertion(&key, &claims), &[]).await;
        assert_unauthenticated(&reply);
        answers.push(reply.json()["error_description"].clone());
    }
    let other = assertion(
        &self::key(Algorithm::Es256),
        &assertion_claims(&app, &machine.client_id),
    );
    let reply = own_by_assertion(&app, &other, &[]).await;
    assert_unauthenticated(&reply);
    answers.push(reply.json()["error_description"].clone());
    let unknown = assertion(&key, &assertion_claims(&app, "dwp_nobody"));
    let reply = own_by_assertion(&app, &unknown, &[]).await;
    assert_unauthenticated(&reply);
    answers.push(reply.json()["error_description"].clone());
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    for garbage in ["", "x", "a.b.c", "e30.e30.", &"A".repeat(20_000)] {
        let reply = own_by_assertion(&app, garbage, &[]).await;
        assert!(reply.status.is_client_error(), "{reply:?}");
    }
}

/// The feed is a stream that does not end: only its head is looked at.
async fn follow_by_form(app: &TestApp, form: &[(&str, &str)]) -> (StatusCode, Option<HeaderValue>) {
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    let request = Request::post("/events/revocations")
        .header(header::HOST, "localhost:9000")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(form))
        .unwrap();
    let answer = app.public.clone().oneshot(request).await.unwrap();
    (
        answer.status(),
        answer.headers().get(header::CONTENT_TYPE).cloned(),
    )
}

/// Each connection takes an assertion of its own (CAUTH-026), and a resource server alone may follow.
#[tokio::test]
async fn a_resource_server_that_signs_follows_the_revocations_by_form() {
    let app = app().await;
    let key = key(Algorithm::Es256);
    let keys = json!({"keys": [key.public_jwk()]});
    let server = machine(&app, json!({"jwks": keys, "resource_server": "mcp"})).await;
    let signed = assertion(&key, &assertion_claims(&app, &server.client_id));
    let form = [
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", &*signed),
    ];
    let stream = Some(HeaderValue::from_static("text/event-stream"));
    assert_eq!(follow_by_form(&app, &form).await, (StatusCode::OK, stream));
    assert_eq!(follow_by_form(&app, &form).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(follow_by_form(&app, &[]).await.0, StatusCode::UNAUTHORIZED);

    let other = signing_machine(&app, &key).await;
    let signed = assertion(&key, &assertion_claims(&app, &other.client_id));
    let form = [
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", &*signed),
    ];
    assert_eq!(follow_by_form(&app, &form).await.0, StatusCode::FORBIDDEN);
}

/// Some libraries sign for an hour: the operator may let them. What was used is remembered for as long.
#[tokio::test]
async fn how_long_an_assertion_may_be_good_is_the_operators_to_say() {
    let app =
        app_with(|settings| settings.client_authentication.max_assertion_lifetime = Span::hours(1)).await;
    let key = key(Algorithm::Es256);
    let machine = signing_machine(&app, &key).await;
    let now = app.context.now().seconds();
    let mut claims = assertion_claims(&app, &machine.client_id);
    claims["iat"] = json!(now);
    claims["exp"] = json!(now + 3600);
    let signed = assertion(&key, &claims);
    access_token(&own_by_assertion(&app, &signed, &[]).await);
    app.wait(3500);
    assert_unauthenticated(&own_by_assertion(&app, &signed, &[]).await);
    claims["jti"] = json!("for-two-hours");
    claims["exp"] = json!(now + 3500 + 7200);
    assert_unauthenticated(&own_by_assertion(&app, &assertion(&key, &claims), &[]).await);
}

/// CAUTH-021: issuer, issuer with a slash, token endpoint.
#[tokio::test]
async fn the_audience_may_be_written_in_three_ways() {
    let app = app().await;
    let key = key(Algorithm::EdDsa);
    let machine = signing_machine(&app, &key).await;
    for aud in [
        ISSUER.to_owned(),
        format!("{ISSUER}/"),
        format!("{ISSUER}{TOKEN}"),
    ] {
        let mut claims = assertion_claims(&app, &machine.client_id);
        claims["aud"] = json!(aud);
        access_token(&own_by_assertion(&app, &assertion(&key, &claims), &[]).await);
    }
}

/// CAUTH-023.
#[tokio::test]
async fn an_assertion_counts_once_and_at_every_endpoint() {
    let app = app().await;
    let key = key(Algorithm::Es256);
    let machine = signing_machine(&app, &key).await;
    let signed = assertion(&key, &assertion_claims(&app, &machine.client_id));
    let token = access_token(&own_by_assertion(&app, &signed, &[]).await);
    assert_unauthenticated(&own_by_assertion(&app, &signed, &[]).await);
    for endpoint in ["/oauth/introspect", "/oauth/revoke"] {
        let form = [
            ("token", token.as_str()),
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", signed.as_str()),
        ];
        assert_unauthenticated(&app.browser().post_pairs(endpoint, &[], &form).await);
        let again = assertion(&key, &assertion_claims(&app, &machine.client_id));
        let form = [form[0], form[1], ("client_assertion", again.as_str())];
        let first = app.browser().post_pairs(endpoint, &[], &form).await;
        assert_eq!(first.status, StatusCode::OK, "{endpoint}: {first:?}");
        assert_unauthenticated(&app.browser().post_pairs(endpoint, &[], &form).await);
    }
}

/// CAUTH-024.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_identical_assertions_one_gets_a_token() {
    let app = app().await;
    let key = key(Algorithm::Es256);
    let machine = signing_machine(&app, &key).await;
    for _ in 0..5 {
        let signed = assertion(&key, &assertion_claims(&app, &machine.client_id));
        let replies =
            futures_util::future::join_all((0..50).map(|_| own_by_assertion(&app, &signed, &[]))).await;
        assert_eq!(statuses(&replies), [(200, 1), (401, 49)].into());
    }
}

/// A request that fails for another reason costs no assertion.
#[tokio::test]
async fn what_is_refused_later_uses_nothing_up() {
    let app = app().await;
    let key = key(Algorithm::Es256);
    let machine = signing_machine(&app, &key).await;
    let signed = assertion(&key, &assertion_claims(&app, &machine.client_id));
    for (name, value, error) in [
        ("grant_type", "password", "unsupported_grant_type"),
        ("scope", "search:run nothing", "invalid_scope"),
        ("resource", "https://nowhere.example", "invalid_target"),
    ] {
        let mut form = vec![
            ("grant_type", "client_credentials"),
            ("resource", RESOURCE),
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", &signed),
        ];
        form.retain(|(other, _)| *other != name);
        form.push((name, value));
        app.browser()
            .post_pairs(TOKEN, &[], &form)
            .await
            .assert_error(error);
    }
    access_token(&own_by_assertion(&app, &signed, &[]).await);
}

/// CAUTH-008, CAUTH-032: the registered method and no other; one method a request.
#[tokio::test]
async fn the_registered_method_is_the_only_one() {
    let app = app().await;
    let key = key(Algorithm::Es256);
    let with_secret = machine(&app, json!({})).await;
    let signed = assertion(&key, &assertion_claims(&app, &with_secret.client_id));
    assert_unauthenticated(&own_by_assertion(&app, &signed, &[]).await);

    let signing = signing_machine(&app, &key).await;
    let none = [
        ("grant_type", "client_credentials"),
        ("client_id", &*signing.client_id),
    ];
    assert_unauthenticated(&app.browser().post_pairs(TOKEN, &[], &none).await);
    let secret = [none.as_slice(), &[("client_secret", "x")]].concat();
    assert_unauthenticated(&app.browser().post_pairs(TOKEN, &[], &secret).await);
    let signed = assertion(&key, &assertion_claims(&app, &signing.client_id));
    let both = [
        secret.as_slice(),
        &[
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", &*signed),
        ],
    ]
    .concat();
    app.browser()
        .post_pairs(TOKEN, &[], &both)
        .await
        .assert_error("invalid_request");
}

async fn serve(server: &MockServer, keys: &[&SigningKey], status: u16) {
    server.reset().await;
    let keys: Vec<_> = keys.iter().map(|key| key.public_jwk()).collect();
    let answer = ResponseTemplate::new(status)
        .set_body_json(json!({"keys": keys}))
        .insert_header("cache-control", "max-age=60");
    Mock::given(path("/jwks.json"))
        .respond_with(answer)
        .mount(server)
        .await;
}

async fn publishing(app: &TestApp, server: &MockServer) -> String {
    let uri = format!("http://127.0.0.1:{}/jwks.json", server.address().port());
    machine(app, json!({"jwks_uri": uri})).await.client_id
}

async fn asks(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

/// CAUTH-033: one fetch for a new key, then a pause, whoever floods.
#[tokio::test]
async fn keys_of_a_jwks_uri_can_rotate_and_nobody_can_make_the_server_ask_all_the_time() {
    let app = app().await;
    let server = MockServer::start().await;
    let (old, new) = (key(Algorithm::Es256), key(Algorithm::Es256));
    serve(&server, &[&old], 200).await;
    let client_id = publishing(&app, &server).await;
    let by = async |key: &SigningKey| {
        own_by_assertion(&app, &assertion(key, &assertion_claims(&app, &client_id)), &[]).await
    };
    access_token(&by(&old).await);
    access_token(&by(&old).await);
    assert_eq!(asks(&server).await, 1, "the set is cached");
    serve(&server, &[&new], 200).await;
    access_token(&by(&new).await);
    assert_eq!(asks(&server).await, 1, "asked once for the new key");
    for _ in 0..100 {
        assert_unauthenticated(&by(&key(Algorithm::EdDsa)).await);
    }
    assert_eq!(asks(&server).await, 1);
    app.wait(31);
    for _ in 0..10 {
        assert_unauthenticated(&by(&key(Algorithm::EdDsa)).await);
    }
    assert_eq!(asks(&server).await, 2);
    access_token(&by(&new).await);
}

/// CAUTH-034: a key server that fails is 401 for new keys, and what is known stays usable for a day.
#[tokio::test]
async fn a_jwks_uri_that_fails_takes_no_known_key_away() {
    let app = app().await;
    let server = MockServer::start().await;
    let known = key(Algorithm::Es256);
    serve(&server, &[&known], 200).await;
    let client_id = publishing(&app, &server).await;
    let by = async |key: &SigningKey| {
        own_by_assertion(&app, &assertion(key, &assertion_claims(&app, &client_id)), &[]).await
    };
    access_token(&by(&known).await);
    for answer in [
        ResponseTemplate::new(500),
        ResponseTemplate::new(200).set_body_string("<html>"),
        ResponseTemplate::new(200).set_body_raw(vec![b' '; 100_000], "application/json"),
        ResponseTemplate::new(302).insert_header("location", "http://169.254.169.254/"),
    ] {
        app.clock.advance(Duration::from_hours(1));
        server.reset().await;
        Mock::given(path("/jwks.json"))
            .respond_with(answer)
            .mount(&server)
            .await;
        assert_unauthenticated(&by(&key(Algorithm::Es256)).await);
        access_token(&by(&known).await);
    }
    app.clock.advance(Duration::from_hours(25));
    assert_unauthenticated(&by(&known).await);
}

/// A metadata document that insists on `private_key_jwt`: with a code, with refresh tokens, and with other keys later.
#[tokio::test]
async fn a_metadata_document_with_keys_is_a_confidential_client() {
    let app = app().await;
    let server = MockServer::start().await;
    let url = format!("http://127.0.0.1:{}/client.json", server.address().port());
    let redirect = format!("http://127.0.0.1:{}/cb", server.address().port());
    let describe = async |key: &SigningKey| {
        server.reset().await;
        let document = json!({
            "client_id": url, "client_name": "Agent", "redirect_uris": [redirect],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [key.public_jwk()]},
        });
        let answer = ResponseTemplate::new(200)
            .set_body_json(document)
            .insert_header("cache-control", "max-age=3600");
        Mock::given(path("/client.json"))
            .respond_with(answer)
            .mount(&server)
            .await;
    };
    let (first, second) = (key(Algorithm::Es256), key(Algorithm::Es256));
    describe(&first).await;
    let request = crate::support::Authorization::new(&url, &redirect).set("scope", "mcp:read offline_access");
    let code = app.approve(&app.browser(), &request).await.param("code").unwrap();
    let redeem = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("code_verifier", crate::support::VERIFIER),
        ("client_id", &*url),
    ];
    assert_unauthenticated(&app.token(&redeem).await);
    let signed = assertion(&first, &assertion_claims(&app, &url));
    let proven = [
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", &*signed),
    ];
    let reply = app.token(&[redeem.as_slice(), &proven].concat()).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    let refresh_token = reply.json()["refresh_token"].as_str().unwrap().to_owned();

    describe(&second).await;
    let signed = assertion(&second, &assertion_claims(&app, &url));
    let refresh = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &*refresh_token),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", &*signed),
    ];
    access_token(&app.token(&refresh).await);
}

/// Registration by the client itself: keys instead of a secret.
#[tokio::test]
async fn a_client_can_register_itself_with_keys() {
    let app = app().await;
    let key = key(Algorithm::Es256);
    let metadata = json!({
        "redirect_uris": ["https://app.example/cb"], "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [key.public_jwk()]}, "grant_types": ["authorization_code", "client_credentials"],
    });
    let headers = [("content-type", "application/json")];
    let reply = app
        .browser()
        .send("POST", "/oauth/register", &headers, metadata.to_string())
        .await;
    assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    let body = reply.json();
    assert_eq!(body.get("client_secret"), None);
    assert_eq!(
        body["grant_types"],
        json!(["authorization_code"]),
        "B.1: nobody registers itself for client_credentials"
    );
    let client_id = body["client_id"].as_str().unwrap();
    let signed = assertion(&key, &assertion_claims(&app, client_id));
    own_by_assertion(&app, &signed, &[])
        .await
        .assert_error("unauthorized_client");
}
