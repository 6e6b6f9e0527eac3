//! Client assertions: the catalogue's section CAUTH as far as it is about the JWT.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

use doorward_jose::{Algorithm, Jws, SigningKey, sign};
use doorward_oauth::assertion::{Assertion, AssertionError, AssertionRules, claimed_client_id};
use doorward_oauth::time::UnixSeconds;
use serde_json::{Value, json};

const ISSUER: &str = "https://as.example";
const AUDIENCES: [&str; 3] = [ISSUER, "https://as.example/", "https://as.example/oauth/token"];
const CLIENT: &str = "dwp_machine";
const NOW: i64 = 1_800_000_000;

fn claims() -> Value {
    json!({"iss": CLIENT, "sub": CLIENT, "aud": ISSUER, "jti": "j1", "iat": NOW, "exp": NOW + 60})
}

fn verify_as(key: &SigningKey, typ: &str, claims: &Value) -> Result<Assertion, AssertionError> {
    let text = sign(key, typ, claims).unwrap();
    let jws = Jws::parse(&text).unwrap();
    let rules = AssertionRules::default();
    rules.verify(&jws, key.public_jwk(), CLIENT, &AUDIENCES, UnixSeconds(NOW))
}

fn verify(claims: &Value) -> Result<Assertion, AssertionError> {
    verify_as(&SigningKey::generate(Algorithm::Es256).unwrap(), "JWT", claims)
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    match value {
        Value::Null => claims.as_object_mut().unwrap().remove(name),
        value => claims.as_object_mut().unwrap().insert(name.to_owned(), value),
    };
    claims
}

/// CAUTH-020.
#[test]
fn an_assertion_of_every_algorithm_holds() {
    for algorithm in AssertionRules::ALGORITHMS {
        let key = SigningKey::generate(algorithm).unwrap();
        let assertion = verify_as(&key, "JWT", &claims()).unwrap();
        assert_eq!(
            (assertion.jti(), assertion.expires_at()),
            ("j1", UnixSeconds(NOW + 60))
        );
    }
    let key = SigningKey::generate(Algorithm::Rs512).unwrap();
    assert_eq!(verify_as(&key, "JWT", &claims()), Err(AssertionError::Algorithm));
}

/// CAUTH-021.
#[test]
fn the_audience_is_this_server_alone() {
    for aud in AUDIENCES.map(Value::from) {
        assert!(verify(&with("aud", aud.clone())).is_ok());
        assert!(verify(&with("aud", json!([aud]))).is_ok());
    }
    for aud in [
        json!([ISSUER, "https://evil.example"]),
        json!([ISSUER, ISSUER]),
        json!("https://as.example.evil.example"),
        json!("https://as.example/oauth/authorize"),
        json!("HTTPS://AS.EXAMPLE"),
    ] {
        assert_eq!(
            verify(&with("aud", aud.clone())),
            Err(AssertionError::Audience),
            "{aud}"
        );
    }
    for aud in [Value::Null, json!(123), json!([])] {
        assert_eq!(
            verify(&with("aud", aud.clone())),
            Err(AssertionError::Claims),
            "{aud}"
        );
    }
}

/// CAUTH-026.
#[test]
fn time_is_checked_on_every_side() {
    for (name, value, expected) in [
        ("exp", json!(NOW), AssertionError::Stale),
        ("exp", json!(NOW - 1), AssertionError::Stale),
        ("exp", json!(NOW + 361), AssertionError::TooLong),
        ("exp", json!("soon"), AssertionError::Claims),
        ("exp", Value::Null, AssertionError::Claims),
        ("iat", json!(NOW + 600), AssertionError::FromTheFuture),
        ("iat", json!(NOW - 86_400), AssertionError::Stale),
        ("iat", json!("x"), AssertionError::Claims),
        ("iat", json!(NOW + 61), AssertionError::FromTheFuture),
        ("iat", json!(NOW - 361), AssertionError::Stale),
        ("nbf", json!(NOW + 600), AssertionError::FromTheFuture),
        ("nbf", json!(NOW + 61), AssertionError::FromTheFuture),
        ("jti", json!("x".repeat(257)), AssertionError::Jti),
    ] {
        assert_eq!(
            verify(&with(name, value.clone())),
            Err(expected),
            "{name} {value}"
        );
    }
    for (name, value) in [
        ("iat", Value::Null),
        ("iat", json!(NOW + 60)),
        ("iat", json!(NOW - 300)),
        ("exp", json!(NOW + 300)),
        ("iat", json!(NOW - 360)),
        ("exp", json!(NOW + 1)),
        ("exp", json!(NOW + 360)),
        ("nbf", json!(NOW)),
        ("nbf", json!(NOW + 60)),
        ("jti", json!("x".repeat(256))),
    ] {
        assert!(verify(&with(name, value.clone())).is_ok(), "{name} {value}");
    }
}

/// CAUTH-027.
#[test]
fn issuer_and_subject_are_both_the_client() {
    for (name, value) in [
        ("iss", json!("dwp_other")),
        ("sub", json!("dwp_other")),
        ("iss", json!("dwp_machine ")),
    ] {
        assert_eq!(verify(&with(name, value)), Err(AssertionError::Client));
    }
    for name in ["iss", "sub", "jti"] {
        assert_eq!(verify(&with(name, Value::Null)), Err(AssertionError::Claims));
    }
    for jti in [String::new(), "x".repeat(257), "a\u{0}b".to_owned()] {
        assert_eq!(verify(&with("jti", json!(jti))), Err(AssertionError::Jti));
    }
}

#[test]
fn another_kind_of_jwt_is_no_assertion() {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    for typ in ["at+jwt", "dpop+jwt", "oauth-id-jag+jwt", "logout+jwt"] {
        assert_eq!(
            verify_as(&key, typ, &claims()),
            Err(AssertionError::Type),
            "{typ}"
        );
    }
    for typ in ["JWT", "jwt", "client-authentication+jwt"] {
        assert!(verify_as(&key, typ, &claims()).is_ok(), "{typ}");
    }
}

#[test]
fn another_key_is_refused() {
    let (key, other) = (
        SigningKey::generate(Algorithm::Es256).unwrap(),
        SigningKey::generate(Algorithm::Es256).unwrap(),
    );
    let text = sign(&other, "JWT", &claims()).unwrap();
    let jws = Jws::parse(&text).unwrap();
    let rules = AssertionRules::default();
    assert_eq!(
        rules.verify(&jws, key.public_jwk(), CLIENT, &AUDIENCES, UnixSeconds(NOW)),
        Err(AssertionError::Signature)
    );
    assert_eq!(claimed_client_id(&text).as_deref(), Some(CLIENT));
    for text in ["", "x", "a.b.c", "a.e30.c"] {
        assert_eq!(claimed_client_id(text), None);
    }
}

#[test]
fn replay_ids_tell_clients_and_ids_apart() {
    let one = verify(&claims()).unwrap();
    assert_eq!(one.replay_id(), verify(&claims()).unwrap().replay_id());
    let other = verify(&with("jti", json!("j2"))).unwrap();
    assert_ne!(one.replay_id(), other.replay_id());
}
