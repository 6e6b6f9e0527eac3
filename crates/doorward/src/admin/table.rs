//! Answers as tables that people read.

use jiff::Timestamp;
use serde_json::Value;

/// A table with a heading; a list without rows says so.
pub fn rows(rows: &[Value], columns: &[&str]) -> String {
    if rows.is_empty() {
        return "(none)".to_owned();
    }
    let heading: Vec<String> = columns.iter().map(|column| column.to_uppercase()).collect();
    let mut lines = vec![heading];
    lines.extend(rows.iter().map(|row| {
        columns
            .iter()
            .map(|column| member(column, &row[*column]))
            .collect()
    }));
    let widths: Vec<usize> = (0..columns.len())
        .map(|column| {
            lines
                .iter()
                .map(|line: &Vec<String>| line[column].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let render = |line: &Vec<String>| {
        let cells = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(render).collect::<Vec<_>>().join("\n")
}

/// One record: a line a member.
pub fn record(record: &Value) -> String {
    let Some(members) = record.as_object() else {
        return cell(record);
    };
    let width = members.keys().map(String::len).max().unwrap_or(0);
    members
        .iter()
        .map(|(name, value)| format!("{name:<width$}  {}", member(name, value)))
        .collect::<Vec<_>>()
        .join("\n")
}

/// A member's value; a moment (`created_at`, …), which is Unix seconds on the wire, as people write it.
fn member(name: &str, value: &Value) -> String {
    let moment = value
        .as_i64()
        .filter(|_| name == "at" || name.ends_with("_at"))
        .and_then(|seconds| Timestamp::from_second(seconds).ok());
    moment.map_or_else(|| cell(value), |moment| moment.to_string())
}

/// One value, without control characters: names come from strangers.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(" "),
        Value::Object(members) => members.get("name").map_or_else(|| value.to_string(), cell),
        other => other.to_string(),
    };
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_is_a_table_with_a_heading() {
        let list = [
            json!({"slug": "a", "uri": "http://a", "scopes": [{"name": "x"}, {"name": "y"}]}),
            json!({"slug": "long-one"}),
        ];
        insta::assert_snapshot!(rows(&list, &["slug", "uri", "scopes"]), @r"
        SLUG      URI       SCOPES
        a         http://a  x y
        long-one  -         -
        ");
    }

    #[test]
    fn moments_are_dates() {
        assert_eq!(
            record(&json!({"created_at": 1_800_000_000, "limit": 5})),
            "created_at  2027-01-15T08:00:00Z\nlimit       5"
        );
    }

    #[test]
    fn escape_sequences_of_strangers_do_not_reach_the_terminal() {
        assert!(!record(&json!({"name": "\u{1b}[2Jgone"})).contains('\u{1b}'));
    }
}
