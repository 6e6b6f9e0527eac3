//! How a [`JwtVerifier`] is put together.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use doorward_jose::{Algorithm, HmacAlgorithm, JoseError, Jwk, JwkSet, SharedSecret};
use doorward_oauth::time::{Clock, SystemClock};

use super::{JwtVerifier, KeyMaterial};
use crate::fetch::{Fetch, HttpFetch, Timeouts, Transport, may_be_named};
use crate::keys::{KeyPolicy, KeySource, Keys};
use crate::verifiers::{VerifierError, scope_set};
use crate::verify::{Dialect, MAX_SKEW, TokenMemory};

/// Builds a [`JwtVerifier`]. Made by [`JwtVerifier::builder`].
pub struct JwtVerifierBuilder {
    public_keys: Vec<String>,
    jwks_uri: Option<String>,
    secret: Option<Secret>,
    allow_short_secret: bool,
    issuers: Vec<String>,
    audiences: Vec<String>,
    algorithms: Option<Vec<Algorithm>>,
    required_scopes: Vec<String>,
    skew: Duration,
    token_cache: usize,
    keys: KeyPolicy,
    clock: Arc<dyn Clock>,
    fetch: Option<Arc<dyn Fetch>>,
    transport: Transport,
}

struct Secret {
    key: Box<SharedSecret>,
    is_short: bool,
    is_public_key: bool,
}

impl Default for JwtVerifierBuilder {
    fn default() -> Self {
        Self {
            public_keys: Vec::new(),
            jwks_uri: None,
            secret: None,
            allow_short_secret: false,
            issuers: Vec::new(),
            audiences: Vec::new(),
            algorithms: None,
            required_scopes: Vec::new(),
            skew: MAX_SKEW,
            token_cache: 10_000,
            keys: KeyPolicy::default(),
            clock: Arc::new(SystemClock),
            fetch: None,
            transport: Transport::default(),
        }
    }
}

impl JwtVerifierBuilder {
    /// A key to verify with: PEM (`PUBLIC KEY` or `RSA PUBLIC KEY`), a JWK, or a JWK set. Repeated calls add keys; with more
    /// than one, tokens name theirs by `kid`, or it is the only one of their algorithm.
    #[must_use]
    pub fn public_key(mut self, pem_or_jwk: impl Into<String>) -> Self {
        self.public_keys.push(pem_or_jwk.into());
        self
    }

    /// Where the issuer's keys are. They are fetched in the background and again as the guard does it with its issuer's.
    #[must_use]
    pub fn jwks_uri(mut self, url: impl Into<String>) -> Self {
        self.jwks_uri = Some(url.into());
        self
    }

    /// A secret that whoever signs tokens has as well. Everybody who can verify can then sign, so prefer a public key.
    #[must_use]
    pub fn shared_secret(mut self, algorithm: HmacAlgorithm, secret: impl AsRef<[u8]>) -> Self {
        let secret = secret.as_ref();
        self.secret = Some(Secret {
            key: Box::new(SharedSecret::new(algorithm, secret)),
            is_short: secret.len() < SharedSecret::RECOMMENDED_BYTES,
            is_public_key: is_public_material(secret),
        });
        self
    }

    /// Takes a shared secret of fewer than 32 bytes, which may be guessed: while it must be kept. Default: `false`.
    #[must_use]
    pub fn allow_short_secret(mut self, allow: bool) -> Self {
        self.allow_short_secret = allow;
        self
    }

    /// An issuer whose tokens are accepted, compared byte for byte. Repeated calls add issuers. Default: any, and tokens
    /// without `iss`.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuers.push(issuer.into());
        self
    }

    /// An audience of which a token must name at least one. Repeated calls add audiences. Default: any, and tokens without
    /// `aud`. MCP wants the resource's URL here: without it, tokens for other services are accepted.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// The signature algorithms that are accepted. Default: those that a public key is for; for `jwks_uri`, `ES256`, `EdDSA`,
    /// `RS256` and `PS256`.
    #[must_use]
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = Some(algorithms.into_iter().collect());
        self
    }

    /// The scopes that every request needs. Default: none.
    #[must_use]
    pub fn required_scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.required_scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// How far clocks may be apart. Default and maximum: 60 s.
    #[must_use]
    pub fn clock_skew(mut self, skew: Duration) -> Self {
        self.skew = skew;
        self
    }

    /// How many verified tokens are remembered; `0` turns it off. Default: 10 000.
    #[must_use]
    pub fn token_cache(mut self, tokens: usize) -> Self {
        self.token_cache = tokens;
        self
    }

    /// The longest time between two refreshes of the keys at `jwks_uri`. Default: 5 min.
    #[must_use]
    pub fn key_refresh(mut self, interval: Duration) -> Self {
        self.keys.refresh = interval;
        self
    }

    /// How long keys stay in use while `jwks_uri` does not answer; while it does, they are refreshed after half of
    /// that at the latest. Default: 24 h.
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

    /// How long a token waits for keys. Default: 5 s.
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

    /// How keys are fetched. Default: HTTP, as the settings below say.
    #[must_use]
    pub fn fetch(mut self, fetch: Arc<dyn Fetch>) -> Self {
        self.fetch = Some(fetch);
        self
    }

    /// As [`GuardBuilder::root_certificates`](crate::GuardBuilder::root_certificates).
    #[must_use]
    pub fn root_certificates(mut self, pem: impl Into<String>) -> Self {
        self.transport.root_certificates.push(pem.into());
        self
    }

    /// As [`GuardBuilder::proxy`](crate::GuardBuilder::proxy).
    #[must_use]
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.transport.proxy = Some(url.into());
        self
    }

    /// As [`GuardBuilder::timeouts`](crate::GuardBuilder::timeouts).
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.transport.timeouts = timeouts;
        self
    }

    /// Takes a `jwks_uri` over `http` off this machine, for networks of development. Default: `false`.
    #[must_use]
    pub fn dev_mode(mut self, on: bool) -> Self {
        self.transport.dev_mode = on;
        self
    }

    /// Checks the settings and makes the verifier. Does no I/O.
    ///
    /// # Errors
    /// A [`VerifierError`] that says which setting to change.
    pub fn build(self) -> Result<JwtVerifier, VerifierError> {
        for (name, values) in [("issuer", &self.issuers), ("audience", &self.audiences)] {
            if values.iter().any(String::is_empty) {
                return Err(VerifierError::Empty(name));
            }
        }
        if self.skew > MAX_SKEW {
            return Err(VerifierError::ClockSkew);
        }
        let required_scopes = scope_set(&self.required_scopes)?;
        let (keys, algorithms) = self.key_material()?;
        Ok(JwtVerifier {
            keys,
            issuers: self.issuers,
            audiences: self.audiences,
            algorithms,
            required_scopes,
            skew: self.skew,
            clock: self.clock,
            memory: TokenMemory::new(self.token_cache, Dialect::AnyJwt),
        })
    }

    fn key_material(&self) -> Result<(KeyMaterial, Vec<Algorithm>), VerifierError> {
        match (&self.secret, &self.jwks_uri, self.public_keys.as_slice()) {
            (None, None, []) => Err(VerifierError::NoKey),
            (Some(secret), None, []) => self.with_secret(secret),
            (None, Some(jwks_uri), []) => self.with_jwks_uri(jwks_uri),
            (None, None, keys) => self.with_public_keys(keys),
            _ => Err(VerifierError::SeveralKeys),
        }
    }

    fn with_secret(&self, secret: &Secret) -> Result<(KeyMaterial, Vec<Algorithm>), VerifierError> {
        if self.algorithms.is_some() {
            return Err(VerifierError::AlgorithmsWithSecret);
        }
        if secret.is_public_key {
            return Err(VerifierError::SecretIsPublicKey);
        }
        if secret.is_short && !self.allow_short_secret {
            return Err(VerifierError::ShortSecret);
        }
        Ok((KeyMaterial::Secret(secret.key.clone()), Vec::new()))
    }

    fn with_jwks_uri(&self, jwks_uri: &str) -> Result<(KeyMaterial, Vec<Algorithm>), VerifierError> {
        if !may_be_named(jwks_uri, self.transport.dev_mode) {
            return Err(VerifierError::Url(jwks_uri.to_owned()));
        }
        let algorithms = self.algorithms.clone().unwrap_or_else(|| {
            vec![
                Algorithm::Es256,
                Algorithm::EdDsa,
                Algorithm::Rs256,
                Algorithm::Ps256,
            ]
        });
        if algorithms.is_empty() {
            return Err(VerifierError::Algorithm);
        }
        let fetch = match &self.fetch {
            Some(fetch) => fetch.clone(),
            None => Arc::new(HttpFetch::reaching(
                &[jwks_uri],
                &self.transport,
                self.clock.clone(),
            )?),
        };
        let source = KeySource::Fixed {
            jwks_uri: jwks_uri.to_owned(),
            fetch,
        };
        // Only to tell processes apart.
        let seed = RandomState::new().hash_one(jwks_uri);
        let keys = Keys::new(source, self.keys, self.clock.clone(), seed);
        Ok((KeyMaterial::Fetched(Arc::new(keys)), algorithms))
    }

    fn with_public_keys(&self, texts: &[String]) -> Result<(KeyMaterial, Vec<Algorithm>), VerifierError> {
        let mut keys = Vec::new();
        for text in texts {
            keys.extend(public_keys(text).map_err(|error| match error {
                JoseError::PrivateKey => VerifierError::PrivateKey,
                error => VerifierError::Key(error),
            })?);
        }
        let algorithms: Vec<_> = Algorithm::ALL
            .into_iter()
            .filter(|algorithm| {
                self.algorithms
                    .as_ref()
                    .is_none_or(|allowed| allowed.contains(algorithm))
            })
            .filter(|algorithm| keys.iter().any(|key| key.fits(*algorithm)))
            .collect();
        if algorithms.is_empty() {
            return Err(VerifierError::Algorithm);
        }
        Ok((KeyMaterial::Known(JwkSet { keys }), algorithms))
    }
}

impl fmt::Debug for JwtVerifierBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtVerifierBuilder")
            .field("jwks_uri", &self.jwks_uri)
            .field("issuers", &self.issuers)
            .field("audiences", &self.audiences)
            .finish_non_exhaustive()
    }
}

/// One key, or a set of which every key must be usable: an operator's own key that is skipped is a mistake.
fn public_keys(text: &str) -> Result<Vec<Jwk>, JoseError> {
    if text.trim_start().starts_with("-----BEGIN") {
        return Ok(vec![Jwk::from_pem(text)?]);
    }
    let document: serde_json::Value = doorward_jose::json::from_slice(text.as_bytes())?;
    match document.get("keys").and_then(serde_json::Value::as_array) {
        Some(keys) => keys.iter().map(Jwk::from_value).collect(),
        None => Ok(vec![Jwk::from_value(&document)?]),
    }
}

/// What somebody took for a secret and everybody knows (CVE-2015-9235).
fn is_public_material(secret: &[u8]) -> bool {
    let text = String::from_utf8_lossy(secret);
    let text = text.trim_start();
    text.starts_with("-----BEGIN") || text.starts_with("ssh-") || public_keys(text).is_ok()
}
