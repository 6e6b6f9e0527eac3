//! Any text as a client assertion, and as the payload of one that the client has signed: nobody else's signature is taken for
//! the client's, and what is accepted is for this server alone, now.
#![no_main]

use std::sync::LazyLock;

use doorward_fuzz::keys::{key, signed};
use doorward_jose::{Jws, SigningKey};
use doorward_oauth::assertion::{AssertionRules, claimed_client_id};
use doorward_oauth::time::UnixSeconds;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const SERVER: &str = "https://as.example";
const CLIENT: &str = "c";

static KEY: LazyLock<SigningKey> = LazyLock::new(key);

fuzz_target!(|text: &str| {
    let rules = AssertionRules::default();
    let verify = |assertion: &str, client_id: &str| {
        let jws = Jws::parse(assertion).ok()?;
        rules
            .verify(&jws, KEY.public_jwk(), client_id, &[SERVER], NOW)
            .ok()
    };
    let claimed = claimed_client_id(text);
    assert!(
        verify(text, claimed.as_deref().unwrap_or(CLIENT)).is_none(),
        "nobody signed this"
    );

    let assertion = signed(&KEY, br#"{"alg":"EdDSA"}"#, text.as_bytes());
    let Some(accepted) = verify(&assertion, CLIENT) else {
        return;
    };
    assert_eq!(
        verify(&assertion, CLIENT).as_ref(),
        Some(&accepted),
        "accepted once more"
    );
    assert!(verify(&assertion, "d").is_none(), "of one client");
    assert_eq!(claimed_client_id(&assertion).as_deref(), Some(CLIENT));
    let claims: Value = serde_json::from_str(text).expect("the strict reader takes a subset");
    assert_eq!(claims["sub"], CLIENT);
    assert!(claims["aud"] == SERVER || claims["aud"] == serde_json::json!([SERVER]));
    assert_eq!(claims["jti"], accepted.jti());
    assert!((NOW.0 + 1..=NOW.0 + 360).contains(&accepted.expires_at().0));
});
