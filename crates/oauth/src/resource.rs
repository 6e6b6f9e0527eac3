//! Resource identifiers: the canonical URI of an MCP server (RFC 8707 §2, RFC 9728 §1.2).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::uri::{Uri, UriError};

const MAX_LENGTH: usize = 2000;

/// Why a string cannot be a resource identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResourceUriError {
    /// Not a URI with one meaning.
    #[error("the resource URI {0}")]
    // No `#[from]`: its text is in the sentence.
    Uri(UriError),
    /// A scheme other than `https` (or `http` where that is allowed).
    #[error("the resource URI must begin with https:// (http:// is for localhost, 127.0.0.1 and [::1] only)")]
    NotHttps,
    /// `user:password@`.
    #[error("the resource URI must not have a user name or password")]
    Userinfo,
    /// RFC 8707 §2 forbids the fragment and advises against the query.
    #[error("the resource URI must not have a query or fragment")]
    QueryOrFragment,
    /// Empty, dot or needlessly escaped path segments.
    #[error(
        "the resource URI's path must be plain: no empty, '.' or '..' segment and no needless percent-encoding"
    )]
    Path,
}

/// What is taken beside the strict form of a resource identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ResourceRules {
    /// `http` on any host: for servers on a network that is private by construction, behind a proxy that speaks TLS.
    pub http_anywhere: bool,
    /// A query, which RFC 8707 §2 advises against and RFC 9728 §3.1 provides for.
    pub query: bool,
}

/// A registered resource.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ResourceUri {
    text: String,
    canonical: String,
    /// Where the path begins in `canonical`.
    path_start: usize,
    /// Where the query's question mark is in `canonical`, or its end.
    path_end: usize,
    loopback: bool,
}

impl ResourceUri {
    /// Checks a resource URI: `https` anywhere, `http` on loopback hosts only; no user name, query or fragment.
    ///
    /// # Errors
    /// A [`ResourceUriError`] that says what to change.
    pub fn parse(text: &str) -> Result<Self, ResourceUriError> {
        Self::parse_with(text, ResourceRules::default())
    }

    /// As [`parse`](Self::parse), with what `rules` take besides.
    ///
    /// # Errors
    /// A [`ResourceUriError`] that says what to change.
    pub fn parse_with(text: &str, rules: ResourceRules) -> Result<Self, ResourceUriError> {
        let uri = Uri::parse(text, MAX_LENGTH).map_err(ResourceUriError::Uri)?;
        let authority = uri
            .authority
            .filter(|_| uri.is_http())
            .ok_or(ResourceUriError::NotHttps)?;
        if uri.fragment.is_some() || (uri.query.is_some() && !rules.query) {
            return Err(ResourceUriError::QueryOrFragment);
        }
        if authority.has_userinfo {
            return Err(ResourceUriError::Userinfo);
        }
        if !uri.is_https() && !authority.is_loopback() && !rules.http_anywhere {
            return Err(ResourceUriError::NotHttps);
        }
        if !uri.path_is_plain() {
            return Err(ResourceUriError::Path);
        }
        let (mut canonical, path_start) = canonical(&uri);
        let path_end = canonical.len();
        if let Some(query) = uri.query {
            canonical.push('?');
            canonical.push_str(query);
        }
        Ok(Self {
            text: text.to_owned(),
            canonical,
            path_start,
            path_end,
            loopback: authority.is_loopback(),
        })
    }

    /// The resource as it was registered, byte for byte: what goes into `aud` and resource metadata.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Scheme and host in lower case, no default port, no slash after a bare host.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// Whether a `resource` parameter or `aud` value names this resource.
    ///
    /// Upper-case schemes and hosts and an explicit default port are tolerated, and a resource at the root of its
    /// host is the same with and without the slash, because URL types print it. Nothing else is: not another slash,
    /// no percent-decoding, no dot segments, no sibling or child path.
    pub fn matches(&self, requested: &str) -> bool {
        if requested == self.text || requested == self.canonical {
            return true;
        }
        let Ok(uri) = Uri::parse(requested, MAX_LENGTH) else {
            return false;
        };
        let plain = uri.is_http()
            && uri.authority.is_some_and(|authority| !authority.has_userinfo)
            && uri.query.is_none()
            && uri.fragment.is_none();
        plain && canonical(&uri).0 == self.canonical
    }

    /// The path, canonically: `""` for the root.
    pub fn path(&self) -> &str {
        &self.canonical[self.path_start..self.path_end]
    }

    /// The query with its question mark; `""` without one.
    pub fn query(&self) -> &str {
        &self.canonical[self.path_end..]
    }

    /// Scheme, host and port, canonically.
    pub fn origin(&self) -> &str {
        &self.canonical[..self.path_start]
    }

    /// Whether the host is `localhost`, in `127.0.0.0/8`, or `[::1]`.
    pub const fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Where the metadata of this resource lives: the well-known path inserted before its own path and query
    /// (RFC 9728 §3.1).
    pub fn metadata_url(&self) -> String {
        format!("{}{METADATA_PATH}{}{}", self.origin(), self.path(), self.query())
    }
}

const METADATA_PATH: &str = "/.well-known/oauth-protected-resource";

/// The canonical spelling, and where the path begins in it.
fn canonical(uri: &Uri<'_>) -> (String, usize) {
    let mut text = uri.origin();
    let path_start = text.len();
    if uri.path != "/" {
        text.push_str(uri.path);
    }
    (text, path_start)
}

impl FromStr for ResourceUri {
    type Err = ResourceUriError;

    fn from_str(text: &str) -> Result<Self, ResourceUriError> {
        Self::parse(text)
    }
}

impl AsRef<str> for ResourceUri {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for ResourceUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for ResourceUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

impl Serialize for ResourceUri {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for ResourceUri {
    /// Accepts `http` anywhere and a query: what is welcome was decided when the resource was registered.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rules = ResourceRules {
            http_anywhere: true,
            query: true,
        };
        Self::parse_with(&String::deserialize(deserializer)?, rules).map_err(de::Error::custom)
    }
}
