//! `/admin/token-exchange/explain`: whether an exchange would work, and which rule stops it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use doorward_oauth::claims::Actor;
use doorward_oauth::client::GrantType;
use doorward_oauth::error::OAuthError;
use doorward_oauth::exchange::Refusal;
use doorward_oauth::id_jag::Wanted;
use doorward_oauth::parameters::Parameters;
use doorward_oauth::scope::ScopeSet;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{AdminError, Body, ErrorBody};
use crate::clients::{Client, ClientError};
use crate::context::Context;
use crate::http::error::TokenError;
use crate::token::token_exchange::{self, RequestedType, SubjectType, id_jag};
use crate::token::{SCOPE_MALFORMED, grant_types};

/// An exchange as a client would ask for it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WouldBe {
    /// The client that would exchange.
    client_id: String,
    /// The token that it would exchange. It is not used up and not kept.
    subject_token: String,
    /// The `subject_token_type`. Default: an access token.
    subject_token_type: Option<String>,
    /// The `requested_token_type`. Default: an access token.
    requested_token_type: Option<String>,
    /// The resource of the new token, by its URI. Without it and `audience`, the one of the subject token.
    resource: Option<String>,
    /// The same, by its URI or its slug; of an ID-JAG the issuer of the other server.
    audience: Option<String>,
    /// The `scope` parameter.
    scope: Option<String>,
    /// The RFC 7638 thumbprint of the key of a `DPoP` proof that the client would send.
    dpop_jkt: Option<String>,
}

/// What would come of it.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct Explanation {
    /// Whether it would work.
    allowed: bool,
    /// The rule that stops it.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'static str>,
    /// The `error` that the client would get.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    /// What to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// What the new token would hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<WouldBeToken>,
}

/// A token that was not issued.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WouldBeToken {
    sub: String,
    aud: String,
    client_id: String,
    scope: String,
    /// Unix seconds.
    exp: i64,
    /// Who would act, and who acted before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    act: Option<Actor>,
    /// Of an ID-JAG: the resource of the other server.
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<String>,
    /// The key it would be bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    dpop_jkt: Option<String>,
}

impl Explanation {
    fn stopped(rule: &'static str, error: &'static str, message: impl Into<String>) -> Self {
        Self {
            rule: Some(rule),
            error: Some(error),
            message: Some(message.into()),
            ..Self::default()
        }
    }

    fn refused(refusal: Refusal) -> Self {
        Self::stopped(refusal.as_str(), refusal.code().as_str(), refusal.to_string())
    }
}

/// Says whether a token exchange (RFC 8693) would work, and which rule stops it.
#[utoipa::path(post, path = "/admin/token-exchange/explain", request_body = WouldBe,
    responses((status = OK, body = Explanation), (status = BAD_REQUEST, body = ErrorBody)))]
pub(super) async fn explain(
    State(ctx): State<Arc<Context>>,
    Body(would_be): Body<WouldBe>,
) -> Result<Json<Explanation>, AdminError> {
    Ok(Json(explained(&ctx, &would_be).await?))
}

async fn explained(ctx: &Context, would_be: &WouldBe) -> Result<Explanation, AdminError> {
    if !grant_types(&ctx.settings).contains(&GrantType::TokenExchange) {
        return Ok(Explanation::stopped(
            "grant_disabled",
            "unsupported_grant_type",
            "Token exchange is off; set token_exchange.enabled.",
        ));
    }
    let client = match client(ctx, &would_be.client_id).await? {
        Ok(client) => client,
        Err(stopped) => return Ok(stopped),
    };
    let (shown, wanted) = match types(ctx, would_be) {
        Ok(types) => types,
        Err(why) => return Ok(Explanation::stopped("token_type", "invalid_request", why)),
    };
    let key = would_be.dpop_jkt.as_deref();
    if key.is_none() && client.metadata.dpop_bound_access_tokens {
        return Ok(Explanation::stopped(
            "client_key_needed",
            "invalid_dpop_proof",
            "This client is registered for tokens that are bound to a key (dpop_bound_access_tokens); send a DPoP proof.",
        ));
    }
    let scope = would_be.scope.as_deref().map(ScopeSet::parse).transpose();
    let Ok(scope) = scope else {
        return Ok(Explanation::stopped(
            "scope_malformed",
            "invalid_scope",
            SCOPE_MALFORMED,
        ));
    };
    match wanted {
        RequestedType::IdJag => explain_id_jag(ctx, would_be, &client, shown, scope.as_ref()).await,
        RequestedType::AccessToken(_) => explain_exchange(ctx, would_be, client, scope.as_ref()).await,
    }
}

/// What is shown and what is asked for, where the one is given for the other.
fn types(ctx: &Context, would_be: &WouldBe) -> Result<(SubjectType, RequestedType), &'static str> {
    let shown = would_be.subject_token_type.as_deref();
    let shown = shown.map_or(Some(SubjectType::AccessToken), SubjectType::of);
    if shown == Some(SubjectType::IdToken) {
        return Err(
            "What an ID token is worth is up to the terms of its issuer (id_token_clients and rules), and is not explained here; the log says why one is refused.",
        );
    }
    let wanted = RequestedType::of(&ctx.settings, would_be.requested_token_type.as_deref());
    match (shown, wanted) {
        (Some(shown), Some(wanted)) if wanted.is_for(shown) => Ok((shown, wanted)),
        _ => Err(
            "Access tokens of this server are exchanged for access tokens; they and refresh tokens for ID-JAGs, where token_exchange.id_jag is on.",
        ),
    }
}

async fn explain_exchange(
    ctx: &Context,
    would_be: &WouldBe,
    client: Arc<Client>,
    scope: Option<&ScopeSet>,
) -> Result<Explanation, AdminError> {
    let subject = fault(token_exchange::live_token(ctx, &would_be.subject_token).await)?;
    let Some(subject) = subject.ok().flatten() else {
        return Ok(unusable_subject());
    };
    let target = match fault(token_exchange::target(ctx, &subject.claims, &named(would_be)?).await)? {
        Ok(target) => target,
        Err(message) => return Ok(Explanation::stopped("target_unknown", "invalid_target", message)),
    };
    let key = would_be.dpop_jkt.as_deref();
    let decision = token_exchange::decide(ctx, &subject.claims, &client, key, &target, scope).await;
    Ok(match fault(decision)? {
        Ok(Ok(exchanged)) => Explanation {
            allowed: true,
            token: Some(WouldBeToken {
                sub: subject.claims.sub,
                aud: exchanged.resource,
                client_id: client.client_id.clone(),
                scope: exchanged.scopes.to_string(),
                exp: exchanged.expires_at.seconds(),
                act: Some(exchanged.actor),
                resource: None,
                dpop_jkt: exchanged.key_thumbprint,
            }),
            ..Explanation::default()
        },
        Ok(Err(refusal)) => Explanation::refused(refusal),
        Err(message) => Explanation::stopped("unknown", "server_error", message),
    })
}

async fn explain_id_jag(
    ctx: &Context,
    would_be: &WouldBe,
    client: &Client,
    shown: SubjectType,
    scope: Option<&ScopeSet>,
) -> Result<Explanation, AdminError> {
    let read = id_jag::Subject::read(ctx, shown, &would_be.subject_token, &client.client_id).await;
    let Some(subject) = fault(read)?.ok().flatten() else {
        return Ok(unusable_subject());
    };
    let (audience, terms) = match fault(id_jag::audience(ctx, &named(would_be)?).await)? {
        Ok(Some(found)) => found,
        Ok(None) => {
            return Ok(Explanation::stopped(
                "audience_unknown",
                "invalid_target",
                "No assertion audience has this issuer, or it is disabled.",
            ));
        }
        Err(message) => {
            return Ok(Explanation::stopped(
                "audience_needed",
                "invalid_request",
                message,
            ));
        }
    };
    let wanted = Wanted {
        resource: would_be.resource.as_deref(),
        scope,
    };
    let key = would_be.dpop_jkt.as_deref();
    let decision = id_jag::decide(ctx, &terms, &subject, client, key, wanted).await;
    Ok(match fault(decision)? {
        Ok(Ok(allowed)) => Explanation {
            allowed: true,
            token: Some(WouldBeToken {
                sub: subject.grant.subject,
                aud: audience.issuer,
                client_id: allowed.client_id,
                scope: allowed.scopes.to_string(),
                exp: allowed.expires_at.seconds(),
                act: allowed.actor,
                resource: Some(allowed.resource),
                dpop_jkt: allowed.key_thumbprint,
            }),
            ..Explanation::default()
        },
        Ok(Err(refusal)) => Explanation::refused(refusal),
        Err(message) => Explanation::stopped("unknown", "server_error", message),
    })
}

fn unusable_subject() -> Explanation {
    Explanation::stopped(
        "subject_token",
        "invalid_request",
        "The subject_token is no token of this server that works now: it expired, it or its grant was revoked, or one of its clients is disabled; or it is a refresh token of another client, or one that was replaced.",
    )
}

/// The client, if it may use the grant.
async fn client(ctx: &Context, client_id: &str) -> Result<Result<Arc<Client>, Explanation>, AdminError> {
    let client = match ctx.clients.resolve_approved(client_id, None).await {
        Ok(client) => client,
        Err(ClientError::Store(error)) => return Err(error.into()),
        Err(error @ (ClientError::Unknown | ClientError::Disabled)) => {
            let sentence = match error {
                ClientError::Disabled => "The client is disabled; enable it.",
                _ => "There is no client with this client_id; list the clients to see what there is.",
            };
            return Ok(Err(Explanation::stopped("client", "invalid_client", sentence)));
        }
        Err(error) => {
            return Ok(Err(Explanation::stopped(
                "client",
                "invalid_client",
                error.sentence(),
            )));
        }
    };
    if client.metadata.may_use(GrantType::TokenExchange) {
        return Ok(Ok(client));
    }
    Ok(Err(Explanation::stopped(
        "grant_type",
        "unauthorized_client",
        "The client is not registered for this grant_type; register it with the grant in grant_types.",
    )))
}

fn named(would_be: &WouldBe) -> Result<Parameters, AdminError> {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(would_be.resource.iter().map(|resource| ("resource", resource)))
        .extend_pairs(would_be.audience.iter().map(|audience| ("audience", audience)))
        .finish();
    Parameters::parse(form.as_bytes()).map_err(|error| AdminError::Invalid(format!("{error}.")))
}

/// A refusal is an answer here; a fault of the server stays one.
fn fault<T>(outcome: Result<T, TokenError>) -> Result<Result<T, String>, AdminError> {
    match outcome.map_err(OAuthError::from) {
        Ok(value) => Ok(Ok(value)),
        Err(error) if error.status() >= 500 => Err(AdminError::Internal(error.internal.unwrap_or_default())),
        Err(error) => Ok(Err(error.description.into_owned())),
    }
}
