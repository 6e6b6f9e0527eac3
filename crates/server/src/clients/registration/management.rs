//! `GET`, `PUT` and `DELETE /oauth/register/{client_id}` (RFC 7592): a client with a registration access token reads,
//! replaces and removes its registration. The token is another one after every change: a look at it changes nothing, so that
//! an answer that is lost locks nobody out.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use doorward_jose::{constant_time_eq, sha256};
use doorward_oauth::client::{EffectiveClient, consent_fingerprint};
use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_store::{Actor, Client, ClientSource, Digest, Store, StoreError};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::super::{ClientError, secret};
use super::{Registered, bearer, has_secret, read, token_refused};
use crate::context::Context;
use crate::http::error::TokenError;
use crate::http::request::RequestInfo;
use crate::prefix;

/// A new registration access token, and what is stored of it.
pub(super) fn generate(ctx: &Context) -> (String, Digest) {
    let token = ctx.random.token(prefix::REGISTRATION_ACCESS_TOKEN);
    let digest = sha256(token.as_bytes());
    (token, digest)
}

/// RFC 7592 §2.1.
pub(crate) async fn get(
    State(ctx): State<Arc<Context>>,
    info: RequestInfo,
    Path(client_id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, TokenError> {
    let Authorized { client, token, .. } = authorized(&ctx, &info, &client_id, &headers).await?;
    let metadata = metadata_of(&client)?;
    Ok(answer(&ctx, &client, metadata, None, token))
}

/// RFC 7592 §2.2: the whole registration, read and checked like a new one. What the client cannot choose (its id, its
/// secret) may be repeated as it is.
pub(crate) async fn put(
    State(ctx): State<Arc<Context>>,
    info: RequestInfo,
    Path(client_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, TokenError> {
    let Authorized { client, digest, .. } = authorized(&ctx, &info, &client_id, &headers).await?;
    let metadata = read(&ctx, &headers, &body)?;
    check_repeated(&ctx, &client, &body)?;
    let before = metadata_of(&client)?;
    if before.is_public() != metadata.is_public() {
        return Err(invalid(
            "A public client stays public, and a confidential one confidential; register another client.",
        ));
    }
    let mut client = client;
    let mut shown = None;
    if has_secret(&metadata) && client.secrets.is_empty() {
        let (text, stored) = secret::generate(&ctx);
        client.secrets = vec![stored];
        shown = Some(text);
    } else if !has_secret(&metadata) {
        client.secrets.clear();
    }
    client.fingerprint = consent_fingerprint(&metadata);
    client.metadata = serde_json::to_string(&metadata).map_err(TokenError::internal)?;
    client.updated_at = ctx.now();
    let client_id = client.client_id.clone();
    let acting = ctx.acting(&info, Actor::SelfRegisteredClient(client_id.clone()));
    let response = replace(&ctx, acting.as_ref(), client, metadata, digest, shown).await?;
    tracing::info!(client_id, address = %info.address, "a client changed its registration");
    Ok(response)
}

/// RFC 7592 §2.3: the client is gone, and everything with it.
pub(crate) async fn delete(
    State(ctx): State<Arc<Context>>,
    info: RequestInfo,
    Path(client_id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, TokenError> {
    let Authorized { client, .. } = authorized(&ctx, &info, &client_id, &headers).await?;
    let acting = ctx.acting(&info, Actor::SelfRegisteredClient(client.client_id.clone()));
    let ended = acting.delete_client(&client.client_id, ctx.now()).await?;
    tracing::info!(client_id = %client.client_id, address = %info.address, grants = ended, "a client removed itself");
    Ok((StatusCode::NO_CONTENT, [(CACHE_CONTROL, "no-store")]).into_response())
}

/// A client, and the registration access token by which it came.
struct Authorized {
    client: Client,
    token: String,
    digest: Digest,
}

/// The client of a registration access token. One and the same answer to everything else.
async fn authorized(
    ctx: &Context,
    info: &RequestInfo,
    client_id: &str,
    headers: &HeaderMap,
) -> Result<Authorized, TokenError> {
    ctx.limits.token_address.take(info.address)?;
    info.note_claimed_client(client_id);
    let presented = bearer(headers)?;
    let stored = ctx.store.client(client_id).await?;
    let (Some(token), Some(client)) = (presented, stored) else {
        return Err(token_refused("no token, or an unknown client"));
    };
    let digest = sha256(token.as_bytes());
    let is_its_own = client
        .registration_token
        .is_some_and(|own| constant_time_eq(&own, &digest));
    if !is_its_own || client.source != ClientSource::Dynamic || client.disabled {
        return Err(token_refused(
            "a wrong token, or a client that does not manage itself, or is disabled",
        ));
    }
    info.note_client(&client.client_id);
    Ok(Authorized {
        client,
        token: token.to_owned(),
        digest,
    })
}

/// Writes the client with another token, if the presented one is still its own.
async fn replace(
    ctx: &Context,
    acting: &dyn Store,
    client: Client,
    metadata: EffectiveClient,
    presented: Digest,
    client_secret: Option<String>,
) -> Result<Response, TokenError> {
    let (token, digest) = generate(ctx);
    let client = Client {
        registration_token: Some(digest),
        ..client
    };
    match acting
        .update_registration(client.clone(), &presented, ctx.now())
        .await
    {
        // Changed, disabled or removed in this moment.
        Err(StoreError::Conflict | StoreError::NotFound) => {
            return Err(token_refused("the token was used by another request"));
        }
        outcome => outcome?,
    }
    Ok(answer(ctx, &client, metadata, client_secret, token))
}

/// RFC 7592 §3.
fn answer(
    ctx: &Context,
    client: &Client,
    metadata: EffectiveClient,
    client_secret: Option<String>,
    token: String,
) -> Response {
    let registered = Registered::of(ctx, client, metadata, client_secret, Some(token));
    ([(CACHE_CONTROL, "no-store")], Json(registered)).into_response()
}

/// RFC 7592 §2.2: `client_id` and `client_secret` may be there, as they are.
fn check_repeated(ctx: &Context, client: &Client, body: &[u8]) -> Result<(), TokenError> {
    let body: Value = doorward_jose::json::from_slice(body).map_err(TokenError::internal)?;
    if body.get("client_id").is_some_and(|id| id != &client.client_id) {
        return Err(invalid(
            "The client_id cannot be changed. Leave it out, or send it as it is.",
        ));
    }
    let Some(sent) = body.get("client_secret") else {
        return Ok(());
    };
    let digest = sent.as_str().map(|text| secret::digest(&ctx.secrets, text));
    let is_its_own = digest.is_some_and(|digest| {
        client
            .secrets
            .iter()
            .any(|secret| constant_time_eq(&secret.digest, &digest))
    });
    if is_its_own {
        return Ok(());
    }
    Err(invalid(
        "The client_secret cannot be chosen. Leave it out, or send it as it is.",
    ))
}

fn metadata_of(client: &Client) -> Result<EffectiveClient, TokenError> {
    serde_json::from_str(&client.metadata)
        .map_err(|error| TokenError::internal(ClientError::UnreadableRecord(error.to_string())))
}

fn invalid(sentence: &'static str) -> TokenError {
    OAuthError::new(ErrorCode::InvalidClientMetadata, sentence).into()
}
