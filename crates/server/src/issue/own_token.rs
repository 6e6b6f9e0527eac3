//! Access tokens of ours that come back: to introspection and revocation.

use doorward_jose::{Jws, json, sha256};
use doorward_oauth::claims::{AccessTokenClaims, typ_is_access_token};
use doorward_store::{GrantState, StoreError, TokenStanding};

use crate::context::Context;
use crate::keys::KeyError;

/// The claims of a token that this server signed, live or expired. `None` for anything else.
pub async fn read(ctx: &Context, token: &str) -> Result<Option<AccessTokenClaims>, KeyError> {
    ctx.keys.catch_up().await?;
    Ok(read_with_key(ctx, token, &sha256(token.as_bytes())).map(|(claims, _)| claims))
}

/// The same of a token with this SHA-256, with the id of the key that signed it, as far as the keys have been caught up
/// with.
pub fn read_with_key(ctx: &Context, token: &str, digest: &[u8; 32]) -> Option<(AccessTokenClaims, String)> {
    let jws = Jws::parse(token).ok()?;
    if !jws.header().typ.as_deref().is_some_and(typ_is_access_token) {
        return None;
    }
    let key_id = jws.header().key_id.clone()?;
    let key = ctx.keys.verification_key(&key_id)?;
    // Its key counts still, and what was signed here is not looked at twice.
    if !ctx.signed_here.contains(digest) {
        jws.verify_signature(&key).ok()?;
    }
    let claims: AccessTokenClaims = json::from_slice(&jws.into_payload()).ok()?;
    (claims.iss == ctx.issuer.as_str()).then_some((claims, key_id))
}

/// What a token rests on that still works: not expired, not revoked, its client enabled, its grant live.
pub async fn live(ctx: &Context, claims: &AccessTokenClaims) -> Result<Option<TokenStanding>, StoreError> {
    if claims.exp <= ctx.now() {
        return Ok(None);
    }
    let Some(standing) = ctx.store.token_standing(&claims.jti).await? else {
        return Ok(None);
    };
    if standing.revoked_at.is_some() || standing.state != GrantState::Active {
        return Ok(None);
    }
    // An exchanged token rests on two clients: the one that holds it, and the one that the person allowed. The grant
    // ends with its own client, so that one that is not there is none: a workload has no client.
    let exchanged = standing.granted_to != claims.client_id;
    let enabled = ctx.clients.is_enabled(&claims.client_id).await?;
    let fallen = !enabled.unwrap_or(!exchanged)
        || (exchanged && ctx.clients.is_enabled(&standing.granted_to).await? == Some(false));
    Ok(Some(standing).filter(|_| !fallen))
}
