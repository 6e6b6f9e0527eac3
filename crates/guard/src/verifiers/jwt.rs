//! JWTs of any issuer, with a key that is known or fetched.

mod builder;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use doorward_jose::{Algorithm, HashedToken, Header, JoseError, Jwk, JwkSet, Jws, SharedSecret};
use doorward_oauth::claims::typ_is_access_token;
use doorward_oauth::scope::ScopeSet;
use doorward_oauth::time::{Clock, UnixSeconds};
use futures_util::future::BoxFuture;

use super::TokenVerifier;
use crate::claims::{Claims, TokenClaims};
use crate::difference;
use crate::keys::{self, Choice, KeyError, Keys};
use crate::token_cache::Stamp;
use crate::verify::{Good, Payload, Rejection, TokenMemory, VerifyError, owned};

pub use builder::JwtVerifierBuilder;

/// Verifies JWTs that are not RFC 9068 access tokens of the guard's own issuer: those of an identity provider, of a
/// service, of a test.
///
/// Only the signature, the times and what was configured are checked: `iss` and `aud` count when an issuer and an audience
/// are given, so give them. The client is `client_id`, else `azp`, else `sub`, else `unknown`; scopes are a string or a list
/// in `scope`, else in `scp`. `typ` may be absent, `JWT` or `at+jwt`.
pub struct JwtVerifier {
    keys: KeyMaterial,
    issuers: Vec<String>,
    audiences: Vec<String>,
    algorithms: Vec<Algorithm>,
    required_scopes: ScopeSet,
    skew: Duration,
    clock: Arc<dyn Clock>,
    memory: TokenMemory,
}

/// What signatures are checked with: public keys or one secret, never both.
enum KeyMaterial {
    Known(JwkSet),
    Fetched(Arc<Keys>),
    Secret(Box<SharedSecret>),
}

/// A token whose header is good.
enum Unverified<'t> {
    /// The key for it has yet to be found.
    Jws(Jws<'t>),
    /// Verified with the secret.
    Secret(Signed),
}

/// A token whose signature is good.
struct Signed {
    payload: Vec<u8>,
    key_id: Option<String>,
    generation: u64,
}

impl JwtVerifier {
    /// Begins a verifier. It needs a [`public_key`](JwtVerifierBuilder::public_key), a
    /// [`jwks_uri`](JwtVerifierBuilder::jwks_uri) or a [`shared_secret`](JwtVerifierBuilder::shared_secret).
    pub fn builder() -> JwtVerifierBuilder {
        JwtVerifierBuilder::default()
    }

    /// Verifies a token and its scopes, for programs without a guard.
    ///
    /// # Errors
    /// Those of [`TokenVerifier::verify_token`], and [`Rejection::Scope`] when one of the required scopes is missing.
    pub async fn verify(&self, token: &str) -> Result<Claims, VerifyError> {
        self.check(token)
            .await
            .and_then(|claims| self.with_scopes(claims))
    }

    fn with_scopes(&self, claims: Claims) -> Result<Claims, VerifyError> {
        if claims.scopes.contains_all(&self.required_scopes) {
            Ok(claims)
        } else {
            Err(Rejection::Scope.into())
        }
    }

    /// The same, if nothing has to be waited for or begun: the key is there. Needs no tokio runtime. `None` says nothing about
    /// the token; [`verify`](Self::verify) does.
    pub fn verify_at_once(&self, token: &str) -> Option<Result<Claims, VerifyError>> {
        let now = self.clock.now();
        if let KeyMaterial::Fetched(keys) = &self.keys
            && !keys.are_fresh(now)
        {
            return None;
        }
        let checked = match self.recall(token, now) {
            Ok(claims) => Ok(claims),
            Err(hashed) => self.check_at_once(token, hashed.as_ref(), now).transpose()?,
        };
        Some(checked.and_then(|claims| self.with_scopes(claims)))
    }

    fn check_at_once(
        &self,
        token: &str,
        hashed: Option<&HashedToken<'_>>,
        now: UnixSeconds,
    ) -> Result<Option<Claims>, VerifyError> {
        let signed = match self.read(token, hashed)? {
            Unverified::Secret(signed) => signed,
            Unverified::Jws(jws) => match self.key_at_hand(jws.header(), now) {
                Some((key, generation)) => self.check_signature(jws, &key, generation)?,
                None => return Ok(None),
            },
        };
        self.keep(signed, hashed, now).map(Some)
    }

    fn recall<'t>(&self, token: &'t str, now: UnixSeconds) -> Result<Claims, Option<HashedToken<'t>>> {
        self.memory.recall(token.as_bytes(), now, |stamp| {
            Some(stamp.generation) == self.generation(now)
        })
    }

    async fn check(&self, token: &str) -> Result<Claims, VerifyError> {
        let now = self.clock.now();
        let hashed = match self.recall(token, now) {
            Ok(claims) => return Ok(claims),
            Err(hashed) => hashed,
        };
        let signed = match self.read(token, hashed.as_ref())? {
            Unverified::Secret(signed) => signed,
            Unverified::Jws(jws) => {
                let (key, generation) = self.key_for(jws.header(), now).await?;
                self.check_signature(jws, &key, generation)?
            }
        };
        self.keep(signed, hashed.as_ref(), now)
    }

    /// The claims of a token with a good signature, if they are good; remembered.
    fn keep(
        &self,
        signed: Signed,
        hashed: Option<&HashedToken<'_>>,
        now: UnixSeconds,
    ) -> Result<Claims, VerifyError> {
        let (payload, likeness) = self.memory.read_claims(&signed.payload)?;
        let good = Good {
            claims: self.check_claims(payload, now)?,
            key_id: signed.key_id,
            payload: signed.payload,
            likeness,
            stamp: Stamp {
                issuer: 0,
                generation: signed.generation,
            },
        };
        Ok(self.memory.keep(good, hashed))
    }

    /// Keys that are known from the beginning never change.
    fn generation(&self, now: UnixSeconds) -> Option<u64> {
        match &self.keys {
            KeyMaterial::Fetched(keys) => keys.generation(now),
            KeyMaterial::Known(_) | KeyMaterial::Secret(_) => Some(0),
        }
    }

    /// A token whose header is good. The one secret needs no looking for, so with it the signature is good as well.
    fn read<'t>(
        &self,
        token: &'t str,
        hashed: Option<&HashedToken<'_>>,
    ) -> Result<Unverified<'t>, VerifyError> {
        if let KeyMaterial::Secret(secret) = &self.keys {
            let read = secret.verify(token).map_err(|error| match error {
                JoseError::BadSignature => Rejection::Signature,
                JoseError::UnsupportedAlgorithm => Rejection::Algorithm,
                _ => Rejection::Malformed,
            })?;
            check_type(read.typ.as_deref())?;
            return Ok(Unverified::Secret(Signed {
                payload: read.payload,
                key_id: None,
                generation: 0,
            }));
        }
        let jws = self.memory.parse(token, hashed)?;
        if !self.algorithms.contains(&jws.header().algorithm) {
            return Err(Rejection::Algorithm.into());
        }
        check_type(jws.header().typ.as_deref())?;
        Ok(Unverified::Jws(jws))
    }

    fn check_signature(&self, jws: Jws<'_>, key: &Jwk, generation: u64) -> Result<Signed, VerifyError> {
        self.memory.verify_signature(&jws, key)?;
        Ok(Signed {
            key_id: jws.header().key_id.clone(),
            generation,
            payload: jws.into_payload(),
        })
    }

    async fn key_for(&self, header: &Header, now: UnixSeconds) -> Result<(Jwk, u64), VerifyError> {
        let found = match &self.keys {
            KeyMaterial::Fetched(keys) => keys.find(now, |set| choose(set, header)).await,
            _ => self.key_at_hand(header, now).ok_or(KeyError::Unknown),
        };
        if matches!(found, Err(KeyError::Unknown)) {
            let named = || header.key_id.clone().unwrap_or_default();
            difference::tell("kid", named, || self.key_ids());
        }
        Ok(found?)
    }

    fn key_ids(&self) -> String {
        match &self.keys {
            KeyMaterial::Known(set) => keys::key_ids(set),
            KeyMaterial::Fetched(keys) => keys.key_ids(),
            KeyMaterial::Secret(_) => String::new(),
        }
    }

    /// `None` is the last word where keys are known from the beginning.
    fn key_at_hand(&self, header: &Header, now: UnixSeconds) -> Option<(Jwk, u64)> {
        match &self.keys {
            KeyMaterial::Known(set) => {
                let key = match set.keys.as_slice() {
                    // With one key there is nothing to choose, whatever it is called.
                    [only] => only,
                    _ => set.select(header)?,
                };
                Some((key.clone(), 0))
            }
            KeyMaterial::Fetched(keys) => keys.at_hand(now, |set| choose(set, header)),
            KeyMaterial::Secret(_) => None,
        }
    }

    fn check_claims(&self, mut payload: Payload<'_>, now: UnixSeconds) -> Result<TokenClaims, Rejection> {
        if !self.issuers.is_empty()
            && !payload
                .issuer
                .as_deref()
                .is_some_and(|issuer| self.issuers.iter().any(|known| known == issuer))
        {
            let found = || payload.issuer.as_deref().unwrap_or_default().to_owned();
            difference::tell("iss", found, || self.issuers.join(" "));
            return Err(Rejection::Issuer);
        }
        if !self.audiences.is_empty() && !payload.audience.iter().any(|aud| self.audiences.contains(aud)) {
            difference::tell("aud", || payload.audience.join(" "), || self.audiences.join(" "));
            return Err(Rejection::Audience);
        }
        payload.check_times(now, self.skew)?;
        let subject = owned(payload.subject.take());
        let client_id = [payload.client_id.take(), payload.authorized_party.take()]
            .into_iter()
            .flatten()
            .map(|name| owned(Some(name)))
            .chain(std::iter::once(subject.clone()))
            .find(|name| !name.is_empty())
            .unwrap_or_else(|| "unknown".to_owned());
        Ok(payload.into_claims(subject, client_id))
    }
}

/// Another fetch would not tell which key a token without `kid` means, so it costs none.
fn choose<'k>(set: &'k JwkSet, header: &Header) -> Choice<'k> {
    match set.select(header) {
        Some(key) => Choice::Found(key),
        None if header.key_id.is_some() => Choice::Missing,
        None => Choice::Unnamed,
    }
}

/// RFC 8725 §3.11: proofs, logout tokens and other kinds say what they are.
fn check_type(typ: Option<&str>) -> Result<(), Rejection> {
    let is_usual = typ.is_none_or(|typ| {
        typ.eq_ignore_ascii_case("JWT")
            || typ.eq_ignore_ascii_case("application/jwt")
            || typ_is_access_token(typ)
    });
    if is_usual { Ok(()) } else { Err(Rejection::Type) }
}

impl TokenVerifier for JwtVerifier {
    fn verify_token<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Claims, VerifyError>> {
        Box::pin(self.check(token))
    }

    fn required_scopes(&self) -> ScopeSet {
        self.required_scopes.clone()
    }

    fn start(&self) {
        if let KeyMaterial::Fetched(keys) = &self.keys {
            keys.start();
        }
    }

    fn evict(&self, token: &str) {
        self.memory.evict(token);
    }

    fn forget_grant(&self, grant_id: &str) {
        self.memory.forget_grant(grant_id);
    }
}

impl fmt::Debug for JwtVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = match &self.keys {
            KeyMaterial::Known(_) => "public keys",
            KeyMaterial::Fetched(_) => "key set",
            KeyMaterial::Secret(_) => "shared secret",
        };
        f.debug_struct("JwtVerifier")
            .field("keys", &keys)
            .field("issuers", &self.issuers)
            .field("audiences", &self.audiences)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}
