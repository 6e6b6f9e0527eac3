//! What can go wrong between the client and the authorization server.

use std::fmt;
use std::time::Duration;

use doorward_jose::JoseError;

use super::consent::ConsentRequired;
use crate::discovery::MetadataError;
use crate::fetch::FetchFailure;

/// Why a call to the authorization server did not do what it should. The texts are for the operator's log and say what
/// to change; they hold no token and no secret.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// `consent_required` or `interaction_required`: a person has to agree first.
    #[error("{0}")]
    ConsentRequired(ConsentRequired),
    /// `invalid_request` (RFC 6749 §5.2)
    #[error("the authorization server cannot read the request; look at its parameters: {0}")]
    InvalidRequest(Refusal),
    /// `invalid_client` (RFC 6749 §5.2)
    #[error(
        "the authorization server does not know this client or its credentials; check `client_auth`: {0}"
    )]
    InvalidClient(Refusal),
    /// `invalid_grant` (RFC 6749 §5.2)
    #[error("the token that was handed in is not valid any more or not for this client: {0}")]
    InvalidGrant(Refusal),
    /// `unauthorized_client` (RFC 6749 §5.2)
    #[error("the client may not use this grant type; allow it at the authorization server: {0}")]
    UnauthorizedClient(Refusal),
    /// `unsupported_grant_type` (RFC 6749 §5.2)
    #[error("the authorization server does not have this grant type: {0}")]
    UnsupportedGrantType(Refusal),
    /// `invalid_scope` (RFC 6749 §5.2)
    #[error("the authorization server does not grant these scopes: {0}")]
    InvalidScope(Refusal),
    /// `invalid_target` (RFC 8707 §2, RFC 8693 §2.2.2)
    #[error("the authorization server does not issue tokens for this resource or audience: {0}")]
    InvalidTarget(Refusal),
    /// `access_denied` (RFC 6749 §4.1.2.1)
    #[error("the authorization server denies access: {0}")]
    AccessDenied(Refusal),
    /// `invalid_dpop_proof`, or `use_dpop_nonce` for a proof that had the nonce (RFC 9449 §5, §8)
    #[error("the authorization server does not take the DPoP proof; check the clock and the key: {0}")]
    InvalidDpopProof(Refusal),
    /// Every other error code.
    #[error("the authorization server refuses the request: {0}")]
    Refused(Refusal),
    /// The server failed: `5xx`, or `429`.
    #[error("the authorization server answered with status {status}")]
    Server {
        /// The HTTP status.
        status: u16,
        /// What it said about trying again; at most 5 min.
        retry_after: Option<Duration>,
    },
    /// Nothing was sent: the server failed too often just now, or said `429` to this call, and the time that it asked for
    /// is not over.
    #[error("the authorization server fails or its limit is reached; this is not sent to it for {} s", retry_after.as_secs())]
    CircuitOpen {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// The network failed, or the answer may not be read.
    #[error("the authorization server could not be reached: {0}")]
    Transport(FetchFailure),
    /// The metadata of the authorization server could not be had.
    #[error("{0}")]
    Metadata(String),
    /// The metadata has no such endpoint, or one that must not be used.
    #[error("the metadata of the authorization server names no https `{0}`, so this call is not possible")]
    NoEndpoint(&'static str),
    /// The answer is not what the standard says.
    #[error("the authorization server breaks the protocol: {0}")]
    Protocol(&'static str),
    /// The call itself cannot be made. Says what to change.
    #[error("{0}")]
    Request(&'static str),
    /// The client's own key could not sign.
    #[error("the client's key could not sign: {0}")]
    Signing(JoseError),
}

impl ClientError {
    /// When it is worth trying again, if that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Server { retry_after, .. } => *retry_after,
            Self::CircuitOpen { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    /// Whether the same call may succeed a little later without anybody changing anything.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Server { .. } | Self::CircuitOpen { .. } | Self::Metadata(_) => true,
            Self::Transport(failure) => failure.is_temporary(),
            _ => false,
        }
    }

    /// The `error` of the authorization server, if it sent one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::ConsentRequired(consent) => Some(consent.code()),
            Self::InvalidRequest(refusal)
            | Self::InvalidClient(refusal)
            | Self::InvalidGrant(refusal)
            | Self::UnauthorizedClient(refusal)
            | Self::UnsupportedGrantType(refusal)
            | Self::InvalidScope(refusal)
            | Self::InvalidTarget(refusal)
            | Self::AccessDenied(refusal)
            | Self::InvalidDpopProof(refusal)
            | Self::Refused(refusal) => Some(refusal.code()),
            _ => None,
        }
    }

    /// Whether the transport did not send the request, because it has too many under way.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self, Self::Transport(failure) if failure.is_busy())
    }

    pub(crate) fn refused(refusal: Refusal) -> Self {
        match refusal.code() {
            "invalid_request" => Self::InvalidRequest(refusal),
            "invalid_client" => Self::InvalidClient(refusal),
            "invalid_grant" => Self::InvalidGrant(refusal),
            "unauthorized_client" => Self::UnauthorizedClient(refusal),
            "unsupported_grant_type" => Self::UnsupportedGrantType(refusal),
            "invalid_scope" => Self::InvalidScope(refusal),
            "invalid_target" => Self::InvalidTarget(refusal),
            "access_denied" => Self::AccessDenied(refusal),
            "invalid_dpop_proof" | "use_dpop_nonce" => Self::InvalidDpopProof(refusal),
            _ => Self::Refused(refusal),
        }
    }
}

impl From<MetadataError> for ClientError {
    fn from(error: MetadataError) -> Self {
        Self::Metadata(error.to_string())
    }
}

/// An error answer of the authorization server (RFC 6749 §5.2). Its texts are the server's, brought into printable
/// ASCII and cut to a sensible length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) description: Option<String>,
}

impl Refusal {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// `error`
    pub fn code(&self) -> &str {
        &self.code
    }

    /// `error_description`
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.description {
            Some(description) => write!(f, "{} ({description})", self.code),
            None => f.write_str(&self.code),
        }
    }
}
