//! `POST /oauth/register` (RFC 7591). A public client gets the id that its metadata gives, so that registering again
//! finds the client that is there; a confidential one gets a random id and a secret, once.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use doorward_oauth::client::{
    ClientMetadata, EffectiveClient, TokenEndpointAuthMethod, consent_fingerprint, derived_client_id,
    effective,
};
use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_store::{ClientSecret, ClientSource};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;

use super::secret;
use crate::config::DynamicRegistration;
use crate::context::Context;
use crate::http::error::TokenError;
use crate::http::request::RequestInfo;

/// The largest registration, in bytes. Real ones have 1 KiB; whatever a stranger sends is kept.
const LARGEST: usize = 16 * 1024;

/// RFC 7591 §3.2.1: what was registered, with every value that the server chose.
#[derive(Debug, Serialize)]
struct Registered {
    client_id: String,
    client_id_issued_at: i64,
    #[serde(flatten)]
    credentials: Option<Credentials>,
    #[serde(flatten)]
    metadata: EffectiveClient,
}

#[derive(Serialize)]
struct Credentials {
    client_secret: String,
    /// 0: it does not expire.
    client_secret_expires_at: i64,
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
    if ctx.settings.registration.dcr == DynamicRegistration::AdminOnly {
        return Err(closed());
    }
    let metadata = read(&ctx, &headers, &body)?;
    let outcome = if metadata.is_public() {
        register_public(&ctx, &info, metadata).await?
    } else {
        register_confidential(&ctx, &info, metadata).await?
    };
    let registered = match outcome {
        Outcome::Registered(registered) => registered,
        Outcome::ComeBackAfter(seconds) => {
            let mut response = too_many().into_response();
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(seconds));
            return Ok(response);
        }
    };
    info.note_client(&registered.client_id);
    Ok((
        StatusCode::CREATED,
        [(CACHE_CONTROL, "no-store")],
        Json(registered),
    )
        .into_response())
}

enum Outcome {
    Registered(Box<Registered>),
    /// Seconds.
    ComeBackAfter(u64),
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
    if metadata.redirect_uris.iter().all(|uri| is_approved(uri.as_str())) {
        return Ok(());
    }
    Err(OAuthError::new(
        ErrorCode::InvalidRedirectUri,
        "This server registers approved redirect URIs only; ask its operator to add yours to registration.approved_redirects.",
    ))
}

async fn register_public(
    ctx: &Context,
    info: &RequestInfo,
    metadata: EffectiveClient,
) -> Result<Outcome, TokenError> {
    let client_id = derived_client_id(&metadata);
    if ctx.store.client(&client_id).await?.is_none()
        && let Err(seconds) = ctx.clients.registrations.count(info.address)
    {
        return Ok(Outcome::ComeBackAfter(seconds));
    }
    let stored = ctx
        .store
        .register_client(record(ctx, client_id, &metadata, Vec::new())?)
        .await?;
    if stored.disabled {
        return Err(OAuthError::new(
            ErrorCode::InvalidClientMetadata,
            "The operator has disabled this client; ask them to enable it.",
        )
        .into());
    }
    Ok(Outcome::Registered(Box::new(Registered {
        client_id: stored.client_id,
        client_id_issued_at: stored.created_at.seconds(),
        credentials: None,
        metadata,
    })))
}

async fn register_confidential(
    ctx: &Context,
    info: &RequestInfo,
    metadata: EffectiveClient,
) -> Result<Outcome, TokenError> {
    if let Err(seconds) = ctx.clients.registrations.count(info.address) {
        return Ok(Outcome::ComeBackAfter(seconds));
    }
    let client_id = ctx.random.token("dws_");
    // Who signs with keys has no secret to keep.
    let signs = metadata.token_endpoint_auth_method == TokenEndpointAuthMethod::PrivateKeyJwt;
    let (client_secret, stored) = (!signs).then(|| secret::generate(ctx)).unzip();
    let record = record(ctx, client_id, &metadata, stored.into_iter().collect())?;
    ctx.store.create_client(record.clone()).await?;
    Ok(Outcome::Registered(Box::new(Registered {
        client_id: record.client_id,
        client_id_issued_at: record.created_at.seconds(),
        credentials: client_secret.map(|client_secret| Credentials {
            client_secret,
            client_secret_expires_at: 0,
        }),
        metadata,
    })))
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

fn too_many() -> TokenError {
    let error = OAuthError::new(
        ErrorCode::TemporarilyUnavailable,
        "Too many new clients came from this address; wait as long as the Retry-After header says.",
    );
    TokenError::with_status(StatusCode::TOO_MANY_REQUESTS, error)
}
