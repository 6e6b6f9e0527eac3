//! How a guard is put together.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use doorward_fetch::FetchError;
use doorward_jose::Algorithm;
use doorward_oauth::issuer::{Issuer, IssuerError};
use doorward_oauth::resource::{ResourceUri, ResourceUriError};
use doorward_oauth::scope::{Scope, ScopeError, ScopeSet};
use doorward_oauth::time::{Clock, SystemClock};

use crate::challenge::Challenges;
use crate::dpop::DpopSettings;
use crate::fetch::{Fetch, HttpFetch};
use crate::guard::{Guard, Inner};
use crate::keys::{Discovery, KeyPolicy, Keys};
use crate::metadata::Metadata;
use crate::origin::{self, Origins};
use crate::refusal::ErrorIds;
use crate::sessions::Sessions;
use crate::token_cache::TokenCache;
use crate::verify::Verifier;

/// The longest clock skew that can be asked for.
const MAX_SKEW: Duration = Duration::from_mins(1);

/// Why a guard cannot be built. Says what to change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The issuer is no issuer identifier.
    #[error("the issuer `{issuer}` cannot be used: {reason}")]
    Issuer {
        /// As given.
        issuer: String,
        /// What is wrong with it.
        #[source]
        reason: IssuerError,
    },
    /// The resource is no resource identifier.
    #[error("the resource `{resource}` cannot be used: {reason}")]
    Resource {
        /// As given.
        resource: String,
        /// What is wrong with it.
        #[source]
        reason: ResourceUriError,
    },
    /// The resource's path holds what routers take for a pattern, so that its metadata cannot be served there.
    #[error(
        "the path of the resource `{0}` has a segment that begins with `:` or `*`, or holds `{{` or `}}`; choose a plain path such as /mcp"
    )]
    ResourcePath(String),
    /// A scope is no scope token.
    #[error("the scope `{scope}` cannot be used: {reason}")]
    Scope {
        /// As given.
        scope: String,
        /// What is wrong with it.
        #[source]
        reason: ScopeError,
    },
    /// `offline_access` asks the authorization server for refresh tokens; a resource does not deal with it.
    #[error("`offline_access` is not a scope of a resource; leave it out, clients ask for it by themselves")]
    OfflineAccess,
    /// An allowed origin is no origin.
    #[error("the origin `{0}` cannot be used; write it like https://app.example or http://localhost:3000")]
    Origin(String),
    /// No algorithm is left that could be accepted.
    #[error("at least one signature algorithm must be allowed")]
    NoAlgorithm,
    /// The clock skew is longer than a minute.
    #[error("the clock skew must be 60 seconds or less; let the machine follow a time server instead")]
    ClockSkew,
    /// A proof must be allowed some age.
    #[error(
        "proofs must be accepted for at least one second and at most an hour; 300 s and 60 s ahead are usual"
    )]
    DpopWindow,
    /// The system has no random bytes.
    #[error("no random bytes for DPoP nonces; give their keys with `dpop_nonce_keys`")]
    Random,
    /// The HTTP client could not be set up.
    #[error("the HTTP client could not be set up: {0}")]
    Fetch(#[from] FetchError),
}

/// Builds a [`Guard`]. Made by [`Guard::builder`].
pub struct GuardBuilder {
    issuer: String,
    resource: String,
    scopes: Vec<String>,
    required_scopes: Vec<String>,
    tool_scopes: Vec<(String, Vec<String>)>,
    resource_name: Option<String>,
    documentation: Option<String>,
    root_metadata: bool,
    origins: Vec<String>,
    algorithms: Vec<Algorithm>,
    skew: Duration,
    max_body: usize,
    token_cache: usize,
    bind_sessions: bool,
    max_sessions: usize,
    session_idle: Duration,
    keys: KeyPolicy,
    clock: Arc<dyn Clock>,
    fetch: Option<Arc<dyn Fetch>>,
    pub(crate) dpop: DpopSettings,
}

impl GuardBuilder {
    pub(crate) fn new(issuer: String, resource: String) -> Self {
        Self {
            issuer,
            resource,
            scopes: Vec::new(),
            required_scopes: Vec::new(),
            tool_scopes: Vec::new(),
            resource_name: None,
            documentation: None,
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
            keys: KeyPolicy {
                refresh: Duration::from_mins(5),
                max_stale: Duration::from_hours(24),
                cooldown: Duration::from_secs(30),
                wait: Duration::from_secs(5),
            },
            clock: Arc::new(SystemClock),
            fetch: None,
            dpop: DpopSettings::default(),
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

    /// The scopes that a tool needs besides. A call without them is answered with HTTP `403` and the whole scope
    /// set before the tool runs. Repeated calls for one tool add up.
    #[must_use]
    pub fn tool_scopes<S: Into<String>>(
        mut self,
        tool: impl Into<String>,
        scopes: impl IntoIterator<Item = S>,
    ) -> Self {
        self.tool_scopes
            .push((tool.into(), scopes.into_iter().map(Into::into).collect()));
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

    /// How long keys stay in use while the authorization server does not answer. Default: 24 h.
    #[must_use]
    pub fn max_stale(mut self, age: Duration) -> Self {
        self.keys.max_stale = age;
        self
    }

    /// The shortest time between two fetches for keys that turned out not to exist. Default: 30 s.
    #[must_use]
    pub fn unknown_key_cooldown(mut self, cooldown: Duration) -> Self {
        self.keys.cooldown = cooldown;
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

    /// How documents of the authorization server are fetched. Default: HTTP, without redirects and proxies; only
    /// the issuer's own host may have a private address.
    #[must_use]
    pub fn fetch(mut self, fetch: Arc<dyn Fetch>) -> Self {
        self.fetch = Some(fetch);
        self
    }

    /// Checks the settings and makes the guard. Does no I/O: the keys are fetched in the background, when they are
    /// first needed or the guard is put to work inside a tokio runtime.
    ///
    /// # Errors
    /// A [`BuildError`] that says which setting to change.
    pub fn build(self) -> Result<Guard, BuildError> {
        let issuer = Issuer::parse(&self.issuer).map_err(|reason| BuildError::Issuer {
            issuer: self.issuer.clone(),
            reason,
        })?;
        let resource = ResourceUri::parse(&self.resource).map_err(|reason| BuildError::Resource {
            resource: self.resource.clone(),
            reason,
        })?;
        let unroutable = |segment: &str| segment.starts_with([':', '*']) || segment.contains(['{', '}']);
        if resource.path().split('/').any(unroutable) {
            return Err(BuildError::ResourcePath(self.resource));
        }
        if self.algorithms.is_empty() {
            return Err(BuildError::NoAlgorithm);
        }
        if self.skew > MAX_SKEW {
            return Err(BuildError::ClockSkew);
        }
        let required = scope_set(&self.required_scopes)?;
        let supported = if self.scopes.is_empty() {
            required.clone()
        } else {
            scope_set(&self.scopes)?
        };
        let tool_scopes = tool_scopes(&self.tool_scopes)?;
        let origins = normal_origins(&self.origins)?;
        let fetch = match self.fetch {
            Some(fetch) => fetch,
            None => Arc::new(HttpFetch::new(&issuer, self.clock.clone())?),
        };
        // Only to tell processes and refusals apart.
        let seed = RandomState::new().hash_one(&self.resource);
        let challenges = Challenges::new(resource.metadata_url(), &supported, &required, &self.dpop);
        let discovery = Discovery::new(issuer.clone(), fetch);
        let metadata = Metadata::new(
            &issuer,
            &resource,
            &supported,
            self.resource_name,
            self.documentation,
            &self.dpop,
        );
        Ok(Guard(Arc::new(Inner {
            metadata,
            root_metadata: self.root_metadata,
            origins: Origins::new(resource.origin(), origins),
            dpop: self.dpop.build(&resource)?,
            tool_scopes,
            max_body: self.max_body,
            sessions: self
                .bind_sessions
                .then(|| Sessions::new(self.max_sessions, self.session_idle)),
            error_ids: ErrorIds::new(seed),
            verifier: Verifier {
                issuer,
                resource,
                algorithms: self.algorithms,
                skew: self.skew,
                clock: self.clock.clone(),
                keys: Arc::new(Keys::new(discovery, self.keys, self.clock, seed)),
                cache: TokenCache::new(self.token_cache),
                challenges: Arc::new(challenges),
            },
        })))
    }
}

/// Repeated entries for one tool add up.
fn tool_scopes(entries: &[(String, Vec<String>)]) -> Result<HashMap<String, ScopeSet>, BuildError> {
    let mut tools: HashMap<String, ScopeSet> = HashMap::new();
    for (tool, scopes) in entries {
        tools.entry(tool.clone()).or_default().extend(scope_set(scopes)?);
    }
    Ok(tools)
}

fn normal_origins(origins: &[String]) -> Result<Vec<String>, BuildError> {
    origins
        .iter()
        .map(|origin| origin::normalize(origin).ok_or_else(|| BuildError::Origin(origin.clone())))
        .collect()
}

fn scope_set(scopes: &[String]) -> Result<ScopeSet, BuildError> {
    scopes
        .iter()
        .map(|scope| match Scope::parse(scope) {
            Ok(parsed) if parsed.as_str() == "offline_access" => Err(BuildError::OfflineAccess),
            Ok(parsed) => Ok(parsed),
            Err(reason) => Err(BuildError::Scope {
                scope: scope.clone(),
                reason,
            }),
        })
        .collect()
}
