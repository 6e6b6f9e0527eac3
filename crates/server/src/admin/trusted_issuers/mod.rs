//! `/admin/trusted-issuers`: whose signed word about people or workloads counts here (RFC 7523 §2.1).

mod body;
mod terms;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use doorward_oauth::assertion::AssertionRules;
use doorward_oauth::bearer::{KeySource, Terms};
use doorward_store::{TrustedIssuer, TrustedIssuerKind};
use http::StatusCode;

use self::body::{NewTrustedIssuer, TrustedIssuerBody, TrustedIssuerChange};
use super::by::By;
use super::error::{AdminError, Body, ErrorBody, Location, Path, Query, location};
use super::other_servers::{check_issuer, read_terms, write_terms};
use super::page::{List, PageQuery};
use super::resources::check_slug;
use crate::context::Context;

/// ID-JAGs are for minutes, tokens of platforms for hours.
const ID_JAG_LIFETIME: u32 = 600;
const WORKLOAD_LIFETIME: u32 = 24 * 3600;
const UNKNOWN: AdminError =
    AdminError::NotFound("There is no trusted issuer with this slug; list them to see what there is.");

/// Trusted issuers, ordered by slug.
#[utoipa::path(get, path = "/admin/trusted-issuers", params(PageQuery),
    responses((status = OK, body = List<TrustedIssuerBody>), (status = BAD_REQUEST, body = ErrorBody)))]
pub(super) async fn list(
    State(ctx): State<Arc<Context>>,
    Query(query): Query<PageQuery>,
) -> Result<Json<List<TrustedIssuerBody>>, AdminError> {
    let all = ctx.store.trusted_issuers().await?;
    let list = List::cut(
        &ctx,
        "trusted issuers",
        &query,
        all,
        |one| &one.slug,
        TrustedIssuerBody::of,
    )?;
    Ok(Json(list))
}

/// Trusts an issuer. Without rules its word is good for nothing.
#[utoipa::path(post, path = "/admin/trusted-issuers", request_body = NewTrustedIssuer,
    responses((status = CREATED, body = TrustedIssuerBody), (status = BAD_REQUEST, body = ErrorBody), (status = CONFLICT, body = ErrorBody)))]
pub(super) async fn create(
    State(ctx): State<Arc<Context>>,
    by: By,
    Body(new): Body<NewTrustedIssuer>,
) -> Result<(StatusCode, Location, Json<TrustedIssuerBody>), AdminError> {
    check_slug(&new.slug)?;
    check_issuer(&ctx, &new.issuer)?;
    let defaults = Terms {
        keys: KeySource::Discovery,
        algorithms: AssertionRules::ALGORITHMS.to_vec(),
        audiences: Vec::new(),
        tenant: new.tenant,
        max_lifetime: match new.kind {
            TrustedIssuerKind::IdentityProvider => ID_JAG_LIFETIME,
            TrustedIssuerKind::Workload => WORKLOAD_LIFETIME,
        },
        single_use: false,
        public_clients: false,
        provision: false,
        id_token_clients: BTreeMap::new(),
        rules: Vec::new(),
    };
    let terms = new.terms.of(&ctx, new.kind, defaults).await?;
    let now = ctx.now();
    let issuer = TrustedIssuer {
        slug: new.slug,
        kind: new.kind,
        issuer: new.issuer,
        terms: write_terms(&terms)?,
        disabled: new.disabled,
        created_at: now,
        updated_at: now,
    };
    by.store(&ctx)
        .create_trusted_issuer(issuer.clone())
        .await
        .map_err(AdminError::taken("There is a trusted issuer with this slug or this issuer already; choose another slug, or change that one."))?;
    tracing::info!(
        trusted_issuer = issuer.slug,
        issuer = issuer.issuer,
        rules = terms.rules.len(),
        "an issuer is trusted"
    );
    let place = location("/admin/trusted-issuers", &issuer.slug);
    Ok((StatusCode::CREATED, place, Json(TrustedIssuerBody::of(issuer)?)))
}

/// One trusted issuer.
#[utoipa::path(get, path = "/admin/trusted-issuers/{slug}", params(("slug" = String, Path)),
    responses((status = OK, body = TrustedIssuerBody), (status = NOT_FOUND, body = ErrorBody)))]
pub(super) async fn get(
    State(ctx): State<Arc<Context>>,
    Path(slug): Path<String>,
) -> Result<Json<TrustedIssuerBody>, AdminError> {
    let issuer = ctx.store.trusted_issuer(&slug).await?.ok_or(UNKNOWN)?;
    Ok(Json(TrustedIssuerBody::of(issuer)?))
}

/// Changes the terms, or disables: that ends the grants on the issuer's word.
#[utoipa::path(patch, path = "/admin/trusted-issuers/{slug}", params(("slug" = String, Path)), request_body = TrustedIssuerChange,
    responses((status = OK, body = TrustedIssuerBody), (status = BAD_REQUEST, body = ErrorBody), (status = NOT_FOUND, body = ErrorBody)))]
pub(super) async fn update(
    State(ctx): State<Arc<Context>>,
    by: By,
    Path(slug): Path<String>,
    Body(change): Body<TrustedIssuerChange>,
) -> Result<Json<TrustedIssuerBody>, AdminError> {
    let before = ctx.store.trusted_issuer(&slug).await?.ok_or(UNKNOWN)?;
    let terms = change
        .terms
        .of(&ctx, before.kind, read_terms(&before.terms)?)
        .await?;
    let issuer = TrustedIssuer {
        terms: write_terms(&terms)?,
        disabled: change.disabled.unwrap_or(before.disabled),
        ..before.clone()
    };
    // To disable it again ends what a request that was cut off has left.
    if issuer == before && change.disabled != Some(true) {
        return Ok(Json(TrustedIssuerBody::of(before)?));
    }
    let issuer = TrustedIssuer {
        updated_at: ctx.now(),
        ..issuer
    };
    by.store(&ctx).update_trusted_issuer(issuer.clone()).await?;
    tracing::info!(
        trusted_issuer = issuer.slug,
        disabled = issuer.disabled,
        rules = terms.rules.len(),
        "the terms of an issuer changed"
    );
    Ok(Json(TrustedIssuerBody::of(issuer)?))
}

/// Trusts an issuer no more: its links are forgotten, the grants on its word end.
#[utoipa::path(delete, path = "/admin/trusted-issuers/{slug}", params(("slug" = String, Path)),
    responses((status = NO_CONTENT), (status = NOT_FOUND, body = ErrorBody)))]
pub(super) async fn delete(
    State(ctx): State<Arc<Context>>,
    by: By,
    Path(slug): Path<String>,
) -> Result<StatusCode, AdminError> {
    ctx.store.trusted_issuer(&slug).await?.ok_or(UNKNOWN)?;
    let grants = by.store(&ctx).delete_trusted_issuer(&slug, ctx.now()).await?;
    tracing::info!(trusted_issuer = slug, grants, "an issuer is trusted no more");
    Ok(StatusCode::NO_CONTENT)
}
