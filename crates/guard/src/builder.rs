//! How a guard is put together.

mod build;
mod checks;
mod error;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use doorward_jose::Algorithm;
use doorward_oauth::time::{Clock, SystemClock};

use crate::audit::AuditHook;
use crate::client::ClientSettings;
use crate::dpop::DpopSettings;
use crate::fetch::Fetch;
use crate::keys::KeyPolicy;
use crate::login::LoginPolicy;
use crate::revocation::Revocation;
use crate::scopes::ScopeSettings;
use crate::trust::TrustSettings;
use crate::verify::MAX_SKEW;

pub(crate) use build::scope_set;
pub use error::BuildError;

/// Builds a [`Guard`](crate::Guard). Made by [`Guard::builder`](crate::Guard::builder).
pub struct GuardBuilder {
    pub(crate) issuer: String,
    pub(crate) resource: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) required_scopes: Vec<String>,
    pub(crate) scope_settings: ScopeSettings,
    pub(crate) login: LoginPolicy,
    pub(crate) revocation: Revocation,
    pub(crate) audit: Option<Arc<dyn AuditHook>>,
    pub(crate) end_streams: bool,
    pub(crate) resource_name: Option<String>,
    pub(crate) documentation: Option<String>,
    pub(crate) metadata_url: Option<String>,
    pub(crate) root_metadata: bool,
    pub(crate) origins: Vec<String>,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) skew: Duration,
    pub(crate) max_body: usize,
    pub(crate) token_cache: usize,
    pub(crate) bind_sessions: bool,
    pub(crate) max_sessions: usize,
    pub(crate) session_idle: Duration,
    pub(crate) keys: KeyPolicy,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) fetch: Option<Arc<dyn Fetch>>,
    pub(crate) dpop: DpopSettings,
    pub(crate) client: ClientSettings,
    pub(crate) trust: TrustSettings,
}

impl GuardBuilder {
    pub(crate) fn new(issuer: String, resource: String) -> Self {
        Self {
            issuer,
            resource,
            scopes: Vec::new(),
            required_scopes: Vec::new(),
            scope_settings: ScopeSettings::default(),
            login: LoginPolicy::default(),
            revocation: Revocation::Off,
            audit: None,
            end_streams: true,
            resource_name: None,
            documentation: None,
            metadata_url: None,
            root_metadata: true,
            origins: Vec::new(),
            algorithms: vec![
                Algorithm::Es256,
                Algorithm::EdDsa,
                Algorithm::Rs256,
                Algorithm::Ps256,
            ],
            skew: MAX_SKEW,
            max_body: 4 * 1024 * 1024,
            token_cache: 10_000,
            bind_sessions: true,
            max_sessions: 100_000,
            session_idle: Duration::from_hours(24),
            keys: KeyPolicy::default(),
            clock: Arc::new(SystemClock),
            fetch: None,
            dpop: DpopSettings::default(),
            trust: TrustSettings::default(),
            client: ClientSettings::default(),
        }
    }

    /// The scopes that clients should ask for at first (`scopes_supported` of the resource metadata). Default: the
    /// required scopes.
    #[must_use]
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// The scopes that every request needs. Default: none.
    #[must_use]
    pub fn required_scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.required_scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// A name for people (`resource_name` of the resource metadata).
    #[must_use]
    pub fn resource_name(mut self, name: impl Into<String>) -> Self {
        self.resource_name = Some(name.into());
        self
    }

    /// A page for developers (`resource_documentation` of the resource metadata).
    #[must_use]
    pub fn resource_documentation(mut self, url: impl Into<String>) -> Self {
        self.documentation = Some(url.into());
        self
    }

    /// Where challenges say that the resource metadata is, for servers that have it served somewhere else.
    /// Default: where RFC 9728 §3.1 puts it.
    #[must_use]
    pub fn resource_metadata_url(mut self, url: impl Into<String>) -> Self {
        self.metadata_url = Some(url.into());
        self
    }

    /// Whether the resource metadata is also served at the root of the host. Turn it off when several protected
    /// servers share a host. Default: `true`.
    #[must_use]
    pub fn root_metadata(mut self, serve: bool) -> Self {
        self.root_metadata = serve;
        self
    }

    /// Origins of web pages that may call this server, besides its own. Requests without `Origin` always pass.
    #[must_use]
    pub fn allowed_origins<S: Into<String>>(mut self, origins: impl IntoIterator<Item = S>) -> Self {
        self.origins = origins.into_iter().map(Into::into).collect();
        self
    }

    /// The signature algorithms that are accepted. Default: `ES256`, `EdDSA`, `RS256`, `PS256`.
    #[must_use]
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// How far clocks may be apart. Default and maximum: 60 s.
    #[must_use]
    pub fn clock_skew(mut self, skew: Duration) -> Self {
        self.skew = skew;
        self
    }

    /// The largest request body, in bytes. Default: 4 MiB.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// How many verified tokens are remembered, so that a signature is checked once; `0` turns it off. Default: 10 000.
    #[must_use]
    pub fn token_cache(mut self, tokens: usize) -> Self {
        self.token_cache = tokens;
        self
    }

    /// Whether an MCP session can only be used by the principal that began it. The binding lives in this process:
    /// turn it off only for servers that share sessions between processes and bind them themselves.
    /// Default: `true`.
    #[must_use]
    pub fn bind_sessions(mut self, bind: bool) -> Self {
        self.bind_sessions = bind;
        self
    }

    /// How many sessions are remembered, and how long an unused one. Default: 100 000, 24 h.
    #[must_use]
    pub fn session_limits(mut self, sessions: usize, idle: Duration) -> Self {
        self.max_sessions = sessions;
        self.session_idle = idle;
        self
    }

    /// The longest time between two refreshes of the issuer's keys. Default: 5 min.
    #[must_use]
    pub fn key_refresh(mut self, interval: Duration) -> Self {
        self.keys.refresh = interval;
        self
    }

    /// How long keys stay in use while the authorization server does not answer; while it does, they are refreshed after half of
    /// that at the latest. Default: 24 h.
    #[must_use]
    pub fn max_stale(mut self, age: Duration) -> Self {
        self.keys.max_stale = age;
        self
    }

    /// The shortest time between two fetches for keys that turned out not to exist; a second at least. Default: 30 s.
    #[must_use]
    pub fn unknown_key_cooldown(mut self, cooldown: Duration) -> Self {
        self.keys.cooldown = cooldown.max(Duration::from_secs(1));
        self
    }

    /// How long a request waits for keys before it is answered with `503`. Default: 5 s.
    #[must_use]
    pub fn key_wait(mut self, wait: Duration) -> Self {
        self.keys.wait = wait;
        self
    }

    /// The clock that decides about `exp`, `nbf` and `iat`. Default: the system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// How documents of the authorization server are fetched. Default: HTTP, without redirects, as
    /// [`root_certificates`](Self::root_certificates), [`proxy`](Self::proxy), [`timeouts`](Self::timeouts) and
    /// [`dev_mode`](Self::dev_mode) say; only the issuer's own host may have a private address.
    #[must_use]
    pub fn fetch(mut self, fetch: Arc<dyn Fetch>) -> Self {
        self.fetch = Some(fetch);
        self
    }
}

impl fmt::Debug for GuardBuilder {
    /// Without the transport: the URL of a proxy may have a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardBuilder")
            .field("issuer", &self.issuer)
            .field("resource", &self.resource)
            .field("scopes", &self.scopes)
            .field("required_scopes", &self.required_scopes)
            .field("origins", &self.origins)
            .field("auth", &self.client.auth)
            .field("revocation", &self.revocation)
            .finish_non_exhaustive()
    }
}
