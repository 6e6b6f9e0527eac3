//! Any text as `WWW-Authenticate`: what is read can be written and read again, and is always header text.
#![no_main]

use doorward_oauth::challenge::Challenge;
use http::HeaderValue;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for challenge in Challenge::parse(text) {
        let written = challenge.to_header_value();
        assert!(HeaderValue::from_str(&written).is_ok());
        if written.len() > 16 * 1024 || challenge.parameters().any(|(_, value)| !value.is_ascii()) {
            continue;
        }
        let again = Challenge::parse(&written);
        assert_eq!(again.len(), 1, "{written}");
        assert_eq!(again[0].scheme(), challenge.scheme());
        assert_eq!(again[0].parameters().count(), challenge.parameters().count());
    }
    // What the server says in a challenge cannot leave its parameter.
    let written = Challenge::bearer()
        .description(text)
        .resource_metadata(text)
        .to_header_value();
    assert!(HeaderValue::from_str(&written).is_ok());
    if written.len() <= 16 * 1024 {
        let again = Challenge::parse(&written);
        assert_eq!(again.len(), 1, "{written}");
        assert_eq!(again[0].parameters().count(), 2, "{written}");
    }
});
