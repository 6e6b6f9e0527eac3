//! The target URI of a request, for comparing it with `htu`.

use std::fmt;

use crate::uri::{Uri, is_unreserved};

const MAX_LENGTH: usize = 8 * 1024;

/// The text is no URI of a request to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an absolute http or https URI without a user name")]
pub struct NotAnHttpUri;

/// A target URI (RFC 9110 §7.1) without query and fragment, in the normal form in which RFC 9449 §4.3 compares `htu`:
/// syntax-based (RFC 3986 §6.2.2: letter case of scheme, host and escapes, escapes of characters that need none, dot
/// segments) and scheme-based (§6.2.3: default port, empty path). Nothing else is the same: a trailing slash, an escaped
/// slash and the case of the path all count.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TargetUri(String);

impl TargetUri {
    /// Reads a URI; query and fragment are dropped.
    ///
    /// # Errors
    /// [`NotAnHttpUri`] for everything else, and for URIs that two parsers could read differently.
    pub fn parse(text: &str) -> Result<Self, NotAnHttpUri> {
        let uri = Uri::parse(text, MAX_LENGTH).map_err(|_| NotAnHttpUri)?;
        let authority = uri.authority.filter(|_| uri.is_http()).ok_or(NotAnHttpUri)?;
        if authority.has_userinfo {
            return Err(NotAnHttpUri);
        }
        let mut normal = uri.origin();
        push_path(uri.path, &mut normal);
        Ok(Self(normal))
    }

    /// The normal form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `htu` names this URI.
    pub fn is(&self, htu: &str) -> bool {
        htu == self.0 || Self::parse(htu).as_ref() == Ok(self)
    }
}

impl fmt::Debug for TargetUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn push_path(path: &str, normal: &mut String) {
    // Before the dot segments: `%2e` is a dot.
    let path = normalize_escapes(path);
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_dots = matches!(segment, "." | "..");
        if segment == ".." {
            kept.pop();
        }
        if !is_dots {
            kept.push(segment);
        } else if segments.peek().is_none() {
            // RFC 3986 §5.2.4: `/a/..` is `/`, with its slash.
            kept.push("");
        }
    }
    if kept.is_empty() {
        normal.push('/');
    }
    for segment in kept {
        normal.push('/');
        normal.push_str(segment);
    }
}

/// RFC 3986 §6.2.2.1 and §6.2.2.2. The escapes are well-formed: the URI was parsed.
fn normalize_escapes(path: &str) -> String {
    let mut normal = String::with_capacity(path.len());
    let mut parts = path.split('%');
    normal.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        match u8::from_str_radix(digits, 16) {
            Ok(byte) if is_unreserved(byte) => normal.push(char::from(byte)),
            _ => {
                normal.push('%');
                normal.push_str(&digits.to_ascii_uppercase());
            }
        }
        normal.push_str(rest);
    }
    normal
}
