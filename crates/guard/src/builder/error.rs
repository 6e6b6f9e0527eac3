//! Why a guard cannot be built.

use doorward_fetch::FetchError;
use doorward_oauth::issuer::IssuerError;
use doorward_oauth::resource::ResourceUriError;
use doorward_oauth::scope::ScopeError;

use crate::client::ClientBuildError;

/// Why a guard cannot be built. Says what to change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The issuer is no issuer identifier.
    #[error("the issuer `{issuer}` cannot be used")]
    Issuer {
        /// As given.
        issuer: String,
        /// What is wrong with it.
        #[source]
        reason: IssuerError,
    },
    /// The issuer is `http` and not on this machine.
    #[error(
        "the issuer `{0}` is http, where nobody can tell who answers; use https, or say `dev_mode(true)` in a network of development (http://localhost and http://127.0.0.1 need no such thing)"
    )]
    InsecureIssuer(String),
    /// The resource is no resource identifier.
    #[error("the resource `{resource}` cannot be used")]
    Resource {
        /// As given.
        resource: String,
        /// What is wrong with it.
        #[source]
        reason: ResourceUriError,
    },
    /// The resource's path holds what routers take for a pattern, so that its metadata cannot be served there.
    #[error(
        "the path of the resource `{0}` has a segment that begins with `:` or `*`, or holds `{{` or `}}`; choose a plain path such as /mcp"
    )]
    ResourcePath(String),
    /// A pattern for resources has braces that do not match.
    #[error(
        "the resource pattern `{0}` cannot be used; write a URI, or a template such as notes://{{id}}/body"
    )]
    ResourcePattern(String),
    /// The URL of the resource metadata cannot be used.
    #[error(
        "the resource metadata cannot be at `{0}`; write an absolute http or https URL without a fragment"
    )]
    MetadataUrl(String),
    /// A scope is no scope token.
    #[error("the scope `{scope}` cannot be used")]
    Scope {
        /// As given.
        scope: String,
        /// What is wrong with it.
        #[source]
        reason: ScopeError,
    },
    /// A tool, prompt, resource or scope is named, and no scope with it: nothing would be protected.
    #[error(
        "`{setting}` names `{name}` without a scope, which protects nothing; say which scopes, or leave `{name}` out"
    )]
    NoScopes {
        /// The method of the builder.
        setting: &'static str,
        /// As given.
        name: String,
    },
    /// `offline_access` asks the authorization server for refresh tokens; a resource does not deal with it.
    #[error("`offline_access` is not a scope of a resource; leave it out, clients ask for it by themselves")]
    OfflineAccess,
    /// The page for developers is not at a URL.
    #[error(
        "`resource_documentation` cannot be `{0}`; write an absolute http or https URL without a fragment"
    )]
    Documentation(String),
    /// A way of signing in that no token could name, or no challenge.
    #[error(
        "`require_acr` cannot ask for `{0}`; write a value of `acr` without spaces, such as urn:mace:incommon:iap:silver"
    )]
    Acr(String),
    /// A limit that lets nothing pass.
    #[error("`{0}` must be more than zero; leave it out for the default")]
    Zero(&'static str),
    /// An allowed origin is no origin.
    #[error("the origin `{0}` cannot be used; write it like https://app.example or http://localhost:3000")]
    Origin(String),
    /// No algorithm is left that could be accepted.
    #[error("at least one signature algorithm must be allowed")]
    NoAlgorithm,
    /// The clock skew is longer than a minute.
    #[error("the clock skew must be 60 seconds or less; let the machine follow a time server instead")]
    ClockSkew,
    /// A proof must be allowed some age.
    #[error(
        "proofs must be accepted for at least one second and at most an hour; 300 s and 60 s ahead are usual"
    )]
    DpopWindow,
    /// The system has no random bytes.
    #[error("no random bytes for DPoP nonces; give their keys with `dpop_nonce_keys`")]
    Random,
    /// A setting of the guard's own client cannot be used.
    #[error("the guard's OAuth client cannot be built")]
    Client(#[from] ClientBuildError),
    /// Credentials for an issuer that the guard does not have.
    #[error(
        "`issuer_client_auth` names `{0}`, which is not one of the further issuers; write it as in `issuer(..)`, and use `client_auth` for the first one"
    )]
    IssuerAuth(String),
    /// The guard cannot learn of revocations in the way that was chosen. The text says what to change.
    #[error("{0}")]
    Revocation(&'static str),
    /// The HTTP client could not be set up.
    #[error(transparent)]
    Fetch(#[from] FetchError),
}
