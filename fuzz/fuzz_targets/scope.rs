//! Any text as a scope: a set survives being written, and no member holds a character that could end a quoted string.
#![no_main]

use doorward_oauth::scope::ScopeSet;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(set) = ScopeSet::parse(text) else { return };
    let written = set.to_string();
    assert_eq!(ScopeSet::parse(&written).as_ref(), Ok(&set));
    assert!(
        written
            .bytes()
            .all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\')
    );
    assert!(set.contains_all(&set.intersection(&set)) && set.difference(&set).is_empty());
});
