//! Tokens that are known beforehand, for tests and development.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use doorward_oauth::scope::ScopeSet;
use doorward_oauth::time::{Clock, SystemClock};
use futures_util::future::BoxFuture;

use super::{TokenVerifier, VerifierError};
use crate::claims::{Claims, TokenClaims};
use crate::verify::{Rejection, VerifyError};

/// Accepts a fixed set of opaque tokens. For tests and development: such tokens do not end by themselves and cannot be
/// withdrawn.
pub struct StaticTokenVerifier {
    /// By SHA-256, so that how long a look-up takes tells nothing about the tokens.
    tokens: HashMap<[u8; 32], Claims>,
    required_scopes: ScopeSet,
    clock: Arc<dyn Clock>,
}

impl StaticTokenVerifier {
    /// A verifier of these tokens, each with what it says. [`TokenClaims::expires_at`] counts.
    ///
    /// # Errors
    /// [`VerifierError::Empty`] for a token without a character.
    pub fn new<T: AsRef<str>>(
        tokens: impl IntoIterator<Item = (T, TokenClaims)>,
    ) -> Result<Self, VerifierError> {
        let digest = |(token, claims): (T, TokenClaims)| match token.as_ref() {
            "" => Err(VerifierError::Empty("token")),
            token => Ok((doorward_jose::sha256(token.as_bytes()), Claims::from(claims))),
        };
        Ok(Self {
            tokens: tokens.into_iter().map(digest).collect::<Result<_, _>>()?,
            required_scopes: ScopeSet::new(),
            clock: Arc::new(SystemClock),
        })
    }

    /// The scopes that every request needs. Default: none.
    #[must_use]
    pub fn required_scopes(mut self, scopes: ScopeSet) -> Self {
        self.required_scopes = scopes;
        self
    }

    /// The clock that decides about [`TokenClaims::expires_at`]. Default: the system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    fn verify(&self, token: &str) -> Result<Claims, VerifyError> {
        let claims = self
            .tokens
            .get(&doorward_jose::sha256(token.as_bytes()))
            .ok_or(Rejection::UnknownToken)?;
        if self.clock.now() >= claims.expires_at {
            return Err(Rejection::Expired.into());
        }
        Ok(claims.clone())
    }
}

impl TokenVerifier for StaticTokenVerifier {
    fn verify_token<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Claims, VerifyError>> {
        Box::pin(std::future::ready(self.verify(token)))
    }

    fn required_scopes(&self) -> ScopeSet {
        self.required_scopes.clone()
    }
}

impl fmt::Debug for StaticTokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticTokenVerifier")
            .field("tokens", &self.tokens.len())
            .field("required_scopes", &self.required_scopes)
            .finish_non_exhaustive()
    }
}
