//! Any bytes as a key set: what is read can be written and read again, and holds no private member.
#![no_main]

use doorward_jose::JwkSet;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|document: &[u8]| {
    let Ok(set) = JwkSet::parse(document) else { return };
    let written = serde_json::to_value(&set).expect("a key set serialises");
    assert_eq!(
        JwkSet::from_value(&written).expect("what was written can be read"),
        set
    );
    for key in written["keys"].as_array().expect("an array") {
        for secret in ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"] {
            assert!(key.get(secret).is_none());
        }
    }
});
