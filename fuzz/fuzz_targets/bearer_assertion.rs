//! Any text as an assertion that is a grant, and any rule over any claims: nobody else's signature is ever taken for the
//! issuer's, and what is allowed never has more scopes than its rules.
#![no_main]

use doorward_jose::{Jwk, Jws};
use doorward_oauth::bearer::{Kind, Pattern, Terms, verify};
use doorward_oauth::time::UnixSeconds;
use libfuzzer_sys::fuzz_target;

/// The public key of RFC 7517 appendix A.1, whose private half this program does not have.
const KEY: &[u8] = br#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}"#;
const TERMS: &str = r#"{"keys":"discovery","algorithms":["ES256"],"max_lifetime":600}"#;

fuzz_target!(|input: (&str, &str)| {
    let (text, pattern) = input;
    let claim = serde_json::Value::from(text);
    let _ = Pattern::glob(pattern).matches(&claim);
    assert!(Pattern::glob("**").matches(&claim));
    if let Ok(terms) = serde_json::from_str::<Terms>(text)
        && let Some(allowed) = terms.allow(&serde_json::Map::new(), None, pattern)
    {
        let given = |scope: &str| terms.rules.iter().any(|rule| rule.scopes.contains(scope));
        assert!(allowed.scopes.iter().all(|scope| given(scope.as_str())));
    }
    let Ok(jws) = Jws::parse(text) else {
        return;
    };
    let key = Jwk::from_json(KEY).expect("a key");
    let terms: Terms = serde_json::from_str(TERMS).expect("terms");
    let issuer = jws.peek_issuer().unwrap_or_default();
    for kind in [Kind::IdJag, Kind::Workload] {
        let now = UnixSeconds(1_800_000_000);
        assert!(verify(&jws, &key, kind, &issuer, &terms, &["https://as.example"], now).is_err());
    }
});
