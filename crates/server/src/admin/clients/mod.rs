//! `/admin/clients`: clients that an operator registers, and all the others.

mod body;
mod metadata;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use doorward_oauth::client::{EffectiveClient, TokenEndpointAuthMethod, consent_fingerprint};
use doorward_store::{Client, ClientFilter, ClientSource, UnixSeconds};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use self::body::MetadataBody;
use self::metadata::{changed, checked};
use super::by::By;
use super::change::{Member, given};
use super::error::{AdminError, Body, ErrorBody, Location, OptionalBody, Path, Query, location};
use super::page::{List, PageQuery};
use super::words;
use crate::clients::secret;
use crate::context::Context;
use crate::prefix;

/// How long the old secret works after a rotation that does not say.
const OVERLAP: Duration = Duration::from_hours(24);
const LONGEST_OVERLAP: Duration = Duration::from_hours(30 * 24);
/// Secrets that can live on beside a new one.
const MOST_OLD_SECRETS: usize = 5;

/// A client to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewClient {
    /// Shown to people.
    client_name: String,
    /// Where codes may be sent.
    #[serde(default)]
    redirect_uris: Vec<String>,
    /// What it may use at the token endpoint. Default: `authorization_code` and `refresh_token`.
    #[schema(schema_with = words::grant_types, required = false)]
    grant_types: Option<Vec<String>>,
    /// `none`, `client_secret_basic`, `client_secret_post` or `private_key_jwt`. Default: `none`; with
    /// `client_credentials`, token exchange or JWT bearer among its grants `client_secret_basic`, or `private_key_jwt` when
    /// there are keys.
    #[schema(schema_with = words::auth_method, required = false)]
    token_endpoint_auth_method: Option<String>,
    /// Whether it runs on a person's machine. Default: what its redirect URIs look like.
    #[schema(schema_with = words::application_type, required = false)]
    application_type: Option<String>,
    /// The scopes it means to ask for: a hint where a person decides, the limit of `client_credentials`.
    scope: Option<String>,
    /// Whether it gets tokens that are bound to a key, and no others (RFC 9449 §5.2).
    dpop_bound_access_tokens: Option<bool>,
    /// Whether it has to send its authorization requests in advance (RFC 9126 §6).
    require_pushed_authorization_requests: Option<bool>,
    /// Its public keys.
    #[schema(value_type = Option<Object>)]
    jwks: Option<Value>,
    /// Where its public keys are.
    jwks_uri: Option<String>,
    /// The slug of the resource that this client is: it may introspect that resource's tokens. Without
    /// redirect URIs it may do nothing else.
    resource_server: Option<String>,
    /// A disabled client gets nothing.
    #[serde(default)]
    disabled: bool,
}

/// What changes. Absent members stay; `null` takes away the scopes or the keys, and can be nothing else.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ClientChange {
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    client_name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    redirect_uris: Option<Vec<String>>,
    /// The scopes it means to ask for: a hint where a person decides, the limit of `client_credentials`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    scope: Member<String>,
    /// Its public keys, in place of those before and of `jwks_uri`.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    jwks: Member<Value>,
    /// Where its public keys are, in place of `jwks`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    jwks_uri: Member<String>,
    /// Whether it gets tokens that are bound to a key, and no others (RFC 9449 §5.2).
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    dpop_bound_access_tokens: Option<bool>,
    /// Whether it has to send its authorization requests in advance (RFC 9126 §6).
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    require_pushed_authorization_requests: Option<bool>,
    /// A disabled client gets nothing.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    disabled: Option<bool>,
}

impl ClientChange {
    /// Whether it is about what the client says of itself.
    fn describes(&self) -> bool {
        self.client_name.is_some() || self.redirect_uris.is_some() || self.is_about_grants()
    }

    /// Whether it is about what only a client has that gets tokens.
    fn is_about_grants(&self) -> bool {
        !self.scope.is_left_out()
            || !self.jwks.is_left_out()
            || !self.jwks_uri.is_left_out()
            || self.dpop_bound_access_tokens.is_some()
            || self.require_pushed_authorization_requests.is_some()
    }
}

/// A client.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ClientBody {
    client_id: String,
    /// Shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
    /// Until when secrets from before a rotation work at the longest, Unix seconds; absent when none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_secret_expires_at: Option<i64>,
    /// How it became known.
    #[schema(schema_with = words::client_source)]
    source: ClientSource,
    disabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_server: Option<String>,
    /// Unix seconds.
    created_at: i64,
    /// Unix seconds.
    updated_at: i64,
    #[serde(flatten)]
    metadata: MetadataBody,
}

impl ClientBody {
    fn of(client: Client, client_secret: Option<String>, now: UnixSeconds) -> Self {
        let ends = client.secrets.iter().filter_map(|secret| secret.expires_at);
        let previous = ends.filter(|end| *end > now).max();
        Self {
            client_id: client.client_id,
            client_secret,
            previous_secret_expires_at: previous.map(UnixSeconds::seconds),
            source: client.source,
            disabled: client.disabled,
            resource_server: client.resource_server,
            created_at: client.created_at.seconds(),
            updated_at: client.updated_at.seconds(),
            metadata: MetadataBody::read(&client.metadata),
        }
    }
}

const UNKNOWN: AdminError =
    AdminError::NotFound("There is no client with this id; list the clients to see what there is.");

/// Which clients.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only clients with this text in their name or `client_id`, whatever the case.
    search: Option<String>,
    /// That became known so.
    #[param(schema_with = words::client_source, required = false)]
    source: Option<ClientSource>,
    /// That are disabled (`true`), or that are not.
    disabled: Option<bool>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Rows on a page, 1 to 200. Default 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// Clients, ordered by id.
#[utoipa::path(get, path = "/admin/clients", params(Which), responses((status = OK, body = List<ClientBody>), (status = BAD_REQUEST, body = ErrorBody)))]
pub(super) async fn list(
    State(ctx): State<Arc<Context>>,
    Query(which): Query<Which>,
) -> Result<Json<List<ClientBody>>, AdminError> {
    let page = PageQuery {
        cursor: which.cursor,
        limit: which.limit,
    }
    .request(&ctx, "clients")?;
    let filter = ClientFilter {
        search: which.search,
        source: which.source,
        disabled: which.disabled,
    };
    let clients = ctx.store.clients(filter, page).await?;
    Ok(Json(List::of(&ctx, "clients", clients, |client| {
        ClientBody::of(client, None, ctx.now())
    })))
}

/// Registers a client.
#[utoipa::path(post, path = "/admin/clients", request_body = NewClient,
    responses((status = CREATED, body = ClientBody), (status = BAD_REQUEST, body = ErrorBody)))]
pub(super) async fn create(
    State(ctx): State<Arc<Context>>,
    by: By,
    Body(new): Body<NewClient>,
) -> Result<(StatusCode, Location, Json<ClientBody>), AdminError> {
    if let Some(slug) = &new.resource_server {
        ctx.store.resource(slug).await?.ok_or_else(|| {
            AdminError::Invalid(
                "resource_server must be the slug of a resource; list the resources to see them.".to_owned(),
            )
        })?;
    }
    let (resource_server, disabled) = (new.resource_server.clone(), new.disabled);
    let metadata = checked(&ctx, new)?;
    let has_secret = matches!(
        metadata.token_endpoint_auth_method,
        TokenEndpointAuthMethod::ClientSecretBasic | TokenEndpointAuthMethod::ClientSecretPost
    );
    let secret = has_secret.then(|| secret::generate(&ctx));
    let (client_secret, stored) = secret.unzip();
    let now = ctx.now();
    let client = Client {
        client_id: ctx.random.token(prefix::CLIENT),
        source: ClientSource::Admin,
        fingerprint: consent_fingerprint(&metadata),
        metadata: to_json(&metadata)?,
        secrets: stored.into_iter().collect(),
        resource_server,
        registration_token: None,
        disabled,
        created_at: now,
        updated_at: now,
    };
    by.store(&ctx).create_client(client.clone()).await?;
    let place = location("/admin/clients", &client.client_id);
    Ok((
        StatusCode::CREATED,
        place,
        Json(ClientBody::of(client, client_secret, now)),
    ))
}

/// One client.
#[utoipa::path(get, path = "/admin/clients/{client_id}", params(("client_id" = String, Path)),
    responses((status = OK, body = ClientBody), (status = NOT_FOUND, body = ErrorBody)))]
pub(super) async fn get(
    State(ctx): State<Arc<Context>>,
    Path(client_id): Path<String>,
) -> Result<Json<ClientBody>, AdminError> {
    Ok(Json(ClientBody::of(
        find(&ctx, &client_id).await?,
        None,
        ctx.now(),
    )))
}

/// Changes name, redirect URIs, scope, keys or demands, or disables the client. Consent is asked again when people would see a
/// difference. What a client says of itself (a metadata document, a registration) is not changed here.
#[utoipa::path(patch, path = "/admin/clients/{client_id}", params(("client_id" = String, Path)), request_body = ClientChange,
    responses((status = OK, body = ClientBody), (status = BAD_REQUEST, body = ErrorBody), (status = NOT_FOUND, body = ErrorBody)))]
pub(super) async fn update(
    State(ctx): State<Arc<Context>>,
    by: By,
    Path(client_id): Path<String>,
    Body(change): Body<ClientChange>,
) -> Result<Json<ClientBody>, AdminError> {
    let before = find(&ctx, &client_id).await?;
    let mut client = before.clone();
    if change.describes() {
        if client.source != ClientSource::Admin {
            return Err(AdminError::Invalid(
                "This client describes itself; an operator can only disable or remove it.".to_owned(),
            ));
        }
        let metadata = changed(&ctx, &client, &change)?;
        client.fingerprint = consent_fingerprint(&metadata);
        client.metadata = to_json(&metadata)?;
    }
    client.disabled = change.disabled.unwrap_or(client.disabled);
    if client == before {
        return Ok(Json(ClientBody::of(before, None, ctx.now())));
    }
    client.updated_at = ctx.now();
    by.store(&ctx).update_client(client.clone()).await?;
    Ok(Json(ClientBody::of(client, None, ctx.now())))
}

/// Removes a client and ends its grants.
#[utoipa::path(delete, path = "/admin/clients/{client_id}", params(("client_id" = String, Path)),
    responses((status = NO_CONTENT), (status = NOT_FOUND, body = ErrorBody)))]
pub(super) async fn delete(
    State(ctx): State<Arc<Context>>,
    by: By,
    Path(client_id): Path<String>,
) -> Result<StatusCode, AdminError> {
    find(&ctx, &client_id).await?;
    by.store(&ctx).delete_client(&client_id, ctx.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How a secret is rotated.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Rotation {
    /// For how many seconds the secrets before still work, where none ends earlier by itself: 0 to 2592000 (30 days). Default: a day.
    #[schema(maximum = 2_592_000)]
    overlap_seconds: Option<u64>,
}

/// Makes a new secret. Those before (five at most) work for a while, so that nothing has to change at one moment; no rotation
/// makes an old one last longer. When the answer was lost, ask again.
#[utoipa::path(post, path = "/admin/clients/{client_id}/rotate-secret", params(("client_id" = String, Path)),
    request_body(content = Option<Rotation>),
    responses((status = OK, body = ClientBody), (status = BAD_REQUEST, body = ErrorBody), (status = NOT_FOUND, body = ErrorBody)))]
pub(super) async fn rotate_secret(
    State(ctx): State<Arc<Context>>,
    by: By,
    Path(client_id): Path<String>,
    OptionalBody(rotation): OptionalBody<Rotation>,
) -> Result<Json<ClientBody>, AdminError> {
    let overlap = rotation.overlap_seconds.map_or(OVERLAP, Duration::from_secs);
    if overlap > LONGEST_OVERLAP {
        return Err(AdminError::Invalid(
            "overlap_seconds must be at most 2592000 (30 days).".to_owned(),
        ));
    }
    let mut client = find(&ctx, &client_id).await?;
    if client.secrets.is_empty() {
        return Err(AdminError::Invalid(
            "This client has no secret: it is public, or signs with its keys.".to_owned(),
        ));
    }
    let now = ctx.now();
    client
        .secrets
        .retain(|secret| secret.expires_at.is_none_or(|expires_at| expires_at > now));
    // Which of them is in use nobody knows: an answer may have been lost, and with it the newest. So each works on, and none
    // for longer than it was to: rotation would be a way to keep old ones.
    client.secrets.truncate(MOST_OLD_SECRETS);
    let end = now + overlap;
    for secret in &mut client.secrets {
        secret.expires_at = Some(secret.expires_at.map_or(end, |own| own.min(end)));
    }
    let (client_secret, stored) = secret::generate(&ctx);
    client.secrets.insert(0, stored);
    client.updated_at = now;
    by.store(&ctx).update_client(client.clone()).await?;
    Ok(Json(ClientBody::of(client, Some(client_secret), now)))
}

async fn find(ctx: &Context, client_id: &str) -> Result<Client, AdminError> {
    ctx.store.client(client_id).await?.ok_or(UNKNOWN)
}

fn to_json(metadata: &EffectiveClient) -> Result<String, AdminError> {
    serde_json::to_string(metadata).map_err(|error| AdminError::Internal(error.to_string()))
}
