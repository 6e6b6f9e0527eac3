//! `POST /oauth/introspect` (RFC 7662): whether a token works, told only to those it concerns.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use doorward_oauth::claims::{AccessTokenClaims, Audience};
use doorward_oauth::error::{ErrorCode, OAuthError};
use http::HeaderMap;
use serde::Serialize;

use crate::clients::authentication::{AuthenticatedClient, authenticate_counted};
use crate::clients::spending::spend_assertion;
use crate::context::Context;
use crate::http::error::TokenError;
use crate::http::form;
use crate::http::json;
use crate::http::request::RequestInfo;
use crate::issue::live_tokens::LiveToken;
use crate::issue::{own_token, token_type};

/// RFC 7662 §2.2: of a token that does not work, nothing else is said.
const INACTIVE: Bytes = Bytes::from_static(br#"{"active":false}"#);

/// RFC 7662 §2.2.
#[derive(Debug, Serialize)]
struct Introspection<'a> {
    active: bool,
    token_type: &'static str,
    #[serde(flatten)]
    claims: &'a AccessTokenClaims,
}

/// `POST /oauth/introspect`.
pub async fn endpoint(
    State(ctx): State<Arc<Context>>,
    info: RequestInfo,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, TokenError> {
    let parameters = form::parse(&headers, &body)?;
    let client = authenticate_counted(&ctx, &info, &headers, &parameters).await?;
    // RFC 7662 §2.1: without proof of who asks, anybody could scan for live tokens.
    if !client.is_confidential() {
        return Err(OAuthError::new(
            ErrorCode::InvalidClient,
            "Introspection needs a client with a secret; register one for the resource server.",
        )
        .into());
    }
    let token = parameters.require("token")?;
    // Remembering an assertion is a row. Whoever may not see the token is told nothing, also when it comes again.
    if client.unspent().is_some() && !may_see_any(&ctx, &client, token).await? {
        return Ok(json::answer(INACTIVE));
    }
    spend_assertion(&ctx, &info, &client).await?;
    let body = introspect(&ctx, &client, token).await?;
    Ok(json::answer(body))
}

/// Whether it is a resource server, or the token is its own, live or not.
async fn may_see_any(ctx: &Context, client: &AuthenticatedClient, token: &str) -> Result<bool, TokenError> {
    if client.resource_server().is_some() {
        return Ok(true);
    }
    let claims = own_token::read(ctx, token).await?;
    Ok(claims.is_some_and(|claims| claims.client_id == client.client_id()))
}

async fn introspect(ctx: &Context, client: &AuthenticatedClient, token: &str) -> Result<Bytes, TokenError> {
    let digest = doorward_jose::sha256(token.as_bytes());
    // Before anything that rests on a key: it may have been withdrawn on another node.
    ctx.keys.catch_up().await?;
    let moment = ctx.live_tokens.catch_up().await?;
    if let Some(known) = moment.and_then(|moment| ctx.live_tokens.get(&digest, moment, ctx.now()))
        && ctx.keys.publishes(&known.key_id)
    {
        let visible = may_see(ctx, client, &known.client_id, &known.audience).await?;
        return Ok(if visible { known.answer.clone() } else { INACTIVE });
    }
    let Some((claims, key_id)) = own_token::read_with_key(ctx, token, &digest) else {
        return Ok(INACTIVE);
    };
    if !may_see(ctx, client, &claims.client_id, &claims.aud).await? {
        return Ok(INACTIVE);
    }
    let Some(standing) = own_token::live(ctx, &claims).await? else {
        return Ok(INACTIVE);
    };
    let answer = Introspection {
        active: true,
        token_type: token_type(claims.cnf.as_ref()),
        claims: &claims,
    };
    // Kept for long, in no more memory than it takes.
    let answer = serde_json::to_vec(&answer).map_err(TokenError::internal)?;
    let answer = Bytes::from(answer.into_boxed_slice());
    if let Some(moment) = moment {
        let token = LiveToken {
            answer: answer.clone(),
            expires_at: claims.exp,
            audience: claims.aud,
            client_id: claims.client_id,
            key_id,
            jti: claims.jti,
            grant: standing.grant,
            granted_to: standing.granted_to,
        };
        ctx.live_tokens.keep(digest, moment, token);
    }
    Ok(answer)
}

/// The token's own client, and the client that is its resource server.
async fn may_see(
    ctx: &Context,
    client: &AuthenticatedClient,
    client_id: &str,
    audience: &Audience,
) -> Result<bool, TokenError> {
    if client_id == client.client_id() {
        return Ok(true);
    }
    let Some(slug) = client.resource_server() else {
        return Ok(false);
    };
    let resources = ctx.resources.all().await?;
    let resource = resources.iter().find(|resource| resource.slug == slug);
    Ok(resource.is_some_and(|resource| audience.contains(&resource.uri)))
}
