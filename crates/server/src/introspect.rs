//! `POST /oauth/introspect` (RFC 7662): whether a token works, told only to those it concerns.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use doorward_oauth::claims::AccessTokenClaims;
use doorward_oauth::error::{ErrorCode, OAuthError};
use http::HeaderMap;
use serde::Serialize;

use crate::clients::authentication::{AuthenticatedClient, authenticate};
use crate::context::Context;
use crate::http::error::TokenError;
use crate::http::form;
use crate::http::request::RequestInfo;
use crate::issue::{own_token, token_type};

/// RFC 7662 §2.2.
#[derive(Debug, Serialize)]
struct Introspection {
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    #[serde(flatten)]
    claims: Option<AccessTokenClaims>,
}

impl Introspection {
    const INACTIVE: Self = Self {
        active: false,
        token_type: None,
        claims: None,
    };
}

/// `POST /oauth/introspect`.
pub async fn endpoint(
    State(ctx): State<Arc<Context>>,
    info: RequestInfo,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, TokenError> {
    let parameters = form::parse(&headers, &body)?;
    let client = authenticate(&ctx, &info, &headers, &parameters).await?;
    // RFC 7662 §2.1: without proof of who asks, anybody could scan for live tokens.
    if !client.is_confidential() {
        return Err(OAuthError::new(
            ErrorCode::InvalidClient,
            "Introspection needs a client with a secret; register one for the resource server.",
        )
        .into());
    }
    let answer = introspect(&ctx, &client, parameters.require("token")?).await?;
    Ok(([(http::header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

async fn introspect(
    ctx: &Context,
    client: &AuthenticatedClient,
    token: &str,
) -> Result<Introspection, TokenError> {
    let Some(claims) = own_token::read(ctx, token) else {
        return Ok(Introspection::INACTIVE);
    };
    if !may_see(ctx, client, &claims).await? || !own_token::is_live(ctx, &claims).await? {
        return Ok(Introspection::INACTIVE);
    }
    Ok(Introspection {
        active: true,
        token_type: Some(token_type(claims.cnf.as_ref())),
        claims: Some(claims),
    })
}

/// The token's own client, and the client that is its resource server.
async fn may_see(
    ctx: &Context,
    client: &AuthenticatedClient,
    claims: &AccessTokenClaims,
) -> Result<bool, TokenError> {
    if claims.client_id == client.client_id() {
        return Ok(true);
    }
    let Some(slug) = client.resource_server() else {
        return Ok(false);
    };
    let resource = ctx.resources.by_slug(slug).await?;
    Ok(resource.is_some_and(|resource| claims.aud.contains(&resource.uri)))
}
