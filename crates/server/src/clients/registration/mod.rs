//! `POST /oauth/register` (RFC 7591), and below it the clients' own management (RFC 7592). A public client gets the id that its metadata gives, so that registering again
//! finds the client that is there; a confidential one gets a random id and a secret, once.

pub(crate) mod management;

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use doorward_jose::sha256;
use doorward_oauth::client::{
    ClientMetadata, EffectiveClient, TokenEndpointAuthMethod, consent_fingerprint, derived_client_id,
    effective,
};
use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_oauth::redirect::RedirectUri;
use doorward_store::{Actor, ClientSecret, ClientSource, Digest, RegisterOutcome};
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use serde::Serialize;

use super::secret;
use crate::config::DynamicRegistration;
use crate::context::Context;
use crate::http::error::TokenError;
use crate::http::request::RequestInfo;
use crate::limits::TooMany;
use crate::{prefix, routes, shown};

/// The largest registration, in bytes. Real ones have 1 KiB; whatever a stranger sends is kept.
const LARGEST: usize = 16 * 1024;

/// RFC 7591 §3.2.1, RFC 7592 §3: what was registered, with every value that the server chose.
#[derive(Debug, Serialize)]
struct Registered {
    client_id: String,
    client_id_issued_at: i64,
    #[serde(flatten)]
    credentials: Option<Credentials>,
    #[serde(flatten)]
    management: Option<Management>,
    #[serde(flatten)]
    metadata: EffectiveClient,
}

#[derive(Serialize)]
struct Credentials {
    client_secret: String,
    /// 0: it does not expire.
    client_secret_expires_at: i64,
}

/// RFC 7592 §3.
#[derive(Serialize)]
struct Management {
    registration_access_token: String,
    registration_client_uri: String,
}

impl std::fmt::Debug for Management {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Management").finish_non_exhaustive()
    }
}

impl Registered {
    fn of(
        ctx: &Context,
        client: &doorward_store::Client,
        metadata: EffectiveClient,
        client_secret: Option<String>,
        registration_token: Option<String>,
    ) -> Self {
        Self {
            client_id: client.client_id.clone(),
            client_id_issued_at: client.created_at.seconds(),
            credentials: client_secret.map(|client_secret| Credentials {
                client_secret,
                client_secret_expires_at: 0,
            }),
            management: registration_token.map(|registration_access_token| Management {
                registration_access_token,
                registration_client_uri: format!(
                    "{}{}/{}",
                    ctx.issuer.as_str(),
                    routes::REGISTER,
                    client.client_id
                ),
            }),
            metadata,
        }
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// `POST /oauth/register`.
pub(crate) async fn endpoint(
    State(ctx): State<Arc<Context>>,
    info: RequestInfo,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, TokenError> {
    let policy = ctx.settings.registration.dcr;
    if policy == DynamicRegistration::AdminOnly {
        return Err(closed());
    }
    let needs_token = policy == DynamicRegistration::InitialAccessToken;
    let initial = match initial_token(&headers) {
        Err(_) if !needs_token => None,
        initial => initial?,
    };
    if initial.is_some() {
        // Its holder is not counted as a stranger who registers; whoever tries tokens is.
        ctx.limits.token_address.take(info.address)?;
    }
    if needs_token && initial.is_none() {
        return Err(token_refused("no initial access token"));
    }
    let metadata = read(&ctx, &headers, &body)?;
    let vouched_for = match &initial {
        Some(initial) => register_with_token(&ctx, &info, &metadata, initial).await?,
        None => None,
    };
    let with_token = vouched_for.is_some();
    let registered = match vouched_for {
        Some(registered) => registered,
        None if needs_token => {
            return Err(token_refused("an unknown, expired or used initial access token"));
        }
        // Clients send the token that they have for something else. Where anybody may register, it says nothing.
        None => register_stranger(&ctx, &info, metadata).await?,
    };
    info.note_client(&registered.client_id);
    tracing::info!(
        client_id = %registered.client_id, address = %info.address, with_token,
        client_name = ?registered.metadata.client_name.as_deref().unwrap_or_default(), "a client registered itself"
    );
    Ok((
        StatusCode::CREATED,
        [(CACHE_CONTROL, "no-store")],
        Json(registered),
    )
        .into_response())
}

/// What the request registers: only members that this server knows, never an id, a secret or a privilege.
fn read(ctx: &Context, headers: &HeaderMap, body: &[u8]) -> Result<EffectiveClient, OAuthError> {
    if !is_json(headers) {
        return Err(OAuthError::new(
            ErrorCode::InvalidClientMetadata,
            "The content type must be application/json; send the client metadata as a JSON object (RFC 7591).",
        ));
    }
    if body.len() > LARGEST {
        return Err(OAuthError::new(
            ErrorCode::InvalidClientMetadata,
            "The client metadata is larger than 16 KiB. Register fewer or shorter values.",
        ));
    }
    let requested = ClientMetadata::from_json(body)?;
    let mut metadata = effective(&requested, &ctx.clients.registration)?;
    // Where tokens are not bound, who asks for it must not read that they are (RFC 7591 §3.2.1).
    metadata.dpop_bound_access_tokens &= ctx.settings.dpop.enabled;
    if ctx.settings.registration.dcr == DynamicRegistration::ApprovedRedirects {
        check_approved(ctx, &metadata)?;
    }
    Ok(metadata)
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn check_approved(ctx: &Context, metadata: &EffectiveClient) -> Result<(), OAuthError> {
    let is_approved = |uri: &str| {
        ctx.clients
            .approved_redirects
            .iter()
            .any(|approved| approved.matches(uri))
    };
    let mut uris = metadata.redirect_uris.iter().map(RedirectUri::as_str);
    let Some(stranger) = uris.find(|uri| !is_approved(uri)) else {
        return Ok(());
    };
    let error = OAuthError::new(
        ErrorCode::InvalidRedirectUri,
        "This server registers approved redirect URIs only; ask its operator to add yours to registration.approved_redirects.",
    );
    Err(error.with_internal(format_args!("not approved: {}", shown::uri(stranger))))
}

/// A public client without a token: the id that its metadata gives, and nobody's to change.
async fn register_public(
    ctx: &Context,
    info: &RequestInfo,
    metadata: EffectiveClient,
) -> Result<Registered, TokenError> {
    let client_id = derived_client_id(&metadata);
    if ctx.store.client(&client_id).await?.is_none() {
        count(ctx, info)?;
    }
    let stored = ctx
        .acting(info, Actor::Anyone)
        .register_client(record(ctx, client_id, &metadata, Vec::new())?)
        .await?;
    if stored.disabled {
        return Err(OAuthError::new(
            ErrorCode::InvalidClientMetadata,
            "The operator has disabled this client; ask them to enable it.",
        )
        .into());
    }
    Ok(Registered::of(ctx, &stored, metadata, None, None))
}

/// A client without a token that counts.
async fn register_stranger(
    ctx: &Context,
    info: &RequestInfo,
    metadata: EffectiveClient,
) -> Result<Registered, TokenError> {
    if metadata.is_public() {
        return register_public(ctx, info, metadata).await;
    }
    let (client, registered) = own(ctx, &metadata)?;
    count(ctx, info)?;
    ctx.acting(info, Actor::Anyone).create_client(client).await?;
    Ok(registered)
}

/// `None` when the token is unknown, has expired or is used up.
async fn register_with_token(
    ctx: &Context,
    info: &RequestInfo,
    metadata: &EffectiveClient,
    initial: &Digest,
) -> Result<Option<Registered>, TokenError> {
    let (client, registered) = own(ctx, metadata)?;
    let outcome = ctx
        .acting(info, Actor::Anyone)
        .register_with_token(client, initial, ctx.now())
        .await?;
    Ok((outcome != RegisterOutcome::TokenRefused).then_some(registered))
}

/// A client of its own: a random id, a secret if it authenticates with one, and a token to manage the registration.
fn own(
    ctx: &Context,
    metadata: &EffectiveClient,
) -> Result<(doorward_store::Client, Registered), TokenError> {
    let (client_secret, stored) = has_secret(metadata).then(|| secret::generate(ctx)).unzip();
    let (token, digest) = management::generate(ctx);
    let client = doorward_store::Client {
        registration_token: Some(digest),
        ..record(
            ctx,
            ctx.random.token(prefix::SELF_REGISTERED_CLIENT),
            metadata,
            stored.into_iter().collect(),
        )?
    };
    let registered = Registered::of(ctx, &client, metadata.clone(), client_secret, Some(token));
    Ok((client, registered))
}

/// Whether the client authenticates with a secret: who signs with keys has none to keep.
fn has_secret(metadata: &EffectiveClient) -> bool {
    matches!(
        metadata.token_endpoint_auth_method,
        TokenEndpointAuthMethod::ClientSecretBasic | TokenEndpointAuthMethod::ClientSecretPost
    )
}

fn count(ctx: &Context, info: &RequestInfo) -> Result<(), TokenError> {
    let counted = ctx.clients.registrations.take(info.address);
    counted.map_err(too_many)
}

/// The digest of the initial access token (RFC 7591 §3), if the request has one.
fn initial_token(headers: &HeaderMap) -> Result<Option<Digest>, TokenError> {
    Ok(bearer(headers)?.map(|token| sha256(token.as_bytes())))
}

/// The bearer token of a request, if it has an `Authorization` header.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, TokenError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let token = value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    match token.filter(|token| !token.is_empty() && values.next().is_none()) {
        Some(token) => Ok(Some(token)),
        None => Err(token_refused("an Authorization header that cannot be read")),
    }
}

fn record(
    ctx: &Context,
    client_id: String,
    metadata: &EffectiveClient,
    secrets: Vec<ClientSecret>,
) -> Result<doorward_store::Client, OAuthError> {
    let json = serde_json::to_string(metadata).map_err(|error| {
        OAuthError::new(
            ErrorCode::ServerError,
            "The client could not be registered; tell the operator.",
        )
        .with_internal(error)
    })?;
    let now = ctx.now();
    Ok(doorward_store::Client {
        client_id,
        source: ClientSource::Dynamic,
        metadata: json,
        secrets,
        fingerprint: consent_fingerprint(metadata),
        resource_server: None,
        registration_token: None,
        disabled: false,
        created_at: now,
        updated_at: now,
    })
}

fn closed() -> TokenError {
    let error = OAuthError::new(
        ErrorCode::AccessDenied,
        "Clients cannot register themselves here; ask the operator to add the client, or use the URL of a client metadata document as client_id.",
    );
    TokenError::with_status(StatusCode::FORBIDDEN, error)
}

fn too_many(limit: TooMany) -> TokenError {
    let error = OAuthError::new(
        ErrorCode::TemporarilyUnavailable,
        "Too many new clients came from this address; wait as long as the Retry-After header says.",
    );
    TokenError::come_back_after(limit.seconds, error.with_internal(limit))
}

/// RFC 6750 §3.1. The scheme is named in the answer's `WWW-Authenticate`.
fn token_refused(why: &'static str) -> TokenError {
    OAuthError::new(
        ErrorCode::InvalidToken,
        "The token is missing, unknown, expired or used up; ask the operator for another one and send it as a Bearer token.",
    )
    .with_internal(why)
    .into()
}
