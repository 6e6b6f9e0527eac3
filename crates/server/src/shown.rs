//! What others sent, as the log shows it: never a secret, though one was sent where none belongs.

use std::borrow::Cow;

use crate::prefix;

/// Of a URI, in bytes.
const LONGEST_URI: usize = 200;

/// A URI that was refused, in quotes: without its query and user information, which are the sender's own business.
pub(crate) fn uri(uri: &str) -> String {
    let uri = place(uri);
    let shown = uri
        .get(..uri.floor_char_boundary(LONGEST_URI))
        .unwrap_or_default();
    format!("{shown:?}")
}

/// A `client_id` that anybody may have sent. Of a secret in its place, as of a client whose two are mixed up, the kind alone;
/// of the URL of a metadata document no query.
pub(crate) fn client_id(client_id: &str) -> Cow<'_, str> {
    // Also one in quotes, after `Bearer` or after a name of its own.
    let mut words =
        client_id.split(|letter: char| !(letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_')));
    match words.find_map(prefix::of_secret) {
        Some(kind) => format!("{kind}… (a secret was sent as client_id)").into(),
        None if client_id.contains("://") => place(client_id),
        None => client_id.into(),
    }
}

/// A URI up to the end of its path, without user information (RFC 3986 §3.2.1).
fn place(uri: &str) -> Cow<'_, str> {
    let uri = uri.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = uri.split_once("://") else {
        return uri.into();
    };
    let end = rest.find(['/', '\\']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://…@{host}{path}").into(),
        None => uri.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_shown_without_what_follows_its_path() {
        for (sent, shown) in [
            ("http://127.0.0.1/mcp?api_key=canary", "\"http://127.0.0.1/mcp\""),
            ("http://127.0.0.1/mcp#canary", "\"http://127.0.0.1/mcp\""),
            (
                "https://user:canary@mcp.example/mcp",
                "\"https://…@mcp.example/mcp\"",
            ),
            ("https://user:canary@a@mcp.example", "\"https://…@mcp.example\""),
            ("https://mcp.example/@a", "\"https://mcp.example/@a\""),
            ("not a\nURI", "\"not a\\nURI\""),
            ("", "\"\""),
        ] {
            assert_eq!(uri(sent), shown);
        }
        assert_eq!(uri(&"é".repeat(500)).len(), LONGEST_URI + 2);
    }

    #[test]
    fn a_secret_in_place_of_a_client_id_is_named_and_not_shown() {
        for (sent, shown) in [
            ("dwsec_canary", "dwsec_… (a secret was sent as client_id)"),
            (" dwr_canary", "dwr_… (a secret was sent as client_id)"),
            ("\"dwsec_canary\"", "dwsec_… (a secret was sent as client_id)"),
            ("Bearer dwi_canary", "dwi_… (a secret was sent as client_id)"),
            (
                "client_id=dwsec_canary",
                "dwsec_… (a secret was sent as client_id)",
            ),
            (
                "https://app.example/dwr_canary",
                "dwr_… (a secret was sent as client_id)",
            ),
            (
                "https://u:canary@app.example/c.json",
                "https://…@app.example/c.json",
            ),
            ("my-dwell_a", "my-dwell_a"),
            ("eyJjYW5hcnkiOjF9.e30.x", "eyJ… (a secret was sent as client_id)"),
            (
                "https://app.example/client.json?key=canary",
                "https://app.example/client.json",
            ),
            ("dws_a", "dws_a"),
            ("what?", "what?"),
        ] {
            assert_eq!(client_id(sent), shown);
        }
    }
}
