//! `/admin/keys`: the keys that sign tokens. Private keys never leave the server.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use doorward_store::{SigningKeyRecord, SigningKeyState};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{AdminError, ErrorBody};
use super::page::List;
use crate::context::Context;

/// A signing key.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeyBody {
    /// `kid`: the RFC 7638 thumbprint.
    key_id: String,
    /// JWA name.
    algorithm: String,
    /// `active` signs; `previous` is published until its last token expired.
    state: &'static str,
    /// Unix seconds.
    created_at: i64,
    /// Unix seconds; when it stopped signing.
    #[serde(skip_serializing_if = "Option::is_none")]
    retired_at: Option<i64>,
}

impl From<SigningKeyRecord> for KeyBody {
    fn from(record: SigningKeyRecord) -> Self {
        Self {
            key_id: record.key_id,
            algorithm: record.algorithm,
            state: match record.state {
                SigningKeyState::Active => "active",
                SigningKeyState::Previous => "previous",
            },
            created_at: record.created_at.seconds(),
            retired_at: record.retired_at.map(doorward_store::UnixSeconds::seconds),
        }
    }
}

/// Every signing key, newest first.
#[utoipa::path(get, path = "/admin/keys", responses((status = OK, body = List<KeyBody>)))]
pub(super) async fn list(State(ctx): State<Arc<Context>>) -> Json<List<KeyBody>> {
    Json(List::whole(
        ctx.keys.records().into_iter().map(KeyBody::from).collect(),
    ))
}

/// Makes a new signing key. The one before stays published until its last token expired.
#[utoipa::path(post, path = "/admin/keys/rotate",
    responses((status = CREATED, body = KeyBody), (status = SERVICE_UNAVAILABLE, body = ErrorBody)))]
pub(super) async fn rotate(
    State(ctx): State<Arc<Context>>,
) -> Result<(StatusCode, Json<KeyBody>), AdminError> {
    let record = ctx.keys.rotate().await?;
    Ok((StatusCode::CREATED, Json(record.into())))
}
