//! Attacks on the key, the algorithm and the signature of a token.

use doorward_jose::{Algorithm, JoseError, Jwk, Jws, SigningKey, base64url, sign};
use serde_json::{Value, json};

use crate::support::{accepts, changed, key, published, token};

const HEADER: &str = r#"{"alg":"ES256","typ":"at+jwt"}"#;

#[test]
fn keys_in_the_header_are_never_used() {
    let trusted = key(Algorithm::Es256);
    let attacker = SigningKey::generate(Algorithm::Es256).unwrap();
    let jwk = published(&attacker);
    for member in [
        format!(r#""jwk":{jwk}"#),
        r#""jku":"https://evil.example/jwks.json""#.to_owned(),
        r#""x5u":"https://evil.example/chain.pem""#.to_owned(),
        r#""x5c":["MIIB"]"#.to_owned(),
        r#""x5t":"AAAA","x5t#S256":"AAAA""#.to_owned(),
    ] {
        let header = format!(r#"{{"alg":"ES256",{member}}}"#);
        assert_eq!(
            accepts(&token(&attacker, &header, b"{}"), trusted),
            Err(JoseError::BadSignature)
        );
        let text = token(trusted, &header, b"{}");
        assert!(accepts(&text, trusted).is_ok());
        assert_eq!(Jws::parse(&text).unwrap().header().jwk, None);
    }
}

#[test]
fn an_embedded_key_is_read_only_on_request_and_must_be_public() {
    let key = key(Algorithm::Es256);
    let with = |jwk: &Value| {
        token(
            key,
            &format!(r#"{{"alg":"ES256","typ":"dpop+jwt","jwk":{jwk}}}"#),
            b"{}",
        )
    };
    let text = with(&published(key));
    let jws = Jws::parse_with_embedded_key(&text).unwrap();
    let embedded = jws.header().jwk.clone().unwrap();
    assert_eq!(embedded.thumbprint(), key.public_jwk().thumbprint());
    assert!(jws.verify(&embedded).is_ok());

    for (jwk, fault) in [
        (changed(key, &[("d", json!("AAAA"))]), JoseError::PrivateKey),
        (json!({ "kty": "oct", "k": "AAAA" }), JoseError::PrivateKey),
        (json!("https://evil.example"), JoseError::Malformed),
        (Value::Null, JoseError::Malformed),
    ] {
        assert_eq!(
            Jws::parse_with_embedded_key(&with(&jwk)).unwrap_err(),
            fault,
            "{jwk}"
        );
    }
    let without = token(key, HEADER, b"{}");
    assert_eq!(Jws::parse_with_embedded_key(&without).unwrap().header().jwk, None);
}

#[test]
fn an_algorithm_that_is_not_the_keys_own_is_refused() {
    for signer in Algorithm::ALL {
        let key = key(signer);
        for name in [
            "none", "None", "NONE", "", "HS256", "HS384", "HS512", "ES512", "ES256K", "PS384", "PS512",
            "es256", "RSA1_5",
        ] {
            let text = token(key, &format!(r#"{{"alg":"{name}"}}"#), b"{}");
            assert_eq!(
                accepts(&text, key),
                Err(JoseError::UnsupportedAlgorithm),
                "{name}"
            );
        }
        for claimed in Algorithm::ALL {
            let text = token(key, &format!(r#"{{"alg":"{claimed}"}}"#), b"{}");
            if claimed == signer {
                assert!(accepts(&text, key).is_ok());
            } else {
                assert_eq!(
                    accepts(&text, key),
                    Err(JoseError::AlgorithmMismatch),
                    "{signer} as {claimed}"
                );
            }
        }
    }
}

#[test]
fn an_rsa_key_without_alg_still_binds_the_signature_to_the_header() {
    let rs256 = key(Algorithm::Rs256);
    let open = Jwk::from_value(&changed(rs256, &[("alg", Value::Null)])).unwrap();
    for claimed in [Algorithm::Rs384, Algorithm::Rs512, Algorithm::Ps256] {
        let text = token(rs256, &format!(r#"{{"alg":"{claimed}"}}"#), b"{}");
        assert_eq!(
            Jws::parse(&text).unwrap().verify(&open),
            Err(JoseError::BadSignature),
            "{claimed}"
        );
    }
    for claimed in [Algorithm::Es256, Algorithm::EdDsa] {
        let text = token(rs256, &format!(r#"{{"alg":"{claimed}"}}"#), b"{}");
        assert_eq!(
            Jws::parse(&text).unwrap().verify(&open),
            Err(JoseError::AlgorithmMismatch),
            "{claimed}"
        );
    }
    let text = token(rs256, r#"{"alg":"RS256"}"#, b"{}");
    assert!(Jws::parse(&text).unwrap().verify(&open).is_ok());
}

#[test]
fn a_signature_of_another_form_or_length_is_refused() {
    for algorithm in Algorithm::ALL {
        let key = key(algorithm);
        let text = token(key, &format!(r#"{{"alg":"{algorithm}"}}"#), b"{}");
        let (input, signature) = text.rsplit_once('.').unwrap();
        let signature = base64url::decode(signature).unwrap();
        let (r, s) = signature.split_at(signature.len() / 2);
        let mut der = vec![0x30, 0x44, 0x02, 0x20];
        der.extend(r);
        der.extend([0x02, 0x20]);
        der.extend(s);
        for bad in [
            signature[..signature.len() - 1].to_vec(),
            signature[1..].to_vec(),
            [&[0], signature.as_slice()].concat(),
            [signature.as_slice(), &[0]].concat(),
            [signature.as_slice(), signature.as_slice()].concat(),
            vec![0; signature.len()],
            vec![0xff; signature.len()],
            der,
        ] {
            let text = format!("{input}.{}", base64url::encode(&bad));
            assert_eq!(
                accepts(&text, key),
                Err(JoseError::BadSignature),
                "{algorithm} {}",
                bad.len()
            );
        }
    }
}

#[test]
fn the_parts_of_two_tokens_do_not_mix() {
    let key = key(Algorithm::Es256);
    let a = token(key, HEADER, br#"{"sub":"a"}"#);
    let b = token(key, r#"{"alg":"ES256","typ":"other"}"#, br#"{"sub":"b"}"#);
    let (a, b): (Vec<&str>, Vec<&str>) = (a.split('.').collect(), b.split('.').collect());
    for mixed in [
        [a[0], a[1], b[2]],
        [a[0], b[1], a[2]],
        [b[0], a[1], a[2]],
        [b[0], b[1], a[2]],
    ] {
        assert_eq!(accepts(&mixed.join("."), key), Err(JoseError::BadSignature));
    }
}

#[test]
fn every_changed_byte_breaks_the_token() {
    for algorithm in [
        Algorithm::Es256,
        Algorithm::EdDsa,
        Algorithm::Rs256,
        Algorithm::Ps256,
    ] {
        let key = key(algorithm);
        let good = sign(key, "at+jwt", &json!({ "sub": "ada" })).unwrap();
        assert_eq!(key.algorithm(), algorithm);
        for index in 0..good.len() {
            for bit in [0x01, 0x20] {
                let mut bytes = good.clone().into_bytes();
                bytes[index] ^= bit;
                let Ok(text) = String::from_utf8(bytes) else {
                    continue;
                };
                assert!(
                    accepts(&text, key).is_err(),
                    "{algorithm}: byte {index}, bit {bit}"
                );
            }
        }
    }
}
