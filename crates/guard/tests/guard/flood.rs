//! Many made-up tokens at once, over real sockets: they cost those who send them, and nobody else.

use std::time::Duration;

use doorward_guard::client::{ClientAuth, OAuthClient};
use doorward_guard::verifiers::{IntrospectionVerifier, TokenVerifier};
use doorward_guard::{Rejection, Timeouts, VerifyError};
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::Instant;
use wiremock::matchers::{body_string_contains, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::RESOURCE;

/// A server that takes 0.4 s for an answer, and may take 0.9 s.
async fn slow_server() -> (MockServer, IntrospectionVerifier) {
    let server = MockServer::start().await;
    let issuer = server.uri();
    let metadata = json!({"issuer": issuer, "introspection_endpoint": format!("{issuer}/introspect")});
    Mock::given(path("/.well-known/oauth-authorization-server"))
        .respond_with(ResponseTemplate::new(200).set_body_json(metadata))
        .mount(&server)
        .await;
    let good = json!({"active": true, "sub": "alice", "client_id": "c", "aud": RESOURCE});
    Mock::given(body_string_contains("token=good"))
        .respond_with(ResponseTemplate::new(200).set_body_json(good))
        .mount(&server)
        .await;
    let unknown = ResponseTemplate::new(200).set_body_json(json!({"active": false}));
    Mock::given(path("/introspect"))
        .respond_with(unknown.set_delay(Duration::from_millis(400)))
        .mount(&server)
        .await;
    let client = OAuthClient::builder(&issuer)
        .auth(ClientAuth::basic("rs", "secret"))
        .timeouts(Timeouts::both(Duration::from_millis(900)))
        .build()
        .unwrap();
    let verifier = IntrospectionVerifier::builder(client)
        .audience(RESOURCE)
        .build()
        .unwrap();
    (server, verifier)
}

#[tokio::test]
async fn a_flood_of_unknown_tokens_opens_no_circuit() {
    let (_server, verifier) = slow_server().await;
    let tokens: Vec<_> = (0..400).map(|number| format!("made-up-{number}")).collect();
    let timed = async |token: &str| {
        let started = Instant::now();
        (verifier.verify_token(token).await.map(drop), started.elapsed())
    };
    let answers = join_all(tokens.iter().map(|token| timed(token))).await;
    let mut turned_away = 0;
    for (answer, took) in answers {
        match answer {
            Err(VerifyError::Rejected(Rejection::UnknownToken)) => {}
            Err(VerifyError::IntrospectionUnavailable { retry_after }) => {
                assert_eq!(retry_after, Duration::from_secs(1));
                turned_away += usize::from(took < Duration::from_millis(300));
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(
        turned_away >= 100,
        "more than may wait are told at once: {turned_away}"
    );
    assert!(
        verifier.verify_token("good").await.is_ok(),
        "nothing is held against the server"
    );
}
