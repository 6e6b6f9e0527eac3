//! `POST /oauth/token`: authenticate the client, read the request, and hand it to its grant.

mod authorization_code;
mod client_credentials;
mod device_code;
mod jwt_bearer;
mod redeem;
mod refresh;
mod refresh_token;
mod request;
pub(crate) mod token_exchange;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use doorward_oauth::client::GrantType;
use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_oauth::parameters::Parameters;
use doorward_oauth::scope::ScopeSet;
use doorward_oauth::time::UnixSeconds;
use doorward_store::{Grant, RefreshPolicy};
use http::HeaderMap;
use serde::Serialize;

use crate::clients::authentication::{AuthenticatedClient, authenticate_newcomer, authenticate_unspent};
use crate::config::Settings;
use crate::context::Context;
use crate::dpop;
use crate::http::address::bucket;
use crate::http::error::TokenError;
use crate::http::form;
use crate::http::json;
use crate::http::request::RequestInfo;
use crate::issue::{AccessToken, Draft, Issued};
use crate::resources::{Targets, refuse_too_many};
use crate::routes;

pub use refresh::RefreshToken;
pub(crate) use request::TokenRequest;

/// RFC 6749 §5.1. No `Debug`: it is made of secrets.
#[derive(Serialize)]
pub struct TokenResponse {
    /// The first member.
    #[serde(skip)]
    access_token: String,
    /// For the log.
    #[serde(skip)]
    issued: Issued,
    token_type: &'static str,
    expires_in: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    /// Seconds until the refresh token ends if it is not used (draft-ietf-oauth-refresh-token-expiration).
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token_expires_in: Option<i64>,
    scope: String,
    /// RFC 8693 §2.2.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_token_type: Option<&'static str>,
}

impl TokenResponse {
    fn new(token: AccessToken, refresh_token: Option<String>) -> Self {
        Self {
            access_token: token.text,
            issued: token.issued,
            token_type: token.token_type,
            expires_in: token.expires_in,
            refresh_token,
            refresh_token_expires_in: None,
            scope: token.scope,
            issued_token_type: None,
        }
    }

    /// Tells when the refresh token ends: unused, or for good, whatever comes first.
    fn with_refresh_expiry(self, grant: &Grant, policy: RefreshPolicy, now: UnixSeconds) -> Self {
        let ends = grant
            .refresh_expires_at
            .map(|end| end.min(grant.generation_at + policy.idle_ttl));
        Self {
            refresh_token_expires_in: ends
                .filter(|_| self.refresh_token.is_some())
                .map(|end| end.seconds().saturating_sub(now.seconds()).max(0)),
            ..self
        }
    }

    fn body(&self) -> Result<Bytes, TokenError> {
        json::bytes_after("access_token", &self.access_token, self)
    }

    fn with_issued_token_type(self, issued_token_type: &'static str) -> Self {
        Self {
            issued_token_type: Some(issued_token_type),
            ..self
        }
    }
}

/// The grants of this server, by the values of `grant_type`.
pub fn grant_types(settings: &Settings) -> Vec<GrantType> {
    let mut grants = vec![GrantType::AuthorizationCode, GrantType::RefreshToken];
    if settings.device.enabled {
        grants.push(GrantType::DeviceCode);
    }
    if settings.client_credentials.enabled {
        grants.push(GrantType::ClientCredentials);
    }
    if settings.token_exchange.enabled {
        grants.push(GrantType::TokenExchange);
    }
    if settings.jwt_bearer.enabled {
        grants.push(GrantType::JwtBearer);
    }
    grants
}

/// `POST /oauth/token` (RFC 6749 §3.2).
pub(crate) async fn endpoint(
    State(ctx): State<Arc<Context>>,
    info: RequestInfo,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let answer = answer(&ctx, &info, &headers, &body).await;
    let body = answer.and_then(|response| {
        let body = response.body();
        info.note_issued(response.issued);
        body
    });
    let mut response = match body {
        Ok(body) => json::answer(body),
        Err(error) => error.into_response(),
    };
    dpop::offer_nonce(&ctx, &headers, &mut response);
    response
}

async fn answer(
    ctx: &Arc<Context>,
    info: &RequestInfo,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<TokenResponse, TokenError> {
    ctx.limits.token_address.take(info.address)?;
    let parameters = form::parse(headers, body)?;
    if jwt_bearer::is_of_workload(ctx, headers, &parameters)? {
        return jwt_bearer::of_workload(ctx, info, headers, &parameters).await;
    }
    // Where an identity provider vouches for people, nobody has to have approved the client before.
    let client = if jwt_bearer::is_id_jag(ctx, &parameters)? {
        authenticate_newcomer(ctx, info, headers, &parameters).await?
    } else {
        authenticate_unspent(ctx, info, headers, &parameters).await?
    };
    info.note_actor(client.actor());
    limit_client(ctx, info, &client)?;
    let proof = dpop::read(ctx, headers, routes::TOKEN)?;
    let signer = ctx.keys.current_signer().await?;
    grant(&TokenRequest {
        ctx,
        info,
        client: &client,
        parameters: &parameters,
        proof: proof.as_ref(),
        signer: signer.as_ref(),
    })
    .await
}

/// A confidential client has one budget, a public one, whose name anybody can use, one for each address.
fn limit_client(ctx: &Context, info: &RequestInfo, client: &AuthenticatedClient) -> Result<(), TokenError> {
    let address = (!client.is_confidential()).then(|| bucket(info.address));
    Ok(ctx.limits.token_client.take((client.client_id(), address))?)
}

async fn grant(request: &TokenRequest<'_>) -> Result<TokenResponse, TokenError> {
    let TokenRequest {
        ctx,
        client,
        parameters,
        ..
    } = *request;
    let grant_type = parameters.require("grant_type")?;
    let grant_type = grant_types(&ctx.settings)
        .into_iter()
        .find(|known| known.as_str() == grant_type)
        .ok_or_else(|| {
            OAuthError::new(
                ErrorCode::UnsupportedGrantType,
                "This grant_type is not supported; see grant_types_supported in the server's metadata.",
            )
        })?;
    if !client.may_use(grant_type) {
        return Err(OAuthError::new(
            ErrorCode::UnauthorizedClient,
            "This client is not registered for this grant_type; register it with the grant in grant_types.",
        )
        .into());
    }
    let response = match grant_type {
        GrantType::RefreshToken => refresh_token::grant(request).await?,
        GrantType::DeviceCode => device_code::grant(request).await?,
        GrantType::ClientCredentials => client_credentials::grant(request).await?,
        GrantType::TokenExchange => token_exchange::grant(request).await?,
        GrantType::JwtBearer => jwt_bearer::grant(request).await?,
        GrantType::AuthorizationCode => authorization_code::grant(request).await?,
    };
    ctx.metrics.token_issued(grant_type.as_str());
    Ok(response)
}

/// What is said of a `scope` that cannot be read (RFC 6749 §3.3).
pub(crate) const SCOPE_MALFORMED: &str = "The scope is malformed: scope tokens separated by single spaces.";

/// The `scope` that a request asks for, if it asks for one.
fn requested_scope(parameters: &Parameters) -> Result<Option<ScopeSet>, TokenError> {
    let requested = parameters.get("scope")?.map(ScopeSet::parse).transpose();
    Ok(requested.map_err(|_| OAuthError::new(ErrorCode::InvalidScope, SCOPE_MALFORMED))?)
}

/// `invalid_grant` (RFC 6749 §5.2), always 400.
fn invalid_grant(description: &'static str) -> TokenError {
    OAuthError::new(ErrorCode::InvalidGrant, description).into()
}

/// `invalid_grant` whose reason only the log may tell: a stranger with a stolen token learns nothing.
fn unusable(description: &'static str, reason: impl std::fmt::Display) -> TokenError {
    OAuthError::new(ErrorCode::InvalidGrant, description)
        .with_internal(reason)
        .into()
}

/// The resources of a grant.
async fn targets(ctx: &Context, grant: &Grant) -> Result<Targets, TokenError> {
    of_grant(ctx.resources.of_grant(grant).await?)
}

fn of_grant(found: Option<Targets>) -> Result<Targets, TokenError> {
    found.ok_or_else(|| {
        unusable(
            "The grant has ended; start a new authorization request.",
            "one of its resources is gone",
        )
    })
}

/// `resource` at the token endpoint (RFC 8707 §2.2): when sent, it names resources of the grant, for this token alone.
fn narrowed(parameters: &Parameters, targets: &Targets) -> Result<Targets, TokenError> {
    Ok(targets.narrowed(&requested_resources(parameters)?)?)
}

/// The resources that the client names (RFC 8707 §2.2).
fn requested_resources(parameters: &Parameters) -> Result<Vec<&str>, TokenError> {
    let requested: Vec<&str> = parameters.get_all("resource").collect();
    refuse_too_many(&requested)?;
    Ok(requested)
}

/// Adds to a draft what its resources want to be told of the person.
async fn about_person(
    ctx: &Context,
    draft: Draft,
    targets: &Targets,
    grant: &Grant,
) -> Result<Draft, TokenError> {
    let wanted = targets
        .iter()
        .any(|resource| !resource.policy.person_claims.is_empty());
    if !wanted || grant.user.is_nobody() {
        return Ok(draft);
    }
    let person = ctx.store.user(grant.user).await?;
    Ok(match person {
        Some(person) => draft.about(targets, &person),
        None => draft,
    })
}
