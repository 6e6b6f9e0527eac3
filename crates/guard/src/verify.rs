//! Is this token good? Every rule in its order (RFC 9068 §4, RFC 8725).

use std::sync::Arc;
use std::time::Duration;

use doorward_jose::{Algorithm, JoseError, Jws};
use doorward_oauth::claims::{AccessTokenClaims, typ_is_access_token};
use doorward_oauth::issuer::Issuer;
use doorward_oauth::resource::ResourceUri;
use doorward_oauth::time::Clock;
use serde::Deserialize as _;
use serde_json::{Map, Value};

use crate::claims::{Claims, TokenClaims};
use crate::keys::{KeyError, Keys};
use crate::token_cache::TokenCache;

/// Why a token is not accepted. For logs and metrics, never for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// No compact JWS with a strict header, or larger than 16 KiB.
    Malformed,
    /// An algorithm that is not allowed here.
    Algorithm,
    /// `typ` is not `at+jwt`: another kind of token.
    Type,
    /// `iss` is not the configured issuer.
    Issuer,
    /// The header has no `kid`.
    NoKeyId,
    /// The issuer has no key with this `kid`.
    UnknownKey,
    /// The signature, or the key for it.
    Signature,
    /// A required claim is missing, or a claim has the wrong type.
    Claims,
    /// `aud` does not name this resource.
    Audience,
    /// `exp` has passed.
    Expired,
    /// `nbf` has not come.
    NotYetValid,
    /// `iat` lies in the future.
    IssuedInFuture,
    /// The token is bound to a key (`cnf`) and came without proof of it.
    SenderConstrained,
    /// The token is not bound to a key, and came as if it were, or must be here.
    NotSenderConstrained,
    /// The token is bound to another key than the one of the proof.
    ProofKey,
    /// The token, or the grant that it comes from, was revoked.
    Revoked,
}

impl Rejection {
    /// A short name, for metrics. Stays the same from release to release.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "token_malformed",
            Self::Algorithm => "token_algorithm",
            Self::Type => "token_type",
            Self::Issuer => "token_issuer",
            Self::NoKeyId => "token_no_key_id",
            Self::UnknownKey => "token_unknown_key",
            Self::Signature => "token_signature",
            Self::Claims => "token_claims",
            Self::Audience => "token_audience",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
            Self::IssuedInFuture => "token_issued_in_future",
            Self::SenderConstrained => "token_sender_constrained",
            Self::NotSenderConstrained => "token_not_sender_constrained",
            Self::ProofKey => "token_proof_key",
            Self::Revoked => "token_revoked",
        }
    }
}

/// Why a token was not verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The token is no good: `401 invalid_token`.
    #[error("the access token is not valid for this resource")]
    Rejected(Rejection),
    /// The issuer's keys are not there, so nobody knows: `503`.
    #[error("the keys of the authorization server are not available")]
    KeysUnavailable {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// Whether the token still counts cannot be asked: `503`.
    #[error("the authorization server cannot be asked about the access token")]
    IntrospectionUnavailable {
        /// When it is worth trying again.
        retry_after: Duration,
    },
}

impl From<Rejection> for VerifyError {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

pub(crate) struct Verifier {
    pub(crate) issuer: Issuer,
    pub(crate) resource: ResourceUri,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) skew: Duration,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) cache: TokenCache,
}

impl Verifier {
    /// Verifies a token. Local, except when the issuer's keys are not there yet or lack the token's. Whether a bound token
    /// came with its proof is another question (RFC 9449 §7), not asked here.
    pub(crate) async fn verify(&self, token: &str) -> Result<Claims, VerifyError> {
        let digest = doorward_jose::sha256(token.as_bytes());
        if let Some(set) = self.keys.current()
            && let Some(claims) = self.cache.get(&digest, set.generation, self.clock.now())
        {
            return Ok(claims);
        }
        let jws = Jws::parse(token).map_err(|error| match error {
            JoseError::UnsupportedAlgorithm => Rejection::Algorithm,
            _ => Rejection::Malformed,
        })?;
        let key_id = self.check_header(&jws)?;
        let set = self.keys.holding(key_id).await.map_err(|error| match error {
            KeyError::Unknown => VerifyError::Rejected(Rejection::UnknownKey),
            KeyError::Unavailable { retry_after } => VerifyError::KeysUnavailable { retry_after },
        })?;
        let key = set.find(key_id).ok_or(Rejection::UnknownKey)?;
        let verified = jws.verify(key).map_err(|_| Rejection::Signature)?;
        let raw = verified.claims().map_err(|_| Rejection::Claims)?;
        let claims = self.check_claims(key_id, raw)?;
        self.cache.put(digest, set.generation, &claims);
        Ok(claims)
    }

    /// All that can be said before a key is looked for, so that a stranger's token costs no fetch.
    fn check_header<'j>(&self, jws: &'j Jws<'_>) -> Result<&'j str, Rejection> {
        let header = jws.header();
        if !self.algorithms.contains(&header.algorithm) {
            return Err(Rejection::Algorithm);
        }
        // RFC 9068 §4: an ID token or a proof signed by the same key is no access token.
        if !header.typ.as_deref().is_some_and(typ_is_access_token) {
            return Err(Rejection::Type);
        }
        if jws.peek_issuer().as_deref() != Some(self.issuer.as_str()) {
            return Err(Rejection::Issuer);
        }
        header.key_id.as_deref().ok_or(Rejection::NoKeyId)
    }

    fn check_claims(&self, key_id: &str, raw: Map<String, Value>) -> Result<Claims, Rejection> {
        let claims = AccessTokenClaims::deserialize(&raw).map_err(|_| Rejection::Claims)?;
        if claims.iss != self.issuer.as_str() {
            return Err(Rejection::Issuer);
        }
        if claims.sub.is_empty() || claims.client_id.is_empty() || claims.jti.is_empty() {
            return Err(Rejection::Claims);
        }
        let audience: Vec<String> = claims.aud.iter().map(ToString::to_string).collect();
        if !audience.iter().any(|aud| aud == self.resource.as_str()) {
            return Err(Rejection::Audience);
        }
        let now = self.clock.now();
        if now >= claims.exp + self.skew {
            return Err(Rejection::Expired);
        }
        if claims.nbf.is_some_and(|nbf| nbf > now + self.skew) {
            return Err(Rejection::NotYetValid);
        }
        if claims.iat > now + self.skew {
            return Err(Rejection::IssuedInFuture);
        }
        Ok(Claims::from(TokenClaims {
            subject: claims.sub,
            client_id: claims.client_id,
            scopes: claims.scope.unwrap_or_default(),
            audience,
            issuer: claims.iss,
            expires_at: claims.exp,
            issued_at: claims.iat,
            not_before: claims.nbf,
            auth_time: claims.auth_time,
            jti: claims.jti,
            grant_id: claims.gid,
            actor: claims.act,
            // Every other confirmation method is an error above (RFC 7800 §3.1).
            key_thumbprint: claims.cnf.map(|confirmation| confirmation.jkt),
            key_id: Some(key_id.to_owned()),
            raw,
        }))
    }
}
