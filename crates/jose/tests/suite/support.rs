//! Tokens with headers that [`doorward_jose::sign`] would never write.
#![expect(clippy::expect_used, reason = "test helpers stop at the first surprise")]

use std::sync::OnceLock;

use doorward_jose::{Algorithm, HashedToken, HeaderMemo, JoseError, Jwk, Jws, SigningKey, base64url};
use serde_json::Value;

/// One key of each algorithm for the whole run: RSA keys take long to make.
pub(crate) fn key(algorithm: Algorithm) -> &'static SigningKey {
    static KEYS: OnceLock<Vec<SigningKey>> = OnceLock::new();
    let keys = KEYS.get_or_init(|| {
        Algorithm::ALL
            .into_iter()
            .map(|algorithm| SigningKey::generate(algorithm).expect("a key"))
            .collect()
    });
    keys.iter()
        .find(|key| key.algorithm() == algorithm)
        .expect("every algorithm")
}

/// Signs exactly these bytes.
pub(crate) fn token(key: &SigningKey, header: &str, payload: &[u8]) -> String {
    let input = format!(
        "{}.{}",
        base64url::encode(header.as_bytes()),
        base64url::encode(payload)
    );
    let signature = key.sign(input.as_bytes()).expect("a signature");
    format!("{input}.{}", base64url::encode(&signature))
}

/// Parses and verifies.
pub(crate) fn accepts(token: &str, key: &SigningKey) -> Result<Vec<u8>, JoseError> {
    accepts_by(token, key.public_jwk())
}

/// Parses and verifies; the same whether a hash of the token is known or not.
pub(crate) fn accepts_by(token: &str, key: &Jwk) -> Result<Vec<u8>, JoseError> {
    let payload = |jws: Jws<'_>| jws.verify(key).map(|verified| verified.payload().to_vec());
    let accepted = Jws::parse(token).and_then(payload);
    let hashed = HashedToken::new(token.as_bytes());
    let by_hash = Jws::parse_hashed(token, &hashed, &HeaderMemo::default()).and_then(payload);
    assert_eq!(accepted, by_hash, "{token}");
    accepted
}

/// The published form of a key, to be changed and read again.
pub(crate) fn published(key: &SigningKey) -> Value {
    serde_json::to_value(key.public_jwk()).expect("a JWK serialises")
}

/// `published` with members replaced (or, with `null`, removed).
pub(crate) fn changed(key: &SigningKey, members: &[(&str, Value)]) -> Value {
    let mut value = published(key);
    let object = value.as_object_mut().expect("an object");
    for (name, member) in members {
        if member.is_null() {
            object.remove(*name);
        } else {
            object.insert((*name).to_owned(), member.clone());
        }
    }
    value
}
