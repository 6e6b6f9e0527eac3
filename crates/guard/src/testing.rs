//! Keys, tokens and a clock for the tests of servers that the guard protects.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use doorward_guard::testing::{KeyPair, TokenParameters};
//! use doorward_guard::verifiers::JwtVerifier;
//!
//! let key_pair = KeyPair::generate()?;
//! let verifier = JwtVerifier::builder()
//!     .public_key(key_pair.public_key())
//!     .issuer("https://dev.example.com")
//!     .audience("my-dev-server")
//!     .build()?;
//! let token = key_pair.create_token(
//!     &TokenParameters::new()
//!         .subject("dev-user")
//!         .issuer("https://dev.example.com")
//!         .audience("my-dev-server")
//!         .scopes(["read", "write"]),
//! )?;
//! # let claims = futures_util::FutureExt::now_or_never(verifier.verify(&token)).unwrap()?;
//! # assert_eq!(claims.subject, "dev-user");
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use doorward_oauth::time::ManualClock;

use doorward_jose::{Algorithm, JoseError, SigningKey, base64url};
use doorward_oauth::time::{Clock, SystemClock};
use serde_json::{Map, Value, json};

/// A private key for tests, and its public half. `Debug` shows the `kid` alone.
pub struct KeyPair {
    key: SigningKey,
    public_pem: String,
}

impl KeyPair {
    /// A new key pair for `ES256`, which takes microseconds; an RSA key takes up to a second.
    ///
    /// # Errors
    /// [`JoseError::UnusableKey`] when the system's random source fails.
    pub fn generate() -> Result<Self, JoseError> {
        Self::generate_for(Algorithm::Es256)
    }

    /// A new key pair for an algorithm.
    ///
    /// # Errors
    /// As [`KeyPair::generate`].
    pub fn generate_for(algorithm: Algorithm) -> Result<Self, JoseError> {
        Self::of(SigningKey::generate(algorithm)?)
    }

    /// The key pair of an unencrypted private key in PEM form (`PRIVATE KEY`).
    ///
    /// # Errors
    /// Those of [`SigningKey::from_pem`].
    pub fn from_private_key(algorithm: Algorithm, pem: &str) -> Result<Self, JoseError> {
        Self::of(SigningKey::from_pem(algorithm, pem)?)
    }

    fn of(key: SigningKey) -> Result<Self, JoseError> {
        let public_pem = key.public_jwk().to_pem()?;
        Ok(Self { key, public_pem })
    }

    /// The public half in PEM form, for [`public_key`](crate::verifiers::JwtVerifierBuilder::public_key).
    pub fn public_key(&self) -> &str {
        &self.public_pem
    }

    /// The private half in PEM form.
    ///
    /// # Errors
    /// [`JoseError::UnusableKey`] when the key cannot be written.
    pub fn private_key(&self) -> Result<String, JoseError> {
        self.key.to_pem().map(|pem| pem.to_string())
    }

    /// The JWK set of an issuer that has this key: the public half with its `kid`, `alg` and `use`.
    pub fn jwks(&self) -> Value {
        json!({ "keys": [self.key.public_jwk()] })
    }

    /// The `kid` that [`jwks`](Self::jwks) names: the thumbprint of RFC 7638.
    pub fn key_id(&self) -> &str {
        self.key.key_id()
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.key.algorithm()
    }

    /// Signs a token.
    ///
    /// # Errors
    /// [`JoseError::SigningFailed`].
    pub fn create_token(&self, parameters: &TokenParameters) -> Result<String, JoseError> {
        let mut header = Map::from_iter([
            ("alg".to_owned(), self.key.algorithm().as_str().into()),
            ("typ".to_owned(), parameters.typ.clone().into()),
        ]);
        if let Some(key_id) = &parameters.key_id {
            header.insert("kid".to_owned(), key_id.clone().into());
        }
        let encode = |object: &Map<String, Value>| {
            serde_json::to_vec(object)
                .map(|text| base64url::encode(&text))
                .map_err(|_| JoseError::Malformed)
        };
        let input = format!("{}.{}", encode(&header)?, encode(&parameters.claims())?);
        let signature = self.key.sign(input.as_bytes())?;
        Ok(format!("{input}.{}", base64url::encode(&signature)))
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.key.fmt(f)
    }
}

/// What a token for tests says. Every setting has a default.
#[derive(Clone)]
pub struct TokenParameters {
    subject: String,
    issuer: String,
    audience: Vec<String>,
    scopes: Vec<String>,
    expires_in: i64,
    additional_claims: Map<String, Value>,
    key_id: Option<String>,
    typ: String,
    clock: Arc<dyn Clock>,
}

impl Default for TokenParameters {
    fn default() -> Self {
        Self {
            subject: "test-user".to_owned(),
            issuer: "https://issuer.example".to_owned(),
            audience: Vec::new(),
            scopes: Vec::new(),
            expires_in: 3600,
            additional_claims: Map::new(),
            key_id: None,
            typ: "JWT".to_owned(),
            clock: Arc::new(SystemClock),
        }
    }
}

impl TokenParameters {
    /// The defaults: `test-user` of `https://issuer.example`, for an hour, without audience, scopes and `kid`.
    pub fn new() -> Self {
        Self::default()
    }

    /// `sub`
    #[must_use]
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = subject.into();
        self
    }

    /// `iss`
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = issuer.into();
        self
    }

    /// `aud`; with repeated calls it is a list.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience.push(audience.into());
        self
    }

    /// `scope`
    #[must_use]
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// How long the token counts.
    #[must_use]
    pub fn expires_in(mut self, lifetime: Duration) -> Self {
        self.expires_in = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
        self
    }

    /// The token ended this long ago.
    #[must_use]
    pub fn expired_since(mut self, time: Duration) -> Self {
        self.expires_in = i64::try_from(time.as_secs()).map_or(i64::MIN, |seconds| -seconds);
        self
    }

    /// A claim besides, or in place of one of the others. `null` removes it.
    #[must_use]
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.additional_claims.insert(name.into(), value.into());
        self
    }

    /// Claims besides, as [`claim`](Self::claim).
    #[must_use]
    pub fn additional_claims(mut self, claims: Map<String, Value>) -> Self {
        self.additional_claims.extend(claims);
        self
    }

    /// `kid` of the header. Default: none. [`KeyPair::key_id`] is the one in [`KeyPair::jwks`].
    #[must_use]
    pub fn key_id(mut self, key_id: impl Into<String>) -> Self {
        self.key_id = Some(key_id.into());
        self
    }

    /// `typ` of the header. Default: `JWT`; a guard of its own issuer wants `at+jwt`.
    #[must_use]
    pub fn typ(mut self, typ: impl Into<String>) -> Self {
        self.typ = typ.into();
        self
    }

    /// The clock that says when the token is issued. Default: the system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    fn claims(&self) -> Map<String, Value> {
        let now = self.clock.now().seconds();
        let mut claims = Map::from_iter([
            ("iss".to_owned(), self.issuer.clone().into()),
            ("sub".to_owned(), self.subject.clone().into()),
            ("iat".to_owned(), now.into()),
            ("exp".to_owned(), now.saturating_add(self.expires_in).into()),
        ]);
        match self.audience.as_slice() {
            [] => {}
            [one] => drop(claims.insert("aud".to_owned(), one.clone().into())),
            several => drop(claims.insert("aud".to_owned(), several.into())),
        }
        if !self.scopes.is_empty() {
            claims.insert("scope".to_owned(), self.scopes.join(" ").into());
        }
        for (name, value) in &self.additional_claims {
            if value.is_null() {
                claims.remove(name);
            } else {
                claims.insert(name.clone(), value.clone());
            }
        }
        claims
    }
}

impl fmt::Debug for TokenParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenParameters")
            .field("subject", &self.subject)
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}
