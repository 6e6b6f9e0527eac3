//! `/admin/users`: the people who can sign in.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use doorward_store::{User, UserId};
use http::StatusCode;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::by::By;
use super::change::given;
use super::error::{AdminError, Body, ErrorBody, Location, OptionalBody, Path, Query, location};
use super::name;
use super::page::{List, PageQuery};
use crate::context::Context;
use crate::email::{MAX_EMAIL, is_address};

/// A person to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewUser {
    /// Unique, compared in lower case.
    email: String,
    /// Shown on pages; the e-mail address when absent.
    name: Option<String>,
    /// At least 12 characters, at most 1024 bytes.
    #[schema(value_type = String, format = Password)]
    password: SecretString,
    /// Whether the person cannot sign in yet.
    #[serde(default)]
    disabled: bool,
}

/// What changes. Absent members stay, none can be `null`. A new password ends the person's sessions.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UserChange {
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    email: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, format = Password, nullable = false)]
    password: Option<SecretString>,
    /// Disabling ends the person's sessions and grants.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    disabled: Option<bool>,
}

/// A verb says everything itself.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// A person.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UserBody {
    /// The `sub` claim of the person's tokens.
    id: Uuid,
    email: String,
    name: String,
    disabled: bool,
    /// Unix seconds.
    created_at: i64,
    /// Unix seconds.
    updated_at: i64,
}

impl From<User> for UserBody {
    fn from(user: User) -> Self {
        Self {
            id: user.id.0,
            email: user.email,
            name: user.name,
            disabled: user.disabled,
            created_at: user.created_at.seconds(),
            updated_at: user.updated_at.seconds(),
        }
    }
}

const UNKNOWN: AdminError =
    AdminError::NotFound("There is no person with this id; list the users to see who there is.");

/// Which people.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Who signs in with this e-mail address, whatever its case.
    email: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Rows on a page, 1 to 200. Default 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// People, ordered by id.
#[utoipa::path(get, path = "/admin/users", params(Which), responses((status = OK, body = List<UserBody>), (status = BAD_REQUEST, body = ErrorBody)))]
pub(super) async fn list(
    State(ctx): State<Arc<Context>>,
    Query(which): Query<Which>,
) -> Result<Json<List<UserBody>>, AdminError> {
    let page = PageQuery {
        cursor: which.cursor,
        limit: which.limit,
    }
    .request(&ctx, "users")?;
    if let Some(email) = which.email {
        let found = ctx.store.user_by_email(&email).await?;
        return Ok(Json(List::whole(found.map(UserBody::from).into_iter().collect())));
    }
    let users = ctx.store.users(page).await?;
    Ok(Json(List::of(&ctx, "users", users, UserBody::from)))
}

/// Adds a person.
#[utoipa::path(post, path = "/admin/users", request_body = NewUser,
    responses((status = CREATED, body = UserBody), (status = BAD_REQUEST, body = ErrorBody), (status = CONFLICT, body = ErrorBody)))]
pub(super) async fn create(
    State(ctx): State<Arc<Context>>,
    by: By,
    Body(new): Body<NewUser>,
) -> Result<(StatusCode, Location, Json<UserBody>), AdminError> {
    check_email(&new.email)?;
    let name = new.name.unwrap_or_else(|| new.email.clone());
    name::check("name", &name)?;
    let now = ctx.now();
    let user = User {
        id: UserId(ctx.random.uuid_v4()),
        email: new.email,
        name,
        password_hash: Some(ctx.passwords.hash(&new.password).await?),
        disabled: new.disabled,
        created_at: now,
        updated_at: now,
    };
    by.store(&ctx)
        .create_user(user.clone())
        .await
        .map_err(AdminError::taken(
            "There is a person with this e-mail address already; choose another, or change that person.",
        ))?;
    let place = location("/admin/users", user.id.0);
    Ok((StatusCode::CREATED, place, Json(user.into())))
}

/// One person.
#[utoipa::path(get, path = "/admin/users/{id}", params(("id" = Uuid, Path)),
    responses((status = OK, body = UserBody), (status = NOT_FOUND, body = ErrorBody)))]
pub(super) async fn get(
    State(ctx): State<Arc<Context>>,
    Path(id): Path<Uuid>,
) -> Result<Json<UserBody>, AdminError> {
    Ok(Json(find(&ctx, id).await?.into()))
}

/// Changes e-mail address, name or password, or disables the person: sessions and grants end.
#[utoipa::path(patch, path = "/admin/users/{id}", params(("id" = Uuid, Path)), request_body = UserChange,
    responses((status = OK, body = UserBody), (status = BAD_REQUEST, body = ErrorBody), (status = NOT_FOUND, body = ErrorBody), (status = CONFLICT, body = ErrorBody)))]
pub(super) async fn update(
    State(ctx): State<Arc<Context>>,
    by: By,
    Path(id): Path<Uuid>,
    Body(change): Body<UserChange>,
) -> Result<Json<UserBody>, AdminError> {
    let before = find(&ctx, id).await?;
    let mut user = before.clone();
    if let Some(email) = change.email {
        check_email(&email)?;
        user.email = email;
    }
    if let Some(name) = change.name {
        name::check("name", &name)?;
        user.name = name;
    }
    if let Some(password) = change.password {
        user.password_hash = Some(ctx.passwords.hash(&password).await?);
    }
    user.disabled = change.disabled.unwrap_or(user.disabled);
    Ok(Json(save(&ctx, &by, before, user).await?))
}

/// Removes a person with sessions, consents and grants.
#[utoipa::path(delete, path = "/admin/users/{id}", params(("id" = Uuid, Path)),
    responses((status = NO_CONTENT), (status = NOT_FOUND, body = ErrorBody)))]
pub(super) async fn delete(
    State(ctx): State<Arc<Context>>,
    by: By,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, AdminError> {
    find(&ctx, id).await?;
    by.store(&ctx).delete_user(UserId(id), ctx.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Disables a person: sessions and grants end.
#[utoipa::path(post, path = "/admin/users/{id}/disable", params(("id" = Uuid, Path)),
    responses((status = OK, body = UserBody), (status = NOT_FOUND, body = ErrorBody)))]
pub(super) async fn disable(
    State(ctx): State<Arc<Context>>,
    by: By,
    Path(id): Path<Uuid>,
    OptionalBody(Nothing {}): OptionalBody<Nothing>,
) -> Result<Json<UserBody>, AdminError> {
    set_disabled(&ctx, &by, id, true).await
}

/// Lets a disabled person sign in again. What ended stays ended.
#[utoipa::path(post, path = "/admin/users/{id}/enable", params(("id" = Uuid, Path)),
    responses((status = OK, body = UserBody), (status = NOT_FOUND, body = ErrorBody)))]
pub(super) async fn enable(
    State(ctx): State<Arc<Context>>,
    by: By,
    Path(id): Path<Uuid>,
    OptionalBody(Nothing {}): OptionalBody<Nothing>,
) -> Result<Json<UserBody>, AdminError> {
    set_disabled(&ctx, &by, id, false).await
}

async fn set_disabled(
    ctx: &Context,
    by: &By,
    id: Uuid,
    disabled: bool,
) -> Result<Json<UserBody>, AdminError> {
    let before = find(ctx, id).await?;
    let user = User {
        disabled,
        ..before.clone()
    };
    Ok(Json(save(ctx, by, before, user).await?))
}

async fn find(ctx: &Context, id: Uuid) -> Result<User, AdminError> {
    ctx.store.user(UserId(id)).await?.ok_or(UNKNOWN)
}

async fn save(ctx: &Context, by: &By, before: User, user: User) -> Result<UserBody, AdminError> {
    if user == before {
        return Ok(before.into());
    }
    let user = User {
        updated_at: ctx.now(),
        ..user
    };
    by.store(ctx)
        .update_user(user.clone(), ctx.now())
        .await
        .map_err(AdminError::taken(
            "There is another person with this e-mail address already; choose another, or change that person.",
        ))?;
    Ok(user.into())
}

fn check_email(email: &str) -> Result<(), AdminError> {
    if is_address(email) {
        return Ok(());
    }
    Err(AdminError::Invalid(format!(
        "email must be an address like somebody@example.com, at most {MAX_EMAIL} bytes."
    )))
}
