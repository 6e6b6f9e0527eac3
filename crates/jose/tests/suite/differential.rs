//! The same tokens and keys through jsonwebtoken, in both directions.

use doorward_jose::{Algorithm, Jws, sign};
use jsonwebtoken::jwk::ThumbprintHash;
use serde_json::{Value, json};

use crate::support::{accepts, key, published};

fn theirs(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::Es384 => jsonwebtoken::Algorithm::ES384,
        Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::Rs384 => jsonwebtoken::Algorithm::RS384,
        Algorithm::Rs512 => jsonwebtoken::Algorithm::RS512,
        Algorithm::Ps256 => jsonwebtoken::Algorithm::PS256,
        Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
    }
}

fn claims() -> Value {
    json!({
        "iss": "https://as.example",
        "aud": ["https://a.example/mcp", "https://b.example/mcp"],
        "exp": 4_102_444_800_i64,
        "text": "\u{0000}\u{2028}\"\\/ \u{1F511}",
        "nested": { "list": [1, -2, 0.5, null, true] },
    })
}

#[test]
fn jsonwebtoken_reads_what_we_sign() {
    for algorithm in Algorithm::ALL {
        let key = key(algorithm);
        let token = sign(key, "at+jwt", &claims()).unwrap();
        let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(published(key)).unwrap();
        let decoding_key = jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap();
        let mut validation = jsonwebtoken::Validation::new(theirs(algorithm));
        validation.validate_aud = false;
        let data = jsonwebtoken::decode::<Value>(&token, &decoding_key, &validation).unwrap();
        assert_eq!(data.claims, claims(), "{algorithm}");
        assert_eq!(data.header.kid.as_deref(), Some(key.key_id()));
        assert_eq!(data.header.typ.as_deref(), Some("at+jwt"));
        assert_eq!(
            jwk.thumbprint(ThumbprintHash::SHA256).unwrap(),
            key.public_jwk().thumbprint()
        );
    }
}

#[test]
fn we_read_what_jsonwebtoken_signs() {
    for algorithm in Algorithm::ALL {
        let key = key(algorithm);
        let document = key.to_pkcs8().unwrap();
        let encoding_key = match algorithm {
            Algorithm::Es256 | Algorithm::Es384 => jsonwebtoken::EncodingKey::from_ec_der(&document),
            Algorithm::EdDsa => jsonwebtoken::EncodingKey::from_ed_der(&document),
            // It takes the RSAPrivateKey alone: what follows the 26 bytes of PKCS#8 frame of a 2048-bit key.
            _ => jsonwebtoken::EncodingKey::from_rsa_der(&document[26..]),
        };
        let header = jsonwebtoken::Header::new(theirs(algorithm));
        let token = jsonwebtoken::encode(&header, &claims(), &encoding_key).unwrap();
        let verified = Jws::parse(&token).unwrap().verify(key.public_jwk()).unwrap();
        assert_eq!(verified.claims::<Value>().unwrap(), claims(), "{algorithm}");
        assert_eq!(verified.header().typ.as_deref(), Some("JWT"));
    }
}

#[test]
fn both_refuse_the_same_broken_signatures() {
    for algorithm in Algorithm::ALL {
        let key = key(algorithm);
        let token = sign(key, "at+jwt", &claims()).unwrap();
        let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(published(key)).unwrap();
        let decoding_key = jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap();
        let (input, signature) = token.rsplit_once('.').unwrap();
        let signature = doorward_jose::base64url::decode(signature).unwrap();
        for index in (0..signature.len()).step_by(7) {
            let mut broken = signature.clone();
            broken[index] ^= 0x80;
            let broken = doorward_jose::base64url::encode(&broken);
            assert!(accepts(&format!("{input}.{broken}"), key).is_err());
            let verdict =
                jsonwebtoken::crypto::verify(&broken, input.as_bytes(), &decoding_key, theirs(algorithm));
            assert!(!verdict.unwrap_or(false), "{algorithm} byte {index}");
        }
    }
}
