//! Is this token good? Who says so, and why not.

use std::sync::Arc;
use std::time::Duration;

use doorward_jose::{HashedToken, HeaderMemo, JoseError, Jws};
use doorward_oauth::issuer::Issuer;
use doorward_oauth::resource::ResourceUri;
use doorward_oauth::time::UnixSeconds;

use crate::claims::Claims;
use crate::keys::KeyError;
use crate::verifiers::{self, TokenVerifier};

pub(crate) use access_token::{AccessTokenVerifier, TrustedIssuer};
pub(crate) use memory::{Good, TokenMemory};
pub(crate) use pattern::{Likeness, Patterns};
pub(crate) use payload::{Dialect, Payload, owned};

/// The longest clock skew that can be asked for.
pub(crate) const MAX_SKEW: Duration = Duration::from_mins(1);

mod access_token;
mod claim;
mod memory;
mod pattern;
mod payload;
mod plain;

/// Why a token is not accepted. For logs and metrics, never for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// No compact JWS with a strict header, or larger than 16 KiB.
    Malformed,
    /// An algorithm that is not allowed here.
    Algorithm,
    /// `typ` is not `at+jwt` (or, for a [`JwtVerifier`](crate::verifiers::JwtVerifier), `JWT`): another kind of token.
    Type,
    /// `iss` is not the configured issuer.
    Issuer,
    /// The header has no `kid`, where it takes one to tell which key is meant.
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
    /// An opaque token that is not known, or not any more.
    UnknownToken,
    /// A scope that the verifier itself requires is missing.
    Scope,
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
            Self::UnknownToken => "token_unknown",
            Self::Scope => "token_scope",
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

impl From<KeyError> for VerifyError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Unknown => Self::Rejected(Rejection::UnknownKey),
            KeyError::Unnamed => Self::Rejected(Rejection::NoKeyId),
            KeyError::Unavailable { retry_after } => Self::KeysUnavailable { retry_after },
        }
    }
}

/// Who says whether a token is good.
pub(crate) struct Verifier {
    /// Where clients get tokens; at least one.
    pub(crate) issuers: Vec<Issuer>,
    pub(crate) resource: ResourceUri,
    pub(crate) judge: Judge,
}

pub(crate) enum Judge {
    /// The guard itself, with the keys of the issuers.
    Issuers(Box<AccessTokenVerifier>),
    /// These, in order.
    Verifiers(Vec<Arc<dyn TokenVerifier>>),
}

impl Verifier {
    /// Begins to fetch what is needed for verifying.
    pub(crate) fn start(&self) {
        match &self.judge {
            Judge::Issuers(verifier) => {
                for trusted in &verifier.issuers {
                    trusted.keys.start();
                }
            }
            Judge::Verifiers(verifiers) => {
                for verifier in verifiers {
                    verifier.start();
                }
            }
        }
    }

    pub(crate) async fn verify(&self, token: &str) -> Result<Claims, VerifyError> {
        match &self.judge {
            Judge::Issuers(verifier) => verifier.verify(token).await,
            Judge::Verifiers(verifiers) => verifiers::first_to_accept(verifiers, token).await,
        }
    }

    /// The first half of [`verify`](Self::verify): a token that was verified before. Else what to tell the
    /// [second](Self::verify_new).
    pub(crate) fn recall<'t>(
        &self,
        token: &'t [u8],
        now: UnixSeconds,
    ) -> Result<Claims, Option<HashedToken<'t>>> {
        match &self.judge {
            Judge::Issuers(verifier) => verifier.recall(token, now),
            Judge::Verifiers(_) => Err(None),
        }
    }

    /// The second half.
    pub(crate) async fn verify_new(
        &self,
        token: &str,
        hashed: Option<HashedToken<'_>>,
        now: UnixSeconds,
    ) -> Result<Claims, VerifyError> {
        match &self.judge {
            Judge::Issuers(verifier) => verifier.verify_new(token, hashed, now).await,
            Judge::Verifiers(verifiers) => verifiers::first_to_accept(verifiers, token).await,
        }
    }

    /// Both, if nothing has to be waited for or begun.
    pub(crate) fn verify_at_once(&self, token: &str) -> Option<Result<Claims, VerifyError>> {
        match &self.judge {
            Judge::Issuers(verifier) => verifier.verify_at_once(token),
            // The first that accepts a token counts, and only asking them in order tells which that is.
            Judge::Verifiers(_) => None,
        }
    }

    /// Forgets that a token was verified.
    pub(crate) fn evict(&self, token: &str) {
        match &self.judge {
            Judge::Issuers(verifier) => verifier.memory.evict(token),
            Judge::Verifiers(verifiers) => {
                for verifier in verifiers {
                    verifier.evict(token);
                }
            }
        }
    }

    /// Forgets that tokens of a grant were verified.
    pub(crate) fn forget_grant(&self, grant_id: &str) {
        match &self.judge {
            Judge::Issuers(verifier) => verifier.memory.forget_grant(grant_id),
            Judge::Verifiers(verifiers) => {
                for verifier in verifiers {
                    verifier.forget_grant(grant_id);
                }
            }
        }
    }
}

/// A compact JWS with a strict header.
fn parse<'t>(
    token: &'t str,
    hashed: Option<&HashedToken<'_>>,
    headers: &HeaderMemo,
) -> Result<Jws<'t>, Rejection> {
    let parsed = match hashed {
        Some(hashed) => Jws::parse_hashed(token, hashed, headers),
        None => Jws::parse_with_memo(token, headers),
    };
    parsed.map_err(|error| match error {
        JoseError::UnsupportedAlgorithm => Rejection::Algorithm,
        _ => Rejection::Malformed,
    })
}
