//! `/admin/initial-access-tokens`: tokens with which clients register where registration is not open (RFC 7591 §3).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use doorward_jose::sha256;
use doorward_store::{InitialAccessToken, UnixSeconds};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::by::By;
use super::error::{AdminError, Body, ErrorBody, Location, Path, Query, location};
use super::name;
use super::page::{List, PageQuery};
use crate::config::DynamicRegistration;
use crate::context::Context;
use crate::prefix;

/// A token to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewInitialToken {
    /// What it is for.
    name: String,
    /// How many clients may register with it, 1 to 10000; any number when absent.
    #[schema(minimum = 1, maximum = 10_000)]
    uses: Option<u32>,
    /// Seconds that it works, at most a year; for ever when absent.
    #[schema(minimum = 1, maximum = 31_622_400)]
    expires_in: Option<u32>,
}

/// A token.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InitialTokenBody {
    id: Uuid,
    /// Shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    name: String,
    /// Absent: any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    uses_left: Option<u32>,
    /// Unix seconds.
    created_at: i64,
    /// Unix seconds: when it ends, or when its last use ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
}

impl InitialTokenBody {
    fn of(record: InitialAccessToken, token: Option<String>) -> Self {
        Self {
            id: record.id,
            token,
            name: record.name,
            uses_left: record.uses_left,
            created_at: record.created_at.seconds(),
            expires_at: record.expires_at.map(UnixSeconds::seconds),
        }
    }
}

const UNKNOWN: AdminError =
    AdminError::NotFound("There is no initial access token with this id; list them to see what there is.");

/// Tokens, newest first.
#[utoipa::path(get, path = "/admin/initial-access-tokens", params(PageQuery),
    responses((status = OK, body = List<InitialTokenBody>), (status = BAD_REQUEST, body = ErrorBody)))]
pub(super) async fn list(
    State(ctx): State<Arc<Context>>,
    Query(query): Query<PageQuery>,
) -> Result<Json<List<InitialTokenBody>>, AdminError> {
    let name = "initial tokens";
    let page = ctx.store.initial_tokens(query.request(&ctx, name)?).await?;
    Ok(Json(List::of(&ctx, name, page, |token| {
        InitialTokenBody::of(token, None)
    })))
}

/// One token.
#[utoipa::path(get, path = "/admin/initial-access-tokens/{id}", params(("id" = Uuid, Path)),
    responses((status = OK, body = InitialTokenBody), (status = NOT_FOUND, body = ErrorBody)))]
pub(super) async fn get(
    State(ctx): State<Arc<Context>>,
    Path(id): Path<Uuid>,
) -> Result<Json<InitialTokenBody>, AdminError> {
    let token = ctx.store.initial_token(id).await?.ok_or(UNKNOWN)?;
    Ok(Json(InitialTokenBody::of(token, None)))
}

/// Makes a token.
#[utoipa::path(post, path = "/admin/initial-access-tokens", request_body = NewInitialToken,
    responses((status = CREATED, body = InitialTokenBody), (status = BAD_REQUEST, body = ErrorBody)))]
pub(super) async fn create(
    State(ctx): State<Arc<Context>>,
    by: By,
    Body(new): Body<NewInitialToken>,
) -> Result<(StatusCode, Location, Json<InitialTokenBody>), AdminError> {
    if ctx.settings.registration.dcr == DynamicRegistration::AdminOnly {
        return Err(AdminError::Invalid(
            "Nobody registers while registration.dcr is admin_only; set it to initial_access_token first."
                .to_owned(),
        ));
    }
    name::check("name", &new.name)?;
    if new.uses.is_some_and(|uses| !(1..=10_000).contains(&uses)) {
        return Err(AdminError::Invalid(
            "uses must be between 1 and 10000.".to_owned(),
        ));
    }
    if new
        .expires_in
        .is_some_and(|seconds| !(1..=366 * 86_400).contains(&seconds))
    {
        return Err(AdminError::Invalid(
            "expires_in must be between a second and a year.".to_owned(),
        ));
    }
    let now = ctx.now();
    let token = ctx.random.token(prefix::INITIAL_ACCESS_TOKEN);
    let record = InitialAccessToken {
        id: ctx.random.uuid_v7(ctx.clock.as_ref()),
        digest: sha256(token.as_bytes()),
        name: new.name,
        uses_left: new.uses,
        created_at: now,
        expires_at: new
            .expires_in
            .map(|seconds| now + std::time::Duration::from_secs(seconds.into())),
    };
    by.store(&ctx).create_initial_token(record.clone()).await?;
    let place = location("/admin/initial-access-tokens", record.id);
    Ok((
        StatusCode::CREATED,
        place,
        Json(InitialTokenBody::of(record, Some(token))),
    ))
}

/// Removes a token. Clients that registered with it stay.
#[utoipa::path(delete, path = "/admin/initial-access-tokens/{id}", params(("id" = Uuid, Path)),
    responses((status = NO_CONTENT), (status = NOT_FOUND, body = ErrorBody)))]
pub(super) async fn delete(
    State(ctx): State<Arc<Context>>,
    by: By,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, AdminError> {
    if by.store(&ctx).delete_initial_token(id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(UNKNOWN)
    }
}
