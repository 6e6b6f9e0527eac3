//! Any text as a client assertion: nobody else's signature is ever taken for the client's.
#![no_main]

use doorward_jose::{Jwk, Jws};
use doorward_oauth::assertion::{AssertionRules, claimed_client_id};
use doorward_oauth::time::UnixSeconds;
use libfuzzer_sys::fuzz_target;

/// The public key of RFC 7517 appendix A.1, whose private half this program does not have.
const KEY: &[u8] = br#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}"#;

fuzz_target!(|text: &str| {
    let claimed = claimed_client_id(text);
    let Ok(jws) = Jws::parse(text) else {
        return;
    };
    let key = Jwk::from_json(KEY).expect("a key");
    let client_id = claimed.as_deref().unwrap_or("client");
    let audiences = ["https://as.example"];
    let verdict =
        AssertionRules::default().verify(&jws, &key, client_id, &audiences, UnixSeconds(1_800_000_000));
    assert!(verdict.is_err());
});
