//! Access tokens of the issuers that the guard trusts: RFC 9068 §4, RFC 8725.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use doorward_jose::{Algorithm, HeaderMemo, Jws};
use doorward_oauth::claims::typ_is_access_token;
use doorward_oauth::issuer::Issuer;
use doorward_oauth::resource::ResourceUri;
use doorward_oauth::time::{Clock, UnixSeconds};

use super::payload::{Dialect, Payload, owned};
use super::{Rejection, VerifyError, parse};
use crate::claims::{Claims, TokenClaims};
use crate::keys::Keys;
use crate::raw_claims::RawClaims;
use crate::token_cache::{Stamp, TokenCache};

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
    pub(crate) cache: TokenCache,
    pub(crate) headers: HeaderMemo,
}

impl AccessTokenVerifier {
    /// Verifies a token. Local, except when the issuer's keys are not there yet or lack the token's. Whether a bound token
    /// came with its proof is another question (RFC 9449 §7), not asked here.
    pub(crate) async fn verify(&self, token: &str) -> Result<Claims, VerifyError> {
        let now = self.clock.now();
        let digest = self.cache.digest(token);
        if let Some(digest) = &digest
            && let Some(claims) = self.look_up(digest, now)
        {
            return Ok(claims);
        }
        let jws = parse(token, &self.headers)?;
        self.check_header(&jws)?;
        let payload = Payload::read(jws.unverified_payload(), Dialect::AccessToken)?;
        let (index, trusted) = self.issuer_of(&payload)?;
        let key_id = jws.header().key_id.as_deref().ok_or(Rejection::NoKeyId)?;
        let (key, generation) = trusted.keys.find(now, |keys| keys.find(key_id).into()).await?;
        jws.verify_signature(&key).map_err(|_| Rejection::Signature)?;
        self.headers.remember(&jws);
        let mut claims = self.check_claims(payload, now)?;
        claims.key_id = Some(key_id.to_owned());
        claims.raw = RawClaims::checked(jws.into_payload());
        let claims = Claims::from(claims);
        if let Some(digest) = digest {
            let issuer = index;
            self.cache.put(digest, Stamp { issuer, generation }, &claims);
        }
        Ok(claims)
    }

    /// The claims of a token that was verified before and still counts, as long as the keys are looked after.
    pub(crate) fn remembered(&self, token: &str) -> Option<Claims> {
        let now = self.clock.now();
        let are_fresh = self.issuers.iter().all(|trusted| trusted.keys.are_fresh(now));
        let digest = self.cache.digest(token).filter(|_| are_fresh)?;
        self.look_up(&digest, now)
    }

    fn look_up(&self, digest: &[u8; 32], now: UnixSeconds) -> Option<Claims> {
        self.cache.get(digest, now, |stamp| {
            self.issuers
                .get(stamp.issuer)
                .is_some_and(|trusted| trusted.keys.generation(now) == Some(stamp.generation))
        })
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
        let issuer = payload.issuer.as_deref().ok_or(Rejection::Issuer)?;
        self.issuers
            .iter()
            .enumerate()
            .find(|(_, trusted)| trusted.issuer.as_str() == issuer)
            .ok_or(Rejection::Issuer)
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
            return Err(Rejection::Audience);
        }
        payload.check_times(now, self.skew)?;
        Ok(payload.into_claims(subject, client_id))
    }
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
