//! Any text as a token: no panic, no signature that verifies, nothing of the token in `Debug`.
#![no_main]

use std::sync::LazyLock;

use doorward_jose::{Algorithm, Jws, SigningKey};
use libfuzzer_sys::fuzz_target;

static KEYS: LazyLock<Vec<SigningKey>> = LazyLock::new(|| {
    [Algorithm::Es256, Algorithm::EdDsa]
        .into_iter()
        .map(|algorithm| SigningKey::generate(algorithm).expect("the system has randomness"))
        .collect()
});

fuzz_target!(|token: &str| {
    for jws in [Jws::parse(token), Jws::parse_with_embedded_key(token)]
        .into_iter()
        .flatten()
    {
        let _ = jws.peek_issuer();
        for key in KEYS.iter() {
            assert!(jws.verify(key.public_jwk()).is_err(), "nobody signed this");
        }
        assert!(token.len() < 32 || !format!("{jws:?}").contains(token));
    }
});
