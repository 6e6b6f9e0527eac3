//! `/admin/assertion-audiences`: other authorization servers to which this one vouches for people (ID-JAG).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use doorward_oauth::id_jag::{AudienceRule, AudienceTerms, MAX_LIFETIME};
use doorward_oauth::resource::ResourceUri;
use doorward_store::AssertionAudience;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::by::By;
use super::change::{given, given_objects};
use super::error::{AdminError, Body, ErrorBody, Location, Path, Query, location};
use super::name;
use super::other_servers::{
    MOST_CLIENTS, MOST_RULES, check_client_names, check_issuer, read_terms, rule_scope, write_terms,
};
use super::page::{List, PageQuery};
use super::policy::check_person_claims;
use super::resources::check_slug;
use super::words;
use crate::context::Context;

/// One thing that clients may ask for. What several rules allow adds up.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AudienceRuleBody {
    /// For logs.
    name: String,
    /// The clients that may ask, by `client_id`; `*` for any.
    client_ids: Vec<String>,
    /// The resource of the other server, by its URI there.
    resource: String,
    /// Its scopes that may be asked for, separated by spaces.
    scope: String,
}

/// An authorization server to vouch to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAssertionAudience {
    /// Short name: lower-case letters, digits and hyphens.
    slug: String,
    /// Its issuer, exactly: what clients send as `audience`, and the `aud` of the assertions.
    issuer: String,
    /// It gets no assertions yet.
    #[serde(default)]
    disabled: bool,
    /// On what terms.
    #[serde(flatten)]
    terms: AudienceTermsChange,
}

/// On what terms it gets assertions. Absent members stay, or get their defaults; none can be `null`.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(super) struct AudienceTermsChange {
    /// Seconds that an assertion is good, 30 to 300. Default: 300.
    #[serde(default, deserialize_with = "given")]
    #[schema(minimum = 30, maximum = 300, nullable = false)]
    lifetime: Option<u32>,
    /// What it is told of the person besides the subject: `email`, `name`. Default: nothing.
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = words::person_claims, required = false)]
    person_claims: Option<Vec<String>>,
    /// What it calls clients, by their `client_id` here. A client that is not here has one name at both.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    client_names: Option<BTreeMap<String, String>>,
    /// Who may ask for what; nobody without rules.
    #[serde(default, deserialize_with = "given_objects")]
    #[schema(nullable = false)]
    rules: Option<Vec<AudienceRuleBody>>,
}

/// What changes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AssertionAudienceChange {
    /// A disabled one gets no assertions.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    disabled: Option<bool>,
    #[serde(flatten)]
    terms: AudienceTermsChange,
}

/// An authorization server that gets assertions of this one.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AssertionAudienceBody {
    slug: String,
    issuer: String,
    /// It gets no assertions.
    disabled: bool,
    lifetime: u32,
    #[schema(schema_with = words::person_claims)]
    person_claims: Vec<String>,
    client_names: BTreeMap<String, String>,
    rules: Vec<AudienceRuleBody>,
    /// Unix seconds.
    created_at: i64,
    /// Unix seconds.
    updated_at: i64,
}

impl AssertionAudienceBody {
    fn of(audience: AssertionAudience) -> Result<Self, AdminError> {
        let terms: AudienceTerms = read_terms(&audience.terms)?;
        let rules = terms.rules.into_iter().map(|rule| AudienceRuleBody {
            name: rule.name,
            client_ids: rule.client_ids,
            resource: rule.resource,
            scope: rule.scopes.to_string(),
        });
        Ok(Self {
            slug: audience.slug,
            issuer: audience.issuer,
            disabled: audience.disabled,
            lifetime: terms.lifetime,
            person_claims: terms.person_claims,
            client_names: terms.client_names,
            rules: rules.collect(),
            created_at: audience.created_at.seconds(),
            updated_at: audience.updated_at.seconds(),
        })
    }
}

const UNKNOWN: AdminError =
    AdminError::NotFound("There is no assertion audience with this slug; list them to see what there is.");

/// The servers that get assertions, ordered by slug.
#[utoipa::path(get, path = "/admin/assertion-audiences", params(PageQuery),
    responses((status = OK, body = List<AssertionAudienceBody>), (status = BAD_REQUEST, body = ErrorBody)))]
pub(super) async fn list(
    State(ctx): State<Arc<Context>>,
    Query(query): Query<PageQuery>,
) -> Result<Json<List<AssertionAudienceBody>>, AdminError> {
    let all = ctx.store.assertion_audiences().await?;
    let list = List::cut(
        &ctx,
        "assertion audiences",
        &query,
        all,
        |one| &one.slug,
        AssertionAudienceBody::of,
    )?;
    Ok(Json(list))
}

/// Vouches to a server. Without rules nobody gets an assertion for it.
#[utoipa::path(post, path = "/admin/assertion-audiences", request_body = NewAssertionAudience,
    responses((status = CREATED, body = AssertionAudienceBody), (status = BAD_REQUEST, body = ErrorBody), (status = CONFLICT, body = ErrorBody)))]
pub(super) async fn create(
    State(ctx): State<Arc<Context>>,
    by: By,
    Body(new): Body<NewAssertionAudience>,
) -> Result<(StatusCode, Location, Json<AssertionAudienceBody>), AdminError> {
    check_slug(&new.slug)?;
    check_issuer(&ctx, &new.issuer)?;
    let terms = new.terms.of(AudienceTerms {
        lifetime: MAX_LIFETIME,
        person_claims: Vec::new(),
        client_names: BTreeMap::new(),
        rules: Vec::new(),
    })?;
    let now = ctx.now();
    let audience = AssertionAudience {
        slug: new.slug,
        issuer: new.issuer,
        terms: write_terms(&terms)?,
        disabled: new.disabled,
        created_at: now,
        updated_at: now,
    };
    by.store(&ctx)
        .create_assertion_audience(audience.clone())
        .await
        .map_err(AdminError::taken("There is an audience with this slug or this issuer already; choose another slug, or change that one."))?;
    tracing::info!(
        assertion_audience = audience.slug,
        issuer = audience.issuer,
        rules = terms.rules.len(),
        "another server gets assertions"
    );
    let place = location("/admin/assertion-audiences", &audience.slug);
    Ok((
        StatusCode::CREATED,
        place,
        Json(AssertionAudienceBody::of(audience)?),
    ))
}

/// One server that gets assertions.
#[utoipa::path(get, path = "/admin/assertion-audiences/{slug}", params(("slug" = String, Path)),
    responses((status = OK, body = AssertionAudienceBody), (status = NOT_FOUND, body = ErrorBody)))]
pub(super) async fn get(
    State(ctx): State<Arc<Context>>,
    Path(slug): Path<String>,
) -> Result<Json<AssertionAudienceBody>, AdminError> {
    let audience = ctx.store.assertion_audience(&slug).await?.ok_or(UNKNOWN)?;
    Ok(Json(AssertionAudienceBody::of(audience)?))
}

/// Changes the terms, or disables.
#[utoipa::path(patch, path = "/admin/assertion-audiences/{slug}", params(("slug" = String, Path)), request_body = AssertionAudienceChange,
    responses((status = OK, body = AssertionAudienceBody), (status = BAD_REQUEST, body = ErrorBody), (status = NOT_FOUND, body = ErrorBody)))]
pub(super) async fn update(
    State(ctx): State<Arc<Context>>,
    by: By,
    Path(slug): Path<String>,
    Body(change): Body<AssertionAudienceChange>,
) -> Result<Json<AssertionAudienceBody>, AdminError> {
    let before = ctx.store.assertion_audience(&slug).await?.ok_or(UNKNOWN)?;
    let terms = change.terms.of(read_terms(&before.terms)?)?;
    let audience = AssertionAudience {
        terms: write_terms(&terms)?,
        disabled: change.disabled.unwrap_or(before.disabled),
        ..before.clone()
    };
    if audience == before {
        return Ok(Json(AssertionAudienceBody::of(before)?));
    }
    let audience = AssertionAudience {
        updated_at: ctx.now(),
        ..audience
    };
    by.store(&ctx).update_assertion_audience(audience.clone()).await?;
    tracing::info!(
        assertion_audience = audience.slug,
        disabled = audience.disabled,
        rules = terms.rules.len(),
        "the terms of an assertion audience changed"
    );
    Ok(Json(AssertionAudienceBody::of(audience)?))
}

/// Vouches no more. Assertions that are out stay good until they end, five minutes at most.
#[utoipa::path(delete, path = "/admin/assertion-audiences/{slug}", params(("slug" = String, Path)),
    responses((status = NO_CONTENT), (status = NOT_FOUND, body = ErrorBody)))]
pub(super) async fn delete(
    State(ctx): State<Arc<Context>>,
    by: By,
    Path(slug): Path<String>,
) -> Result<StatusCode, AdminError> {
    if !by.store(&ctx).delete_assertion_audience(&slug).await? {
        return Err(UNKNOWN);
    }
    tracing::info!(
        assertion_audience = slug,
        "another server gets no assertions any more"
    );
    Ok(StatusCode::NO_CONTENT)
}

impl AudienceTermsChange {
    fn of(self, before: AudienceTerms) -> Result<AudienceTerms, AdminError> {
        let terms = AudienceTerms {
            lifetime: self.lifetime.unwrap_or(before.lifetime),
            person_claims: self.person_claims.unwrap_or(before.person_claims),
            client_names: self.client_names.unwrap_or(before.client_names),
            rules: match self.rules {
                Some(rules) => read_rules(rules)?,
                None => before.rules,
            },
        };
        check_terms(&terms)?;
        Ok(terms)
    }
}

fn check_terms(terms: &AudienceTerms) -> Result<(), AdminError> {
    if !(30..=MAX_LIFETIME).contains(&terms.lifetime) {
        return Err(AdminError::invalid(
            "lifetime must be between 30 and 300 seconds.",
        ));
    }
    check_person_claims(&terms.person_claims)?;
    check_client_names("client_names", &terms.client_names, "there")
}

fn read_rules(bodies: Vec<AudienceRuleBody>) -> Result<Vec<AudienceRule>, AdminError> {
    if bodies.len() > MOST_RULES {
        return Err(AdminError::invalid(format!(
            "An audience has at most {MOST_RULES} rules."
        )));
    }
    bodies.into_iter().map(read_rule).collect()
}

fn read_rule(body: AudienceRuleBody) -> Result<AudienceRule, AdminError> {
    name::check("A rule's name", &body.name)?;
    let clients = &body.client_ids;
    let usable = clients.iter().all(|client_id| name::is_client_id(client_id));
    if clients.is_empty() || clients.len() > MOST_CLIENTS || !usable {
        return Err(AdminError::invalid(format!(
            "A rule names 1 to {MOST_CLIENTS} client_ids, or \"*\" for any."
        )));
    }
    ResourceUri::parse(&body.resource).map_err(|error| {
        AdminError::invalid(format!(
            "A rule's resource is the URI that it has at the other server: {error}."
        ))
    })?;
    Ok(AudienceRule {
        scopes: rule_scope(&body.scope)?,
        name: body.name,
        client_ids: body.client_ids,
        resource: body.resource,
    })
}
