//! HMAC: with a secret that was given as one, and never with a public key.

use doorward_jose::{Algorithm, HmacAlgorithm, JoseError, Jws, SharedSecret, base64url, sign};
use serde_json::{Map, Value, json};

use crate::support::key;

/// RFC 7515 §A.1: header with a line break, key of 64 bytes.
#[test]
fn the_example_of_the_rfc_verifies() {
    let secret = base64url::decode(
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
    )
    .unwrap();
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9\
        .eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ\
        .dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let read = SharedSecret::new(HmacAlgorithm::Hs256, &secret)
        .verify(token)
        .unwrap();
    assert_eq!(read.typ.as_deref(), Some("JWT"));
    assert!(read.payload.starts_with(b"{\"iss\":\"joe\","));
    assert!(!format!("{read:?}").contains("payload"));
    for wrong in [HmacAlgorithm::Hs384, HmacAlgorithm::Hs512] {
        assert_eq!(
            SharedSecret::new(wrong, &secret).verify(token),
            Err(JoseError::UnsupportedAlgorithm)
        );
    }
    let other = SharedSecret::new(HmacAlgorithm::Hs256, b"another secret of enough bytes!!");
    assert_eq!(other.verify(token), Err(JoseError::BadSignature));
}

fn claims() -> Map<String, Value> {
    Map::from_iter([("sub".to_owned(), json!("ada"))])
}

#[test]
fn what_is_signed_verifies_and_what_is_changed_does_not() {
    for algorithm in HmacAlgorithm::ALL {
        let secret = SharedSecret::new(algorithm, &[7; 64]);
        let token = secret.sign(&claims()).unwrap();
        assert_eq!(secret.verify(&token).unwrap().payload, br#"{"sub":"ada"}"#);
        for index in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(secret.verify(&changed).is_err(), "{index}");
        }
        assert_eq!(algorithm.as_str().parse(), Ok(algorithm));
        assert!(!format!("{secret:?}").contains('7'));
    }
}

/// CVE-2015-9235 and its relatives: neither world reads the other's tokens.
#[test]
fn a_public_key_is_never_a_secret_and_a_secret_never_a_public_key() {
    for algorithm in Algorithm::ALL {
        let pem = key(algorithm).public_jwk().to_pem().unwrap();
        let forged = SharedSecret::new(HmacAlgorithm::Hs256, pem.as_bytes())
            .sign(&claims())
            .unwrap();
        assert_eq!(Jws::parse(&forged).unwrap_err(), JoseError::UnsupportedAlgorithm);
        let token = sign(key(algorithm), "JWT", &claims()).unwrap();
        for hmac in HmacAlgorithm::ALL {
            assert_eq!(
                SharedSecret::new(hmac, pem.as_bytes()).verify(&token),
                Err(JoseError::UnsupportedAlgorithm)
            );
        }
    }
}

#[test]
fn the_header_is_read_as_strictly_as_any() {
    let secret = SharedSecret::new(HmacAlgorithm::Hs256, &[7; 32]);
    let token = secret.sign(&claims()).unwrap();
    let (_, rest) = token.split_once('.').unwrap();
    for (header, fault) in [
        (r#"{"alg":"none"}"#, JoseError::UnsupportedAlgorithm),
        (r#"{"alg":"hs256"}"#, JoseError::UnsupportedAlgorithm),
        (r#"{"typ":"JWT"}"#, JoseError::Malformed),
        (r#"{"alg":["HS256"]}"#, JoseError::Malformed),
        (r#"{"alg":"HS256","crit":["exp"]}"#, JoseError::CriticalHeader),
        (r#"{"alg":"HS256","b64":false}"#, JoseError::CriticalHeader),
        (r#"{"alg":"HS256","zip":"DEF"}"#, JoseError::UnsupportedHeader),
        (r#"{"alg":"HS256","alg":"HS256"}"#, JoseError::DuplicateMember),
        (r#"{"alg":"HS256"}"#, JoseError::BadSignature),
    ] {
        let changed = format!("{}.{rest}", base64url::encode(header.as_bytes()));
        assert_eq!(secret.verify(&changed), Err(fault), "{header}");
    }
    assert_eq!(
        secret.verify(&"a".repeat(20_000)).unwrap_err(),
        JoseError::TooLarge
    );
    let huge = json!({ "x": "y".repeat(13_000) }).as_object().unwrap().clone();
    assert_eq!(secret.sign(&huge), Err(JoseError::TooLarge));
}
