//! Project Wycheproof's JOSE vectors (conformance/wycheproof), every one of them accounted for.

use doorward_jose::{JoseError, Jwk, JwkSet, Jws};
use serde_json::Value;

use crate::support::accepts_by;

const SIGNATURES: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../conformance/wycheproof/json_web_signature_test.json"
));
const KEYS: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../conformance/wycheproof/json_web_key_test.json"
));

/// Vectors that are valid by the file and refused here, with the refusal: no algorithm outside `Algorithm` is spoken.
///
/// Each is in one of these groups: `hs256` and `base64` (HMAC: an authorization server has no key to share with a
/// verifier), `ps384` and `ps512` (nobody in the MCP world asks for them), `rfc7520` and `rfc7520WithKeyOps` figure 20
/// (PS384), figure 27 (ES512) and figure 35 (HS256).
const NOT_SUPPORTED: &[(u64, JoseError)] = &[
    (1, JoseError::UnsupportedAlgorithm),
    (320, JoseError::UnsupportedAlgorithm),
    (321, JoseError::UnsupportedAlgorithm),
    (322, JoseError::UnsupportedAlgorithm),
    (323, JoseError::UnsupportedAlgorithm),
    (325, JoseError::UnsupportedAlgorithm),
    (326, JoseError::UnsupportedAlgorithm),
    (327, JoseError::UnsupportedAlgorithm),
    (328, JoseError::UnsupportedAlgorithm),
    (346, JoseError::UnsupportedAlgorithm),
    (347, JoseError::UnsupportedAlgorithm),
    (348, JoseError::UnsupportedAlgorithm),
    (350, JoseError::UnsupportedAlgorithm),
    (351, JoseError::UnsupportedAlgorithm),
    (352, JoseError::UnsupportedAlgorithm),
    (357, JoseError::UnsupportedAlgorithm),
    (358, JoseError::UnsupportedAlgorithm),
    (359, JoseError::UnsupportedAlgorithm),
    // Marked valid for lenient decoders: a '?' inside the header, inside the payload.
    (372, JoseError::Malformed),
    (373, JoseError::UnsupportedAlgorithm),
    (376, JoseError::UnsupportedAlgorithm),
    (377, JoseError::UnsupportedAlgorithm),
];

/// The same for the key file: HMAC key sets.
const KEY_SETS_NOT_SUPPORTED: &[u64] = &[2, 13, 14, 15];

fn groups(file: &str) -> Vec<Value> {
    let mut file: Value = serde_json::from_str(file).unwrap_or_default();
    match file["testGroups"].take() {
        Value::Array(groups) => groups,
        _ => Vec::new(),
    }
}

fn tests(group: &Value) -> impl Iterator<Item = (u64, &str, &str)> {
    group["tests"].as_array().into_iter().flatten().map(|test| {
        let text = |name: &str| test[name].as_str().unwrap_or_default();
        (
            test["tcId"].as_u64().unwrap_or_default(),
            text("jws"),
            text("result"),
        )
    })
}

fn check_signature(token: &str, key: &Value) -> Result<(), JoseError> {
    Jws::parse(token)?;
    accepts_by(token, &Jwk::from_value(key)?).map(drop)
}

#[test]
fn every_signature_vector_is_judged_as_published() {
    let (mut accepted, mut refused, mut unsupported) = (0, 0, 0);
    for group in groups(SIGNATURES) {
        // HMAC groups publish no public key; the symmetric one is then what a careless caller would hand over.
        let key = group.get("public").unwrap_or(&group["private"]);
        for (id, token, result) in tests(&group) {
            let verdict = check_signature(token, key);
            let exception = NOT_SUPPORTED.iter().find(|(exception, _)| *exception == id);
            match (result, exception) {
                ("valid", Some((_, expected))) => {
                    assert_eq!(verdict, Err(*expected), "tcId {id}");
                    unsupported += 1;
                }
                ("valid", None) => {
                    assert_eq!(verdict, Ok(()), "tcId {id}");
                    accepted += 1;
                }
                ("invalid", None) => {
                    assert!(verdict.is_err(), "tcId {id}");
                    refused += 1;
                }
                other => panic!("tcId {id}: {other:?}"),
            }
        }
    }
    assert_eq!((accepted, refused, unsupported), (24, 355, 22));
}

#[test]
fn every_private_and_symmetric_key_of_the_vectors_is_refused_as_a_public_key() {
    let mut seen = 0;
    for group in groups(SIGNATURES) {
        if group["private"].is_object() {
            assert_eq!(Jwk::from_value(&group["private"]), Err(JoseError::PrivateKey));
            seen += 1;
        }
    }
    assert!(seen > 10);
}

#[test]
fn every_key_set_vector_is_judged_as_published() {
    let mut accepted = Vec::new();
    for group in groups(KEYS) {
        let set = group.get("public").unwrap_or(&group["private"]);
        let set = JwkSet::parse(set.to_string().as_bytes()).unwrap();
        for (id, token, result) in tests(&group) {
            let verified = Jws::parse(token)
                .ok()
                .and_then(|jws| set.select(jws.header()).map(|key| jws.verify(key).is_ok()))
                .unwrap_or(false);
            let expected = result == "valid" && !KEY_SETS_NOT_SUPPORTED.contains(&id);
            assert_eq!(verified, expected, "tcId {id}");
            if verified {
                accepted.push(id);
            }
        }
    }
    assert_eq!(accepted, [5]);
}

#[test]
fn bad_keys_of_the_vectors_are_refused_for_the_right_reason() {
    let expected = [
        (7, Some(JoseError::WeakKey)), // from the generator of CVE-2017-15361
        (8, Some(JoseError::WeakKey)), // 1024 bits
        (9, Some(JoseError::WeakKey)), // e = 1
        (19, Some(JoseError::UnsupportedAlgorithm)),
        (20, Some(JoseError::UnsupportedAlgorithm)),
        (21, None),                               // use=enc: a key, but not for verifying
        (22, Some(JoseError::UnusableKey)),       // not on the curve
        (23, Some(JoseError::AlgorithmMismatch)), // ES256 on P-384
        (24, Some(JoseError::Malformed)),         // kty RSA without n and e
    ];
    for (id, fault) in expected {
        let group = groups(KEYS)
            .into_iter()
            .find(|group| tests(group).any(|test| test.0 == id))
            .unwrap();
        let key = Jwk::from_value(&group["public"]["keys"][0]);
        match fault {
            Some(fault) => assert_eq!(key, Err(fault), "tcId {id}"),
            None => assert!(!key.unwrap().is_for_verification(), "tcId {id}"),
        }
    }
}
