//! Private keys: kept, stored, and never shown.

use doorward_jose::{
    Algorithm, HmacAlgorithm, JoseError, MAX_JWS_BYTES, SharedSecret, SigningKey, constant_time_eq,
    fill_random, hmac_sha256, sha256, sign,
};
use serde_json::{Value, json};

use crate::support::{accepts, key};

#[test]
fn a_stored_key_is_the_same_key() {
    for algorithm in Algorithm::ALL {
        let document = key(algorithm).to_pkcs8().unwrap();
        let again = SigningKey::from_pkcs8(algorithm, &document).unwrap();
        assert_eq!(again.public_jwk(), key(algorithm).public_jwk());
        let text = sign(&again, "at+jwt", &json!({ "sub": "ada" })).unwrap();
        assert!(accepts(&text, key(algorithm)).is_ok());
    }
}

#[test]
fn a_stored_key_of_another_type_is_refused() {
    for (stored, wanted) in [
        (Algorithm::Es256, Algorithm::Es384),
        (Algorithm::Es256, Algorithm::Rs256),
        (Algorithm::Rs256, Algorithm::EdDsa),
        (Algorithm::EdDsa, Algorithm::Es256),
    ] {
        let document = key(stored).to_pkcs8().unwrap();
        assert_eq!(
            SigningKey::from_pkcs8(wanted, &document).unwrap_err(),
            JoseError::UnusableKey
        );
    }
    assert_eq!(
        SigningKey::from_pkcs8(Algorithm::Es256, b"").unwrap_err(),
        JoseError::UnusableKey
    );
}

#[test]
fn debug_shows_the_kid_and_nothing_of_the_key() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let key = key(algorithm);
        assert_eq!(
            format!("{key:?}"),
            format!(
                "SigningKey {{ algorithm: {algorithm:?}, key_id: {:?}, .. }}",
                key.key_id()
            )
        );
    }
}

#[test]
fn ecdsa_signatures_have_the_fixed_length() {
    for (algorithm, length) in [
        (Algorithm::Es256, 64),
        (Algorithm::Es384, 96),
        (Algorithm::EdDsa, 64),
    ] {
        for n in 0..64_u8 {
            assert_eq!(key(algorithm).sign(&[n]).unwrap().len(), length);
        }
    }
}

#[test]
fn the_header_is_alg_typ_kid() {
    let key = key(Algorithm::Es256);
    let text = sign(key, "at+jwt", &json!({})).unwrap();
    let header = doorward_jose::base64url::decode(text.split('.').next().unwrap()).unwrap();
    assert_eq!(
        String::from_utf8(header).unwrap(),
        format!(
            r#"{{"alg":"ES256","typ":"at+jwt","kid":"{}"}}"#,
            key.public_jwk().thumbprint()
        )
    );
}

#[test]
fn a_token_nobody_would_read_is_not_signed() {
    let claims = json!({ "padding": "x".repeat(16 * 1024) });
    assert_eq!(
        sign(key(Algorithm::Es256), "at+jwt", &claims),
        Err(JoseError::TooLarge)
    );
}

#[test]
fn the_longest_token_that_is_read_is_signed() {
    let secret = SharedSecret::new(HmacAlgorithm::Hs256, &[7; 32]);
    let padded = |room: usize| json!({ "p": "x".repeat(room) });
    let longest = |signed: &dyn Fn(&Value) -> Result<String, JoseError>| {
        let lengths = (11_900..12_300).map_while(|room| signed(&padded(room)).ok());
        lengths.last().unwrap().len()
    };
    assert_eq!(
        longest(&|claims| sign(key(Algorithm::Es256), "at+jwt", claims)),
        MAX_JWS_BYTES
    );
    assert_eq!(
        longest(&|claims| secret.sign(claims.as_object().unwrap())),
        MAX_JWS_BYTES
    );
}

#[test]
fn the_hash_and_the_comparison_are_what_they_say() {
    // FIPS 180-4: the digest of "abc".
    assert_eq!(
        doorward_jose::base64url::encode(&sha256(b"abc")),
        "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"
    );
    assert!(constant_time_eq(b"secret", b"secret"));
    assert!(!constant_time_eq(b"secret", b"Secret"));
    assert!(!constant_time_eq(b"secret", b"secre"));
}

/// RFC 4231 §4.3.
#[test]
fn hmac_is_the_one_of_the_rfc() {
    let mac = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
    let hex: String = mac
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from_digit(digit.into(), 16).unwrap())
        .collect();
    assert_eq!(
        hex,
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
}

#[test]
fn random_bytes_differ() {
    let (mut one, mut other) = ([0; 32], [0; 32]);
    fill_random(&mut one).unwrap();
    fill_random(&mut other).unwrap();
    assert!(one != other && one != [0; 32]);
}
