use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use url::Url;

/// What may be fetched at all. Set once, by the operator.
#[derive(Debug, Clone)]
pub struct FetchPolicy {
    /// Whether `http` and `https` URLs on `localhost`, `127.0.0.0/8` and `[::1]` may be fetched. For
    /// development: set it only where the own issuer is on loopback. Default: `false`.
    pub allow_loopback_http: bool,
    /// Hosts that may have private addresses, each with its exact port. `https`, unless they are made by
    /// [`AllowedHost::over_http`]. Default: none.
    pub allowed_hosts: Vec<AllowedHost>,
    /// A PEM file of certificates to trust besides the system's. Default: none.
    pub ca_file: Option<PathBuf>,
    /// Certificates in PEM form to trust besides the system's, one or several in each text. Default: none.
    pub root_certificates: Vec<String>,
    /// The proxy that requests go through, except those to loopback. The rules for targets stay: the URL is checked, and a
    /// name that is not among `allowed_hosts` must have public addresses here as well. But the proxy resolves names
    /// itself, so what it connects to is for the proxy to judge. Default: none; the environment counts for nothing.
    pub proxy: Option<Proxy>,
    /// The `User-Agent` of every request. Default: `doorward/VERSION`.
    pub user_agent: String,
    /// Requests under way at a time. Default: 64.
    pub max_concurrent: usize,
    /// Requests under way at a time to one host and port. Default: 4.
    pub max_concurrent_per_host: usize,
    /// Requests to one host and port that wait for others to end. One more fails at once with
    /// [`FetchError::Busy`](crate::FetchError::Busy). Default: 64.
    pub max_waiting_per_host: usize,
    /// How long a request waits for others to end before it fails with [`FetchError::Busy`](crate::FetchError::Busy).
    /// Default: 2 s.
    pub max_wait: Duration,
    /// Documents and failures remembered. Default: 1000.
    pub cache_entries: usize,
}

impl Default for FetchPolicy {
    fn default() -> Self {
        Self {
            allow_loopback_http: false,
            allowed_hosts: Vec::new(),
            ca_file: None,
            root_certificates: Vec::new(),
            proxy: None,
            user_agent: concat!("doorward/", env!("CARGO_PKG_VERSION")).to_owned(),
            max_concurrent: 64,
            max_concurrent_per_host: 4,
            max_waiting_per_host: 64,
            max_wait: Duration::from_secs(2),
            cache_entries: 1000,
        }
    }
}

impl FetchPolicy {
    /// Whether the operator vouches for the host.
    pub(crate) fn allows(&self, host: &str) -> bool {
        self.allowed_hosts.iter().any(|allowed| allowed.host == host)
    }
}

/// The bounds of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the body. Default: 5 KiB.
    pub max_body: usize,
    /// The whole exchange, from when it has a slot ([`FetchPolicy::max_wait`]): name resolution, handshake, answer.
    /// Default: 5 s.
    pub timeout: Duration,
    /// A document is not asked for again before this, whatever `max-age` says (except with `no-store`).
    /// Default: 60 s.
    pub min_ttl: Duration,
    /// A document is asked for again after this at the latest. Default: 24 h.
    pub max_ttl: Duration,
    /// How long a document without `Cache-Control` stays fresh. Default: 5 min.
    pub default_ttl: Duration,
    /// How long a failure is remembered. Default: 10 s.
    pub negative_ttl: Duration,
    /// How long this call takes what was answered also when it must not be stored, or was distrusted: how often a server is
    /// asked is not up to what it says. Default: 0.
    pub pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body: 5 * 1024,
            timeout: Duration::from_secs(5),
            min_ttl: Duration::from_mins(1),
            max_ttl: Duration::from_hours(24),
            default_ttl: Duration::from_mins(5),
            negative_ttl: Duration::from_secs(10),
            pause: Duration::ZERO,
        }
    }
}

/// A host that may have a private address: `host` (port 443) or `host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost {
    /// As a URL writes it: lower case, IPv6 addresses in brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Asked over `http` instead of `https`.
    pub(crate) http: bool,
}

/// The text is not `host` or `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a host or host:port; write it like idp.corp.example or 10.0.0.5:8443")]
pub struct InvalidAllowedHost(String);

impl FromStr for AllowedHost {
    type Err = InvalidAllowedHost;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::read("https", text)
    }
}

impl AllowedHost {
    /// A host that is asked over `http`, `host` (port 80) or `host:port`: in networks of development alone, since nobody
    /// can tell who answers.
    ///
    /// # Errors
    /// [`InvalidAllowedHost`] for anything else.
    pub fn over_http(text: &str) -> Result<Self, InvalidAllowedHost> {
        Self::read("http", text)
    }

    fn read(scheme: &str, text: &str) -> Result<Self, InvalidAllowedHost> {
        let refused = || InvalidAllowedHost(text.to_owned());
        if text.contains(['/', '?', '#', '@', '\\', '*']) {
            return Err(refused());
        }
        let url = Url::parse(&format!("{scheme}://{text}/")).map_err(|_| refused())?;
        let host = url.host_str().ok_or_else(refused)?.to_owned();
        Ok(Self {
            host,
            port: url.port_or_known_default().ok_or_else(refused)?,
            http: scheme == "http",
        })
    }
}

/// An HTTP proxy. Requests for `https` go through it as tunnels (`CONNECT`, RFC 9110 §9.3.6). `Debug` shows no credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy(Url);

impl Proxy {
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// The text is not the URL of a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the proxy must be written like http://proxy.corp.example:3128, with user:password@ before the host if it wants them"
)]
pub struct InvalidProxy;

impl FromStr for Proxy {
    type Err = InvalidProxy;

    fn from_str(text: &str) -> Result<Self, InvalidProxy> {
        let url = Url::parse(text).map_err(|_| InvalidProxy)?;
        let is_plain = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none();
        is_plain.then_some(Self(url)).ok_or(InvalidProxy)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({:?})", self.0.origin().ascii_serialization())
    }
}
