//! `grant_type=urn:ietf:params:oauth:grant-type:token-exchange` (RFC 8693): a program that was given a token gets a
//! narrower one for itself. What it gets is decided in [`doorward_oauth::exchange`]; here is only where the facts come
//! from.

mod asked;
pub(crate) mod id_jag;
mod id_token;
mod target;

use std::time::Duration;

use doorward_oauth::claims::AccessTokenClaims;
use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_oauth::exchange::{Caller, ExchangeRules, Exchanged, Refusal, Target};
use doorward_oauth::scope::{Scope, ScopeSet};
use doorward_store::{ExchangeOutcome, ExchangeToken, GrantId, Resource};
use uuid::Uuid;

use self::asked::Asked;
pub(crate) use self::asked::{RequestedType, SubjectType};
pub(crate) use self::target::target;
use super::{TokenRequest, TokenResponse};
use crate::clients::Client;
use crate::context::Context;
use crate::http::error::TokenError;
use crate::issue::{Draft, own_token};

pub(super) async fn grant(request: &TokenRequest<'_>) -> Result<TokenResponse, TokenError> {
    let asked = Asked::read(&request.ctx.settings, request.parameters)?;
    match asked.wanted {
        RequestedType::IdJag => id_jag::grant(request, &asked).await,
        RequestedType::AccessToken(name) if asked.shown == SubjectType::IdToken => {
            id_token::grant(request, &asked, name).await
        }
        RequestedType::AccessToken(name) => exchange(request, &asked, name).await,
    }
}

async fn exchange(
    request: &TokenRequest<'_>,
    asked: &Asked<'_>,
    issued_token_type: &'static str,
) -> Result<TokenResponse, TokenError> {
    let TokenRequest {
        ctx,
        info,
        client,
        parameters,
        ..
    } = *request;
    request.check_bound(None)?;
    let subject = live_token(ctx, asked.subject_token)
        .await?
        .ok_or_else(unusable_subject)?;
    if let Some(actor_token) = asked.actor_token {
        check_actor_token(request, asked.subject_token, actor_token).await?;
    }
    let target = target(ctx, &subject.claims, parameters).await?;
    let exchanged = decide(
        ctx,
        &subject.claims,
        client.registered(),
        request.key_thumbprint(),
        &target,
        asked.scope.as_ref(),
    )
    .await?
    .map_err(OAuthError::from)?;

    let now = ctx.now();
    let (draft, issuance) = Draft::exchanged(
        ctx,
        &subject.claims,
        subject.grant,
        client.client_id(),
        exchanged,
        now,
    );
    let draft = draft.with_claims_of(&target);
    draft.check_size()?;
    request.spend().await?;
    match ctx.store.exchange_token(ExchangeToken { issuance, now }).await? {
        ExchangeOutcome::Issued => {}
        ExchangeOutcome::SubjectGone => return Err(unusable_subject()),
        ExchangeOutcome::ClientGone => return Err(client_gone()),
        ExchangeOutcome::ResourceGone => return Err(no_such_target()),
    }
    tracing::info!(
        request_id = &*info.id, client_id = client.client_id(), grant = %subject.grant.0,
        parent = %subject.claims.jti, resource = %target.uri, "exchanged a token"
    );
    let token = draft.sign(ctx, request.signer).await?;
    Ok(TokenResponse::new(token, None).with_issued_token_type(issued_token_type))
}

/// A token of this server that works now, and its grant.
pub(crate) struct LiveToken {
    pub(crate) claims: AccessTokenClaims,
    pub(crate) grant: GrantId,
}

pub(crate) async fn live_token(ctx: &Context, token: &str) -> Result<Option<LiveToken>, TokenError> {
    let Some(claims) = own_token::read(ctx, token).await? else {
        return Ok(None);
    };
    let standing = own_token::live(ctx, &claims).await?;
    Ok(standing.map(|standing| LiveToken {
        claims,
        grant: standing.grant,
    }))
}

/// Who acts is the client that authenticated itself. An actor token may say so again, and nothing else: one of
/// somebody else, or one with a chain of its own, would put actors into the new chain who did not act in it.
async fn check_actor_token(
    request: &TokenRequest<'_>,
    subject_token: &str,
    actor_token: &str,
) -> Result<(), TokenError> {
    let refused = || {
        invalid_request(
            "The actor_token must be a live access token that this client got for itself; leave it out, the client is the actor.",
        )
    };
    let actor = live_token(request.ctx, actor_token)
        .await?
        .ok_or_else(refused)?
        .claims;
    let client_id = request.client.client_id();
    let own = actor.client_id == client_id && actor.sub == client_id && actor.act.is_none();
    let bound = actor.cnf.as_ref().map(|cnf| cnf.jkt.as_str());
    let proven = bound.is_none() || bound == request.key_thumbprint();
    if own && proven && actor_token != subject_token {
        Ok(())
    } else {
        Err(refused())
    }
}

/// The decision on facts of this moment: what the resources have, and how they want their tokens.
pub(crate) async fn decide(
    ctx: &Context,
    subject: &AccessTokenClaims,
    client: &Client,
    key_thumbprint: Option<&str>,
    target: &Resource,
    requested: Option<&ScopeSet>,
) -> Result<Result<Exchanged, Refusal>, TokenError> {
    let own_resource = own_resource(ctx, client).await?;
    let mut held = ScopeSet::new();
    for resource in subject.aud.iter() {
        let defined = ctx.resources.still_defined(resource, &subject.scopes()).await?;
        held = held.union(&defined);
    }
    let scopes = target
        .scopes
        .iter()
        .filter_map(|scope| Scope::parse(&scope.name).ok())
        .collect();
    let rules = ExchangeRules {
        max_depth: ctx.settings.token_exchange.max_depth as usize,
        lifetime: target.policy.access_ttl.map_or_else(
            || ctx.settings.tokens.access_ttl.duration(),
            |seconds| Duration::from_secs(seconds.into()),
        ),
    };
    let decision = rules.decide(
        subject,
        &held,
        &caller(client, own_resource.as_deref(), key_thumbprint),
        &Target {
            resource: &target.uri,
            scopes: &scopes,
            exchange_clients: &target.policy.exchange_clients,
            must_be_bound: target.policy.dpop_bound_access_tokens_required,
        },
        requested,
        ctx.now(),
    );
    Ok(decision.and_then(|exchanged| check_recent(ctx, subject, target).map(|()| exchanged)))
}

/// RFC 9470: who gets at another resource that demands a recent sign-in has to show one, as if they had gone there
/// themselves. Programs, which are no UUIDs, do not sign in.
fn check_recent(ctx: &Context, subject: &AccessTokenClaims, target: &Resource) -> Result<(), Refusal> {
    let (Some(max_age), Ok(_person)) = (target.policy.max_auth_age, Uuid::try_parse(&subject.sub)) else {
        return Ok(());
    };
    let max_age = Duration::from_secs(max_age.into());
    let signed_in = subject.auth_time;
    if subject.aud.contains(&target.uri) || signed_in.is_some_and(|at| ctx.now().since(at) <= max_age) {
        return Ok(());
    }
    Err(Refusal::SignInTooOld)
}

/// The resource that a client is.
async fn own_resource(ctx: &Context, client: &Client) -> Result<Option<String>, TokenError> {
    let Some(slug) = client.resource_server.as_deref() else {
        return Ok(None);
    };
    Ok(ctx
        .resources
        .by_slug(slug)
        .await?
        .map(|resource| resource.uri.clone()))
}

fn caller<'c>(client: &'c Client, resource: Option<&'c str>, key_thumbprint: Option<&'c str>) -> Caller<'c> {
    Caller {
        client_id: &client.client_id,
        is_confidential: !client.metadata.is_public(),
        resource,
        key_thumbprint,
    }
}

fn client_gone() -> TokenError {
    invalid_request("This client has been disabled; ask the operator to enable it.")
}

/// RFC 8693 §2.2.2: a token that is not valid for any reason.
fn unusable_subject() -> TokenError {
    invalid_request("The subject_token is no access token of this server that works now; get a new one.")
}

fn no_such_target() -> TokenError {
    OAuthError::new(
        ErrorCode::InvalidTarget,
        "Name one registered resource by resource or audience; a token is for one resource.",
    )
    .into()
}

fn invalid_request(description: &'static str) -> TokenError {
    OAuthError::new(ErrorCode::InvalidRequest, description).into()
}
