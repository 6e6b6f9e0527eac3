//! `[client_authentication]`, `[client_credentials]`, `[token_exchange]`, `[jwt_bearer]` and `[dpop]`

use doorward_jose::Algorithm;
use doorward_oauth::dpop::ProofRules;

use super::Span;
use super::section::section;

section! {
    /// How clients prove who they are.
    pub struct ClientAuthentication in "client_authentication" {
        /// How long a client assertion (`private_key_jwt`) may be good when it comes, at most an hour. Short, because each is remembered until it ends; some libraries sign for an hour unless told otherwise.
        max_assertion_lifetime: Span = Span::minutes(5),
    }
}

section! {
    /// The grant with which a registered program gets tokens for itself (RFC 6749 §4.4).
    pub struct ClientCredentials in "client_credentials" {
        /// Whether the grant is there.
        enabled: bool = true,
    }
}

section! {
    /// The grant with which a program exchanges a token for a narrower one (RFC 8693).
    pub struct TokenExchange in "token_exchange" {
        /// Whether the grant is there.
        enabled: bool = true,
        /// How many clients may act for one another in one chain, one to ten.
        max_depth: u32 = 5,
        /// Whether the server vouches to others for people who signed in here (ID-JAG). Without assertion audiences nobody gets anything by it.
        id_jag: bool = true,
    }
}

section! {
    /// The grant for assertions of trusted issuers about people and workloads (RFC 7523 §2.1).
    pub struct JwtBearer in "jwt_bearer" {
        /// Whether the grant is there. Without trusted issuers nobody gets anything by it.
        enabled: bool = true,
    }
}

section! {
    /// Tokens that are bound to a key of the client (`DPoP`, RFC 9449).
    pub struct Dpop in "dpop" {
        /// Whether proofs are read and tokens bound; without it every token is a bearer token.
        enabled: bool = true,
        /// The signature algorithms of proofs.
        algorithms: Vec<Algorithm> = ProofRules::ALGORITHMS.to_vec(),
        /// How old a proof may be.
        proof_lifetime: Span = Span::minutes(5),
        /// Whether every proof needs a nonce of this server; it costs each client one more request in five minutes.
        require_nonce: bool = false,
    }
}
