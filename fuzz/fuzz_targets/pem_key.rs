//! Any text as a public key in PEM form: what is read can be written and read again, and is the same key as a JWK.
#![no_main]

use doorward_jose::Jwk;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(key) = Jwk::from_pem(text) else { return };
    let written = key.to_pem().expect("a key that was read can be written");
    assert_eq!(Jwk::from_pem(&written).as_ref(), Ok(&key));
    let jwk = serde_json::to_vec(&key).expect("a key serialises");
    assert_eq!(Jwk::from_json(&jwk).as_ref(), Ok(&key));
    assert!(!written.contains("PRIVATE KEY"));
});
