//! Any bytes as one key and as a key set: what is read can be written and read again, has no private member, and is the same
//! key in PEM form.
#![no_main]

use doorward_jose::{Jwk, JwkSet};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const SECRET: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

fn judge(key: &Jwk) {
    let written = serde_json::to_value(key).expect("a key serialises");
    assert!(SECRET.iter().all(|member| written.get(member).is_none()));
    let again = Jwk::from_value(&written).expect("what was written can be read");
    assert_eq!(again, *key);
    assert_eq!(again.thumbprint(), key.thumbprint());
    let pem = key.to_pem().expect("a public key has a PEM form");
    let of_pem = Jwk::from_pem(&pem).expect("what was written can be read");
    assert_eq!(of_pem.thumbprint(), key.thumbprint());
}

fuzz_target!(|document: &[u8]| {
    if let Ok(key) = Jwk::from_json(document) {
        let ordinary: Value = serde_json::from_slice(document).expect("the strict reader takes a subset");
        assert!(SECRET.iter().all(|member| ordinary.get(member).is_none()));
        judge(&key);
    }
    let Ok(set) = JwkSet::parse(document) else { return };
    let written = serde_json::to_value(&set).expect("a key set serialises");
    assert_eq!(
        JwkSet::from_value(&written).expect("what was written can be read"),
        set
    );
    for key in &set.keys {
        judge(key);
        let found = key.key_id().and_then(|key_id| set.find(key_id));
        assert!(found.is_none_or(|found| found.key_id() == key.key_id()));
    }
});
