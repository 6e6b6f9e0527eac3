//! Verifiers as building blocks.

mod introspection;
mod jwt;
mod key_sets;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use doorward_guard::testing::{KeyPair, TokenParameters};
use doorward_guard::verifiers::{JwtVerifier, RemoteAuth, StaticTokenVerifier, TokenVerifier, VerifierError};
use doorward_guard::{Claims, Guard, Rejection, ScopeSet, TokenClaims, UnixSeconds, VerifyError};
use doorward_oauth::time::ManualClock;
use futures_util::future::BoxFuture;
use http::StatusCode;
use serde_json::json;
use tower::ServiceExt;

use crate::support::{ISSUER, RESOURCE, answer, ping_message, post};

fn claims(subject: &str, expires_at: i64) -> TokenClaims {
    TokenClaims::new(ISSUER, subject, "client-1", UnixSeconds(expires_at))
}

/// The status of a ping to a guard of these verifiers, and its challenge.
async fn ping(guard: &Guard, token: &str) -> (StatusCode, String) {
    let app: Router = guard.protect(
        "/mcp",
        axum::routing::any(async |claims: Claims| claims.subject.clone()),
    );
    let request = post().header("authorization", format!("Bearer {token}"));
    let request = request.body(axum::body::Body::from(ping_message().to_string()));
    let answer = answer(app.oneshot(request.unwrap()).await.unwrap()).await;
    (answer.status, answer.challenge().to_owned())
}

fn guard_of(verifier: impl TokenVerifier + 'static) -> Guard {
    Guard::builder(ISSUER, RESOURCE)
        .verifier(verifier)
        .build()
        .unwrap()
}

#[tokio::test]
async fn static_tokens_are_known_until_they_end() {
    let clock = Arc::new(ManualClock::new(UnixSeconds(1_000)));
    let verifier = StaticTokenVerifier::new([
        ("alice-token", claims("alice", 1_100)),
        ("bob-token", claims("bob", TokenClaims::NEVER.seconds())),
    ])
    .unwrap()
    .clock(clock.clone());
    assert_eq!(
        verifier.verify_token("alice-token").await.unwrap().subject,
        "alice"
    );
    for unknown in ["alice-toke", "alice-token ", "", "Alice-token"] {
        assert_eq!(
            verifier.verify_token(unknown).await.unwrap_err(),
            VerifyError::Rejected(Rejection::UnknownToken)
        );
    }
    clock.advance(Duration::from_secs(100));
    assert_eq!(
        verifier.verify_token("alice-token").await.unwrap_err(),
        VerifyError::Rejected(Rejection::Expired)
    );
    assert!(verifier.verify_token("bob-token").await.is_ok());
    assert!(!format!("{verifier:?}").contains("bob-token"));
    let empty = StaticTokenVerifier::new([("", claims("x", 1))]);
    assert!(matches!(empty, Err(VerifierError::Empty("token"))));
}

#[tokio::test]
async fn a_guard_takes_the_word_of_its_verifier() {
    let mut alice = claims("alice", TokenClaims::NEVER.seconds());
    alice.scopes = ScopeSet::parse("read").unwrap();
    let bob = claims("bob", TokenClaims::NEVER.seconds());
    let verifier = StaticTokenVerifier::new([("alice-token", alice), ("bob-token", bob)])
        .unwrap()
        .required_scopes(ScopeSet::parse("read").unwrap());
    let guard = guard_of(verifier);
    assert_eq!(ping(&guard, "alice-token").await.0, StatusCode::OK);
    assert_eq!(ping(&guard, "other").await.0, StatusCode::UNAUTHORIZED);
    let (status, challenge) = ping(&guard, "bob-token").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(challenge.contains(r#"error="insufficient_scope""#) && challenge.contains(r#"scope="read""#));
}

/// A token that is bound to a key needs its proof, whoever verified it.
#[tokio::test]
async fn a_bound_token_of_a_verifier_needs_its_proof() {
    let mut bound = claims("alice", TokenClaims::NEVER.seconds());
    bound.key_thumbprint = Some("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I".to_owned());
    let guard = guard_of(StaticTokenVerifier::new([("token", bound)]).unwrap());
    assert_eq!(ping(&guard, "token").await.0, StatusCode::UNAUTHORIZED);
}

/// Cannot tell.
struct Unavailable;

impl TokenVerifier for Unavailable {
    fn verify_token<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Claims, VerifyError>> {
        let retry_after = Duration::from_secs(7);
        Box::pin(std::future::ready(Err(VerifyError::IntrospectionUnavailable {
            retry_after,
        })))
    }
}

#[tokio::test]
async fn several_verifiers_are_asked_in_their_order() {
    let forever = TokenClaims::NEVER.seconds();
    let one = StaticTokenVerifier::new([("both", claims("first", forever))]).unwrap();
    let two = StaticTokenVerifier::new([
        ("both", claims("second", forever)),
        ("two", claims("two", forever)),
    ])
    .unwrap();
    let guard = Guard::builder(ISSUER, RESOURCE)
        .verifier(one)
        .verifier(Unavailable)
        .verifier(two)
        .build()
        .unwrap();
    assert_eq!(guard.verify("both").await.unwrap().subject, "first");
    assert_eq!(guard.verify("two").await.unwrap().subject, "two");
    // Nobody knows the token, and one of them could not tell.
    assert_eq!(
        guard.verify("unknown").await.unwrap_err(),
        VerifyError::IntrospectionUnavailable {
            retry_after: Duration::from_secs(7)
        }
    );
    assert_eq!(ping(&guard, "unknown").await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn remote_auth_names_the_servers_and_verifies_by_itself() {
    let key_pair = KeyPair::generate().unwrap();
    let verifier = JwtVerifier::builder()
        .public_key(key_pair.public_key())
        .issuer("https://idp.example/")
        .audience(RESOURCE)
        .build()
        .unwrap();
    let guard = RemoteAuth::new(
        verifier,
        ["https://idp.example/", "https://other.example"],
        RESOURCE,
    )
    .into_builder()
    .build()
    .unwrap();
    let app: Router = guard.protect("/mcp", axum::routing::any(async || "inside"));
    let request = http::Request::get("/.well-known/oauth-protected-resource/mcp");
    let response = app.oneshot(request.body(axum::body::Body::empty()).unwrap());
    let metadata = answer(response.await.unwrap()).await.json();
    assert_eq!(
        metadata["authorization_servers"],
        json!(["https://idp.example/", "https://other.example"])
    );
    let good = TokenParameters::new()
        .issuer("https://idp.example/")
        .audience(RESOURCE);
    let token = key_pair.create_token(&good).unwrap();
    assert_eq!(ping(&guard, &token).await.0, StatusCode::OK);
    let foreign = key_pair
        .create_token(&good.issuer("https://other.example"))
        .unwrap();
    assert_eq!(ping(&guard, &foreign).await.0, StatusCode::UNAUTHORIZED);
    let nobody = RemoteAuth::new(Unavailable, Vec::<String>::new(), RESOURCE);
    assert!(nobody.into_builder().build().is_err());
}
