//! `/admin/keys`: the keys that sign tokens. Private keys never leave the server.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use doorward_store::StoreError;
use doorward_store::signing_keys::SigningKeyState;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::by::By;
use super::error::{AdminError, ErrorBody, Location, OptionalBody, Path, location};
use super::page::List;
use super::words;
use crate::context::Context;
use crate::keys::{KeyError, KeyStatus};

/// A signing key.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeyBody {
    /// `kid`: the RFC 7638 thumbprint.
    key_id: String,
    /// JWA name.
    algorithm: String,
    /// `next` is published and will sign; `active` signs; `previous` is published until its last token expired; none of
    /// the tokens of a `revoked` one counts.
    #[schema(schema_with = words::key_state)]
    state: &'static str,
    /// Unix seconds; when it was made and published.
    created_at: i64,
    /// Unix seconds; when it starts signing, or started.
    starts_at: i64,
    /// Unix seconds; when it stops signing, or stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    stops_at: Option<i64>,
}

impl From<KeyStatus> for KeyBody {
    fn from(status: KeyStatus) -> Self {
        Self {
            key_id: status.record.key_id,
            algorithm: status.record.algorithm,
            state: match status.state {
                SigningKeyState::Next => "next",
                SigningKeyState::Active => "active",
                SigningKeyState::Previous => "previous",
                SigningKeyState::Revoked => "revoked",
            },
            created_at: status.record.created_at.seconds(),
            starts_at: status.record.signs_from.seconds(),
            stops_at: status.stops_at.map(doorward_store::UnixSeconds::seconds),
        }
    }
}

const UNKNOWN: AdminError =
    AdminError::NotFound("There is no signing key with this id; list them to see what there is.");

/// How to rotate.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RotateBody {
    /// Whether the new key signs at once. Verifiers that have not asked for the keys meanwhile refuse its tokens until they do.
    #[serde(default)]
    now: bool,
}

/// Every signing key, newest first.
#[utoipa::path(get, path = "/admin/keys", responses((status = OK, body = List<KeyBody>)))]
pub(super) async fn list(State(ctx): State<Arc<Context>>) -> Json<List<KeyBody>> {
    Json(List::whole(
        ctx.keys.statuses().into_iter().map(KeyBody::from).collect(),
    ))
}

/// One signing key.
#[utoipa::path(get, path = "/admin/keys/{key_id}", params(("key_id" = String, Path)),
    responses((status = OK, body = KeyBody), (status = NOT_FOUND, body = ErrorBody)))]
pub(super) async fn get(
    State(ctx): State<Arc<Context>>,
    Path(key_id): Path<String>,
) -> Result<Json<KeyBody>, AdminError> {
    let mut keys = ctx.keys.statuses().into_iter();
    let key = keys.find(|key| key.record.key_id == key_id).ok_or(UNKNOWN)?;
    Ok(Json(key.into()))
}

/// Makes the next signing key, if none waits already, and answers 201; else 200 with the one that waits. It signs when it has been published for `keys.publish_ahead`; the one
/// before stays published until its last token expired. 409 while as many keys are published as verifiers read.
#[utoipa::path(post, path = "/admin/keys/rotate", request_body(content = Option<RotateBody>),
    responses((status = OK, body = KeyBody), (status = CREATED, body = KeyBody), (status = CONFLICT, body = ErrorBody), (status = SERVICE_UNAVAILABLE, body = ErrorBody)))]
pub(super) async fn rotate(
    State(ctx): State<Arc<Context>>,
    by: By,
    OptionalBody(body): OptionalBody<RotateBody>,
) -> Result<(StatusCode, Option<Location>, Json<KeyBody>), AdminError> {
    let before = ctx.keys.statuses();
    let key = if body.now {
        ctx.keys.rotate_now_by(by.store(&ctx).as_ref()).await?
    } else {
        ctx.keys.rotate_by(by.store(&ctx).as_ref()).await?
    };
    let is_new = !before.iter().any(|one| one.record.key_id == key.record.key_id);
    let status = if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let place = is_new.then(|| location("/admin/keys", &key.record.key_id));
    Ok((status, place, Json(key.into())))
}

/// Withdraws a signing key that others may have: it is published no more, and its tokens count no more. When it signs,
/// another one does at once. Answers with the key that signs.
#[utoipa::path(post, path = "/admin/keys/{key_id}/revoke", params(("key_id" = String, Path)),
    responses((status = OK, body = KeyBody), (status = NOT_FOUND, body = ErrorBody)))]
pub(super) async fn revoke(
    State(ctx): State<Arc<Context>>,
    by: By,
    Path(key_id): Path<String>,
) -> Result<Json<KeyBody>, AdminError> {
    let signs = ctx.keys.revoke_by(by.store(&ctx).as_ref(), &key_id).await;
    let signs = signs.map_err(|error| match error {
        KeyError::Store(StoreError::NotFound) => UNKNOWN,
        error => error.into(),
    })?;
    Ok(Json(signs.into()))
}
