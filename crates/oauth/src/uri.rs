//! One strict reading of URIs (RFC 3986), for checking only: nothing is decoded, resolved or printed again.
//!
//! Whatever two parsers could read differently is refused: backslashes, spaces, controls and non-ASCII
//! characters, percent-encoded or numeric host names, empty, signed or zero-led ports.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Why a string is not a URI with one meaning. The text completes "the … ".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// Longer than a URI may be here.
    #[error("is too long")]
    TooLong,
    /// No scheme followed by a colon.
    #[error("is not an absolute URI: it must begin with a scheme such as https://")]
    NotAbsolute,
    /// A character that RFC 3986 does not allow, or a broken percent escape.
    #[error("has a character that a URI cannot have: percent-encode it")]
    InvalidCharacter,
    /// A host that is empty, malformed or ambiguous.
    #[error("has a malformed host")]
    InvalidHost,
    /// A port that is not a plain number from 1 to 65535.
    #[error("has a malformed port: it must be a number from 1 to 65535")]
    InvalidPort,
}

/// A URI, cut into its components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Uri<'a> {
    pub(crate) scheme: &'a str,
    pub(crate) authority: Option<Authority<'a>>,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) fragment: Option<&'a str>,
}

/// What stands between `//` and the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Authority<'a> {
    pub(crate) has_userinfo: bool,
    /// As written; an IPv6 address keeps its brackets.
    pub(crate) host: &'a str,
    pub(crate) port: Option<u16>,
}

impl<'a> Uri<'a> {
    pub(crate) fn parse(text: &'a str, max_length: usize) -> Result<Self, UriError> {
        if text.len() > max_length {
            return Err(UriError::TooLong);
        }
        check_characters(text)?;
        let (scheme, rest) = text.split_once(':').ok_or(UriError::NotAbsolute)?;
        check_scheme(scheme)?;
        let (rest, fragment) = split_optional(rest, '#');
        let (rest, query) = split_optional(rest, '?');
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => {
                let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                (Some(Authority::parse(authority)?), path)
            }
            None => (None, rest),
        };
        Ok(Self {
            scheme,
            authority,
            path,
            query,
            fragment,
        })
    }

    /// Whether the scheme is `https`, or `http` (any letter case).
    pub(crate) fn is_http(&self) -> bool {
        self.is_https() || self.scheme.eq_ignore_ascii_case("http")
    }

    pub(crate) fn is_https(&self) -> bool {
        self.scheme.eq_ignore_ascii_case("https")
    }

    /// Whether scheme and host are written in lower case.
    pub(crate) fn is_lower_case(&self) -> bool {
        let host = self.authority.map_or("", |authority| authority.host);
        !self
            .scheme
            .bytes()
            .chain(host.bytes())
            .any(|byte| byte.is_ascii_uppercase())
    }

    /// Whether the port is written although it is the scheme's own.
    pub(crate) fn has_default_port(&self) -> bool {
        let default = if self.is_https() { 443 } else { 80 };
        self.is_http()
            && self
                .authority
                .is_some_and(|authority| authority.port == Some(default))
    }

    /// Scheme and host in lower case, and the port unless it is the scheme's own.
    pub(crate) fn origin(&self) -> String {
        let mut origin = self.scheme.to_ascii_lowercase();
        origin.push_str("://");
        if let Some(authority) = self.authority {
            origin.push_str(&authority.host.to_ascii_lowercase());
            if let Some(port) = authority.port.filter(|_| !self.has_default_port()) {
                origin.push(':');
                origin.push_str(&port.to_string());
            }
        }
        origin
    }

    /// Whether the path has one reading only: no empty, `.` or `..` segment, no escape of a character that
    /// needs none, and no escaped slash, backslash or control character.
    pub(crate) fn path_is_plain(&self) -> bool {
        !self.path.contains("//")
            && !self.path.split('/').any(|segment| matches!(segment, "." | ".."))
            && escapes(self.path)
                .all(|byte| !(is_unreserved(byte) || byte.is_ascii_control() || matches!(byte, b'/' | b'\\')))
    }

    /// Whether a `.` or `..` segment is in the path, plainly or percent-encoded.
    pub(crate) fn path_has_dot_segments(&self) -> bool {
        self.path.split('/').any(|segment| {
            matches!(
                segment.to_ascii_lowercase().replace("%2e", ".").as_str(),
                "." | ".."
            )
        })
    }
}

impl<'a> Authority<'a> {
    fn parse(text: &'a str) -> Result<Self, UriError> {
        let (has_userinfo, host_and_port) = match text.rsplit_once('@') {
            Some((_, rest)) => (true, rest),
            None => (false, text),
        };
        let host_end = match host_and_port.find(']') {
            Some(bracket) if host_and_port.starts_with('[') => bracket + 1,
            _ => host_and_port.find(':').unwrap_or(host_and_port.len()),
        };
        let (host, port) = host_and_port.split_at(host_end);
        check_host(host)?;
        let port = match port.strip_prefix(':') {
            Some(digits) => Some(parse_port(digits)?),
            None if port.is_empty() => None,
            None => return Err(UriError::InvalidHost),
        };
        Ok(Self {
            has_userinfo,
            host,
            port,
        })
    }

    /// Whether the host is this machine by name or by number: `localhost`, `127.0.0.0/8` or `[::1]`.
    pub(crate) fn is_loopback(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost")
            || self
                .host
                .parse::<Ipv4Addr>()
                .is_ok_and(|address| address.is_loopback())
            || ipv6(self.host).is_some_and(|address| address.is_loopback())
    }

    /// Whether the host is a number, not a name.
    pub(crate) fn is_address(&self) -> bool {
        self.host.starts_with('[') || self.host.parse::<Ipv4Addr>().is_ok()
    }
}

fn ipv6(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

fn split_optional(text: &str, separator: char) -> (&str, Option<&str>) {
    match text.split_once(separator) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

fn check_characters(text: &str) -> Result<(), UriError> {
    let bytes = text.as_bytes();
    for (index, &byte) in bytes.iter().enumerate() {
        let allowed = match byte {
            b'%' => {
                matches!(bytes.get(index + 1..index + 3), Some(hex) if hex.iter().all(u8::is_ascii_hexdigit))
            }
            _ => is_unreserved(byte) || is_reserved(byte),
        };
        if !allowed {
            return Err(UriError::InvalidCharacter);
        }
    }
    Ok(())
}

/// RFC 3986 §3.1.
fn check_scheme(scheme: &str) -> Result<(), UriError> {
    let mut bytes = scheme.bytes();
    let starts_well = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic());
    if starts_well && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')) {
        Ok(())
    } else {
        Err(UriError::NotAbsolute)
    }
}

/// A bracketed IPv6 address, a dotted IPv4 address, or a name of letters, digits, hyphens and underscores.
fn check_host(host: &str) -> Result<(), UriError> {
    let well_formed = if host.starts_with('[') {
        ipv6(host).is_some()
    } else if host.rsplit('.').next().is_some_and(looks_numeric) {
        // Only the plain spelling: `127.1`, `0x7f.1` and `0177.0.0.1` mean different hosts to different parsers.
        host.parse::<Ipv4Addr>().is_ok()
    } else {
        host.len() <= 253 && host.split('.').all(is_label)
    };
    if well_formed {
        Ok(())
    } else {
        Err(UriError::InvalidHost)
    }
}

fn looks_numeric(label: &str) -> bool {
    label.bytes().next().is_some_and(|byte| byte.is_ascii_digit())
        && (label.bytes().all(|byte| byte.is_ascii_digit()) || label[1..].starts_with(['x', 'X']))
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && !is_empty_a_label(label)
}

/// An A-label (RFC 5890 §2.3.2.1) without a character beyond ASCII, as in `xn--localhost-`: no name, but a lenient decoder
/// makes one of it.
fn is_empty_a_label(label: &str) -> bool {
    label
        .get(..4)
        .is_some_and(|prefix| prefix.eq_ignore_ascii_case("xn--"))
        && (label.len() == 4 || label.ends_with('-'))
}

fn parse_port(digits: &str) -> Result<u16, UriError> {
    if digits.starts_with('0') || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(UriError::InvalidPort);
    }
    digits.parse().map_err(|_| UriError::InvalidPort)
}

/// The bytes that stand percent-encoded in a text whose escapes were checked.
fn escapes(text: &str) -> impl Iterator<Item = u8> {
    text.split('%')
        .skip(1)
        .filter_map(|rest| u8::from_str_radix(rest.get(..2)?, 16).ok())
}

/// RFC 3986 §2.3.
pub(crate) const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// RFC 3986 §2.2.
const fn is_reserved(byte: u8) -> bool {
    matches!(
        byte,
        b':' | b'/'
            | b'?'
            | b'#'
            | b'['
            | b']'
            | b'@'
            | b'!'
            | b'$'
            | b'&'
            | b'\''
            | b'('
            | b')'
            | b'*'
            | b'+'
            | b','
            | b';'
            | b'='
    )
}

#[cfg(test)]
#[path = "uri_tests.rs"]
mod tests;
