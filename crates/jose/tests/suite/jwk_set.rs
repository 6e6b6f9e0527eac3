//! Sets of keys, as strangers publish them.

use doorward_jose::{Algorithm, JoseError, JwkSet, Jws, MAX_JWK_SET_BYTES, MAX_JWK_SET_KEYS, sign};
use serde_json::{Value, json};

use crate::support::{changed, key, published, token};

fn parse(keys: &[Value]) -> Result<JwkSet, JoseError> {
    JwkSet::parse(json!({ "keys": keys }).to_string().as_bytes())
}

#[test]
fn unusable_keys_are_skipped_one_by_one() {
    let set = parse(&[
        json!({ "kty": "oct", "k": "AAAA", "kid": "a" }),
        json!({ "kty": "unknown" }),
        json!("no key"),
        json!(null),
        changed(key(Algorithm::Es256), &[("d", json!("AAAA"))]),
        changed(key(Algorithm::Es256), &[("x", json!("AAAA"))]),
        changed(key(Algorithm::Rs256), &[("e", json!("AQ"))]),
        published(key(Algorithm::EdDsa)),
    ])
    .unwrap();
    assert_eq!(set.keys, [key(Algorithm::EdDsa).public_jwk().clone()]);
    assert_eq!(parse(&[]).unwrap(), JwkSet::default());
}

#[test]
fn a_set_round_trips() {
    let set: JwkSet = Algorithm::ALL
        .into_iter()
        .map(|algorithm| key(algorithm).public_jwk().clone())
        .collect();
    assert_eq!(JwkSet::parse(&serde_json::to_vec(&set).unwrap()), Ok(set));
}

#[test]
fn a_set_that_is_not_a_set_is_refused() {
    for (document, fault) in [
        (r#"{"keys":[],"keys":[]}"#, JoseError::DuplicateMember),
        (
            r#"{"keys":[{"kty":"EC","kty":"RSA"}]}"#,
            JoseError::DuplicateMember,
        ),
        (r#"{"keys":{}}"#, JoseError::Malformed),
        (r#"{"keys":null}"#, JoseError::Malformed),
        ("{}", JoseError::Malformed),
        ("[]", JoseError::Malformed),
        ("", JoseError::Malformed),
    ] {
        assert_eq!(JwkSet::parse(document.as_bytes()), Err(fault), "{document}");
    }
}

#[test]
fn a_set_is_bounded_in_bytes_and_keys() {
    let empty = |count: usize| parse(&vec![json!({}); count]);
    assert!(empty(MAX_JWK_SET_KEYS).is_ok());
    assert_eq!(empty(MAX_JWK_SET_KEYS + 1), Err(JoseError::TooLarge));
    let mut document = br#"{"keys":[]}"#.to_vec();
    document.resize(MAX_JWK_SET_BYTES, b' ');
    assert!(JwkSet::parse(&document).is_ok());
    document.push(b' ');
    assert_eq!(JwkSet::parse(&document), Err(JoseError::TooLarge));
}

#[test]
fn a_key_is_found_by_kid_unless_that_is_ambiguous() {
    let named = |algorithm, kid: &str| changed(key(algorithm), &[("kid", json!(kid))]);
    let set = parse(&[
        named(Algorithm::Es256, "a"),
        named(Algorithm::EdDsa, "b"),
        named(Algorithm::Es384, "b"),
    ])
    .unwrap();
    assert_eq!(
        set.find("a").and_then(doorward_jose::Jwk::algorithm),
        Some(Algorithm::Es256)
    );
    assert_eq!(set.find("b"), None);
    assert_eq!(set.find("c"), None);
}

#[test]
fn a_token_selects_its_key_by_kid_and_algorithm() {
    let named = |algorithm, kid: &str| changed(key(algorithm), &[("kid", json!(kid))]);
    let set = parse(&[
        named(Algorithm::Es256, "a"),
        named(Algorithm::EdDsa, "b"),
        named(Algorithm::Es384, "b"),
        changed(
            key(Algorithm::Rs256),
            &[("kid", json!("c")), ("use", json!("enc"))],
        ),
    ])
    .unwrap();
    let selected = |header: &str| {
        let text = token(key(Algorithm::Es256), header, b"{}");
        let jws = Jws::parse(&text).unwrap();
        set.select(jws.header()).and_then(doorward_jose::Jwk::algorithm)
    };
    assert_eq!(selected(r#"{"alg":"ES256","kid":"a"}"#), Some(Algorithm::Es256));
    // RFC 7517 §4.5: keys of different types may share a kid.
    assert_eq!(selected(r#"{"alg":"EdDSA","kid":"b"}"#), Some(Algorithm::EdDsa));
    assert_eq!(selected(r#"{"alg":"EdDSA","kid":"a"}"#), None);
    assert_eq!(selected(r#"{"alg":"RS256","kid":"c"}"#), None);
    assert_eq!(selected(r#"{"alg":"ES256","kid":"' OR 1=1--"}"#), None);
    // Without kid: only where nothing has to be chosen.
    assert_eq!(selected(r#"{"alg":"ES256"}"#), Some(Algorithm::Es256));
}

#[test]
fn two_keys_that_fit_are_no_answer() {
    let key = key(Algorithm::Es256);
    let other = doorward_jose::SigningKey::generate(Algorithm::Es256).unwrap();
    let text = sign(key, "at+jwt", &json!({})).unwrap();
    let jws = Jws::parse(&text).unwrap();
    let same_kid = parse(&[
        published(key),
        changed(&other, &[("kid", json!(key.public_jwk().thumbprint()))]),
    ])
    .unwrap();
    assert_eq!(same_kid.select(jws.header()), None);
    let both = parse(&[published(key), published(&other)]).unwrap();
    assert_eq!(both.select(jws.header()), Some(key.public_jwk()));
    let anonymous = token(key, r#"{"alg":"ES256"}"#, b"{}");
    assert_eq!(both.select(Jws::parse(&anonymous).unwrap().header()), None);
}
