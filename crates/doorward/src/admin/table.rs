//! Answers as tables that people read.

use jiff::Timestamp;
use serde_json::Value;

/// A table with a heading; a list without rows says so.
pub fn rows(rows: &[Value], columns: &[&str]) -> String {
    Table::new(columns).page(rows)
}

/// A table that is printed page by page: columns grow wider with what comes, and never narrower.
pub struct Table<'a> {
    columns: &'a [&'a str],
    /// Empty before the heading.
    widths: Vec<usize>,
}

impl<'a> Table<'a> {
    pub const fn new(columns: &'a [&'a str]) -> Self {
        Self {
            columns,
            widths: Vec::new(),
        }
    }

    /// The next rows; before the first ones, the heading.
    pub fn page(&mut self, rows: &[Value]) -> String {
        let mut lines: Vec<Vec<String>> = Vec::new();
        if self.widths.is_empty() {
            if rows.is_empty() {
                return "(none)".to_owned();
            }
            self.widths = vec![0; self.columns.len()];
            lines.push(self.columns.iter().map(|column| column.to_uppercase()).collect());
        }
        let cells = |row: &Value| {
            let columns = self.columns.iter();
            columns.map(|column| member(column, &row[*column])).collect()
        };
        lines.extend(rows.iter().map(cells));
        for line in &lines {
            for (width, cell) in self.widths.iter_mut().zip(line) {
                *width = cell.chars().count().max(*width);
            }
        }
        let render = |line: &Vec<String>| {
            let cells = line.iter().zip(&self.widths);
            let cells = cells.map(|(cell, width)| format!("{cell:<width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        lines.iter().map(render).collect::<Vec<_>>().join("\n")
    }
}

/// One record: a line a member.
pub fn record(record: &Value) -> String {
    let Some(members) = record.as_object() else {
        return cell(record);
    };
    let width = members.keys().map(String::len).max().unwrap_or(0);
    members
        .iter()
        .map(|(name, value)| format!("{name:<width$}  {}", in_full(name, value, width)))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The same, with all that rules say: their names alone would leave out what they allow.
fn in_full(name: &str, value: &Value, width: usize) -> String {
    match value.as_array() {
        Some(rules) if name == "rules" && !rules.is_empty() => {
            let separator = format!("\n{:width$}  ", "");
            let texts = rules.iter().map(|rule| cell(&rule.to_string().into()));
            texts.collect::<Vec<_>>().join(&separator)
        }
        _ => member(name, value),
    }
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
    fn later_pages_go_on_below_the_first() {
        let mut table = Table::new(&["slug", "n"]);
        let first = table.page(&[json!({"slug": "abcdef", "n": 1})]);
        let second = table.page(&[json!({"slug": "a", "n": 2})]);
        insta::assert_snapshot!(format!("{first}\n{second}"), @r"
        SLUG    N
        abcdef  1
        a       2
        ");
    }

    #[test]
    fn rules_are_shown_with_what_they_allow() {
        let record_of_rules =
            json!({"slug": "a", "rules": [{"name": "x", "scope": "s\u{1b}"}, {"name": "y"}]});
        insta::assert_snapshot!(record(&record_of_rules), @r#"
        rules  {"name":"x","scope":"s\u001b"}
               {"name":"y"}
        slug   a
        "#);
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
