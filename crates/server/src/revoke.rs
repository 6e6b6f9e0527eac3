//! `POST /oauth/revoke` (RFC 7009). A refresh token takes its whole grant with it; an access token only
//! itself. The answer is 200 for every token that does not work afterwards, also for unknown ones.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use doorward_store::{EndReason, GrantFilter, Store};
use http::{HeaderMap, StatusCode};

use crate::clients::authentication::{AuthenticatedClient, authenticate};
use crate::context::Context;
use crate::http::error::TokenError;
use crate::http::form;
use crate::http::request::RequestInfo;
use crate::issue::own_token;
use crate::token::RefreshToken;

/// `POST /oauth/revoke`. `token_type_hint` is not needed: the two kinds do not look alike.
pub async fn endpoint(
    State(ctx): State<Arc<Context>>,
    info: RequestInfo,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, TokenError> {
    let parameters = form::parse(&headers, &body)?;
    let client = authenticate(&ctx, &info, &headers, &parameters).await?;
    let token = parameters.require("token")?;
    let acting = ctx.acting(&info, client.actor());
    if RefreshToken::looks_like(token) {
        revoke_grant(&ctx, acting.as_ref(), &client, token).await?;
    } else {
        revoke_access_token(&ctx, acting.as_ref(), &client, token).await?;
    }
    Ok((StatusCode::OK, [(http::header::CACHE_CONTROL, "no-store")]).into_response())
}

async fn revoke_grant(
    ctx: &Context,
    acting: &dyn Store,
    client: &AuthenticatedClient,
    token: &str,
) -> Result<(), TokenError> {
    let Some(presented) = RefreshToken::parse(token) else {
        return Ok(());
    };
    let Some(grant) = ctx.store.grant(presented.grant).await? else {
        return Ok(());
    };
    // RFC 7009 §2.1: a client revokes its own tokens only; to others they look unknown.
    if !presented.belongs_to(&grant, &ctx.secrets) || grant.client_id != client.client_id() {
        return Ok(());
    }
    acting
        .revoke_grants(GrantFilter::one(grant.id), EndReason::RevokedByClient, ctx.now())
        .await?;
    Ok(())
}

async fn revoke_access_token(
    ctx: &Context,
    acting: &dyn Store,
    client: &AuthenticatedClient,
    token: &str,
) -> Result<(), TokenError> {
    let claims = own_token::read(ctx, token).await?;
    if let Some(claims) = claims.filter(|claims| claims.client_id == client.client_id()) {
        acting.revoke_issuance(&claims.jti, ctx.now()).await?;
    }
    Ok(())
}
