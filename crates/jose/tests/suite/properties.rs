//! Random input: nothing panics, everything signed verifies, everything changed fails.

use doorward_jose::{Algorithm, Jwk, JwkSet, Jws, base64url, json, sign};
use proptest::{collection::vec, prelude::*};
use serde_json::{Map, Value};

use crate::support::{accepts, key, published, token};

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec(("[^\u{0}]{0,6}", inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// An object that has the members of headers and keys, with values of any kind.
fn near_miss() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec![
        "alg", "typ", "kid", "jwk", "crit", "b64", "cty", "kty", "crv", "x", "y", "n", "e", "use", "key_ops",
        "keys", "d", "iss",
    ]);
    let known = prop::sample::select(vec![
        "ES256", "EdDSA", "RS256", "EC", "RSA", "OKP", "P-256", "Ed25519", "sig", "AQAB", "AAAA",
    ]);
    let member = prop_oneof![known.prop_map(Value::from), any_json()];
    vec((name, member), 0..8).prop_map(|members| {
        Value::Object(
            members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect::<Map<_, _>>(),
        )
    })
}

fn any_algorithm() -> impl Strategy<Value = Algorithm> {
    prop::sample::select(Algorithm::ALL.to_vec())
}

proptest! {
    #[test]
    fn no_text_makes_the_parsers_panic(text in ".{0,200}", bytes in vec(any::<u8>(), 0..200)) {
        let _ = Jws::parse(&text);
        let _ = Jws::parse_with_embedded_key(&text);
        let _ = base64url::decode(&text);
        let _ = Jwk::from_json(&bytes);
        let _ = JwkSet::parse(&bytes);
        let _ = json::from_slice::<Value>(&bytes);
        let _ = Jwk::from_pem(&text);
        let _ = Jwk::from_pem(&format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----"));
    }

    #[test]
    fn base64url_is_read_as_others_read_it(text in "[A-Za-z0-9_-]{0,150}[A-Za-z0-9_=+/ -]{0,4}", bytes in vec(any::<u8>(), 0..200)) {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        prop_assert_eq!(base64url::decode(&text).ok(), URL_SAFE_NO_PAD.decode(&text).ok());
        prop_assert_eq!(base64url::decode(&base64url::encode(&bytes)), Ok(bytes));
    }

    /// Both readers keep the same rules: what one refuses, the other refuses for the same reason.
    #[test]
    fn reading_member_by_member_is_reading_the_whole(
        document in any_json(), repeated in "[ab]{1,2}", at in any::<prop::sample::Index>(), cut in any::<prop::sample::Index>(),
    ) {
        let object = serde_json::json!({ "a": document, "z": [{ "b": 1 }] }).to_string();
        // A repeated member somewhere, half a document, and nesting at the limit.
        let braces: Vec<_> = object.match_indices('{').map(|(index, _)| index + 1).collect();
        let (before, after) = object.split_at(braces[at.index(braces.len())]);
        let doubled = format!("{before}\"{repeated}\":0,{after}");
        let half = object.chars().take(cut.index(object.len())).collect::<String>();
        for text in [&object, &doubled, &half] {
            let whole = json::from_slice::<Map<String, Value>>(text.as_bytes());
            let mut built = Map::new();
            let read = json::members(text.as_bytes(), |name, value| {
                built.insert(name.to_owned(), value.any()?);
                Ok(())
            });
            let skipped = json::members(text.as_bytes(), |_, value| value.skip());
            prop_assert_eq!(read, skipped);
            prop_assert_eq!(read.map(|()| built), whole);
        }
    }

    #[test]
    fn no_near_miss_makes_the_parsers_panic(header in near_miss(), payload in near_miss(), signature in vec(any::<u8>(), 0..70)) {
        let part = |value: &Value| base64url::encode(value.to_string().as_bytes());
        let text = format!("{}.{}.{}", part(&header), part(&payload), base64url::encode(&signature));
        if let Ok(jws) = Jws::parse_with_embedded_key(&text) {
            let _ = jws.peek_issuer();
            for algorithm in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256] {
                prop_assert!(jws.verify(key(algorithm).public_jwk()).is_err());
            }
        }
        let _ = Jwk::from_value(&header);
        let _ = JwkSet::from_value(&header);
    }

    #[test]
    fn json_without_duplicates_reads_unchanged(value in any_json()) {
        prop_assert_eq!(json::from_slice::<Value>(value.to_string().as_bytes()), Ok(value));
    }

    #[test]
    fn base64url_has_one_spelling(bytes in vec(any::<u8>(), 0..64), text in "[A-Za-z0-9_-]{0,12}") {
        prop_assert_eq!(base64url::decode(&base64url::encode(&bytes)), Ok(bytes));
        if let Ok(decoded) = base64url::decode(&text) {
            prop_assert_eq!(base64url::encode(&decoded), text);
        }
    }

    #[test]
    fn what_is_signed_verifies_and_what_is_changed_does_not(
        algorithm in any_algorithm(),
        claims in near_miss(),
        position in any::<prop::sample::Index>(),
        replacement in any::<u8>(),
    ) {
        let key = key(algorithm);
        let text = sign(key, "at+jwt", &claims).unwrap();
        let verified = Jws::parse(&text).unwrap().verify(key.public_jwk()).unwrap();
        prop_assert_eq!(verified.claims::<Value>(), Ok(claims));

        let mut bytes = text.clone().into_bytes();
        let position = position.index(bytes.len());
        bytes[position] = replacement;
        if let Ok(changed) = String::from_utf8(bytes) && changed != text {
            prop_assert!(accepts(&changed, key).is_err());
        }
    }

    #[test]
    fn any_payload_is_carried_byte_for_byte(payload in vec(any::<u8>(), 0..300)) {
        let key = key(Algorithm::EdDsa);
        prop_assert_eq!(accepts(&token(key, r#"{"alg":"EdDSA"}"#, &payload), key), Ok(payload));
    }

    #[test]
    fn a_changed_key_is_no_key_or_another_key(algorithm in any_algorithm(), position in any::<prop::sample::Index>(), replacement in "[A-Za-z0-9_-]") {
        let original = published(key(algorithm)).to_string();
        let position = position.index(original.len());
        let mut changed = original.clone();
        if changed.is_char_boundary(position) && changed.is_char_boundary(position + 1) {
            changed.replace_range(position..=position, &replacement);
        }
        if let Ok(jwk) = Jwk::from_json(changed.as_bytes()) {
            prop_assert_eq!(changed == original, &jwk == key(algorithm).public_jwk());
        }
    }
}
