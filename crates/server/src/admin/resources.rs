//! `/admin/resources`: the MCP servers whose tokens this server issues.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use doorward_oauth::bearer::Terms;
use doorward_oauth::resource::ResourceUri;
use doorward_oauth::scope::{OFFLINE_ACCESS, Scope};
use doorward_store::{MAX_RESOURCE, Resource, ResourceScope};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::by::By;
use super::change::given;
use super::error::{AdminError, Body, ErrorBody, Location, Path, Query, location};
use super::name;
use super::other_servers::read_terms;
use super::page::{List, PageQuery};
use super::policy::{self, PolicyBody, PolicyChange};
use crate::context::Context;

/// The scopes of a resource, in bytes as a token has them. With its claims (2 KiB), its URI and the client's id (1 KiB each) they
/// fit into one token.
const LONGEST_SCOPES: usize = 5 * 1024;

/// What a token for the resource is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum BackendKind {
    /// Doorward signs it.
    Mint,
}

/// One scope.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ScopeBody {
    /// The scope token (RFC 6749 §3.3).
    name: String,
    /// Shown to people on the consent page; the name when empty.
    #[serde(default)]
    description: String,
    /// The scope at an upstream provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upstream: Option<String>,
    /// Whether a request without `scope` gets it.
    #[serde(default = "yes")]
    default: bool,
}

const fn yes() -> bool {
    true
}

/// A resource to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewResource {
    /// Short name: lower-case letters, digits and hyphens.
    slug: String,
    /// The resource identifier (RFC 8707): the MCP server's URL, exactly as clients type it.
    uri: String,
    /// What a token for it is made of.
    #[serde(default = "mint")]
    backend_kind: BackendKind,
    /// Shown to people; the slug when absent.
    display_name: Option<String>,
    /// What can be asked for.
    #[serde(default)]
    scopes: Vec<ScopeBody>,
    /// What its tokens have to be.
    #[serde(default)]
    policy: PolicyBody,
}

const fn mint() -> BackendKind {
    BackendKind::Mint
}

/// What changes. Absent members stay, none can be `null`; the URI cannot change, because tokens name it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResourceChange {
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    display_name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    scopes: Option<Vec<ScopeBody>>,
    /// What its tokens have to be.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    policy: Option<PolicyChange>,
}

/// A resource.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ResourceBody {
    slug: String,
    uri: String,
    backend_kind: BackendKind,
    display_name: String,
    scopes: Vec<ScopeBody>,
    policy: PolicyBody,
    /// Unix seconds.
    created_at: i64,
    /// Unix seconds.
    updated_at: i64,
}

impl From<Resource> for ResourceBody {
    fn from(resource: Resource) -> Self {
        let scopes = resource.scopes.into_iter().map(|scope| ScopeBody {
            name: scope.name,
            description: scope.description,
            upstream: scope.upstream,
            default: scope.default,
        });
        Self {
            slug: resource.slug,
            uri: resource.uri,
            backend_kind: BackendKind::Mint,
            display_name: resource.display_name,
            scopes: scopes.collect(),
            policy: resource.policy.into(),
            created_at: resource.created_at.seconds(),
            updated_at: resource.updated_at.seconds(),
        }
    }
}

const UNKNOWN: AdminError =
    AdminError::NotFound("There is no resource with this slug; list the resources to see what there is.");

/// Resources, ordered by slug.
#[utoipa::path(get, path = "/admin/resources", params(PageQuery),
    responses((status = OK, body = List<ResourceBody>), (status = BAD_REQUEST, body = ErrorBody)))]
pub(super) async fn list(
    State(ctx): State<Arc<Context>>,
    Query(query): Query<PageQuery>,
) -> Result<Json<List<ResourceBody>>, AdminError> {
    let all = ctx.store.resources().await?;
    let list = List::cut(
        &ctx,
        "resources",
        &query,
        all,
        |one| &one.slug,
        |one| Ok(one.into()),
    )?;
    Ok(Json(list))
}

/// Adds a resource.
#[utoipa::path(post, path = "/admin/resources", request_body = NewResource,
    responses((status = CREATED, body = ResourceBody), (status = BAD_REQUEST, body = ErrorBody), (status = CONFLICT, body = ErrorBody)))]
pub(super) async fn create(
    State(ctx): State<Arc<Context>>,
    by: By,
    Body(new): Body<NewResource>,
) -> Result<(StatusCode, Location, Json<ResourceBody>), AdminError> {
    // The kind is read by its type: `mint` is the only one yet.
    let BackendKind::Mint = new.backend_kind;
    check_slug(&new.slug)?;
    let uri = ResourceUri::parse(&new.uri).map_err(|error| AdminError::Invalid(format!("uri: {error}.")))?;
    if new.uri.len() > MAX_RESOURCE {
        return Err(AdminError::Invalid(format!(
            "uri has {} bytes; {MAX_RESOURCE} is the most.",
            new.uri.len()
        )));
    }
    let taken = ctx
        .resources
        .all()
        .await?
        .iter()
        .any(|other| uri.matches(&other.uri));
    if taken {
        return Err(AdminError::Conflict(
            "A resource with this URI exists; update it instead.".into(),
        ));
    }
    let now = ctx.now();
    let resource = Resource {
        policy: policy::checked(&ctx, new.policy)?,
        display_name: display_name(new.display_name, &new.slug)?,
        scopes: scopes(new.scopes)?,
        slug: new.slug,
        uri: new.uri,
        created_at: now,
        updated_at: now,
    };
    by.store(&ctx)
        .create_resource(resource.clone())
        .await
        .map_err(AdminError::taken(
            "There is a resource with this slug already; choose another slug.",
        ))?;
    let place = location("/admin/resources", &resource.slug);
    Ok((StatusCode::CREATED, place, Json(resource.into())))
}

/// One resource.
#[utoipa::path(get, path = "/admin/resources/{slug}", params(("slug" = String, Path)),
    responses((status = OK, body = ResourceBody), (status = NOT_FOUND, body = ErrorBody)))]
pub(super) async fn get(
    State(ctx): State<Arc<Context>>,
    Path(slug): Path<String>,
) -> Result<Json<ResourceBody>, AdminError> {
    let resource = ctx.store.resource(&slug).await?.ok_or(UNKNOWN)?;
    Ok(Json(resource.into()))
}

/// Changes name, scopes or policy. A scope that is taken away is gone from the next token on.
#[utoipa::path(patch, path = "/admin/resources/{slug}", params(("slug" = String, Path)), request_body = ResourceChange,
    responses((status = OK, body = ResourceBody), (status = BAD_REQUEST, body = ErrorBody), (status = NOT_FOUND, body = ErrorBody)))]
pub(super) async fn update(
    State(ctx): State<Arc<Context>>,
    by: By,
    Path(slug): Path<String>,
    Body(change): Body<ResourceChange>,
) -> Result<Json<ResourceBody>, AdminError> {
    let before = ctx.store.resource(&slug).await?.ok_or(UNKNOWN)?;
    let mut resource = before.clone();
    if let Some(name) = change.display_name {
        resource.display_name = display_name(Some(name), &slug)?;
    }
    if let Some(changed) = change.scopes {
        resource.scopes = scopes(changed)?;
    }
    if let Some(changed) = change.policy {
        resource.policy = policy::checked(&ctx, changed.of(resource.policy))?;
    }
    if resource == before {
        return Ok(Json(before.into()));
    }
    resource.updated_at = ctx.now();
    by.store(&ctx)
        .update_resource(resource.clone())
        .await
        .map_err(AdminError::taken(
            "There is another resource with this URI already.",
        ))?;
    Ok(Json(resource.into()))
}

/// Removes a resource, ends the grants on it, and removes the clients that only introspect its tokens. Not while rules of a
/// trusted issuer name it: they would count again for whatever has its URI later.
#[utoipa::path(delete, path = "/admin/resources/{slug}", params(("slug" = String, Path)),
    responses((status = NO_CONTENT), (status = NOT_FOUND, body = ErrorBody), (status = CONFLICT, body = ErrorBody)))]
pub(super) async fn delete(
    State(ctx): State<Arc<Context>>,
    by: By,
    Path(slug): Path<String>,
) -> Result<StatusCode, AdminError> {
    let resource = ctx.store.resource(&slug).await?.ok_or(UNKNOWN)?;
    refuse_while_trusted(&ctx, &resource.uri).await?;
    by.store(&ctx).delete_resource(&slug, ctx.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn refuse_while_trusted(ctx: &Context, uri: &str) -> Result<(), AdminError> {
    let mut issuers = Vec::new();
    for issuer in ctx.store.trusted_issuers().await? {
        let terms: Terms = read_terms(&issuer.terms)?;
        if terms.rules.iter().any(|rule| rule.resource == uri) {
            issuers.push(format!("`{}`", issuer.slug));
        }
    }
    if issuers.is_empty() {
        return Ok(());
    }
    let issuers = issuers.join(", ");
    Err(AdminError::Conflict(
        format!("Rules of trusted issuers name this resource; take them out, or remove the issuers, first: {issuers}.").into(),
    ))
}

pub(super) fn check_slug(slug: &str) -> Result<(), AdminError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if (1..=64).contains(&slug.len()) && slug.chars().all(allowed) {
        return Ok(());
    }
    Err(AdminError::Invalid(
        "slug must be 1 to 64 lower-case letters, digits or hyphens.".to_owned(),
    ))
}

fn display_name(name: Option<String>, slug: &str) -> Result<String, AdminError> {
    let name = name.unwrap_or_else(|| slug.to_owned());
    name::check("display_name", &name)?;
    Ok(name)
}

fn scopes(bodies: Vec<ScopeBody>) -> Result<Vec<ResourceScope>, AdminError> {
    if bodies.len() > 100 {
        return Err(AdminError::Invalid(
            "A resource has at most 100 scopes.".to_owned(),
        ));
    }
    let mut scopes: Vec<ResourceScope> = Vec::with_capacity(bodies.len());
    for body in bodies {
        if Scope::parse(&body.name).is_err() || body.name == OFFLINE_ACCESS {
            return Err(AdminError::Invalid(format!(
                "The scope name `{}` cannot be used: printable ASCII without space, quote and backslash, and not offline_access.",
                body.name.escape_default().take(64).collect::<String>()
            )));
        }
        if scopes.iter().any(|scope| scope.name == body.name) {
            return Err(AdminError::Invalid(format!(
                "The scope `{}` is there twice.",
                body.name
            )));
        }
        if body.description.len() > 500 || body.description.chars().any(char::is_control) {
            return Err(AdminError::Invalid(
                "A scope's description has at most 500 bytes and no control characters.".to_owned(),
            ));
        }
        let upstream = body.upstream.filter(|upstream| !upstream.is_empty());
        if let Some(Err(error)) = upstream.as_deref().map(Scope::parse) {
            return Err(AdminError::Invalid(format!(
                "The upstream scope of `{}` cannot be used: {error}.",
                body.name
            )));
        }
        scopes.push(ResourceScope {
            name: body.name,
            description: body.description,
            upstream,
            default: body.default,
        });
    }
    let names: usize = scopes.iter().map(|scope| scope.name.len() + 1).sum();
    if names + OFFLINE_ACCESS.len() > LONGEST_SCOPES {
        return Err(AdminError::Invalid(format!(
            "The names of a resource's scopes, with `{OFFLINE_ACCESS}` and a space between each, have at most {LONGEST_SCOPES} bytes: a token carries them all."
        )));
    }
    Ok(scopes)
}
