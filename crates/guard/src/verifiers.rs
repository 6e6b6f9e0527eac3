//! Verifiers: what says whether a token is good. Building blocks for tokens that are not those of the guard's issuer.

mod error;
mod introspection;
mod jwt;
mod remote_auth;
mod static_tokens;

use std::sync::Arc;

use doorward_oauth::scope::{Scope, ScopeSet};
use futures_util::future::BoxFuture;

use crate::claims::Claims;
use crate::verify::{Rejection, VerifyError};

pub use error::VerifierError;
pub use introspection::{IntrospectionVerifier, IntrospectionVerifierBuilder};
pub use jwt::{JwtVerifier, JwtVerifierBuilder};
pub use remote_auth::RemoteAuth;
pub use static_tokens::StaticTokenVerifier;

/// Says whether a token is good, and what it says.
///
/// Scopes are no part of that question: the guard asks for [`required_scopes`](Self::required_scopes) and answers `403`
/// where one is missing. A token that is bound to a key is none of it either: a verifier reports the key in
/// [`key_thumbprint`](crate::TokenClaims::key_thumbprint), and the guard wants the proof.
pub trait TokenVerifier: Send + Sync {
    /// Verifies a token.
    ///
    /// # Errors
    /// [`VerifyError::Rejected`] for a token that is no good (the client gets `401`), any other when that cannot be told now
    /// (`503`): a client throws its token away after a `401`.
    fn verify_token<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Claims, VerifyError>>;

    /// The scopes that every request needs with tokens of this verifier. Default: none.
    fn required_scopes(&self) -> ScopeSet {
        ScopeSet::new()
    }

    /// Begins with what can be done before the first token comes. Default: nothing.
    fn start(&self) {}

    /// Forgets that this token was verified. Default: nothing was remembered.
    fn evict(&self, _token: &str) {}

    /// Forgets that tokens of this grant were verified. Default: nothing was remembered.
    fn forget_grant(&self, _grant_id: &str) {}
}

impl<V: TokenVerifier + ?Sized> TokenVerifier for Arc<V> {
    fn verify_token<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Claims, VerifyError>> {
        (**self).verify_token(token)
    }

    fn required_scopes(&self) -> ScopeSet {
        (**self).required_scopes()
    }

    fn start(&self) {
        (**self).start();
    }

    fn evict(&self, token: &str) {
        (**self).evict(token);
    }

    fn forget_grant(&self, grant_id: &str) {
        (**self).forget_grant(grant_id);
    }
}

/// Asks one verifier after the other. When none accepts the token and one of them could not tell, nobody can; otherwise the
/// rejection is the last one's.
pub(crate) async fn first_to_accept(
    verifiers: &[Arc<dyn TokenVerifier>],
    token: &str,
) -> Result<Claims, VerifyError> {
    let mut outcome = VerifyError::Rejected(Rejection::Malformed);
    for verifier in verifiers {
        match verifier.verify_token(token).await {
            Ok(claims) => return Ok(claims),
            Err(error) if matches!(outcome, VerifyError::Rejected(_)) => outcome = error,
            Err(_) => {}
        }
    }
    Err(outcome)
}

/// The scopes that a setting names.
fn scope_set(scopes: &[String]) -> Result<ScopeSet, VerifierError> {
    let parse = |scope: &String| {
        Scope::parse(scope).map_err(|reason| VerifierError::Scope {
            scope: scope.clone(),
            reason,
        })
    };
    scopes.iter().map(parse).collect()
}
