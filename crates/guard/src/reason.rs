//! Why a request was refused, for logs, metrics and audit; never for the client.

use doorward_oauth::dpop::ProofError;

use crate::verify::Rejection;

/// Why a request did not reach the MCP server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// A web page of an origin that is not allowed: `403`.
    Origin,
    /// No access token: `401`, the way every client begins.
    NoCredentials,
    /// More than one token, or none that can be read: `400`.
    MalformedCredentials,
    /// The token: `401`.
    Token(Rejection),
    /// Keys or introspection are not available: `503`.
    TokensUncheckable,
    /// A bound token without a proof: `401`.
    ProofMissing,
    /// More than one proof: `401`.
    ProofRepeated,
    /// The proof: `401`. [`ProofError::Nonce`] is the way every client begins where nonces are needed.
    Proof(ProofError),
    /// The proof was used before: `401`.
    ProofReplayed,
    /// Nobody can tell whether the proof was used before: `503`.
    ProofsUncheckable,
    /// The person signed in too long ago: `401` (RFC 9470).
    LoginTooOld,
    /// The person signed in in a way that is not enough: `401` (RFC 9470).
    LoginTooWeak,
    /// The token lacks a scope: `403`.
    InsufficientScope,
    /// A session of somebody else, or none that is known: `404`.
    Session,
    /// The body is too large: `413`.
    BodyTooLarge,
    /// The body broke off: `400`.
    BodyUnreadable,
    /// The body took too long: `408`.
    BodyTooSlow,
    /// The body is compressed or in another character set: `415`.
    Encoding,
    /// The body is no JSON: `400`, JSON-RPC `-32700`.
    NotJson,
    /// The body is no JSON-RPC message that can be read in one way only: `400`, JSON-RPC `-32600`.
    NotAMessage,
    /// Mirrored headers contradict the body: `400`, JSON-RPC `-32020`.
    HeaderMismatch,
}

impl Reason {
    /// A short name, for metrics. Stays the same from release to release.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::NoCredentials => "no_credentials",
            Self::MalformedCredentials => "malformed_credentials",
            Self::Token(rejection) => rejection.as_str(),
            Self::TokensUncheckable => "tokens_uncheckable",
            Self::ProofMissing => "proof_missing",
            Self::ProofRepeated => "proof_repeated",
            Self::Proof(error) => proof_error(error),
            Self::ProofReplayed => "proof_replayed",
            Self::ProofsUncheckable => "proofs_uncheckable",
            Self::LoginTooOld => "login_too_old",
            Self::LoginTooWeak => "login_too_weak",
            Self::InsufficientScope => "insufficient_scope",
            Self::Session => "session",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyUnreadable => "body_unreadable",
            Self::BodyTooSlow => "body_too_slow",
            Self::Encoding => "encoding",
            Self::NotJson => "not_json",
            Self::NotAMessage => "not_a_message",
            Self::HeaderMismatch => "header_mismatch",
        }
    }
}

const fn proof_error(error: ProofError) -> &'static str {
    match error {
        ProofError::Malformed => "proof_malformed",
        ProofError::Type => "proof_type",
        ProofError::Algorithm => "proof_algorithm",
        ProofError::NoKey => "proof_no_key",
        ProofError::PrivateKey => "proof_private_key",
        ProofError::Key => "proof_unusable_key",
        ProofError::Signature => "proof_signature",
        ProofError::Claims => "proof_claims",
        ProofError::Jti => "proof_jti",
        ProofError::Method => "proof_method",
        ProofError::Uri => "proof_uri",
        ProofError::Stale => "proof_stale",
        ProofError::FromTheFuture => "proof_from_the_future",
        ProofError::AccessToken => "proof_access_token",
        ProofError::Content => "proof_content",
        ProofError::Nonce(_) => "proof_nonce",
        _ => "proof",
    }
}
