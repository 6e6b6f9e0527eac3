//! Access tokens of the issuers that the guard trusts: RFC 9068 §4, RFC 8725.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use doorward_jose::{Algorithm, HashedToken, Jwk, Jws};
use doorward_oauth::claims::typ_is_access_token;
use doorward_oauth::issuer::Issuer;
use doorward_oauth::resource::ResourceUri;
use doorward_oauth::time::{Clock, UnixSeconds};

use super::payload::{Payload, owned};
use super::{Good, Likeness, Rejection, TokenMemory, VerifyError};
use crate::claims::{Claims, TokenClaims};
use crate::difference;
use crate::keys::{KeyError, Keys};
use crate::token_cache::Stamp;

/// An issuer and its keys. Whether one of several can be reached matters to its own tokens alone.
pub(crate) struct TrustedIssuer {
    pub(crate) issuer: Issuer,
    pub(crate) keys: Arc<Keys>,
}

pub(crate) struct AccessTokenVerifier {
    pub(crate) issuers: Vec<TrustedIssuer>,
    pub(crate) resource: ResourceUri,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) skew: Duration,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) memory: TokenMemory,
}

impl AccessTokenVerifier {
    /// Verifies a token. Local, except when the issuer's keys are not there yet or lack the token's. Whether a bound token
    /// came with its proof is another question (RFC 9449 §7), not asked here.
    pub(crate) async fn verify(&self, token: &str) -> Result<Claims, VerifyError> {
        let now = self.clock.now();
        match self.recall(token.as_bytes(), now) {
            Ok(claims) => Ok(claims),
            Err(hashed) => self.verify_new(token, hashed, now).await,
        }
    }

    /// The claims of a token that was verified before; else what it will be remembered by. Whoever is remembered has passed every
    /// check of its characters.
    pub(crate) fn recall<'t>(
        &self,
        token: &'t [u8],
        now: UnixSeconds,
    ) -> Result<Claims, Option<HashedToken<'t>>> {
        self.memory.recall(token, now, |stamp| {
            self.issuers
                .get(stamp.issuer)
                .is_some_and(|trusted| trusted.keys.generation(now) == Some(stamp.generation))
        })
    }

    /// Verifies a token that is not [remembered](Self::recall).
    pub(crate) async fn verify_new(
        &self,
        token: &str,
        hashed: Option<HashedToken<'_>>,
        now: UnixSeconds,
    ) -> Result<Claims, VerifyError> {
        let jws = self.read(token, hashed.as_ref())?;
        let (payload, likeness) = self.memory.read_claims(jws.unverified_payload())?;
        let (issuer, trusted) = self.issuer_of(&payload)?;
        let key_id = key_id(&jws)?;
        let found = trusted.keys.find(now, |keys| keys.find(key_id).into()).await;
        if matches!(found, Err(KeyError::Unknown)) {
            difference::tell("kid", || key_id.to_owned(), || trusted.keys.key_ids());
        }
        let (key, generation) = found?;
        let claims = self.judge(&jws, payload, &key, now)?;
        Ok(self.keep(
            claims,
            jws,
            likeness,
            Stamp { issuer, generation },
            hashed.as_ref(),
        ))
    }

    /// The same, if nothing has to be waited for or begun; needs no runtime. `None` says nothing about the token.
    pub(crate) fn verify_at_once(&self, token: &str) -> Option<Result<Claims, VerifyError>> {
        let now = self.clock.now();
        if !self.issuers.iter().all(|trusted| trusted.keys.are_fresh(now)) {
            return None;
        }
        match self.recall(token.as_bytes(), now) {
            Ok(claims) => Some(Ok(claims)),
            Err(hashed) => self.check_at_once(token, hashed.as_ref(), now).transpose(),
        }
    }

    fn check_at_once(
        &self,
        token: &str,
        hashed: Option<&HashedToken<'_>>,
        now: UnixSeconds,
    ) -> Result<Option<Claims>, VerifyError> {
        let jws = self.read(token, hashed)?;
        let (payload, likeness) = self.memory.read_claims(jws.unverified_payload())?;
        let (issuer, trusted) = self.issuer_of(&payload)?;
        let key_id = key_id(&jws)?;
        let Some((key, generation)) = trusted.keys.at_hand(now, |keys| keys.find(key_id).into()) else {
            return Ok(None);
        };
        let claims = self.judge(&jws, payload, &key, now)?;
        Ok(Some(self.keep(
            claims,
            jws,
            likeness,
            Stamp { issuer, generation },
            hashed,
        )))
    }

    /// A token of which nothing but its form and header are known.
    fn read<'t>(&self, token: &'t str, hashed: Option<&HashedToken<'_>>) -> Result<Jws<'t>, Rejection> {
        let jws = self.memory.parse(token, hashed)?;
        self.check_header(&jws)?;
        Ok(jws)
    }

    /// All that the key tells, and the claims.
    fn judge(
        &self,
        jws: &Jws<'_>,
        payload: Payload<'_>,
        key: &Jwk,
        now: UnixSeconds,
    ) -> Result<TokenClaims, VerifyError> {
        self.memory.verify_signature(jws, key)?;
        Ok(self.check_claims(payload, now)?)
    }

    fn keep(
        &self,
        claims: TokenClaims,
        jws: Jws<'_>,
        likeness: Option<Likeness>,
        stamp: Stamp,
        hashed: Option<&HashedToken<'_>>,
    ) -> Claims {
        let good = Good {
            claims,
            key_id: jws.header().key_id.clone(),
            payload: jws.into_payload(),
            likeness,
            stamp,
        };
        self.memory.keep(good, hashed)
    }

    /// All that can be said before a key is looked for, so that a stranger's token costs no fetch.
    fn check_header(&self, jws: &Jws<'_>) -> Result<(), Rejection> {
        let header = jws.header();
        if !self.algorithms.contains(&header.algorithm) {
            return Err(Rejection::Algorithm);
        }
        // RFC 9068 §4: an ID token or a proof signed by the same key is no access token.
        if header.typ.as_deref().is_some_and(typ_is_access_token) {
            Ok(())
        } else {
            Err(Rejection::Type)
        }
    }

    /// Byte for byte (RFC 9207 §2.4 says it for clients; a guard has no reason to be more lenient).
    fn issuer_of(&self, payload: &Payload<'_>) -> Result<(usize, &TrustedIssuer), Rejection> {
        let issuer = payload.issuer.as_deref().unwrap_or_default();
        let mut trusted = self.issuers.iter().enumerate();
        trusted
            .find(|(_, trusted)| trusted.issuer.as_str() == issuer)
            .ok_or_else(|| {
                difference::tell("iss", || issuer.to_owned(), || self.issuers_text());
                Rejection::Issuer
            })
    }

    fn issuers_text(&self) -> String {
        let names: Vec<_> = self
            .issuers
            .iter()
            .map(|trusted| trusted.issuer.as_str())
            .collect();
        names.join(" ")
    }

    fn check_claims(&self, mut payload: Payload<'_>, now: UnixSeconds) -> Result<TokenClaims, Rejection> {
        let subject = required(payload.subject.take())?;
        let client_id = required(payload.client_id.take())?;
        let has_all = payload.jti.as_deref().is_some_and(|jti| !jti.is_empty())
            && payload.expires_at.is_some()
            && payload.issued_at.is_some()
            && !payload.audience.is_empty();
        if !has_all {
            return Err(Rejection::Claims);
        }
        if !payload.audience.iter().any(|aud| aud == self.resource.as_str()) {
            let expected = || self.resource.as_str().to_owned();
            difference::tell("aud", || payload.audience.join(" "), expected);
            return Err(Rejection::Audience);
        }
        payload.check_times(now, self.skew)?;
        Ok(payload.into_claims(subject, client_id))
    }
}

fn key_id<'j>(jws: &'j Jws<'_>) -> Result<&'j str, Rejection> {
    jws.header().key_id.as_deref().ok_or(Rejection::NoKeyId)
}

/// A string that must be there and say something.
fn required(claim: Option<Cow<'_, str>>) -> Result<String, Rejection> {
    let text = owned(claim);
    if text.is_empty() {
        Err(Rejection::Claims)
    } else {
        Ok(text)
    }
}
