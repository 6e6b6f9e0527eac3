//! What a verifier keeps of the tokens that it has seen.

use doorward_jose::{HashedToken, HeaderMemo, Jwk, Jws};
use doorward_oauth::time::UnixSeconds;

use super::{Dialect, Likeness, Patterns, Payload, Rejection, parse};
use crate::claims::{Claims, TokenClaims};
use crate::raw_claims::RawClaims;
use crate::token_cache::{Stamp, TokenCache};

/// Tokens that were verified, their headers, and what their claims have in common.
pub(crate) struct TokenMemory {
    tokens: TokenCache,
    headers: HeaderMemo,
    patterns: Patterns,
}

/// A token whose signature and claims are good.
pub(crate) struct Good {
    pub(crate) claims: TokenClaims,
    pub(crate) payload: Vec<u8>,
    pub(crate) likeness: Option<Likeness>,
    pub(crate) key_id: Option<String>,
    pub(crate) stamp: Stamp,
}

impl TokenMemory {
    /// `0` remembers no token.
    pub(crate) fn new(tokens: usize, dialect: Dialect) -> Self {
        Self {
            tokens: TokenCache::new(tokens),
            headers: HeaderMemo::default(),
            patterns: Patterns::new(dialect),
        }
    }

    /// The claims of a token that was verified before, has not ended, and whose keys `are_current`; else what it will be
    /// remembered by. Whoever is remembered has passed every check of its characters.
    pub(crate) fn recall<'t>(
        &self,
        token: &'t [u8],
        now: UnixSeconds,
        are_current: impl FnOnce(Stamp) -> bool,
    ) -> Result<Claims, Option<HashedToken<'t>>> {
        let hashed = self.tokens.hashed(token);
        let claims = hashed
            .as_ref()
            .and_then(|hashed| self.tokens.get(hashed, now, are_current));
        claims.ok_or(hashed)
    }

    pub(crate) fn parse<'t>(
        &self,
        token: &'t str,
        hashed: Option<&HashedToken<'_>>,
    ) -> Result<Jws<'t>, Rejection> {
        parse(token, hashed, &self.headers)
    }

    pub(crate) fn read_claims<'p>(
        &self,
        payload: &'p [u8],
    ) -> Result<(Payload<'p>, Option<Likeness>), Rejection> {
        self.patterns.read(payload)
    }

    pub(crate) fn verify_signature(&self, jws: &Jws<'_>, key: &Jwk) -> Result<(), Rejection> {
        jws.verify_signature(key).map_err(|_| Rejection::Signature)?;
        self.headers.remember(jws);
        Ok(())
    }

    pub(crate) fn keep(&self, good: Good, hashed: Option<&HashedToken<'_>>) -> Claims {
        let mut claims = good.claims;
        if good.likeness.is_none() {
            self.patterns.remember(&good.payload);
        }
        claims.key_id = good.key_id;
        claims.raw = RawClaims::checked(good.payload, good.likeness);
        let claims = Claims::from(claims);
        if let Some(hashed) = hashed {
            self.tokens.put(hashed, good.stamp, &claims);
        }
        claims
    }

    /// Forgets that a token was verified.
    pub(crate) fn evict(&self, token: &str) {
        self.tokens.evict(token);
    }

    /// Forgets the tokens of a grant. Looks at all that are remembered: for rare events.
    pub(crate) fn forget_grant(&self, grant_id: &str) {
        self.tokens.forget_grant(grant_id);
    }
}
