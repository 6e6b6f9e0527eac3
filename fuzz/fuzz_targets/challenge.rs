//! Any text as `WWW-Authenticate`, and in a challenge: what is read can be written and read again, what is built is read as
//! it was meant, and both are always header text.
#![no_main]

use doorward_oauth::challenge::Challenge;
use doorward_oauth::error::{ErrorCode, error_text};
use doorward_oauth::scope::ScopeSet;
use http::HeaderValue;
use libfuzzer_sys::fuzz_target;

const MAX: usize = 16 * 1024;

fn read(text: &str) {
    for challenge in Challenge::parse(text) {
        let written = challenge.to_header_value();
        assert!(HeaderValue::from_str(&written).is_ok());
        if written.len() > MAX || challenge.parameters().any(|(_, value)| !value.is_ascii()) {
            continue;
        }
        let again = Challenge::parse(&written);
        assert_eq!(again.len(), 1, "{written}");
        assert_eq!(again[0].scheme(), challenge.scheme());
        assert_eq!(again[0].parameters().count(), challenge.parameters().count());
    }
}

/// What the server says in a challenge cannot leave its parameter, beside another challenge as well.
fn build(text: &str, scopes: &ScopeSet) {
    let challenge = Challenge::bearer()
        .error(ErrorCode::InsufficientScope)
        .description(text)
        .scope(scopes)
        .resource_metadata(text);
    let written = format!(
        "{}, {}",
        challenge.to_header_value(),
        Challenge::dpop(["ES256"]).to_header_value()
    );
    assert!(HeaderValue::from_str(&written).is_ok());
    if written.len() > MAX {
        return;
    }
    let again = Challenge::parse(&written);
    assert_eq!(again.len(), 2, "{written}");
    assert_eq!(
        again[0].parameters().count(),
        challenge.parameters().count(),
        "{written}"
    );
    assert_eq!(again[0].get("error"), Some("insufficient_scope"));
    assert_eq!(again[0].get("error_description"), Some(&*error_text(text)));
    let read = again[0].get("scope").map(ScopeSet::parse);
    assert!(read.is_none_or(|read| read.as_ref() == Ok(scopes)), "{written}");
    assert_eq!(again[1].get("algs"), Some("ES256"));
}

fn scopes(text: &str) -> ScopeSet {
    let Ok(set) = ScopeSet::parse(text) else {
        return ScopeSet::new();
    };
    let written = set.to_string();
    assert_eq!(ScopeSet::parse(&written).as_ref(), Ok(&set));
    assert!(
        written
            .bytes()
            .all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\')
    );
    assert!(set.contains_all(&set.intersection(&set)) && set.difference(&set).is_empty());
    set
}

fuzz_target!(|text: &str| {
    read(text);
    build(text, &scopes(text));
});
