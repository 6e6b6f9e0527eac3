//! Any bytes as JSON: what the strict reader takes, an ordinary one reads in the same way.
#![no_main]

use doorward_jose::json;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fuzz_target!(|text: &[u8]| {
    let whole = json::from_slice::<Map<String, Value>>(text);
    let skipped = json::members(text, |_, value| value.skip());
    if text.trim_ascii_start().first() == Some(&b'{') {
        assert_eq!(skipped.is_ok(), whole.is_ok(), "both readers keep the same rules");
        // What is no UTF-8 either has several faults, of which each names the first that it meets.
        assert!(std::str::from_utf8(text).is_err() || skipped == whole.map(drop));
    }
    if let Ok(strict) = json::from_slice::<Value>(text) {
        let ordinary: Value = serde_json::from_slice(text).expect("the strict reader takes a subset");
        assert_eq!(strict, ordinary);
        assert!(depth(&strict) <= json::MAX_DEPTH);
    }
});
