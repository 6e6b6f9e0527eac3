//! The issuer identifier of an authorization server (RFC 8414 §2).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::uri::{Uri, UriError};

const MAX_LENGTH: usize = 512;

/// Why a string cannot be an issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// Not a URI with one meaning.
    #[error("the issuer {0}")]
    // No `#[from]`: its text is in the sentence.
    Uri(UriError),
    /// A scheme other than `https` (or `http` on loopback).
    #[error("the issuer must begin with https:// (http:// is for localhost, 127.0.0.1 and [::1] only)")]
    NotHttps,
    /// Clients compare issuers byte for byte and many normalise before they do.
    #[error("the issuer's scheme and host must be in lower case, without the scheme's default port")]
    NotCanonical,
    /// `user:password@`.
    #[error("the issuer must not have a user name or password")]
    Userinfo,
    /// RFC 8414 §2.
    #[error("the issuer must not have a query or fragment")]
    QueryOrFragment,
    /// `https://h/` and `https://h` are different issuers to clients.
    #[error("the issuer must not end with a slash")]
    TrailingSlash,
    /// Empty, dot or needlessly escaped path segments.
    #[error(
        "the issuer's path must be plain: no empty, '.' or '..' segment and no needless percent-encoding"
    )]
    Path,
}

/// An issuer identifier, kept byte for byte: the same string goes into metadata, `iss` and `authorization_servers`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Issuer {
    text: String,
    /// Where the path begins in `text`.
    path_start: usize,
    loopback: bool,
}

/// What is taken beside the strict form of an issuer. For servers of others, whose identifiers are what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct IssuerRules {
    /// `https://h/` and `https://h/t/`, as some identity providers publish them.
    pub trailing_slash: bool,
    /// `http` off loopback: for networks of development only, nobody can tell who answers there.
    pub http_anywhere: bool,
}

impl Issuer {
    /// Checks an issuer: `https` anywhere, `http` on loopback hosts only; no user name, query, fragment or
    /// trailing slash.
    ///
    /// # Errors
    /// An [`IssuerError`] that says what to change.
    pub fn parse(text: &str) -> Result<Self, IssuerError> {
        Self::parse_with(text, IssuerRules::default())
    }

    /// As [`Issuer::parse`], with what `rules` take besides.
    ///
    /// # Errors
    /// An [`IssuerError`] that says what to change.
    pub fn parse_with(text: &str, rules: IssuerRules) -> Result<Self, IssuerError> {
        let uri = Uri::parse(text, MAX_LENGTH).map_err(IssuerError::Uri)?;
        let authority = uri
            .authority
            .filter(|_| uri.is_http())
            .ok_or(IssuerError::NotHttps)?;
        if uri.query.is_some() || uri.fragment.is_some() {
            return Err(IssuerError::QueryOrFragment);
        }
        if authority.has_userinfo {
            return Err(IssuerError::Userinfo);
        }
        if !uri.is_https() && !authority.is_loopback() && !rules.http_anywhere {
            return Err(IssuerError::NotHttps);
        }
        if !uri.is_lower_case() || uri.has_default_port() {
            return Err(IssuerError::NotCanonical);
        }
        let (path, slash) = match uri.path.strip_suffix('/') {
            Some(path) => (path, true),
            None => (uri.path, false),
        };
        if slash && !rules.trailing_slash {
            return Err(IssuerError::TrailingSlash);
        }
        if path.ends_with('/') || !uri.path_is_plain() {
            return Err(IssuerError::Path);
        }
        Ok(Self {
            path_start: text.len() - uri.path.len(),
            loopback: authority.is_loopback(),
            text: text.to_owned(),
        })
    }

    /// The issuer, byte for byte as configured.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path: `""`, or `"/t"` for `https://h/t`.
    pub fn path(&self) -> &str {
        &self.text[self.path_start..]
    }

    /// Everything before the path.
    pub fn origin(&self) -> &str {
        &self.text[..self.path_start]
    }

    /// Whether the host is `localhost`, in `127.0.0.0/8`, or `[::1]`.
    pub const fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Whether the scheme is `https`.
    pub fn is_https(&self) -> bool {
        self.text.starts_with("https:")
    }

    /// The path without the slash that it may end with.
    fn path_without_slash(&self) -> &str {
        let path = self.path();
        path.strip_suffix('/').unwrap_or(path)
    }

    /// The path of a well-known document, inserted before the issuer's own path without its last slash (RFC 8414 §3.1):
    /// `/.well-known/oauth-authorization-server/t`.
    pub fn well_known_path(&self, suffix: &str) -> String {
        format!("/.well-known/{suffix}{}", self.path_without_slash())
    }

    /// Where clients look for this issuer's metadata, in their order: RFC 8414 path insertion, OpenID Connect
    /// path insertion, and (with a path) OpenID Connect path appending.
    pub fn authorization_server_metadata_urls(&self) -> Vec<String> {
        let mut urls = vec![
            format!(
                "{}{}",
                self.origin(),
                self.well_known_path("oauth-authorization-server")
            ),
            format!(
                "{}{}",
                self.origin(),
                self.well_known_path("openid-configuration")
            ),
        ];
        let path = self.path_without_slash();
        if !path.is_empty() {
            urls.push(format!(
                "{}{path}/.well-known/openid-configuration",
                self.origin()
            ));
        }
        urls
    }
}

impl FromStr for Issuer {
    type Err = IssuerError;

    fn from_str(text: &str) -> Result<Self, IssuerError> {
        Self::parse(text)
    }
}

impl AsRef<str> for Issuer {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

impl Serialize for Issuer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Issuer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
#[path = "issuer_tests.rs"]
mod tests;
