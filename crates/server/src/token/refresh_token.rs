//! `grant_type=refresh_token` (OAuth 2.1 §4.3). What happens to generations is in
//! [`doorward_store::Store::rotate_refresh`].

use std::sync::Arc;

use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_oauth::parameters::Parameters;
use doorward_oauth::scope::ScopeSet;
use doorward_oauth::time::UnixSeconds;
use doorward_store::{Grant, GrantId, RefreshPolicy, Resource, RotateOutcome, RotateRefresh};
use tokio::sync::oneshot;

use super::refresh::RefreshToken;
use super::{TokenRequest, TokenResponse, about_person, narrowed, of_grant, requested_scope, unusable};
use crate::dpop;
use crate::http::error::TokenError;
use crate::issue::Draft;
use crate::resources::{Registered, Targets};

const UNUSABLE: &str = "The refresh token is unknown, expired or revoked; start a new authorization request.";

pub(super) async fn grant(request: &TokenRequest<'_>) -> Result<TokenResponse, TokenError> {
    let TokenRequest { ctx, parameters, .. } = *request;
    let presented = RefreshToken::parse(parameters.require("refresh_token")?)
        .ok_or_else(|| unusable(UNUSABLE, "malformed"))?;
    let resources = ctx.resources.all().await?;
    let (prepared, outcome) = if request.spends() {
        by_steps(request, &presented, &resources).await?
    } else {
        at_once(request, presented, resources).await?
    };
    let (grant, successor) = match outcome {
        RotateOutcome::Rotated { grant, successor, .. } => (grant, successor),
        RotateOutcome::Reused => {
            request.info.note_told();
            let (grant, client_id) = (prepared.grant.0, request.client.client_id());
            tracing::warn!(%grant, client_id, "an old refresh token came back; its grant has been ended");
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

    // A person who cannot be read now costs the client a repetition, with the same refresh token.
    let draft = about_person(ctx, prepared.draft, &prepared.targets, &grant).await?;
    let token = draft.sign(ctx).await?;
    let refresh_token = RefreshToken::derive(&grant, successor, &ctx.secrets);
    let response = TokenResponse::new(token, Some(refresh_token));
    Ok(response.with_refresh_expiry(&grant, prepared.policy, prepared.now))
}

/// What a refresh comes to, as far as its grant decides.
struct Prepared {
    grant: GrantId,
    draft: Draft,
    /// What the access token is for.
    targets: Targets,
    policy: RefreshPolicy,
    now: UnixSeconds,
}

/// The grant is read and checked in the operation that uses it.
async fn at_once(
    request: &TokenRequest<'_>,
    presented: RefreshToken,
    resources: Registered,
) -> Result<(Prepared, RotateOutcome), TokenError> {
    let (tell, told) = oneshot::channel();
    let grant = presented.grant;
    let (ctx, info) = (Arc::clone(request.ctx), request.info.clone());
    let (client, parameters) = (request.client.clone(), request.parameters.clone());
    let decide = move |grant: &Grant| {
        let request = TokenRequest {
            ctx: &ctx,
            info: &info,
            client: &client,
            parameters: &parameters,
            proof: None,
        };
        let (prepared, rotate) = match prepare(&request, &presented, &resources, grant) {
            Ok((prepared, rotate)) => (Ok(prepared), Some(rotate)),
            Err(error) => (Err(error), None),
        };
        // Whoever asked may be gone.
        tell.send(prepared).is_ok().then_some(rotate).flatten()
    };
    let outcome = request.acting().use_refresh(grant, Box::new(decide)).await?;
    let prepared = told.await.map_err(|_| no_such_grant())??;
    Ok((prepared, outcome.unwrap_or(RotateOutcome::Unknown)))
}

/// The grant is read and checked, then what counts once is used up, then the refresh token is used.
async fn by_steps(
    request: &TokenRequest<'_>,
    presented: &RefreshToken,
    resources: &[Arc<Resource>],
) -> Result<(Prepared, RotateOutcome), TokenError> {
    let grant = request.ctx.store.grant(presented.grant).await?;
    let grant = grant.ok_or_else(no_such_grant)?;
    let (prepared, rotate) = prepare(request, presented, resources, &grant)?;
    request.spend().await?;
    Ok((prepared, request.acting().rotate_refresh(rotate).await?))
}

fn no_such_grant() -> TokenError {
    unusable(UNUSABLE, "no such grant")
}

/// Every check that needs the grant, and what is to be done when they pass.
fn prepare(
    request: &TokenRequest<'_>,
    presented: &RefreshToken,
    resources: &[Arc<Resource>],
    grant: &Grant,
) -> Result<(Prepared, RotateRefresh), TokenError> {
    let TokenRequest {
        ctx,
        client,
        parameters,
        ..
    } = *request;
    // A token that another client presents is left alone: its owner can still use it.
    if !presented.belongs_to(grant, &ctx.secrets) || grant.client_id != client.client_id() {
        return Err(unusable(UNUSABLE, "not made here, or for another client"));
    }
    // A client that runs in circles; nothing is used up.
    ctx.limits.token_account.take((grant.user.0, &grant.client_id))?;
    let all = of_grant(Targets::of_grant(resources, grant))?;
    let targets = narrowed(parameters, &all)?;
    let scopes = narrowed_scopes(parameters, grant, &targets)?;
    check_key(request, grant, &targets)?;

    let (now, policy) = (ctx.now(), all.refresh_policy(ctx.refresh_policy()));
    let (draft, issuance) = Draft::for_grant(ctx, grant, &targets, scopes, request.key_thumbprint(), now);
    let rotate = RotateRefresh {
        grant: grant.id,
        generation: presented.generation,
        policy,
        issuance,
        now,
    };
    let prepared = Prepared {
        grant: grant.id,
        draft,
        targets,
        policy,
        now,
    };
    Ok((prepared, rotate))
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
