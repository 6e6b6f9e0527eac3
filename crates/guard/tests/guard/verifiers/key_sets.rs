//! `JwtVerifier` with a key set at a URL: the keys are kept as the guard keeps those of its issuer.

use std::sync::Arc;
use std::time::Duration;

use doorward_guard::testing::{KeyPair, TokenParameters};
use doorward_guard::verifiers::{JwtVerifier, JwtVerifierBuilder, TokenVerifier};
use doorward_guard::{Claims, Rejection, VerifyError};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{Behaviour, FakeServer, JWKS, VirtualClock, pass};

struct Idp {
    server: Arc<FakeServer>,
    clock: Arc<VirtualClock>,
    key: KeyPair,
}

impl Idp {
    fn new() -> Self {
        let idp = Self {
            server: Arc::default(),
            clock: Arc::new(VirtualClock::starting(Instant::now())),
            key: KeyPair::generate().unwrap(),
        };
        idp.publish(&[&idp.key]);
        idp
    }

    fn publish(&self, keys: &[&KeyPair]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.jwks()["keys"][0].clone()).collect();
        self.server
            .publish(JWKS, Behaviour::Json(json!({ "keys": keys })));
    }

    fn builder(&self) -> JwtVerifierBuilder {
        JwtVerifier::builder()
            .jwks_uri(JWKS)
            .clock(self.clock.clone())
            .fetch(self.server.clone())
    }

    fn token(&self, key: &KeyPair, kid: Option<&str>) -> String {
        let parameters = TokenParameters::new().clock(self.clock.clone());
        let parameters = match kid {
            Some(kid) => parameters.key_id(kid),
            None => parameters,
        };
        key.create_token(&parameters).unwrap()
    }

    fn good(&self) -> String {
        self.token(&self.key, Some(self.key.key_id()))
    }
}

async fn verify(verifier: &JwtVerifier, token: &str) -> Result<Claims, VerifyError> {
    verifier.verify_token(token).await
}

#[tokio::test(start_paused = true)]
async fn keys_are_fetched_once_and_shared() {
    let idp = Idp::new();
    let verifier = idp.builder().build().unwrap();
    let token = idp.good();
    let answers = join_all((0..50).map(|_| verify(&verifier, &token))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(idp.server.key_fetches(), 1);
    assert_eq!(idp.server.asked(), [JWKS], "no metadata is asked for");
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_found_and_a_storm_of_unknown_ones_is_bounded() {
    let idp = Idp::new();
    let verifier = idp.builder().build().unwrap();
    assert!(verify(&verifier, &idp.good()).await.is_ok());
    let next = KeyPair::generate().unwrap();
    idp.publish(&[&idp.key, &next]);
    assert!(
        verify(&verifier, &idp.token(&next, Some(next.key_id())))
            .await
            .is_ok()
    );
    assert_eq!(idp.server.key_fetches(), 2);
    for number in 0..40 {
        let token = idp.token(&next, Some(&format!("bogus-{number}")));
        assert_eq!(
            verify(&verifier, &token).await.unwrap_err(),
            VerifyError::Rejected(Rejection::UnknownKey)
        );
    }
    assert_eq!(idp.server.key_fetches(), 3);
}

/// Identity providers with one key often leave `kid` out.
#[tokio::test(start_paused = true)]
async fn a_token_without_kid_works_where_there_is_one_key_and_costs_no_fetch_where_there_are_more() {
    let idp = Idp::new();
    let mut jwk = idp.key.jwks()["keys"][0].clone();
    jwk.as_object_mut().unwrap().remove("kid");
    idp.server
        .publish(JWKS, Behaviour::Json(json!({ "keys": [jwk] })));
    let verifier = idp.builder().build().unwrap();
    assert!(verify(&verifier, &idp.token(&idp.key, None)).await.is_ok());

    let more = Idp::new();
    more.publish(&[&more.key, &KeyPair::generate().unwrap()]);
    let verifier = more.builder().build().unwrap();
    for _ in 0..20 {
        assert_eq!(
            verify(&verifier, &more.token(&more.key, None)).await.unwrap_err(),
            VerifyError::Rejected(Rejection::NoKeyId)
        );
    }
    assert!(verify(&verifier, &more.good()).await.is_ok());
    assert_eq!(more.server.key_fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_no_verdict_and_keys_last_through_it() {
    let idp = Idp::new();
    idp.server.set_down(true);
    let verifier = idp.builder().max_stale(Duration::from_hours(1)).build().unwrap();
    let outcome = verify(&verifier, &idp.good()).await;
    assert!(
        matches!(outcome, Err(VerifyError::KeysUnavailable { .. })),
        "{outcome:?}"
    );
    idp.server.set_down(false);
    pass(5).await;
    assert!(verify(&verifier, &idp.good()).await.is_ok());
    idp.server.set_down(true);
    pass(3000).await;
    assert!(verify(&verifier, &idp.good()).await.is_ok());
    pass(900).await;
    let outcome = verify(&verifier, &idp.good()).await;
    assert!(
        matches!(outcome, Err(VerifyError::KeysUnavailable { .. })),
        "{outcome:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_withdrawn_takes_remembered_tokens_along() {
    let idp = Idp::new();
    let verifier = idp.builder().build().unwrap();
    let token = idp.good();
    assert!(verify(&verifier, &token).await.is_ok());
    idp.publish(&[&KeyPair::generate().unwrap()]);
    pass(301).await;
    assert_eq!(
        verify(&verifier, &token).await.unwrap_err(),
        VerifyError::Rejected(Rejection::UnknownKey)
    );
}
