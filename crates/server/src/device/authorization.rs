//! `POST /oauth/device_authorization` (RFC 8628 §3.1).

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use doorward_jose::sha256;
use doorward_oauth::client::GrantType;
use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_oauth::scope::ScopeSet;
use doorward_store::{DeviceAuthorization, StoreError};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, StatusCode};
use serde::Serialize;

use super::user_code::UserCode;
use crate::authorize::what;
use crate::clients::authentication::{AuthenticatedClient, authenticate_stranger};
use crate::clients::spending::spend_assertion;
use crate::context::Context;
use crate::http::error::TokenError;
use crate::http::form;
use crate::http::request::RequestInfo;
use crate::resources::Targets;
use crate::{prefix, routes};

/// A code that somebody else waits with is one in billions; more than a few in a row is something else.
const TRIES: u32 = 5;

/// RFC 8628 §3.2.
#[derive(Serialize)]
struct DeviceResponse {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: String,
    expires_in: i64,
    interval: i64,
}

/// `POST /oauth/device_authorization`.
pub(crate) async fn endpoint(
    State(ctx): State<Arc<Context>>,
    info: RequestInfo,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, TokenError> {
    if !ctx.settings.device.enabled {
        return Err(TokenError::with_status(
            StatusCode::NOT_FOUND,
            OAuthError::new(
                ErrorCode::UnsupportedGrantType,
                "Signing in on another device is switched off here (device.enabled).",
            ),
        ));
    }
    let parameters = form::parse(&headers, &body)?;
    let client = authenticate_stranger(&ctx, &info, &headers, &parameters).await?;
    info.note_actor(client.actor());
    if !client.may_use(GrantType::DeviceCode) {
        return Err(OAuthError::new(
            ErrorCode::UnauthorizedClient,
            "This client is not registered for the device grant; register it with urn:ietf:params:oauth:grant-type:device_code in grant_types.",
        )
        .into());
    }
    let may_refresh = client.may_use(GrantType::RefreshToken);
    let (targets, scopes) = what(&ctx, &parameters, may_refresh).await?;
    // Only what is stored is counted: a request that is refused costs nothing.
    ctx.limits.device_address.take(info.address)?;
    ctx.limits.device_total.take(())?;
    spend_assertion(&ctx, &info, &client).await?;
    let response = begin(&ctx, &info, &client, &targets, scopes).await?;
    Ok(([(CACHE_CONTROL, "no-store")], Json(response)).into_response())
}

async fn begin(
    ctx: &Context,
    info: &RequestInfo,
    client: &AuthenticatedClient,
    targets: &Targets,
    scopes: ScopeSet,
) -> Result<DeviceResponse, TokenError> {
    let (now, settings) = (ctx.now(), &ctx.settings.device);
    let device_code = ctx.random.token(prefix::DEVICE_CODE);
    let seconds = |span: std::time::Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    let interval = settings.interval.duration();
    for _ in 0..TRIES {
        let user_code = UserCode::generate(ctx.random.as_ref());
        let device = DeviceAuthorization {
            digest: sha256(device_code.as_bytes()),
            user_code: user_code.digest(ctx),
            client_id: client.client_id().to_owned(),
            resources: targets.uris(),
            scopes: scopes.clone(),
            fingerprint: client.registered().fingerprint.clone(),
            address: info.address.to_string(),
            wait: u32::try_from(interval.as_secs()).unwrap_or(u32::MAX),
            denied: false,
            created_at: now,
            expires_at: now + settings.code_ttl.duration(),
        };
        match ctx.store.begin_device(device).await {
            Err(StoreError::Conflict) => {}
            outcome => {
                outcome?;
                tracing::info!(client_id = %client.client_id(), address = %info.address, "a device waits");
                let page = format!("{}{}", ctx.issuer.as_str(), routes::DEVICE);
                return Ok(DeviceResponse {
                    verification_uri_complete: format!("{page}?user_code={user_code}"),
                    verification_uri: page,
                    device_code,
                    user_code: user_code.to_string(),
                    expires_in: seconds(settings.code_ttl.duration()),
                    interval: seconds(interval),
                });
            }
        }
    }
    Err(TokenError::internal("no free user code"))
}
