//! `grant_type=client_credentials` (OAuth 2.1 §4.2): a program gets a token for itself. No person, no refresh token,
//! and a `sub` that is the `client_id`, which no person's is.

use std::sync::Arc;

use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_oauth::scope::{OFFLINE_ACCESS, ScopeSet};
use doorward_store::{ClientSource, Grant, GrantId, GrantState, IssueOwn, OwnOutcome, Resource, UserId};

use super::{TokenRequest, TokenResponse, invalid_grant};
use crate::http::error::TokenError;
use crate::issue::Draft;
use crate::resources::{Targets, select_scopes};

pub(super) async fn grant(request: &TokenRequest<'_>) -> Result<TokenResponse, TokenError> {
    let TokenRequest { ctx, parameters, .. } = *request;
    check_client(request)?;
    let resources: Vec<&str> = parameters.get_all("resource").collect();
    let resource = ctx.resources.resolve(&resources).await?;
    request.check_bound(Some(resource.as_ref()))?;
    let ceiling = ceiling(request, &resource);
    let scopes = scopes(&resource, &ceiling, parameters.get("scope")?)?;

    let targets = Targets::one(Arc::clone(&resource));
    let grant = own_grant(request, &resource, ceiling);
    let (draft, issuance) =
        Draft::for_grant(ctx, &grant, &targets, scopes, request.key_thumbprint(), ctx.now());
    draft.check_size()?;
    request.spend().await?;
    let issue = IssueOwn {
        grant,
        issuance,
        now: ctx.now(),
    };
    let id = match ctx.store.issue_own(issue).await? {
        OwnOutcome::Issued(id) => id,
        OwnOutcome::ClientGone => {
            return Err(invalid_grant(
                "This client has been disabled; ask the operator to enable it.",
            ));
        }
        OwnOutcome::ResourceGone => {
            return Err(OAuthError::new(
                ErrorCode::InvalidTarget,
                "The resource has been removed; ask the operator for the one in its place.",
            )
            .into());
        }
    };
    let token = draft.under(id).sign(ctx, request.signer).await?;
    Ok(TokenResponse::new(token, None))
}

/// Confidential, and registered by an operator: nobody registers itself into somebody else's resources.
fn check_client(request: &TokenRequest<'_>) -> Result<(), TokenError> {
    if request.client.is_confidential() && request.client.source() == ClientSource::Admin {
        return Ok(());
    }
    Err(OAuthError::new(
        ErrorCode::UnauthorizedClient,
        "client_credentials is for clients that an operator registered with a secret or keys.",
    )
    .into())
}

/// All that the client may ever have here: what it is registered for and the resource has.
fn ceiling(request: &TokenRequest<'_>, resource: &Resource) -> ScopeSet {
    let registered = request
        .client
        .registered()
        .metadata
        .scope
        .clone()
        .unwrap_or_default();
    let known = |scope: &str| resource.scopes.iter().any(|known| known.name == scope);
    let scopes = registered.iter().filter(|scope| known(scope.as_str()));
    scopes.cloned().collect()
}

/// What was asked for; without `scope`, everything up to the ceiling. Never less than was asked for without a word:
/// what lies above the ceiling is an error.
fn scopes(resource: &Resource, ceiling: &ScopeSet, requested: Option<&str>) -> Result<ScopeSet, TokenError> {
    let above = || {
        OAuthError::new(
            ErrorCode::InvalidScope,
            "The client is not registered for all of these scopes; an operator registers it with a scope that has them.",
        )
    };
    let Some(requested) = requested else {
        if ceiling.is_empty() && !resource.scopes.is_empty() {
            return Err(above().into());
        }
        return Ok(ceiling.clone());
    };
    let selected = select_scopes(resource, Some(requested))?;
    // There is nothing to refresh: the client asks again.
    let selected = selected.iter().filter(|scope| scope.as_str() != OFFLINE_ACCESS);
    let selected: ScopeSet = selected.cloned().collect();
    if !ceiling.contains_all(&selected) {
        return Err(above().into());
    }
    Ok(selected)
}

fn own_grant(request: &TokenRequest<'_>, resource: &Resource, ceiling: ScopeSet) -> Grant {
    let TokenRequest { ctx, client, .. } = *request;
    let now = ctx.now();
    Grant {
        id: GrantId(ctx.random.uuid_v7(ctx.clock.as_ref())),
        user: UserId::NOBODY,
        subject: client.client_id().to_owned(),
        client_id: client.client_id().to_owned(),
        resource: resource.uri.clone(),
        more_resources: Vec::new(),
        trusted_issuer: None,
        scopes: ceiling,
        state: GrantState::Active,
        end_reason: None,
        ended_at: None,
        created_at: now,
        authenticated_at: now,
        methods: Vec::new(),
        generation: 0,
        generation_at: now,
        refresh_salt: ctx.random.bytes(),
        refresh_expires_at: None,
        last_used_at: now,
        dpop_jkt: None,
    }
}
