//! `GET`, `PUT` and `DELETE /oauth/register/{client_id}` (RFC 7592): a client with a registration access token reads,
//! replaces and removes its registration. The token is another one after every change. An answer that is lost locks nobody
//! out: a look changes nothing, and whoever sends a change again with the token from before gets the same answer.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use doorward_jose::{base64url, constant_time_eq, sha256};
use doorward_oauth::client::{EffectiveClient, consent_fingerprint};
use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_oauth::time::UnixSeconds;
use doorward_store::{Actor, Client, ClientSource, Digest, StoreError};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::super::{ClientError, secret};
use super::{Registered, bearer, has_secret, read, token_refused};
use crate::context::Context;
use crate::http::error::TokenError;
use crate::http::request::RequestInfo;
use crate::prefix;

/// What makes the next token out of one.
const PURPOSE: &str = "registration-access-token";

/// How long the answer to a change is given again.
const REPEATABLE: Duration = Duration::from_mins(5);

/// A new registration access token, and what is stored of it.
pub(super) fn generate(ctx: &Context) -> (String, Digest) {
    let token = ctx.random.token(prefix::REGISTRATION_ACCESS_TOKEN);
    let digest = sha256(token.as_bytes());
    (token, digest)
}

/// The token after this one, by a change at that time: the same however often the change is sent, and until the client is
/// changed again, by whomever.
fn next(ctx: &Context, presented: &str, changed_at: UnixSeconds) -> (String, Digest) {
    let changed_at = changed_at.seconds().to_be_bytes();
    let mac = ctx.secrets.mac(PURPOSE, &[presented.as_bytes(), &changed_at]);
    let token = format!("{}{}", prefix::REGISTRATION_ACCESS_TOKEN, base64url::encode(&mac));
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
    let authorized = authorized(&ctx, &info, &client_id, &headers).await?;
    let Authorized { client, token, .. } = authorized.by_its_own()?;
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
    let authorized = authorized(&ctx, &info, &client_id, &headers).await?;
    let metadata = read(&ctx, &headers, &body)?;
    if authorized.is_before {
        return repeat(&ctx, &info, &authorized, metadata);
    }
    let Authorized { client, token, .. } = authorized;
    check_repeated(&ctx, &client, &body)?;
    let before = metadata_of(&client)?;
    if before.is_public() != metadata.is_public() {
        return Err(invalid(
            "A public client stays public, and a confidential one confidential; register another client.",
        ));
    }
    let mut client = client;
    client.updated_at = ctx.now();
    let next = next(&ctx, &token, client.updated_at);
    let mut shown = None;
    if has_secret(&metadata) && client.secrets.is_empty() {
        let (text, stored) = secret::given_with(&ctx, &next.0);
        client.secrets = vec![stored];
        shown = Some(text);
    } else if !has_secret(&metadata) {
        client.secrets.clear();
    }
    client.fingerprint = consent_fingerprint(&metadata);
    client.metadata = serde_json::to_string(&metadata).map_err(TokenError::internal)?;
    client.registration_token = Some(next.1);
    let acting = ctx.acting(&info, Actor::SelfRegisteredClient(client.client_id.clone()));
    let changed = acting
        .update_registration(client.clone(), &sha256(token.as_bytes()), ctx.now())
        .await;
    match changed {
        // Changed, disabled or removed in this moment; by the same change, maybe, which was sent twice.
        Err(StoreError::Conflict | StoreError::NotFound) => {
            let authorized = self::authorized(&ctx, &info, &client_id, &headers).await?;
            return repeat(&ctx, &info, &authorized, metadata);
        }
        outcome => outcome?,
    }
    tracing::info!(client_id = client.client_id, address = %info.address, "a client changed its registration");
    Ok(answer(&ctx, &client, metadata, shown, next.0))
}

/// The same change again, by the token that it was made with: the answer may have been lost.
fn repeat(
    ctx: &Context,
    info: &RequestInfo,
    authorized: &Authorized,
    metadata: EffectiveClient,
) -> Result<Response, TokenError> {
    let Authorized { client, token, .. } = authorized;
    let is_same = serde_json::to_string(&metadata).map_err(TokenError::internal)? == client.metadata;
    if !authorized.is_before || !is_same {
        return Err(token_refused("the token was used for another change"));
    }
    tracing::info!(client_id = client.client_id, address = %info.address, "a client sent the change of its registration again");
    let (token, _) = next(ctx, token, client.updated_at);
    let (secret, stored) = secret::given_with(ctx, &token);
    let is_its_own = client
        .secrets
        .iter()
        .any(|own| constant_time_eq(&own.digest, &stored.digest));
    Ok(answer(ctx, client, metadata, is_its_own.then_some(secret), token))
}

/// RFC 7592 §2.3: the client is gone, and everything with it.
pub(crate) async fn delete(
    State(ctx): State<Arc<Context>>,
    info: RequestInfo,
    Path(client_id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, TokenError> {
    let authorized = authorized(&ctx, &info, &client_id, &headers).await?;
    let Authorized { client, .. } = authorized.by_its_own()?;
    let acting = ctx.acting(&info, Actor::SelfRegisteredClient(client.client_id.clone()));
    let ended = acting.delete_client(&client.client_id, ctx.now()).await?;
    tracing::info!(client_id = %client.client_id, address = %info.address, grants = ended, "a client removed itself");
    Ok((StatusCode::NO_CONTENT, [(CACHE_CONTROL, "no-store")]).into_response())
}

/// A client, and the registration access token by which it came.
struct Authorized {
    client: Client,
    token: String,
    /// Whether it is the one before the client's own: good for the same change again, and for nothing else.
    is_before: bool,
}

impl Authorized {
    fn by_its_own(self) -> Result<Self, TokenError> {
        if self.is_before {
            return Err(token_refused("the token was used for a change"));
        }
        Ok(self)
    }
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
    let is = |digest: &Digest| {
        client
            .registration_token
            .is_some_and(|own| constant_time_eq(&own, digest))
    };
    let is_its_own = is(&sha256(token.as_bytes()));
    let is_before =
        ctx.now().since(client.updated_at) <= REPEATABLE && is(&next(ctx, token, client.updated_at).1);
    if !(is_its_own || is_before) || client.source != ClientSource::Dynamic || client.disabled {
        return Err(token_refused(
            "a wrong token, or a client that does not manage itself, or is disabled",
        ));
    }
    info.note_client(&client.client_id);
    Ok(Authorized {
        client,
        token: token.to_owned(),
        is_before,
    })
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
