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

/// A server that takes 1.8 s for an answer, and may take 3.5 s: whoever waits for the first answers to get a turn would be
/// too late if the waiting counted.
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
        .respond_with(unknown.set_delay(Duration::from_millis(1_800)))
        .mount(&server)
        .await;
    let client = OAuthClient::builder(&issuer)
        .auth(ClientAuth::basic("rs", "secret"))
        .timeouts(Timeouts::both(Duration::from_millis(3_500)))
        .build()
        .unwrap();
    let verifier = IntrospectionVerifier::builder(client)
        .audience(RESOURCE)
        .build()
        .unwrap();
    (server, verifier)
}

/// What became of many made-up tokens: how many were turned away before the first one was answered.
async fn flood() -> Result<usize, String> {
    let (_server, verifier) = slow_server().await;
    // From here on everything about the server is known.
    verifier.verify_token("good-before").await.unwrap();
    let tokens: Vec<_> = (0..400).map(|number| format!("made-up-{number}")).collect();
    let timed = async |token: &str| (verifier.verify_token(token).await.map(drop), Instant::now());
    let (mut answered, mut turned_away) = (Vec::new(), Vec::new());
    for (answer, ended) in join_all(tokens.iter().map(|token| timed(token))).await {
        match answer {
            Err(VerifyError::Rejected(Rejection::UnknownToken)) => answered.push(ended),
            // As long as no circuit is open.
            Err(VerifyError::IntrospectionUnavailable { retry_after })
                if retry_after == Duration::from_secs(1) =>
            {
                turned_away.push(ended);
            }
            other => return Err(format!("{other:?}")),
        }
    }
    if let Err(error) = verifier.verify_token("good-after").await {
        return Err(format!("this is held against the server: {error:?}"));
    }
    let first = answered.into_iter().min().ok_or("nobody was answered")?;
    Ok(turned_away.into_iter().filter(|ended| *ended < first).count())
}

#[tokio::test]
async fn a_flood_of_unknown_tokens_opens_no_circuit() {
    let mut outcome = flood().await;
    for _ in 0..2 {
        // Where the machine stood still for so long, the server was away as far as anybody can tell.
        if outcome.is_err() {
            outcome = flood().await;
        }
    }
    let turned_away = outcome.unwrap();
    assert!(
        turned_away >= 100,
        "more than may wait are told at once: {turned_away}"
    );
}
