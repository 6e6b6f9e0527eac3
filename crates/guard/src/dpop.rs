//! Access tokens that are bound to a key of the client, at the resource (RFC 9449 §7).

mod builder;
mod nonces;
#[cfg(feature = "postgres")]
mod postgres;
mod refusal;
mod replay;

use std::sync::Arc;
use std::time::Duration;

use doorward_jose::HeaderMemo;
use doorward_oauth::dpop::{NonceAge, Proof, ProofContext, ProofError, ProofRules, TargetUri};
use doorward_oauth::resource::ResourceUri;
use doorward_oauth::time::UnixSeconds;
use http::{HeaderName, HeaderValue};

use crate::claims::Claims;
use crate::credentials::Token;
use crate::fields::{Field, Fields};
use crate::refusal::Refusal;
use crate::verify::Rejection;
use crate::visit::Head;
use crate::wait;

pub(crate) use builder::DpopSettings;
use nonces::NonceSource;
#[cfg(feature = "postgres")]
pub use postgres::{PostgresReplayError, PostgresReplayStore};
pub(crate) use refusal::{DpopRefusal, ProofFault};
pub use replay::{Insertion, MemoryReplayStore, ReplayStore, ReplayStoreUnavailable, UsedProof};

/// The header with the proof (RFC 9449 §4).
pub(crate) const DPOP: HeaderName = HeaderName::from_static("dpop");
/// The header with the server's nonce (RFC 9449 §8.1, §9).
pub(crate) const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
/// Clients whose keys are remembered, about: a power of two.
const REMEMBERED_KEYS: usize = 1024;
/// How long a shared replay store may take.
const REPLAY_WAIT: Duration = Duration::from_secs(2);

/// Whether tokens may, or must, be bound to a key of the client (RFC 9449).
///
/// A token that is bound to a key never counts as a bearer token, whatever the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum DpopPolicy {
    /// Bearer tokens only. A request with a proof is refused, because its sender relies on a check that nobody makes.
    #[default]
    Off,
    /// Bearer tokens under `Bearer`, bound tokens under `DPoP` with a proof.
    Accept,
    /// Bound tokens only.
    Require,
}

/// How the token came (RFC 9110 §11.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Bearer,
    Dpop,
}

/// The rules of one protected resource.
pub(crate) struct Dpop {
    policy: DpopPolicy,
    rules: ProofRules,
    /// Of the resource, from the settings: what a request says about its host is the client's word.
    origin: String,
    resource_path: String,
    require_content_digest: bool,
    nonces: Option<NonceSource>,
    replays: Arc<dyn ReplayStore>,
    /// Of proofs that were good, with their keys.
    headers: HeaderMemo,
}

impl Dpop {
    /// Whether the scheme `DPoP` is known here.
    pub(crate) fn is_on(&self) -> bool {
        self.policy != DpopPolicy::Off
    }

    /// What a token is worth that comes without anything else.
    pub(crate) fn check_bearer(&self, claims: &Claims) -> Result<(), Rejection> {
        match (&claims.key_thumbprint, self.policy) {
            // RFC 9449 §7.2: else whoever stole the token would use it without the key.
            (Some(_), _) => Err(Rejection::SenderConstrained),
            (None, DpopPolicy::Require) => Err(Rejection::NotSenderConstrained),
            (None, _) => Ok(()),
        }
    }

    /// Whether token, scheme and proof belong together. A proof that comes out has yet to be [spent](Self::spend).
    pub(crate) fn check(
        &self,
        scheme: Scheme,
        token: Token<'_>,
        claims: &Claims,
        (head, fields): (&Head<'_>, &Fields<'_>),
        now: UnixSeconds,
    ) -> Result<Option<Proof>, Refusal> {
        let bound_to = match (scheme, &claims.key_thumbprint) {
            (Scheme::Bearer, _) => {
                self.check_bearer(claims).map_err(Refusal::InvalidToken)?;
                let has_proof = fields.dpop.is_there();
                return if has_proof {
                    Err(Refusal::InvalidToken(Rejection::NotSenderConstrained))
                } else {
                    Ok(None)
                };
            }
            (Scheme::Dpop, None) => return Err(Refusal::InvalidToken(Rejection::NotSenderConstrained)),
            (Scheme::Dpop, Some(thumbprint)) => thumbprint,
        };
        let proof = the_proof(fields.dpop)?;
        let token = token.text().ok_or(Refusal::MalformedCredentials)?;
        let path = head.public_path(&self.resource_path);
        let request = (head.method.as_str(), &*path);
        self.check_proof(proof, token, bound_to, request, now).map(Some)
    }

    /// Whether a proof is for this token and this request (method and path of the public URL).
    pub(crate) fn check_proof(
        &self,
        proof: &str,
        token: &str,
        bound_to: &str,
        (method, path): (&str, &str),
        now: UnixSeconds,
    ) -> Result<Proof, Refusal> {
        let uri = TargetUri::parse(&format!("{}{path}", self.origin))
            .map_err(|_| ProofFault::Invalid(ProofError::Uri))?;
        let nonces = self.nonces.as_ref().map(NonceSource::nonces);
        let context = ProofContext {
            method,
            uri: &uri,
            access_token: Some(token),
            nonces: nonces.as_ref(),
        };
        let verified = self.rules.verify_with_memo(proof, &context, now, &self.headers);
        let verified = verified.map_err(|error| match (error, &self.nonces) {
            (ProofError::Nonce(error), Some(source)) => DpopRefusal::Nonce {
                error,
                nonce: source.issue(now),
            },
            _ => ProofFault::Invalid(error).into(),
        })?;
        if verified.key_thumbprint() == bound_to {
            Ok(verified)
        } else {
            Err(Refusal::InvalidToken(Rejection::ProofKey))
        }
    }

    /// What the proof says of the body, if it says anything or has to.
    pub(crate) fn check_content(&self, proof: &Proof, body: &[u8]) -> Result<(), ProofFault> {
        let checked = proof.check_content(body, self.require_content_digest);
        checked.map_err(ProofFault::Invalid)
    }

    /// Lets a proof count, once. The last of all checks: what is refused for another reason spends nothing.
    pub(crate) async fn spend(&self, proof: &Proof, now: UnixSeconds) -> Result<(), DpopRefusal> {
        let until = proof.acceptable_until();
        // A body may have taken long: what nobody remembers any more must not count.
        if now >= until {
            return Err(ProofFault::Invalid(ProofError::Stale).into());
        }
        let insertion = self.replays.insert(UsedProof::of(proof), now);
        match wait::at_most(REPLAY_WAIT, insertion).await {
            Some(Ok(Insertion::New)) => Ok(()),
            Some(Ok(Insertion::Replayed)) => Err(ProofFault::Replayed.into()),
            Some(Err(ReplayStoreUnavailable { retry_after })) => {
                Err(DpopRefusal::ReplaysUnavailable { retry_after })
            }
            None => Err(DpopRefusal::ReplaysUnavailable {
                retry_after: REPLAY_WAIT,
            }),
        }
    }

    /// The nonce to send along with an answer, when the one of the request grows old (RFC 9449 §8.2).
    pub(crate) fn next_nonce(&self, proof: &Proof, now: UnixSeconds) -> Option<HeaderValue> {
        let source = self.nonces.as_ref()?;
        (proof.nonce_age() == Some(NonceAge::Ageing)).then(|| source.issue(now))
    }
}

/// RFC 9449 §4.3, check 1.
fn the_proof(field: Field<'_>) -> Result<&str, ProofFault> {
    match field {
        Field::Absent => Err(ProofFault::Missing),
        Field::Repeated(_) => Err(ProofFault::Several),
        Field::Once(value) => value
            .to_str()
            .map_err(|_| ProofFault::Invalid(ProofError::Malformed)),
    }
}

impl Dpop {
    fn new(settings: DpopSettings, resource: &ResourceUri, nonces: Option<NonceSource>) -> Self {
        let DpopSettings {
            policy,
            rules,
            require_content_digest,
            replay_store,
            replay_capacity,
            replay_per_key,
            ..
        } = settings;
        Self {
            policy,
            rules,
            require_content_digest,
            origin: resource.origin().to_owned(),
            resource_path: resource.path().to_owned(),
            nonces,
            headers: HeaderMemo::with_places(REMEMBERED_KEYS),
            replays: replay_store.unwrap_or_else(|| {
                Arc::new(match replay_per_key {
                    Some(per_key) => MemoryReplayStore::with_limits(replay_capacity, per_key),
                    None => MemoryReplayStore::new(replay_capacity),
                })
            }),
        }
    }
}
