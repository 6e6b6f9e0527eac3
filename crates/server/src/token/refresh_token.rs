//! `grant_type=refresh_token` (OAuth 2.1 §4.3). What happens to generations is in
//! [`doorward_store::Store::rotate_refresh`].

use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_oauth::parameters::Parameters;
use doorward_oauth::scope::ScopeSet;
use doorward_store::{Grant, RotateOutcome, RotateRefresh};

use super::refresh::RefreshToken;
use super::{TokenRequest, TokenResponse, about_person, narrowed, requested_scope, targets, unusable};
use crate::dpop;
use crate::http::error::TokenError;
use crate::issue::Draft;
use crate::resources::Targets;

const UNUSABLE: &str = "The refresh token is unknown, expired or revoked; start a new authorization request.";

pub(super) async fn grant(request: &TokenRequest<'_>) -> Result<TokenResponse, TokenError> {
    let TokenRequest {
        ctx,
        client,
        parameters,
        ..
    } = *request;
    let presented = RefreshToken::parse(parameters.require("refresh_token")?)
        .ok_or_else(|| unusable(UNUSABLE, "malformed"))?;
    let grant = ctx
        .store
        .grant(presented.grant)
        .await?
        .ok_or_else(|| unusable(UNUSABLE, "no such grant"))?;
    // A token that another client presents is left alone: its owner can still use it.
    if !presented.belongs_to(&grant, &ctx.secrets) || grant.client_id != client.client_id() {
        return Err(unusable(UNUSABLE, "not made here, or for another client"));
    }
    // A client that runs in circles; nothing is used up.
    ctx.limits.token_account.take((grant.user.0, &grant.client_id))?;
    let all = targets(ctx, &grant).await?;
    let targets = narrowed(parameters, &all)?;
    let scopes = narrowed_scopes(parameters, &grant, &targets)?;
    check_key(request, &grant, &targets)?;

    let now = ctx.now();
    let (draft, issuance) = Draft::for_grant(ctx, &grant, &targets, scopes, request.key_thumbprint(), now);
    let draft = about_person(ctx, draft, &targets, &grant).await?;
    let policy = all.refresh_policy(ctx.refresh_policy());
    request.spend().await?;
    let rotate = RotateRefresh {
        grant: grant.id,
        generation: presented.generation,
        policy,
        issuance,
        now,
    };
    let (grant, successor) = match request.acting().rotate_refresh(rotate).await? {
        RotateOutcome::Rotated { grant, successor, .. } => (grant, successor),
        RotateOutcome::Reused => {
            request.info.note_told();
            tracing::warn!(grant = %grant.id.0, client_id = %grant.client_id, "an old refresh token came back; its grant has been ended");
            return Err(unusable(UNUSABLE, "older than the retry window"));
        }
        RotateOutcome::Expired => return Err(unusable(UNUSABLE, "idle too long, or past its end")),
        RotateOutcome::Ended => {
            return Err(unusable(
                UNUSABLE,
                "the grant ended, or its person, client or resource is gone",
            ));
        }
        RotateOutcome::Unknown => return Err(unusable(UNUSABLE, "a generation that was never given out")),
    };

    let token = draft.sign(ctx).await?;
    let refresh_token = RefreshToken::derive(&grant, successor, &ctx.secrets);
    Ok(TokenResponse::new(token, Some(refresh_token)).with_refresh_expiry(&grant, policy, now))
}

/// RFC 9449 §5: what a public client got with a key, it refreshes with that key.
fn check_key(request: &TokenRequest<'_>, grant: &Grant, targets: &Targets) -> Result<(), TokenError> {
    request.check_bound(targets.iter())?;
    if grant.dpop_jkt.is_some() && grant.dpop_jkt.as_deref() != request.key_thumbprint() {
        return Err(dpop::invalid(
            "The refresh token is bound to a key; send a DPoP proof made with that key.",
        ));
    }
    Ok(())
}

/// The scopes of this access token: what was granted, less what the resource no longer has, less what the
/// client does not ask for now (RFC 6749 §6). The grant keeps its own.
fn narrowed_scopes(
    parameters: &Parameters,
    grant: &Grant,
    targets: &Targets,
) -> Result<ScopeSet, TokenError> {
    let granted = targets.still_defined(&grant.scopes);
    let Some(requested) = requested_scope(parameters)? else {
        return Ok(granted);
    };
    if !granted.contains_all(&requested) {
        return Err(OAuthError::new(
            ErrorCode::InvalidScope,
            "A refresh cannot add scopes; ask for them in a new authorization request.",
        )
        .into());
    }
    Ok(requested)
}
