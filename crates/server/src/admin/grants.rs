//! `/admin/grants`: who lets which client use what; and the way to end it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use doorward_store::{EndReason, Grant, GrantFilter, GrantId, GrantState, PageRequest, UnixSeconds, UserId};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::by::By;
use super::error::{AdminError, Body, ErrorBody, Path, Query};
use super::id::Id;
use super::page::{List, PageQuery};
use super::words;
use crate::context::Context;

/// Which grants.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Of this person.
    #[param(value_type = Option<Uuid>)]
    user: Option<Id>,
    /// Of this client.
    client_id: Option<String>,
    /// On this resource (its URI).
    resource: Option<String>,
    /// That stand so.
    #[param(schema_with = words::grant_state, required = false)]
    state: Option<GrantState>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Rows on a page, 1 to 200. Default 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// A grant.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GrantBody {
    id: Uuid,
    /// Absent for a client's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Uuid>,
    subject: String,
    client_id: String,
    resource: String,
    /// The other resources of a grant on several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    more_resources: Vec<String>,
    /// The slug of the issuer on whose word it rests.
    #[serde(skip_serializing_if = "Option::is_none")]
    trusted_issuer: Option<String>,
    scope: String,
    #[schema(schema_with = words::grant_state)]
    state: GrantState,
    /// Why it ended. `expired`: its refresh tokens did, at `refresh_expires_at`; the record still says `active`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = words::end_reason, required = false)]
    end_reason: Option<EndReason>,
    /// Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<i64>,
    /// Unix seconds.
    created_at: i64,
    /// Unix seconds; the last token.
    last_used_at: i64,
    /// Unix seconds; when its refresh tokens end for good, however often they are used. Unused they end earlier
    /// (`tokens.refresh_idle_ttl`).
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_expires_at: Option<i64>,
}

impl GrantBody {
    fn of(grant: Grant, now: UnixSeconds) -> Self {
        let has_expired =
            grant.state == GrantState::Active && grant.refresh_expires_at.is_some_and(|end| end <= now);
        Self {
            id: grant.id.0,
            user: (!grant.user.is_nobody()).then_some(grant.user.0),
            subject: grant.subject,
            client_id: grant.client_id,
            resource: grant.resource,
            more_resources: grant.more_resources,
            trusted_issuer: grant.trusted_issuer,
            scope: grant.scopes.to_string(),
            state: grant.state,
            end_reason: grant.end_reason.or(has_expired.then_some(EndReason::Expired)),
            ended_at: grant.ended_at.map(UnixSeconds::seconds),
            created_at: grant.created_at.seconds(),
            last_used_at: grant.last_used_at.seconds(),
            refresh_expires_at: grant.refresh_expires_at.map(UnixSeconds::seconds),
        }
    }
}

const UNKNOWN: AdminError =
    AdminError::NotFound("There is no grant with this id; list the grants to see what there is.");

/// Grants, newest first.
#[utoipa::path(get, path = "/admin/grants", params(Which), responses((status = OK, body = List<GrantBody>), (status = BAD_REQUEST, body = ErrorBody)))]
pub(super) async fn list(
    State(ctx): State<Arc<Context>>,
    Query(which): Query<Which>,
) -> Result<Json<List<GrantBody>>, AdminError> {
    let page = PageQuery {
        cursor: which.cursor,
        limit: which.limit,
    }
    .request(&ctx, "grants")?;
    let filter = GrantFilter {
        id: None,
        user: Id::read_any(which.user.as_ref(), "user")?.map(UserId),
        client_id: which.client_id,
        resource: which.resource,
        state: which.state,
    };
    let grants = ctx.store.grants(filter, page).await?;
    Ok(Json(List::of(&ctx, "grants", grants, |grant| {
        GrantBody::of(grant, ctx.now())
    })))
}

/// One grant.
#[utoipa::path(get, path = "/admin/grants/{id}", params(("id" = Uuid, Path)),
    responses((status = OK, body = GrantBody), (status = NOT_FOUND, body = ErrorBody)))]
pub(super) async fn get(
    State(ctx): State<Arc<Context>>,
    Path(id): Path<Uuid>,
) -> Result<Json<GrantBody>, AdminError> {
    let grant = ctx.store.grant(GrantId(id)).await?.ok_or(UNKNOWN)?;
    Ok(Json(GrantBody::of(grant, ctx.now())))
}

/// Ends a grant: its code, its refresh tokens, and (at introspection) its access tokens. What the person allowed is asked
/// about again, also when the grant had ended before.
#[utoipa::path(delete, path = "/admin/grants/{id}", params(("id" = Uuid, Path)),
    responses((status = NO_CONTENT), (status = NOT_FOUND, body = ErrorBody)))]
pub(super) async fn revoke(
    State(ctx): State<Arc<Context>>,
    by: By,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, AdminError> {
    let id = GrantId(id);
    ctx.store.grant(id).await?.ok_or(UNKNOWN)?;
    by.store(&ctx)
        .revoke_grants(GrantFilter::one(id), EndReason::RevokedByAdmin, ctx.now())
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which grants end: those of which all that is said is true.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WhichEnd {
    /// Of this person.
    #[schema(value_type = Option<Uuid>)]
    user: Option<Id>,
    /// Of this client.
    client_id: Option<String>,
    /// On this resource (its URI).
    resource: Option<String>,
}

/// What came of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EndedBody {
    /// How many grants have ended.
    ended: u64,
}

/// Refuses a name that nothing has, and that no grant has either: a slip of the pen must not look like a success. What is gone
/// may have grants yet, that ended with it.
async fn check_names(ctx: &Context, which: &GrantFilter) -> Result<(), AdminError> {
    let nothing = GrantFilter::default;
    if let Some(user) = which.user {
        let filter = GrantFilter {
            user: Some(user),
            ..nothing()
        };
        let sentence = "There is no person with this id, and no grant of one.";
        refuse_unless(ctx, ctx.store.user(user).await?.is_some(), filter, sentence).await?;
    }
    if let Some(client_id) = which.client_id.clone() {
        let exists = ctx.store.client(&client_id).await?.is_some();
        let filter = GrantFilter {
            client_id: Some(client_id),
            ..nothing()
        };
        let sentence = "There is no client with this client_id, and no grant of one.";
        refuse_unless(ctx, exists, filter, sentence).await?;
    }
    if let Some(uri) = which.resource.clone() {
        let exists = ctx
            .resources
            .all()
            .await?
            .iter()
            .any(|resource| resource.uri == uri);
        let filter = GrantFilter {
            resource: Some(uri),
            ..nothing()
        };
        let sentence = "There is no resource with this URI, and no grant on one.";
        refuse_unless(ctx, exists, filter, sentence).await?;
    }
    Ok(())
}

/// Unless it is there, or has a grant.
async fn refuse_unless(
    ctx: &Context,
    exists: bool,
    filter: GrantFilter,
    sentence: &'static str,
) -> Result<(), AdminError> {
    let one = PageRequest {
        after: None,
        limit: 1,
    };
    if exists || !ctx.store.grants(filter, one).await?.items.is_empty() {
        return Ok(());
    }
    Err(AdminError::NotFound(sentence))
}

/// Ends every grant of a person, of a client or on a resource, 500 at a time. What they allowed is asked about again, also
/// where no grant was left.
#[utoipa::path(post, path = "/admin/grants/revoke", request_body = WhichEnd,
    responses((status = OK, body = EndedBody), (status = BAD_REQUEST, body = ErrorBody), (status = NOT_FOUND, body = ErrorBody)))]
pub(super) async fn revoke_all(
    State(ctx): State<Arc<Context>>,
    by: By,
    Body(which): Body<WhichEnd>,
) -> Result<Json<EndedBody>, AdminError> {
    if which.user.is_none() && which.client_id.is_none() && which.resource.is_none() {
        return Err(AdminError::Invalid(
            "Say whose grants end: user, client_id or resource.".to_owned(),
        ));
    }
    let filter = GrantFilter {
        id: None,
        user: Id::read_any(which.user.as_ref(), "user")?.map(UserId),
        client_id: which.client_id,
        resource: which.resource,
        state: None,
    };
    let ended = by
        .store(&ctx)
        .revoke_grants(filter.clone(), EndReason::RevokedByAdmin, ctx.now())
        .await?;
    // Afterwards: of what is gone people may still have allowed something.
    if ended == 0 {
        check_names(&ctx, &filter).await?;
    }
    Ok(Json(EndedBody { ended }))
}
