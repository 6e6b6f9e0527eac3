//! How a client is put together, alone or as part of a guard.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use doorward_fetch::FetchError;
use doorward_jose::SigningKey;
use doorward_oauth::issuer::{Issuer, IssuerError, IssuerRules};
use doorward_oauth::time::{Clock, SystemClock};

use super::OAuthClient;
use super::auth::ClientAuth;
use super::breaker::{Breaker, BreakerPolicy, MAX_PAUSE};
use super::cache::{Lifetimes, TokenCache};
use super::call::Inner;
use super::dpop::Proofs;
use super::endpoints::Endpoints;
use super::error::ClientError;
use super::pauses::Pauses;
use super::request_state::{RequestStateKey, RequestStates};
use crate::fetch::{Fetch, HttpFetch, Timeouts, Transport};
use crate::flights::Flights;

/// Why a client cannot be built. Says what to change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientBuildError {
    /// The issuer is no issuer identifier.
    #[error("the issuer `{issuer}` cannot be used")]
    Issuer {
        /// As given.
        issuer: String,
        /// What is wrong with it.
        #[source]
        reason: IssuerError,
    },
    /// The client has no name, or a method with a secret has none.
    #[error(
        "client authentication needs a client_id and, for basic and post, a secret; neither may be empty"
    )]
    Credentials,
    /// The breaker would never open, or stay open for too long.
    #[error("the circuit breaker needs at least one failure to open and a cooldown of 1 to 300 seconds")]
    Breaker,
    /// The system has no random bytes.
    #[error("no random bytes for request states; give their key with `request_state_key`")]
    Random,
    /// The HTTP client could not be set up.
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

/// The settings of a client that do not depend on where it is used.
#[derive(Debug, Clone)]
pub(crate) struct ClientSettings {
    pub(crate) auth: Option<ClientAuth>,
    pub(crate) dpop: Option<Arc<SigningKey>>,
    pub(crate) require_bound_tokens: bool,
    pub(crate) cached_tokens: usize,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) breaker: BreakerPolicy,
    pub(crate) request_state_keys: Vec<RequestStateKey>,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            auth: None,
            dpop: None,
            require_bound_tokens: true,
            cached_tokens: 10_000,
            lifetimes: Lifetimes {
                buffer: Duration::from_secs(30),
                default: Duration::from_mins(5),
            },
            breaker: BreakerPolicy {
                threshold: 5,
                cooldown: Duration::from_secs(30),
            },
            request_state_keys: Vec::new(),
        }
    }
}

impl ClientSettings {
    pub(crate) fn build(
        self,
        issuer: Issuer,
        fetch: Arc<dyn Fetch>,
        clock: Arc<dyn Clock>,
    ) -> Result<OAuthClient, ClientBuildError> {
        if self.auth.as_ref().is_some_and(|auth| !auth.is_complete()) {
            return Err(ClientBuildError::Credentials);
        }
        let cooldown = self.breaker.cooldown;
        if self.breaker.threshold == 0 || cooldown < Duration::from_secs(1) || cooldown > MAX_PAUSE {
            return Err(ClientBuildError::Breaker);
        }
        let states = RequestStates::new(&self.request_state_keys).map_err(|error| match error {
            ClientError::Signing(_) | ClientError::Request(_) => ClientBuildError::Random,
            _ => ClientBuildError::Credentials,
        })?;
        Ok(OAuthClient(Arc::new(Inner {
            endpoints: Endpoints::new(issuer.clone(), fetch.clone(), clock.clone()),
            breaker: Breaker::new("token", self.breaker, clock.clone()),
            introspection_breaker: Breaker::new("introspection", self.breaker, clock.clone()),
            pauses: Pauses::new(clock.clone()),
            cache: TokenCache::new(self.cached_tokens, self.lifetimes),
            own_tokens: Flights::default(),
            proofs: self.dpop.map(Proofs::new),
            require_bound_tokens: self.require_bound_tokens,
            auth: self.auth,
            issuer,
            fetch,
            clock,
            states,
        })))
    }
}

/// Builds an [`OAuthClient`]. Made by [`OAuthClient::builder`].
pub struct OAuthClientBuilder {
    issuer: String,
    transport: Transport,
    settings: ClientSettings,
    clock: Arc<dyn Clock>,
    fetch: Option<Arc<dyn Fetch>>,
}

impl OAuthClientBuilder {
    pub(crate) fn new(issuer: String) -> Self {
        Self {
            issuer,
            transport: Transport::default(),
            settings: ClientSettings::default(),
            clock: Arc::new(SystemClock),
            fetch: None,
        }
    }

    /// How the client authenticates. Default: not at all, which only few servers allow.
    #[must_use]
    pub fn auth(mut self, auth: ClientAuth) -> Self {
        self.settings.auth = Some(auth);
        self
    }

    /// Sends a `DPoP` proof with every request, so that tokens are bound to this key (RFC 9449). Default: off.
    #[must_use]
    pub fn dpop(mut self, key: Arc<SigningKey>) -> Self {
        self.settings.dpop = Some(key);
        self
    }

    /// Whether a token is refused that the server did not bind although a proof was sent. Default: `true`.
    #[must_use]
    pub fn require_bound_tokens(mut self, require: bool) -> Self {
        self.settings.require_bound_tokens = require;
        self
    }

    /// How many tokens of the client's own are kept; the one that was not used for longest goes first. `0` turns it off.
    /// Default: 10 000.
    #[must_use]
    pub fn token_cache(mut self, tokens: usize) -> Self {
        self.settings.cached_tokens = tokens;
        self
    }

    /// A kept token is not handed out any more this long before it expires. Default: 30 s.
    #[must_use]
    pub fn expiry_buffer(mut self, buffer: Duration) -> Self {
        self.settings.lifetimes.buffer = buffer;
        self
    }

    /// How long a token is kept of which the server does not say how long it lasts. Default: 5 min.
    #[must_use]
    pub fn default_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.lifetimes.default = lifetime;
        self
    }

    /// After how many outages in a row nothing is sent any more, and for how long. Default: 5, 30 s.
    #[must_use]
    pub fn circuit_breaker(mut self, outages: u32, cooldown: Duration) -> Self {
        self.settings.breaker = BreakerPolicy {
            threshold: outages,
            cooldown,
        };
        self
    }

    /// A key for request states. Repeated calls add keys: the first one seals, all open, so that keys can be changed
    /// while clients are on their way. Default: a random one, which other processes and restarts do not know.
    #[must_use]
    pub fn request_state_key(mut self, key: RequestStateKey) -> Self {
        self.settings.request_state_keys.push(key);
        self
    }

    /// The clock. Default: the system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The way to the authorization server, instead of HTTP: [`proxy`](Self::proxy), [`timeouts`](Self::timeouts) and
    /// [`root_certificates`](Self::root_certificates) then count for nothing. Default: HTTP, without redirects; only the
    /// issuer's own host may have a private address.
    #[must_use]
    pub fn fetch(mut self, fetch: Arc<dyn Fetch>) -> Self {
        self.fetch = Some(fetch);
        self
    }

    /// Certificates to trust besides the system's, one or several in PEM form: for a private certificate authority.
    /// Repeated calls add up.
    #[must_use]
    pub fn root_certificates(mut self, pem: impl Into<String>) -> Self {
        self.transport.root_certificates.push(pem.into());
        self
    }

    /// The proxy to reach the authorization server through. Default: none; the environment counts for nothing.
    #[must_use]
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.transport.proxy = Some(url.into());
        self
    }

    /// How long the authorization server may take to answer.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.transport.timeouts = timeouts;
        self
    }

    /// Takes issuers over `http` off this machine, for networks of development. Default: `false`.
    #[must_use]
    pub fn dev_mode(mut self, on: bool) -> Self {
        self.transport.dev_mode = on;
        self
    }

    /// Checks the settings and makes the client. Does no I/O: the metadata is fetched with the first call.
    ///
    /// # Errors
    /// A [`ClientBuildError`] that says which setting to change.
    pub fn build(self) -> Result<OAuthClient, ClientBuildError> {
        let rules = IssuerRules {
            trailing_slash: true,
            http_anywhere: self.transport.dev_mode,
        };
        let issuer = Issuer::parse_with(&self.issuer, rules).map_err(|reason| ClientBuildError::Issuer {
            issuer: self.issuer,
            reason,
        })?;
        let fetch = match self.fetch {
            Some(fetch) => fetch,
            None => Arc::new(HttpFetch::reaching(
                &[issuer.as_str()],
                &self.transport,
                self.clock.clone(),
            )?),
        };
        self.settings.build(issuer, fetch, self.clock)
    }
}

impl fmt::Debug for OAuthClientBuilder {
    /// Without the transport: the URL of a proxy may have a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthClientBuilder")
            .field("issuer", &self.issuer)
            .field("auth", &self.settings.auth)
            .finish_non_exhaustive()
    }
}
