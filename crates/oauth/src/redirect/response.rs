//! Where the answer goes.

use super::MAX_LENGTH;
use crate::uri::{Uri, is_unreserved};

/// The address that carries an authorization response: `redirect_uri` with the parameters added to its query.
///
/// The bytes of `redirect_uri` stay as they are (RFC 6749 §3.1.2); names and values are percent-encoded so that
/// nothing in them can become another parameter or a header.
pub fn location(redirect_uri: &str, pairs: &[(&str, &str)]) -> String {
    let mut location = redirect_uri.to_owned();
    for (name, value) in pairs {
        match location.split_once('?') {
            None => location.push('?'),
            Some((_, query)) if query.is_empty() || query.ends_with('&') => {}
            Some(_) => location.push('&'),
        }
        percent_encode(name, &mut location);
        location.push('=');
        percent_encode(value, &mut location);
    }
    location
}

/// The source expression that lets a page's form end at `redirect_uri` (CSP Level 3 `form-action`). Browsers apply it to
/// the redirect after the form was sent. `None` if the text is not a URI.
pub fn form_action_source(redirect_uri: &str) -> Option<String> {
    let uri = Uri::parse(redirect_uri, MAX_LENGTH).ok()?;
    let is_ipv6 = uri
        .authority
        .is_some_and(|authority| authority.host.starts_with('['));
    // The grammar of source expressions has no IPv6 addresses; the scheme is the narrowest that works.
    let source = if uri.is_http() && !is_ipv6 {
        uri.origin()
    } else {
        format!("{}:", uri.scheme.to_ascii_lowercase())
    };
    Some(source)
}

fn percent_encode(text: &str, output: &mut String) {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    for byte in text.bytes() {
        if is_unreserved(byte) {
            output.push(char::from(byte));
        } else {
            output.extend([
                '%',
                DIGITS[usize::from(byte >> 4)],
                DIGITS[usize::from(byte & 15)],
            ]);
        }
    }
}
