//! `/admin/trusted-issuers/{slug}/subjects`: whom an identity provider means by a `sub`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use doorward_oauth::bearer::MAX_SUBJECT_BYTES;
use doorward_store::{LinkedSubject, TrustedIssuerKind, UserId};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::by::By;
use super::error::{AdminError, Body, ErrorBody, Location, Path, Query, location};
use super::id::Id;
use super::page::{List, PageQuery};
use crate::context::Context;

/// A link.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SubjectBody {
    /// `sub`, as the issuer writes it.
    subject: String,
    /// The person.
    user: Uuid,
    /// Unix seconds.
    created_at: i64,
}

impl From<LinkedSubject> for SubjectBody {
    fn from(link: LinkedSubject) -> Self {
        Self {
            subject: link.subject,
            user: link.user.0,
            created_at: link.created_at.seconds(),
        }
    }
}

/// A link to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSubject {
    /// `sub`, exactly as the issuer writes it.
    subject: String,
    /// The person's id.
    #[schema(value_type = Uuid)]
    user: Id,
}

/// Which link.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichSubject {
    /// `sub`, exactly as the issuer writes it.
    subject: String,
}

/// Which links.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only the link of this `sub`, exactly as the issuer writes it.
    subject: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Rows on a page, 1 to 200. Default 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

const UNKNOWN: AdminError =
    AdminError::NotFound("There is no trusted issuer with this slug; list them to see what there is.");

/// Whom the issuer means, by subject.
#[utoipa::path(get, path = "/admin/trusted-issuers/{slug}/subjects", params(("slug" = String, Path), Which),
    responses((status = OK, body = List<SubjectBody>), (status = BAD_REQUEST, body = ErrorBody), (status = NOT_FOUND, body = ErrorBody)))]
pub(super) async fn list(
    State(ctx): State<Arc<Context>>,
    Path(slug): Path<String>,
    Query(which): Query<Which>,
) -> Result<Json<List<SubjectBody>>, AdminError> {
    ctx.store.trusted_issuer(&slug).await?.ok_or(UNKNOWN)?;
    let name = format!("subjects {slug}");
    let page = PageQuery {
        cursor: which.cursor,
        limit: which.limit,
    }
    .request(&ctx, &name)?;
    if let Some(subject) = which.subject {
        let link = ctx.store.linked_subject(&slug, &subject).await?;
        return Ok(Json(List::whole(
            link.map(SubjectBody::from).into_iter().collect(),
        )));
    }
    let page = ctx.store.linked_subjects(&slug, page).await?;
    Ok(Json(List::of(&ctx, &name, page, SubjectBody::from)))
}

/// Links a subject to a person.
#[utoipa::path(post, path = "/admin/trusted-issuers/{slug}/subjects", params(("slug" = String, Path)), request_body = NewSubject,
    responses((status = CREATED, body = SubjectBody), (status = BAD_REQUEST, body = ErrorBody), (status = NOT_FOUND, body = ErrorBody), (status = CONFLICT, body = ErrorBody)))]
pub(super) async fn link(
    State(ctx): State<Arc<Context>>,
    by: By,
    Path(slug): Path<String>,
    Body(new): Body<NewSubject>,
) -> Result<(StatusCode, Location, Json<SubjectBody>), AdminError> {
    let issuer = ctx.store.trusted_issuer(&slug).await?.ok_or(UNKNOWN)?;
    if issuer.kind != TrustedIssuerKind::IdentityProvider {
        return Err(AdminError::Invalid(
            "Only subjects of identity providers are people.".to_owned(),
        ));
    }
    let subject = &new.subject;
    if subject.is_empty() || subject.len() > MAX_SUBJECT_BYTES || subject.contains(char::is_control) {
        return Err(AdminError::Invalid(format!(
            "subject must be 1 to {MAX_SUBJECT_BYTES} bytes without control characters."
        )));
    }
    let user = UserId(new.user.read("user")?);
    ctx.store.user(user).await?.ok_or(AdminError::NotFound(
        "There is no person with this id; list the people to see who there is.",
    ))?;
    let link = LinkedSubject {
        trusted_issuer: slug,
        subject: new.subject,
        user,
        created_at: ctx.now(),
    };
    by.store(&ctx)
        .link_subject(link.clone(), None)
        .await
        .map_err(AdminError::taken(
            "This subject is linked to a person already; remove that link first.",
        ))?;
    tracing::info!(trusted_issuer = link.trusted_issuer, user = %user.0, "a subject was linked to a person");
    let query: String = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("subject", &link.subject)
        .finish();
    let place = location(
        &format!("/admin/trusted-issuers/{}", link.trusted_issuer),
        format_args!("subjects?{query}"),
    );
    Ok((StatusCode::CREATED, place, Json(link.into())))
}

/// Forgets a link and ends the person's grants on the issuer's word.
#[utoipa::path(delete, path = "/admin/trusted-issuers/{slug}/subjects", params(("slug" = String, Path), WhichSubject),
    responses((status = NO_CONTENT), (status = BAD_REQUEST, body = ErrorBody), (status = NOT_FOUND, body = ErrorBody)))]
pub(super) async fn unlink(
    State(ctx): State<Arc<Context>>,
    by: By,
    Path(slug): Path<String>,
    Query(which): Query<WhichSubject>,
) -> Result<StatusCode, AdminError> {
    if !by
        .store(&ctx)
        .unlink_subject(&slug, &which.subject, ctx.now())
        .await?
    {
        return Err(AdminError::NotFound(
            "This issuer has no link for this subject; list the links to see what there is.",
        ));
    }
    tracing::info!(trusted_issuer = slug, "a subject was unlinked");
    Ok(StatusCode::NO_CONTENT)
}
