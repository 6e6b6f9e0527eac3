//! Which keys are accepted, and for what.

use doorward_jose::{Algorithm, JoseError, Jwk, base64url};
use serde_json::{Value, json};

use crate::support::{changed, key, published};

fn read(value: &Value) -> Result<Jwk, JoseError> {
    Jwk::from_json(value.to_string().as_bytes())
}

#[test]
fn a_published_key_reads_back_equal() {
    for algorithm in Algorithm::ALL {
        let jwk = key(algorithm).public_jwk();
        let again = read(&published(key(algorithm))).unwrap();
        assert_eq!(&again, jwk);
        assert_eq!(again.key_id(), Some(jwk.thumbprint()));
        assert_eq!(again.algorithm(), Some(algorithm));
        assert!(again.is_for_verification() && again.fits(algorithm));
    }
}

#[test]
fn only_public_members_are_published() {
    for (algorithm, expected) in [
        (
            Algorithm::Es256,
            &["alg", "crv", "kid", "kty", "use", "x", "y"][..],
        ),
        (Algorithm::EdDsa, &["alg", "crv", "kid", "kty", "use", "x"]),
        (Algorithm::Rs256, &["alg", "e", "kid", "kty", "n", "use"]),
    ] {
        let value = published(key(algorithm));
        let mut names: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, expected);
    }
    let extended = changed(
        key(Algorithm::Es256),
        &[
            ("x5c", json!(["MIIB"])),
            ("ext", json!(true)),
            ("key_ops", json!(["verify"])),
        ],
    );
    let again = serde_json::to_value(read(&extended).unwrap()).unwrap();
    assert_eq!(again["key_ops"], json!(["verify"]));
    assert!(again.get("x5c").is_none() && again.get("ext").is_none());
}

#[test]
fn every_private_or_symmetric_member_is_refused() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256] {
        for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"] {
            for member in [json!("AAAA"), json!(""), json!([])] {
                let value = changed(key(algorithm), &[(name, member)]);
                assert_eq!(read(&value), Err(JoseError::PrivateKey), "{value}");
            }
        }
        let null = published(key(algorithm))
            .to_string()
            .replace("\"kty\"", "\"d\":null,\"kty\"");
        assert_eq!(Jwk::from_json(null.as_bytes()), Err(JoseError::PrivateKey));
    }
    assert_eq!(read(&json!({ "kty": "oct" })), Err(JoseError::PrivateKey));
}

#[test]
fn a_key_of_another_type_or_curve_is_unusable() {
    for value in [
        changed(key(Algorithm::Es256), &[("crv", json!("P-521"))]),
        changed(key(Algorithm::Es256), &[("crv", json!("secp256k1"))]),
        changed(
            key(Algorithm::Es256),
            &[("crv", json!("P-384")), ("alg", Value::Null)],
        ),
        changed(key(Algorithm::EdDsa), &[("crv", json!("X25519"))]),
        changed(key(Algorithm::EdDsa), &[("crv", json!("Ed448"))]),
        changed(key(Algorithm::Es256), &[("kty", json!("AKP"))]),
        changed(key(Algorithm::Es256), &[("kty", json!("ec"))]),
    ] {
        assert_eq!(read(&value), Err(JoseError::UnusableKey), "{value}");
    }
}

#[test]
fn a_point_must_be_on_its_curve_and_written_in_full() {
    for algorithm in [Algorithm::Es256, Algorithm::Es384] {
        let key = key(algorithm);
        let x = base64url::decode(published(key)["x"].as_str().unwrap()).unwrap();
        let mut off_curve = x.clone();
        *off_curve.last_mut().unwrap() ^= 1;
        for bad in [
            off_curve,
            x[1..].to_vec(),
            [&[0], x.as_slice()].concat(),
            vec![0; x.len()],
            vec![0xff; x.len()],
            vec![],
        ] {
            let value = changed(key, &[("x", json!(base64url::encode(&bad)))]);
            assert_eq!(read(&value), Err(JoseError::UnusableKey), "{value}");
        }
        // The same point, cut at another place: a second spelling would be a second thumbprint.
        let y = base64url::decode(published(key)["y"].as_str().unwrap()).unwrap();
        let (short, rest) = x.split_at(x.len() - 1);
        let shifted = changed(
            key,
            &[
                ("x", json!(base64url::encode(short))),
                ("y", json!(base64url::encode(&[rest, &y].concat()))),
            ],
        );
        assert_eq!(read(&shifted), Err(JoseError::UnusableKey));
        let zero = base64url::encode(&vec![0; x.len()]);
        let origin = changed(key, &[("x", json!(zero)), ("y", json!(zero))]);
        assert_eq!(read(&origin), Err(JoseError::UnusableKey));
    }
    let short = changed(
        key(Algorithm::EdDsa),
        &[("x", json!(base64url::encode(&[7; 31])))],
    );
    assert_eq!(read(&short), Err(JoseError::UnusableKey));
}

#[test]
fn rsa_components_must_be_sound_and_minimal() {
    let key = key(Algorithm::Rs256);
    let n = base64url::decode(published(key)["n"].as_str().unwrap()).unwrap();
    let mut even = n.clone();
    *even.last_mut().unwrap() &= 0xfe;
    let odd_of = |bytes: usize| {
        let mut odd = vec![0xd5; bytes];
        odd[bytes - 1] = 0x2f;
        odd
    };
    let mut short_by_one_bit = n.clone();
    short_by_one_bit[0] = 0x7f;
    for (n, e, fault) in [
        (even, vec![1, 0, 1], JoseError::WeakKey),
        (odd_of(128), vec![1, 0, 1], JoseError::WeakKey),
        (short_by_one_bit, vec![1, 0, 1], JoseError::WeakKey),
        (odd_of(1025), vec![1, 0, 1], JoseError::WeakKey),
        (n.clone(), vec![1], JoseError::WeakKey),
        (n.clone(), vec![2], JoseError::WeakKey),
        (n.clone(), vec![1, 0, 0], JoseError::WeakKey),
        (n.clone(), vec![1, 0, 0, 0, 1], JoseError::WeakKey),
        (n.clone(), vec![0, 1, 0, 1], JoseError::UnusableKey),
        (n.clone(), vec![0], JoseError::UnusableKey),
        (n.clone(), vec![], JoseError::UnusableKey),
        (
            [&[0], n.as_slice()].concat(),
            vec![1, 0, 1],
            JoseError::UnusableKey,
        ),
        (vec![], vec![1, 0, 1], JoseError::UnusableKey),
    ] {
        let value = changed(
            key,
            &[
                ("n", json!(base64url::encode(&n))),
                ("e", json!(base64url::encode(&e))),
            ],
        );
        assert_eq!(read(&value), Err(fault), "{} {e:?}", n.len());
    }
    for (n, e) in [
        (n, vec![3]),
        (odd_of(512), vec![1, 0, 1]),
        (odd_of(1024), vec![1, 0, 1]),
    ] {
        let value = changed(
            key,
            &[
                ("n", json!(base64url::encode(&n))),
                ("e", json!(base64url::encode(&e))),
            ],
        );
        assert!(read(&value).is_ok(), "{} {e:?}", n.len());
    }
}

#[test]
fn alg_must_be_known_and_belong_to_the_key() {
    for algorithm in Algorithm::ALL {
        let key = key(algorithm);
        for name in ["HS256", "none", "RSA-OAEP", "ECDH-ES", "ES512", "PS512", ""] {
            let value = changed(key, &[("alg", json!(name))]);
            assert_eq!(read(&value), Err(JoseError::UnsupportedAlgorithm));
        }
    }
    for (algorithm, name) in [
        (Algorithm::Es256, "ES384"),
        (Algorithm::Es256, "RS256"),
        (Algorithm::Es384, "ES256"),
        (Algorithm::EdDsa, "ES256"),
        (Algorithm::Rs256, "EdDSA"),
    ] {
        let value = changed(key(algorithm), &[("alg", json!(name))]);
        assert_eq!(
            read(&value),
            Err(JoseError::AlgorithmMismatch),
            "{algorithm} as {name}"
        );
    }
}

#[test]
fn use_and_key_ops_must_allow_verifying() {
    let key = key(Algorithm::Es256);
    for (members, allowed) in [
        (vec![("use", Value::Null)], true),
        (vec![("use", json!("enc"))], false),
        (vec![("use", json!("SIG"))], false),
        (vec![("use", json!("tls"))], false),
        (vec![("key_ops", json!(["verify"]))], true),
        (vec![("key_ops", json!(["sign", "verify"]))], true),
        (vec![("key_ops", json!(["sign"]))], false),
        (vec![("key_ops", json!([]))], false),
        (vec![("use", json!("enc")), ("key_ops", json!(["verify"]))], false),
    ] {
        let jwk = read(&changed(key, &members)).unwrap();
        assert_eq!(jwk.is_for_verification(), allowed, "{members:?}");
        assert_eq!(jwk.fits(Algorithm::Es256), allowed);
        let fault = if allowed {
            JoseError::BadSignature
        } else {
            JoseError::NotForVerification
        };
        assert_eq!(jwk.verify(Algorithm::Es256, b"input", &[1; 64]), Err(fault));
    }
}

#[test]
fn members_of_the_wrong_type_are_malformed() {
    let key = key(Algorithm::Es256);
    for (name, member) in [
        ("kty", json!(1)),
        ("kty", Value::Null),
        ("crv", json!(["P-256"])),
        ("x", json!(1)),
        ("x", Value::Null),
        ("x", json!("not base64url!")),
        ("kid", json!(1)),
        ("use", json!(["sig"])),
        ("alg", json!({})),
        ("key_ops", json!("verify")),
        ("key_ops", json!([1])),
        ("key_ops", json!(["verify", "verify"])),
    ] {
        let value = changed(key, &[(name, member)]);
        assert_eq!(read(&value), Err(JoseError::Malformed), "{value}");
    }
    assert_eq!(Jwk::from_json(b"[]"), Err(JoseError::Malformed));
    assert_eq!(
        Jwk::from_json(br#"{"kty":"EC","kty":"EC"}"#),
        Err(JoseError::DuplicateMember)
    );
    let operations = |count: usize| -> Vec<String> { (0..count).map(|n| n.to_string()).collect() };
    assert!(read(&changed(key, &[("key_ops", json!(operations(16)))])).is_ok());
    assert_eq!(
        read(&changed(key, &[("key_ops", json!(operations(17)))])),
        Err(JoseError::Malformed)
    );
    let mut longest = published(key).to_string().into_bytes();
    longest.resize(16 * 1024, b' ');
    assert!(Jwk::from_json(&longest).is_ok());
    assert_eq!(
        Jwk::from_json(&vec![b' '; 16 * 1024 + 1]),
        Err(JoseError::TooLarge)
    );
}

#[test]
fn the_thumbprint_ignores_every_other_member() {
    let key = key(Algorithm::Rs256);
    let bare = changed(
        key,
        &[
            ("alg", Value::Null),
            ("use", Value::Null),
            ("kid", json!("other")),
        ],
    );
    let jwk = read(&bare).unwrap();
    assert_eq!(jwk.thumbprint(), key.public_jwk().thumbprint());
    assert_eq!(jwk.key_id(), Some("other"));
    assert_ne!(&jwk, key.public_jwk());
}
