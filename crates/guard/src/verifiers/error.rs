//! Why a verifier cannot be built.

use doorward_fetch::FetchError;
use doorward_jose::{JoseError, SharedSecret};
use doorward_oauth::scope::ScopeError;

/// Why a verifier cannot be built. Says what to change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifierError {
    /// There is nothing to verify with.
    #[error("a JwtVerifier needs a key: give it one of `public_key`, `jwks_uri` and `shared_secret`")]
    NoKey,
    /// There are several kinds of keys.
    #[error(
        "a JwtVerifier takes one of `public_key`, `jwks_uri` and `shared_secret`; use several verifiers for several"
    )]
    SeveralKeys,
    /// The key cannot be used.
    #[error("the public key cannot be used; give it as PEM (`PUBLIC KEY` or `RSA PUBLIC KEY`) or as a JWK")]
    Key(#[source] JoseError),
    /// The key is a private one.
    #[error(
        "the key is a private or symmetric one; give the verifier the public half alone, and a secret to `shared_secret`"
    )]
    PrivateKey,
    /// A secret that is really a public key: whoever knows the key could sign.
    #[error("the shared secret is a public key or certificate; give it to `public_key`")]
    SecretIsPublicKey,
    /// The secret can be guessed.
    #[error(
        "the shared secret has fewer than {} bytes; make a random one, or say `allow_short_secret` while you must keep it",
        SharedSecret::RECOMMENDED_BYTES
    )]
    ShortSecret,
    /// No algorithm is left that could be accepted.
    #[error("at least one signature algorithm must be allowed, and the key must be of its type")]
    Algorithm,
    /// HMAC algorithms come with their secret.
    #[error("the algorithm of a shared secret is given with it; leave `algorithms` out")]
    AlgorithmsWithSecret,
    /// A URL is none, or none that may be fetched.
    #[error(
        "`{0}` cannot be used as a URL; write an absolute https:// URL without user name and fragment (http:// is for localhost, 127.0.0.1 and [::1], or with `dev_mode`)"
    )]
    Url(String),
    /// An issuer, audience or token without a character.
    #[error("an empty {0} matches nothing; leave it out or say which")]
    Empty(&'static str),
    /// Nothing says which tokens are for this resource, or two things do.
    #[error(
        "an IntrospectionVerifier needs `audience(..)`, the resource that tokens are for; where the server answers for this resource alone, say `any_audience()` instead"
    )]
    Audience,
    /// A scope is no scope token.
    #[error("the scope `{scope}` cannot be used")]
    Scope {
        /// As given.
        scope: String,
        /// What is wrong with it.
        #[source]
        reason: ScopeError,
    },
    /// The clock skew is longer than a minute.
    #[error("the clock skew must be 60 seconds or less; let the machine follow a time server instead")]
    ClockSkew,
    /// The HTTP client could not be set up.
    #[error(transparent)]
    Fetch(#[from] FetchError),
}
