//! Redirect URIs: which may be registered, which request matches a registration, and where the answer goes.
//!
//! A registered URI is kept byte for byte and compared byte for byte (RFC 9700 §4.1.3). The one exception is the port of an `http`
//! loopback URI, which native applications choose anew at each start (RFC 8252 §7.3).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::uri::{Uri, UriError};

mod response;
mod scheme;

pub use response::{form_action_source, location};
pub use scheme::SchemePolicy;

/// The longest redirect URI, in bytes.
pub const MAX_LENGTH: usize = 2000;

/// The kind of application that registers (OpenID Connect Registration §2, `application_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApplicationType {
    /// Runs on the user's device: loopback and private-use schemes, and `https`.
    Native,
    /// Runs on a server or in a browser: `https` only.
    Web,
}

/// What kind of place a redirect URI is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RedirectUriKind {
    /// `https`, anywhere.
    Https,
    /// `http` on `localhost`, `127.0.0.1` or `[::1]`; any port.
    Loopback,
    /// A private-use scheme of a native application (RFC 8252 §7.1).
    PrivateUse,
}

/// Why a redirect URI cannot be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedirectUriError {
    /// Not a URI with one meaning.
    #[error("the redirect URI {0}")]
    // No `#[from]`: its text is in the sentence.
    Uri(UriError),
    /// RFC 6749 §3.1.2.
    #[error("a redirect URI must not have a fragment")]
    Fragment,
    /// `user:password@`.
    #[error("a redirect URI must not have a user name or password")]
    Userinfo,
    /// Upper-case letters in the scheme, or in a loopback host.
    #[error("write the scheme and the host of the redirect URI in lower case")]
    UpperCase,
    /// `.` or `..` segments.
    #[error("a redirect URI must not have '.' or '..' in its path")]
    DotSegments,
    /// `http` beyond loopback.
    #[error("a redirect URI must be https, or http on localhost, 127.0.0.1 or [::1]")]
    HttpNotLoopback,
    /// A scheme that is never allowed or that the policy does not name.
    #[error(
        "this redirect URI scheme is not allowed: use https, http on loopback, or a reverse-domain scheme such as com.example.app:/callback"
    )]
    Scheme,
    /// Nothing that begins with a slash after a private-use scheme.
    #[error(
        "a redirect URI with a private-use scheme must continue with a slash, as in com.example.app:/callback"
    )]
    Opaque,
    /// `web` with a URI that only a native application can receive.
    #[error("a client of application_type web may register https redirect URIs only: register as native")]
    NotForWeb,
}

/// A registered redirect URI.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RedirectUri(String);

impl RedirectUri {
    /// Checks a URI that a client wants to register.
    pub fn register(
        text: &str,
        application: ApplicationType,
        policy: &SchemePolicy,
    ) -> Result<Self, RedirectUriError> {
        let registered = Self::parse(text)?;
        match (registered.kind(), application) {
            (RedirectUriKind::PrivateUse, _) if !policy.allows(registered.scheme()) => {
                Err(RedirectUriError::Scheme)
            }
            (RedirectUriKind::Https, _) | (_, ApplicationType::Native) => Ok(registered),
            (_, ApplicationType::Web) => Err(RedirectUriError::NotForWeb),
        }
    }

    /// Checks what holds under every policy; for URIs that were registered before.
    pub fn parse(text: &str) -> Result<Self, RedirectUriError> {
        let without_wildcard = loopback_port_wildcard(text);
        let uri = Uri::parse(without_wildcard.as_deref().unwrap_or(text), MAX_LENGTH)
            .map_err(RedirectUriError::Uri)?;
        if uri.fragment.is_some() {
            return Err(RedirectUriError::Fragment);
        }
        if uri.authority.is_some_and(|authority| authority.has_userinfo) {
            return Err(RedirectUriError::Userinfo);
        }
        if SchemePolicy::forbids(uri.scheme) {
            return Err(RedirectUriError::Scheme);
        }
        if uri.scheme.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(RedirectUriError::UpperCase);
        }
        if uri.path_has_dot_segments() {
            return Err(RedirectUriError::DotSegments);
        }
        match uri.scheme {
            "https" if uri.authority.is_none() => Err(RedirectUriError::Uri(UriError::InvalidHost)),
            "http" => check_loopback(&uri),
            "https" => Ok(()),
            _ if !uri.path.starts_with('/') && uri.authority.is_none() => Err(RedirectUriError::Opaque),
            _ => Ok(()),
        }?;
        Ok(Self(text.to_owned()))
    }

    /// The URI, byte for byte as registered.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The kind of place.
    pub fn kind(&self) -> RedirectUriKind {
        match self.scheme() {
            "https" => RedirectUriKind::Https,
            "http" => RedirectUriKind::Loopback,
            _ => RedirectUriKind::PrivateUse,
        }
    }

    /// Whether the `redirect_uri` of a request is this one: the same bytes, except that an `http` loopback URI may name
    /// any port.
    pub fn matches(&self, requested: &str) -> bool {
        match self.kind() {
            RedirectUriKind::Loopback => {
                let requested = Uri::parse(requested, MAX_LENGTH).ok();
                self.with_loopback(|registered| {
                    requested.is_some_and(|uri| Loopback::of(&uri) == Some(registered))
                })
            }
            RedirectUriKind::Https | RedirectUriKind::PrivateUse => requested == self.0,
        }
    }

    /// The URI as it is compared: an `http` loopback URI without its port.
    pub fn comparable(&self) -> String {
        let mut comparable = String::new();
        let is_loopback = self.with_loopback(|Loopback { host, path, query }| {
            let (mark, query) = query.map_or(("", ""), |query| ("?", query));
            comparable = format!("http://{host}{path}{mark}{query}");
            true
        });
        if is_loopback { comparable } else { self.0.clone() }
    }

    /// What a person is shown on the consent page: the host (with its port unless it is the default), or scheme and
    /// authority of a private-use URI.
    pub fn host_for_display(&self) -> String {
        let (scheme, rest) = self.0.split_once(':').unwrap_or((&self.0, ""));
        let authority = rest
            .strip_prefix("//")
            .map(|rest| rest.split(['/', '?']).next().unwrap_or(rest));
        match (self.kind(), authority) {
            (RedirectUriKind::Https, Some(authority)) => {
                authority.strip_suffix(":443").unwrap_or(authority).to_owned()
            }
            (RedirectUriKind::Loopback, Some(authority)) => authority.to_owned(),
            (_, Some(authority)) => format!("{scheme}://{authority}"),
            (_, None) => format!("{scheme}:"),
        }
    }

    fn scheme(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }

    /// Applies a rule to the parts of a loopback URI; `false` for every other URI.
    fn with_loopback(&self, rule: impl FnOnce(Loopback<'_>) -> bool) -> bool {
        let without_wildcard = loopback_port_wildcard(&self.0);
        Uri::parse(without_wildcard.as_deref().unwrap_or(&self.0), MAX_LENGTH)
            .ok()
            .and_then(|uri| Loopback::of(&uri))
            .is_some_and(rule)
    }
}

/// What counts in an `http` loopback URI: everything but the port.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Loopback<'a> {
    host: &'a str,
    path: &'a str,
    query: Option<&'a str>,
}

impl<'a> Loopback<'a> {
    fn of(uri: &Uri<'a>) -> Option<Self> {
        let authority = uri.authority.filter(|authority| {
            uri.scheme == "http"
                && uri.fragment.is_none()
                && !authority.has_userinfo
                && LOOPBACK_HOSTS.contains(&authority.host)
        })?;
        Some(Self {
            host: authority.host,
            path: uri.path,
            query: uri.query,
        })
    }
}

/// Only the plain spellings: loopback matching compares the host byte for byte.
const LOOPBACK_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

fn check_loopback(uri: &Uri<'_>) -> Result<(), RedirectUriError> {
    match uri.authority {
        Some(authority) if LOOPBACK_HOSTS.contains(&authority.host) => Ok(()),
        Some(authority) if authority.host.eq_ignore_ascii_case("localhost") => {
            Err(RedirectUriError::UpperCase)
        }
        _ => Err(RedirectUriError::HttpNotLoopback),
    }
}

/// Some clients publish `http://localhost:*/callback` to say that the port varies, which it may anyway. Returns the URI
/// without `:*`; `None` when it is not that form.
fn loopback_port_wildcard(text: &str) -> Option<String> {
    let rest = text.strip_prefix("http://")?;
    LOOPBACK_HOSTS.iter().find_map(|host| {
        let rest = rest.strip_prefix(host)?.strip_prefix(":*")?;
        (rest.is_empty() || rest.starts_with(['/', '?'])).then(|| format!("http://{host}{rest}"))
    })
}

impl AsRef<str> for RedirectUri {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for RedirectUri {
    type Err = RedirectUriError;

    fn from_str(text: &str) -> Result<Self, RedirectUriError> {
        Self::parse(text)
    }
}

impl fmt::Display for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for RedirectUri {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RedirectUri {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
#[path = "redirect_tests.rs"]
mod tests;
