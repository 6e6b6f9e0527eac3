//! What others sent, as the log shows it: never a secret, though one was sent where none belongs.

use std::borrow::Cow;

use crate::prefix;

/// Of a URI, in bytes.
const LONGEST_URI: usize = 200;

/// A URI that was refused, in quotes: without its query, which is the sender's own business.
pub(crate) fn uri(uri: &str) -> String {
    let uri = without_query(uri);
    let shown = uri
        .get(..uri.floor_char_boundary(LONGEST_URI))
        .unwrap_or_default();
    format!("{shown:?}")
}

/// A `client_id` that anybody may have sent. Of a secret in its place, as of a client whose two are mixed up, the kind alone;
/// of the URL of a metadata document no query.
pub(crate) fn client_id(client_id: &str) -> Cow<'_, str> {
    match prefix::of_secret(client_id.trim_start()) {
        Some(kind) => format!("{kind}… (a secret was sent as client_id)").into(),
        None if client_id.contains("://") => without_query(client_id).into(),
        None => client_id.into(),
    }
}

fn without_query(uri: &str) -> &str {
    uri.split(['?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_shown_without_what_follows_its_path() {
        for (sent, shown) in [
            ("http://127.0.0.1/mcp?api_key=canary", "\"http://127.0.0.1/mcp\""),
            ("http://127.0.0.1/mcp#canary", "\"http://127.0.0.1/mcp\""),
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
