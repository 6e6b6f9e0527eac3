//! `POST /oauth/par` (RFC 9126): a request sent in advance. Nothing is stored for it: the `request_uri` is the request,
//! sealed. That it is used once is remembered for clients that authenticate; for the others, whom anybody can be, it
//! is the answer that is given once.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use doorward_jose::sha256;
use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_oauth::parameters::Parameters;
use doorward_oauth::time::UnixSeconds;
use doorward_store::{Spend, SpendOutcome};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use super::request::{Answer, AuthorizationRequest};
use crate::clients::Client;
use crate::clients::authentication::{AuthenticatedClient, authenticate_stranger};
use crate::clients::spending::spend_all;
use crate::context::Context;
use crate::dpop;
use crate::http::error::{PageError, TokenError};
use crate::http::form;
use crate::http::request::RequestInfo;
use crate::routes;

const PREFIX: &str = "urn:ietf:params:oauth:request_uri:";
const PURPOSE: &str = "pushed-authorization-request";

/// RFC 9126 §2.2.
#[derive(Serialize)]
struct PushedResponse {
    request_uri: String,
    expires_in: i64,
}

/// A request that was sent in advance.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Pushed {
    /// Names the request; random.
    pub(crate) id: String,
    expires_at: UnixSeconds,
    /// Whether its use is remembered.
    is_authenticated: bool,
    /// The client's fingerprint when it sent the request.
    fingerprint: String,
    /// The request.
    pub(crate) request: AuthorizationRequest,
}

/// `POST /oauth/par`.
pub(crate) async fn endpoint(
    State(ctx): State<Arc<Context>>,
    info: RequestInfo,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut response = match answer(&ctx, &info, &headers, &body).await {
        Ok(pushed) => (StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], Json(pushed)).into_response(),
        Err(error) => error.into_response(),
    };
    dpop::offer_nonce(&ctx, &headers, &mut response);
    response
}

async fn answer(
    ctx: &Context,
    info: &RequestInfo,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<PushedResponse, TokenError> {
    if !ctx.settings.par.enabled {
        return Err(TokenError::with_status(
            StatusCode::NOT_FOUND,
            invalid_request("Pushed authorization requests are switched off here (par.enabled)."),
        ));
    }
    ctx.limits.par.take(info.address)?;
    let parameters = form::parse(headers, body)?;
    let client = authenticate_stranger(ctx, info, headers, &parameters).await?;
    info.note_actor(client.actor());
    let proof = dpop::read(ctx, headers, routes::PAR)?;
    let mut request = read(ctx, client.registered(), &parameters).await?;
    bind(
        &mut request,
        proof.as_ref().map(doorward_oauth::dpop::Proof::key_thumbprint),
    )?;
    if !spend_all(ctx, info, &client, proof.as_ref().map(dpop::spend).as_slice()).await? {
        return Err(dpop::replayed());
    }
    seal(ctx, &client, request)
}

/// RFC 9126 §2.1: the same parameters as at the authorization endpoint, but for `request_uri`; §2.3 knows no redirect
/// errors.
async fn read(
    ctx: &Context,
    client: &Client,
    parameters: &Parameters,
) -> Result<AuthorizationRequest, OAuthError> {
    if parameters.get("request_uri")?.is_some() {
        return Err(invalid_request(
            "A pushed request cannot name another one. Leave request_uri out.",
        ));
    }
    AuthorizationRequest::pushed(ctx, client, parameters).await
}

/// RFC 9449 §10.1: a proof at this endpoint binds the code to its key.
fn bind(request: &mut AuthorizationRequest, key_thumbprint: Option<&str>) -> Result<(), TokenError> {
    let (Some(thumbprint), Answer::Redirect { dpop_jkt, .. }) = (key_thumbprint, &mut request.answer) else {
        return Ok(());
    };
    match dpop_jkt {
        Some(other) if other != thumbprint => Err(dpop::invalid(
            "The dpop_jkt is not the thumbprint of the proof's key. Leave it out, or send the same.",
        )),
        _ => {
            *dpop_jkt = Some(thumbprint.to_owned());
            Ok(())
        }
    }
}

fn seal(
    ctx: &Context,
    client: &AuthenticatedClient,
    request: AuthorizationRequest,
) -> Result<PushedResponse, TokenError> {
    let lifetime = ctx.settings.par.request_ttl.duration();
    let pushed = Pushed {
        id: ctx.random.token(""),
        expires_at: ctx.now() + lifetime,
        is_authenticated: client.is_confidential(),
        fingerprint: client.registered().fingerprint.clone(),
        request,
    };
    let plain = serde_json::to_vec(&pushed).map_err(TokenError::internal)?;
    Ok(PushedResponse {
        request_uri: format!(
            "{PREFIX}{}",
            ctx.secrets
                .seal(PURPOSE, pushed.request.client_id.as_bytes(), &plain)
        ),
        expires_in: i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX),
    })
}

impl Pushed {
    /// The request that a `request_uri` of ours stands for; `None` when there is none. All that stands beside it but
    /// `client_id` is ignored (RFC 9126 §4).
    pub(crate) fn of_request(ctx: &Context, parameters: &Parameters) -> Result<Option<Self>, PageError> {
        let sealed = match parameters.get("request_uri")? {
            Some(uri) => uri.strip_prefix(PREFIX),
            None => return Ok(None),
        };
        // A request_uri of another kind is refused with everything else.
        let Some(sealed) = sealed.filter(|_| ctx.settings.par.enabled) else {
            return Ok(None);
        };
        let client_id = parameters.require("client_id")?;
        let pushed = ctx
            .secrets
            .open(PURPOSE, client_id.as_bytes(), sealed)
            .and_then(|plain| serde_json::from_slice::<Self>(&plain).ok())
            .filter(|pushed| ctx.now() < pushed.expires_at)
            .ok_or_else(unusable)?;
        Ok(Some(pushed))
    }

    /// The request, and the reference that leads to it. A client that has changed since is not the one that was checked.
    pub(crate) fn open_for(self, client: &Client) -> Result<(AuthorizationRequest, Reference), PageError> {
        if client.fingerprint != self.fingerprint {
            return Err(unusable().into());
        }
        let reference = Reference {
            id: self.id,
            counts_once: self.is_authenticated,
            expires_at: self.expires_at,
        };
        Ok((self.request, reference))
    }
}

/// What a `request_uri` refers to a request by.
pub(crate) struct Reference {
    pub(crate) id: String,
    counts_once: bool,
    expires_at: UnixSeconds,
}

impl Reference {
    /// Opens the request for good, where it counts once.
    pub(crate) async fn use_up(&self, ctx: &Context) -> Result<(), PageError> {
        if !self.counts_once {
            return Ok(());
        }
        let once = Spend {
            digest: sha256(format!("pushed-request\0{}", self.id).as_bytes()),
            until: self.expires_at,
            made_at: self.expires_at - ctx.settings.par.request_ttl.duration(),
        };
        match ctx.store.spend(&[once]).await? {
            SpendOutcome::Spent => Ok(()),
            SpendOutcome::UsedBefore(_) => Err(unusable().into()),
        }
    }
}

fn unusable() -> OAuthError {
    OAuthError::new(
        ErrorCode::InvalidRequestUri,
        "The request_uri is expired, already used, or was given to another client. Push the request again.",
    )
}

fn invalid_request(description: &'static str) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidRequest, description)
}
