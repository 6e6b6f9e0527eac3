//! A token and its proof, without HTTP.

use std::time::Duration;

use http::{HeaderValue, Method};

use crate::claims::Claims;
use crate::guard::Guard;
use crate::reason::Reason;
use crate::refusal::Refusal;
use crate::verify::Rejection;

impl Guard {
    /// Verifies a token together with a proof (RFC 9449), for servers that do not speak HTTP here. `path` is the one of the
    /// public URL. The proof is spent: it counts once. Scopes are not looked at, nor what it says of a body.
    ///
    /// # Errors
    /// [`Denied`], which says why, and whether a nonce is all that is missing.
    pub async fn verify_dpop(
        &self,
        token: &str,
        proof: &str,
        method: &Method,
        path: &str,
    ) -> Result<Claims, Denied> {
        let guard = &self.0;
        let spend = async {
            if !guard.dpop.is_on() {
                return Err(Refusal::InvalidToken(Rejection::NotSenderConstrained));
            }
            let claims = guard.verifier.verify(token).await?;
            let Some(bound_to) = &claims.key_thumbprint else {
                return Err(Refusal::InvalidToken(Rejection::NotSenderConstrained));
            };
            let now = guard.clock.now();
            let request = (method.as_str(), path);
            let proof = guard.dpop.check_proof(proof, token, bound_to, request, now)?;
            guard.check_revocation(&claims, token).await?;
            guard.dpop.spend(&proof, guard.clock.now()).await?;
            Ok(claims.under(&guard.terms))
        };
        spend.await.map_err(|refusal| Denied::new(&refusal))
    }
}

/// Why a token does not count together with its proof. See [`Guard::verify_dpop`].
#[derive(Debug, Clone, thiserror::Error)]
#[error("the access token does not count together with its proof: {}", reason.as_str())]
pub struct Denied {
    reason: Reason,
    retry_after: Option<Duration>,
    nonce: Option<HeaderValue>,
}

impl Denied {
    fn new(refusal: &Refusal) -> Self {
        Self {
            reason: refusal.reason(),
            retry_after: refusal.retry_after(),
            nonce: refusal.nonce().cloned(),
        }
    }

    /// Why.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// When it is worth trying again, if nobody can tell now.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The nonce with which the client must make another proof, if that is all that is wrong: a value for `DPoP-Nonce`.
    pub fn nonce(&self) -> Option<&HeaderValue> {
        self.nonce.as_ref()
    }
}
