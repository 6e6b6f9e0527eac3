//! `doorward admin`, against a running server.

mod admin_keys;
mod answers;
mod assertion_audiences;
mod audit;
mod clients;
mod coverage;
mod grants_and_keys;
mod lists;
mod people;
mod policies;
mod refusals;
mod resources;
mod trusted_issuers;

use serde_json::Value;

/// Without what differs from run to run.
fn stable(text: &str, volatile: &[(&str, &str)]) -> String {
    let text = volatile
        .iter()
        .fold(text.to_owned(), |text, (value, name)| text.replace(value, name));
    let words = text.split_inclusive(char::is_whitespace).map(|word| {
        let bare = word.trim_end();
        // 2027-01-15T08:00:00Z
        let is_time = bare.len() == 20 && bare.as_bytes()[10] == b'T' && bare.ends_with('Z');
        if is_time {
            word.replace(bare, "[time]")
        } else {
            word.to_owned()
        }
    });
    words.collect()
}

fn text(value: &Value, member: &str) -> String {
    value[member]
        .as_str()
        .unwrap_or_else(|| panic!("no {member}: {value}"))
        .to_owned()
}

/// An id that nobody has.
const NOBODY: &str = "6f1a3c52-7d0e-4b7a-9a35-1f0c2d4e8b96";

/// The line of the contract, word by word.
const CREATE: [&str; 13] = [
    "admin",
    "resource",
    "create",
    "--slug",
    "my-server",
    "--uri",
    "http://localhost:8080/mcp",
    "--backend-kind",
    "mint",
    "--scopes",
    "tools/read||Read tools",
    "--scopes",
    "tools/write||Write tools",
];
