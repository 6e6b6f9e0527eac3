//! The answers to requests whose proof does not count.

use std::time::Duration;

use bytes::Bytes;
use doorward_oauth::dpop::{NonceError, ProofError};
use doorward_oauth::error::ErrorCode;
use http::header::RETRY_AFTER;
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;

use crate::challenge::Challenges;
use crate::dpop::DPOP_NONCE;
use crate::reason::Reason;
use crate::refusal::{Refusal, challenging, json_response};

/// Why a request with a bound token does not pass.
#[derive(Debug)]
pub(crate) enum DpopRefusal {
    Proof(ProofFault),
    /// Only the nonce is wrong: here is one.
    Nonce {
        error: NonceError,
        nonce: HeaderValue,
    },
    /// Nobody can tell whether the proof was used before.
    ReplaysUnavailable {
        retry_after: Duration,
    },
}

/// What is wrong with the proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProofFault {
    Missing,
    Several,
    Invalid(ProofError),
    Replayed,
}

/// The sentences that clients see.
mod text {
    pub(super) const ONE: &str = "Send exactly one DPoP proof, made for this request, in the DPoP header.";
    pub(super) const INVALID: &str = "The DPoP proof is not valid for this request. Make one with the key of the access \
         token, for this method, this URI and this token.";
    pub(super) const CONTENT: &str = "The DPoP proof must be made for the body of this request: put the SHA-256 of the body into content_digest.";
    pub(super) const TIME: &str =
        "The time in the DPoP proof is not about now. Make a new proof, and check the clock of the client.";
    pub(super) const REPLAYED: &str = "The DPoP proof was used before. Make a new one for every request.";
    pub(super) const NONCE: &str =
        "Make the DPoP proof with the nonce in the DPoP-Nonce header, and send the request again.";
    pub(super) const UNAVAILABLE: &str =
        "DPoP proofs cannot be checked right now. Try again a little later, with a new proof.";
}

impl From<ProofFault> for DpopRefusal {
    fn from(fault: ProofFault) -> Self {
        Self::Proof(fault)
    }
}

impl From<DpopRefusal> for Refusal {
    fn from(refusal: DpopRefusal) -> Self {
        Self::Dpop(refusal)
    }
}

impl From<ProofFault> for Refusal {
    fn from(fault: ProofFault) -> Self {
        Self::Dpop(fault.into())
    }
}

impl ProofFault {
    const fn text(self) -> &'static str {
        match self {
            Self::Missing | Self::Several => text::ONE,
            Self::Invalid(ProofError::Stale | ProofError::FromTheFuture) => text::TIME,
            Self::Invalid(ProofError::Content) => text::CONTENT,
            Self::Invalid(_) => text::INVALID,
            Self::Replayed => text::REPLAYED,
        }
    }
}

impl DpopRefusal {
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Proof(ProofFault::Missing) => Reason::ProofMissing,
            Self::Proof(ProofFault::Several) => Reason::ProofRepeated,
            Self::Proof(ProofFault::Invalid(error)) => Reason::Proof(*error),
            Self::Proof(ProofFault::Replayed) => Reason::ProofReplayed,
            Self::Nonce { error, .. } => Reason::Proof(ProofError::Nonce(*error)),
            Self::ReplaysUnavailable { .. } => Reason::ProofsUncheckable,
        }
    }

    pub(crate) fn render(&self, challenges: &Challenges, error_id: &str) -> Response<Bytes> {
        let answer = |status, error: &str, description: &str| {
            let body = json!({"error": error, "error_description": description, "error_id": error_id});
            json_response(status, &body)
        };
        // RFC 9449 §7.1: 401, also where a token endpoint would say 400.
        let unauthorized = |code: ErrorCode, description| {
            let response = answer(StatusCode::UNAUTHORIZED, code.as_str(), description);
            challenging(response, &challenges.proof(code, description))
        };
        match self {
            Self::Proof(fault) => unauthorized(ErrorCode::InvalidDpopProof, fault.text()),
            Self::Nonce { nonce, .. } => {
                let mut response = unauthorized(ErrorCode::UseDpopNonce, text::NONCE);
                response.headers_mut().insert(DPOP_NONCE, nonce.clone());
                response
            }
            Self::ReplaysUnavailable { retry_after } => {
                let unavailable = StatusCode::SERVICE_UNAVAILABLE;
                let mut response = answer(unavailable, "temporarily_unavailable", text::UNAVAILABLE);
                let seconds = HeaderValue::from(retry_after.as_secs().max(1));
                response.headers_mut().insert(RETRY_AFTER, seconds);
                response
            }
        }
    }
}
