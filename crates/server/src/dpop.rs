//! Proofs of possession at the endpoints of clients (RFC 9449): read and checked here, used up by the grant that they
//! are for.

use axum::response::Response;
use doorward_oauth::dpop::{
    NONCE_LIFETIME, NonceKey, Nonces, Proof, ProofContext, ProofError, ProofRules, TargetUri,
};
use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_store::Spend;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::context::Context;
use crate::http::error::TokenError;

const DPOP: HeaderName = HeaderName::from_static("dpop");
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
const PURPOSE: &str = "dpop-nonce";

/// The proof of a request to the endpoint at `path`, if it has one. Nothing is used up: whoever gives something out for
/// it spends [`spend`] first.
///
/// # Errors
/// `invalid_dpop_proof`, and `use_dpop_nonce` when a nonce is all that is missing.
pub(crate) fn read(ctx: &Context, headers: &HeaderMap, path: &str) -> Result<Option<Proof>, TokenError> {
    if !ctx.settings.dpop.enabled {
        return Ok(None);
    }
    let mut values = headers.get_all(DPOP).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    // RFC 9449 §4.3, check 1.
    if values.next().is_some() {
        return Err(invalid("There are several DPoP headers; send one proof."));
    }
    let uri = TargetUri::parse(&format!("{}{path}", ctx.issuer.as_str())).map_err(TokenError::internal)?;
    let nonces = ctx.settings.dpop.require_nonce.then(|| nonces(ctx));
    let request = ProofContext {
        method: "POST",
        uri: &uri,
        access_token: None,
        nonces: nonces.as_ref(),
    };
    let proof = value.to_str().map_err(|_| ProofError::Malformed);
    proof
        .and_then(|proof| rules(ctx).verify(proof, &request, ctx.now()))
        .map(Some)
        .map_err(refused)
}

fn rules(ctx: &Context) -> ProofRules {
    ProofRules {
        algorithms: ctx.settings.dpop.algorithms.clone(),
        max_age: ctx.settings.dpop.proof_lifetime.duration(),
        ..ProofRules::default()
    }
}

/// Made from the server's secrets, so that every node takes the nonces of every other.
fn nonces(ctx: &Context) -> Nonces {
    Nonces::new(NonceKey::new(ctx.secrets.mac(PURPOSE, &[])), NONCE_LIFETIME)
}

/// A nonce with the answer to everybody who sends proofs (RFC 9449 §8.2).
pub(crate) fn offer_nonce(ctx: &Context, request: &HeaderMap, response: &mut Response) {
    let wanted = ctx.settings.dpop.enabled && ctx.settings.dpop.require_nonce && request.contains_key(DPOP);
    if wanted && let Ok(nonce) = HeaderValue::try_from(nonces(ctx).issue(ctx.now())) {
        response.headers_mut().insert(DPOP_NONCE, nonce);
    }
}

/// What is remembered of a proof, so that it counts once on all nodes.
pub(crate) fn spend(proof: &Proof) -> Spend {
    Spend {
        digest: doorward_jose::sha256(&[b"dpop-proof\0", proof.replay_id().as_slice()].concat()),
        until: proof.acceptable_until(),
        made_at: proof.issued_at() - ProofRules::default().max_ahead,
    }
}

fn refused(error: ProofError) -> TokenError {
    let sentence = match error {
        ProofError::Nonce(_) => {
            "Make the proof again with the nonce of the DPoP-Nonce header of this answer."
        }
        _ => {
            "The DPoP proof does not hold for this request: check its typ, alg, jwk, signature, jti, htm, htu and iat (RFC 9449 §4.2)."
        }
    };
    OAuthError::new(error.code(), sentence)
        .with_internal(error)
        .into()
}

/// The answer to a proof that was used before.
pub(crate) fn replayed() -> TokenError {
    invalid("The DPoP proof was used before; make a new one for every request.")
}

/// `invalid_dpop_proof`.
pub(crate) fn invalid(description: &'static str) -> TokenError {
    OAuthError::new(ErrorCode::InvalidDpopProof, description).into()
}
