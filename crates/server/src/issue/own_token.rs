//! Access tokens of ours that come back: to introspection and revocation.

use doorward_jose::Jws;
use doorward_oauth::claims::{AccessTokenClaims, typ_is_access_token};
use doorward_store::{GrantState, StoreError};

use crate::context::Context;

/// The claims of a token that this server signed, live or expired. `None` for anything else.
pub fn read(ctx: &Context, token: &str) -> Option<AccessTokenClaims> {
    let jws = Jws::parse(token).ok()?;
    if !jws.header().typ.as_deref().is_some_and(typ_is_access_token) {
        return None;
    }
    let key = ctx.keys.verification_key(jws.header().key_id.as_deref()?)?;
    let claims: AccessTokenClaims = jws.verify(&key).ok()?.claims().ok()?;
    (claims.iss == ctx.issuer.as_str()).then_some(claims)
}

/// Whether the token still works: not expired, not revoked, its client enabled, its grant live.
pub async fn is_live(ctx: &Context, claims: &AccessTokenClaims) -> Result<bool, StoreError> {
    if claims.exp <= ctx.now() {
        return Ok(false);
    }
    let Some(issuance) = ctx.store.issuance(&claims.jti).await? else {
        return Ok(false);
    };
    if issuance.revoked_at.is_some() {
        return Ok(false);
    }
    let Some(grant) = ctx.store.grant(issuance.grant).await? else {
        return Ok(false);
    };
    // An exchanged token rests on two clients: the one that holds it, and the one that the person allowed. The grant
    // ends with its own client, so that one that is not there is none: a workload has no client.
    let exchanged = grant.client_id != claims.client_id;
    let fallen = match ctx.store.client(&claims.client_id).await? {
        Some(client) => client.disabled,
        None => exchanged,
    };
    let fallen = fallen || (exchanged && is_disabled(ctx, &grant.client_id).await?);
    Ok(!fallen && grant.state == GrantState::Active)
}

async fn is_disabled(ctx: &Context, client_id: &str) -> Result<bool, StoreError> {
    let client = ctx.store.client(client_id).await?;
    Ok(client.is_some_and(|client| client.disabled))
}
