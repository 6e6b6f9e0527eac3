//! `/admin/admin-keys`: the keys of operators that are stored. `admin.bootstrap_key` is none of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use doorward_jose::sha256;
use doorward_store::AdminKey;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::by::By;
use super::error::{AdminError, Body, ErrorBody, Location, Path, location};
use super::key::{BOOTSTRAP, FIRST, new_key};
use super::name;
use super::page::List;
use crate::context::Context;

/// A key to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAdminKey {
    /// Whose it is, or what it is for: the audit list names its holder so.
    name: String,
}

/// An operator's key.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AdminKeyBody {
    id: Uuid,
    /// Shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    name: String,
    /// Unix seconds.
    created_at: i64,
}

impl AdminKeyBody {
    fn of(record: AdminKey, key: Option<String>) -> Self {
        Self {
            id: record.id(),
            key,
            name: record.name,
            created_at: record.created_at.seconds(),
        }
    }
}

const UNKNOWN: AdminError =
    AdminError::NotFound("There is no admin key with this id; list them to see what there is.");

/// Keys that can be there at once: one for each operator and pipeline. The list comes whole.
const MOST: usize = 100;

/// Every admin key that is stored, newest first, those of one second by name. `admin.bootstrap_key` is not among them.
#[utoipa::path(get, path = "/admin/admin-keys", responses((status = OK, body = List<AdminKeyBody>)))]
pub(super) async fn list(State(ctx): State<Arc<Context>>) -> Result<Json<List<AdminKeyBody>>, AdminError> {
    let keys = ctx.store.admin_keys().await?;
    let bodies = keys.into_iter().map(|key| AdminKeyBody::of(key, None));
    Ok(Json(List::whole(bodies.collect())))
}

/// Makes an admin key.
#[utoipa::path(post, path = "/admin/admin-keys", request_body = NewAdminKey,
    responses((status = CREATED, body = AdminKeyBody), (status = BAD_REQUEST, body = ErrorBody), (status = CONFLICT, body = ErrorBody)))]
pub(super) async fn create(
    State(ctx): State<Arc<Context>>,
    by: By,
    Body(new): Body<NewAdminKey>,
) -> Result<(StatusCode, Location, Json<AdminKeyBody>), AdminError> {
    name::check("name", &new.name)?;
    // Two names that look alike in a list are a place to hide.
    let plain = new.name.chars().all(|c| c == ' ' || c.is_ascii_graphic());
    if !plain || new.name.trim() != new.name || new.name.contains("  ") {
        return Err(AdminError::invalid(
            "The name must be printable ASCII with single spaces between words: the audit list tells operators apart by it.",
        ));
    }
    if [BOOTSTRAP, FIRST].contains(&new.name.to_lowercase().as_str()) {
        return Err(AdminError::invalid(
            "The audit list calls admin.bootstrap_key `bootstrap`, and the key of the first start `first start`; choose another name.",
        ));
    }
    if ctx.store.admin_keys().await?.len() >= MOST {
        return Err(AdminError::Conflict(
            "There are 100 admin keys, which is the most; delete those that nobody uses.".into(),
        ));
    }
    let key = new_key(ctx.random.as_ref());
    let record = AdminKey {
        digest: sha256(key.as_bytes()),
        name: new.name,
        created_at: ctx.now(),
    };
    by.store(&ctx)
        .add_admin_key(record.clone(), false)
        .await
        .map_err(AdminError::taken(
            "There is an admin key with this name already, capital letters aside; choose another name, or delete that key.",
        ))?;
    let place = location("/admin/admin-keys", record.id());
    Ok((
        StatusCode::CREATED,
        place,
        Json(AdminKeyBody::of(record, Some(key))),
    ))
}

/// One admin key.
#[utoipa::path(get, path = "/admin/admin-keys/{id}", params(("id" = Uuid, Path)),
    responses((status = OK, body = AdminKeyBody), (status = NOT_FOUND, body = ErrorBody)))]
pub(super) async fn get(
    State(ctx): State<Arc<Context>>,
    Path(id): Path<Uuid>,
) -> Result<Json<AdminKeyBody>, AdminError> {
    let mut keys = ctx.store.admin_keys().await?.into_iter();
    let key = keys.find(|key| key.id() == id).ok_or(UNKNOWN)?;
    Ok(Json(AdminKeyBody::of(key, None)))
}

/// Deletes an admin key: it counts no more, on any node. The last one stays, unless `admin.bootstrap_key` is set.
#[utoipa::path(delete, path = "/admin/admin-keys/{id}", params(("id" = Uuid, Path)),
    responses((status = NO_CONTENT), (status = NOT_FOUND, body = ErrorBody), (status = CONFLICT, body = ErrorBody)))]
pub(super) async fn delete(
    State(ctx): State<Arc<Context>>,
    by: By,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, AdminError> {
    let another = ctx.settings.admin.bootstrap_key.is_some();
    let deleted = by.store(&ctx).delete_admin_key(id, another).await;
    let deleted = deleted.map_err(AdminError::taken(
        "This is the last admin key, and no admin.bootstrap_key is set: make another one first, and use it.",
    ))?;
    if deleted {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(UNKNOWN)
    }
}
