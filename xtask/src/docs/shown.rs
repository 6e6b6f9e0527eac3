//! Whether a program says what a page shows: the same members, and the same values where the page does not leave them
//! open.

use serde_json::Value;

/// What is shown and not so. `shown` may leave out members; a text with `…` in it, and any number, stands for others of
/// its kind.
pub(super) fn differences(shown: &Value, said: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", shown, said, &mut found);
    found
}

fn compare(place: &str, shown: &Value, said: &Value, found: &mut Vec<String>) {
    match (shown, said) {
        (Value::Object(shown), Value::Object(said)) => {
            for (name, shown) in shown {
                let place = format!("{place}/{name}");
                match said.get(name) {
                    Some(said) => compare(&place, shown, said, found),
                    None => found.push(format!("{place} is not there")),
                }
            }
        }
        (Value::Array(shown), Value::Array(said)) if shown.len() == said.len() => {
            for (number, (shown, said)) in shown.iter().zip(said).enumerate() {
                compare(&format!("{place}/{number}"), shown, said, found);
            }
        }
        (Value::String(shown), Value::String(said)) if fits(shown, said) => {}
        (Value::Number(_), Value::Number(_)) => {}
        (shown, said) if shown == said => {}
        (shown, said) => found.push(format!("{place} is {said}, not {shown}")),
    }
}

/// `…` stands for any text.
fn fits(shown: &str, said: &str) -> bool {
    let mut parts = shown.split('…');
    let Some(mut rest) = parts.next().and_then(|first| said.strip_prefix(first)) else {
        return false;
    };
    if !shown.contains('…') {
        return rest.is_empty();
    }
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.is_empty() || shown.ends_with('…')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_page_leaves_open_may_be_anything() {
        let shown = json!({"token": "dwr_…", "expires_in": 300, "scope": "read", "list": [{"a": true}]});
        let said =
            json!({"token": "dwr_abc", "expires_in": 299, "scope": "read", "list": [{"a": true}], "more": 1});
        assert_eq!(differences(&shown, &said), Vec::<String>::new());
    }

    #[test]
    fn what_a_page_says_has_to_be_so() {
        for (shown, said) in [
            (json!({"a": 1}), json!({})),
            (json!({"a": "x"}), json!({"a": "y"})),
            (json!({"a": "dwr_…"}), json!({"a": "dwa_1"})),
            (json!({"a": "…/end"}), json!({"a": "x/other"})),
            (json!({"a": 1}), json!({"a": "1"})),
            (json!({"a": true}), json!({"a": false})),
            (json!([1]), json!([1, 2])),
        ] {
            assert_eq!(differences(&shown, &said).len(), 1, "{shown} {said}");
        }
    }
}
