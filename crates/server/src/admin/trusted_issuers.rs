//! `/admin/trusted-issuers`: whose signed word about people or workloads counts here (RFC 7523 §2.1).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use doorward_jose::{Algorithm, JwkSet};
use doorward_oauth::assertion::AssertionRules;
use doorward_oauth::bearer::{KeySource, Pattern, Rule, Terms};
use doorward_oauth::issuer::{Issuer, IssuerRules};
use doorward_oauth::resource::ResourceUri;
use doorward_oauth::scope::ScopeSet;
use doorward_store::{TrustedIssuer, TrustedIssuerKind};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::error::{AdminError, Body, ErrorBody, Path};
use super::name;
use super::page::List;
use super::resources::check_slug;
use crate::context::Context;

/// ID-JAGs are for minutes, tokens of platforms for hours.
const ID_JAG_LIFETIME: u32 = 600;
const WORKLOAD_LIFETIME: u32 = 24 * 3600;
const MOST_RULES: usize = 100;
const MOST_CLAIMS: usize = 20;
const MOST_CLIENTS: usize = 100;

/// One thing that an issuer's word allows. What several rules allow adds up.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleBody {
    /// For logs.
    name: String,
    /// The clients that may show the assertion, by `client_id`; `*` for any. For identity providers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    client_ids: Vec<String>,
    /// What the claims have to be, all of them: a string, number or boolean for exactly this value, `{"glob": "…"}` with
    /// `*` for anything without `/` and `:` and `**` for anything. A name that begins with `/` is a JSON pointer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, Value>)]
    claims: BTreeMap<String, Pattern>,
    /// The resource: its slug or its URI. Shown as its URI.
    resource: String,
    /// The scopes that may be had, separated by spaces.
    scope: String,
    /// Seconds that a token may be good for, where that is less than elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_lifetime: Option<u32>,
}

/// An issuer to be trusted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTrustedIssuer {
    /// Short name: lower-case letters, digits and hyphens.
    slug: String,
    /// `identity_provider` (people, ID-JAG) or `workload` (programs).
    #[schema(value_type = String)]
    kind: TrustedIssuerKind,
    /// The `iss` of its assertions, exactly.
    issuer: String,
    /// On what terms.
    #[serde(flatten)]
    terms: TermsChange,
}

/// On what terms an issuer is trusted. Absent members stay, or get their defaults.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(super) struct TermsChange {
    /// Where its keys are. Without this and `jwks`: at the `jwks_uri` of its metadata.
    jwks_uri: Option<String>,
    /// Its keys (RFC 7517 §5).
    jwks: Option<Value>,
    /// Signature algorithms. Default: `ES256`, `EdDSA`, `ES384`, `PS256`, `RS256`.
    #[schema(value_type = Option<Vec<String>>)]
    algorithms: Option<Vec<Algorithm>>,
    /// The `aud` values that mean this server. Default: its issuer URL, with or without a slash at the end; for
    /// workloads also its token endpoint.
    audiences: Option<Vec<String>>,
    /// Seconds that an assertion may be good for. Default: 600, for workloads 86400.
    max_lifetime: Option<u32>,
    /// Whether each assertion counts once. Default: false.
    single_use: Option<bool>,
    /// Whether clients that cannot authenticate may show ID-JAGs. Default: false.
    public_clients: Option<bool>,
    /// Whether a person who is not known yet is added. Default: false.
    provision: Option<bool>,
    /// What is allowed; nothing without rules.
    rules: Option<Vec<RuleBody>>,
}

/// What changes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TrustedIssuerChange {
    /// Disabling ends the grants on its word.
    disabled: Option<bool>,
    #[serde(flatten)]
    terms: TermsChange,
}

/// A trusted issuer.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "each is a member of the JSON")]
pub(super) struct TrustedIssuerBody {
    slug: String,
    #[schema(value_type = String)]
    kind: TrustedIssuerKind,
    issuer: String,
    /// Its word does not count.
    disabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks: Option<Value>,
    #[schema(value_type = Vec<String>)]
    algorithms: Vec<Algorithm>,
    /// Empty: this server's own names.
    audiences: Vec<String>,
    max_lifetime: u32,
    single_use: bool,
    public_clients: bool,
    provision: bool,
    rules: Vec<RuleBody>,
    /// Unix seconds.
    created_at: i64,
    /// Unix seconds.
    updated_at: i64,
}

impl TrustedIssuerBody {
    fn of(issuer: TrustedIssuer) -> Result<Self, AdminError> {
        let terms = read_terms(&issuer)?;
        let (jwks_uri, jwks) = match terms.keys {
            KeySource::Discovery => (None, None),
            KeySource::JwksUri(url) => (Some(url), None),
            KeySource::Jwks(keys) => (None, Some(keys)),
        };
        let rules = terms.rules.into_iter().map(|rule| RuleBody {
            name: rule.name,
            client_ids: rule.client_ids,
            claims: rule.claims,
            resource: rule.resource,
            scope: rule.scopes.to_string(),
            token_lifetime: rule.token_lifetime,
        });
        Ok(Self {
            slug: issuer.slug,
            kind: issuer.kind,
            issuer: issuer.issuer,
            disabled: issuer.disabled,
            jwks_uri,
            jwks,
            algorithms: terms.algorithms,
            audiences: terms.audiences,
            max_lifetime: terms.max_lifetime,
            single_use: terms.single_use,
            public_clients: terms.public_clients,
            provision: terms.provision,
            rules: rules.collect(),
            created_at: issuer.created_at.seconds(),
            updated_at: issuer.updated_at.seconds(),
        })
    }
}

const UNKNOWN: AdminError =
    AdminError::NotFound("There is no trusted issuer with this slug; list them to see what there is.");

/// Every trusted issuer.
#[utoipa::path(get, path = "/admin/trusted-issuers", responses((status = OK, body = List<TrustedIssuerBody>)))]
pub(super) async fn list(
    State(ctx): State<Arc<Context>>,
) -> Result<Json<List<TrustedIssuerBody>>, AdminError> {
    let issuers = ctx.store.trusted_issuers().await?;
    let bodies: Result<Vec<_>, _> = issuers.into_iter().map(TrustedIssuerBody::of).collect();
    Ok(Json(List::whole(bodies?)))
}

/// Trusts an issuer. Without rules its word is good for nothing.
#[utoipa::path(post, path = "/admin/trusted-issuers", request_body = NewTrustedIssuer,
    responses((status = CREATED, body = TrustedIssuerBody), (status = BAD_REQUEST, body = ErrorBody), (status = CONFLICT, body = ErrorBody)))]
pub(super) async fn create(
    State(ctx): State<Arc<Context>>,
    Body(new): Body<NewTrustedIssuer>,
) -> Result<(StatusCode, Json<TrustedIssuerBody>), AdminError> {
    check_slug(&new.slug)?;
    check_issuer(&ctx, &new.issuer)?;
    let defaults = Terms {
        keys: KeySource::Discovery,
        algorithms: AssertionRules::ALGORITHMS.to_vec(),
        audiences: Vec::new(),
        max_lifetime: match new.kind {
            TrustedIssuerKind::IdentityProvider => ID_JAG_LIFETIME,
            TrustedIssuerKind::Workload => WORKLOAD_LIFETIME,
        },
        single_use: false,
        public_clients: false,
        provision: false,
        rules: Vec::new(),
    };
    let terms = new.terms.of(&ctx, new.kind, defaults).await?;
    let now = ctx.now();
    let issuer = TrustedIssuer {
        slug: new.slug,
        kind: new.kind,
        issuer: new.issuer,
        terms: write_terms(&terms)?,
        disabled: false,
        created_at: now,
        updated_at: now,
    };
    ctx.store.create_trusted_issuer(issuer.clone()).await?;
    tracing::info!(
        trusted_issuer = issuer.slug,
        issuer = issuer.issuer,
        rules = terms.rules.len(),
        "an issuer is trusted"
    );
    Ok((StatusCode::CREATED, Json(TrustedIssuerBody::of(issuer)?)))
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
    Path(slug): Path<String>,
    Body(change): Body<TrustedIssuerChange>,
) -> Result<Json<TrustedIssuerBody>, AdminError> {
    let before = ctx.store.trusted_issuer(&slug).await?.ok_or(UNKNOWN)?;
    let terms = change.terms.of(&ctx, before.kind, read_terms(&before)?).await?;
    let issuer = TrustedIssuer {
        terms: write_terms(&terms)?,
        disabled: change.disabled.unwrap_or(before.disabled),
        updated_at: ctx.now(),
        ..before
    };
    ctx.store.update_trusted_issuer(issuer.clone()).await?;
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
    Path(slug): Path<String>,
) -> Result<StatusCode, AdminError> {
    ctx.store.trusted_issuer(&slug).await?.ok_or(UNKNOWN)?;
    let grants = ctx.store.delete_trusted_issuer(&slug, ctx.now()).await?;
    tracing::info!(trusted_issuer = slug, grants, "an issuer is trusted no more");
    Ok(StatusCode::NO_CONTENT)
}

impl TermsChange {
    async fn of(self, ctx: &Context, kind: TrustedIssuerKind, before: Terms) -> Result<Terms, AdminError> {
        let rules = match self.rules {
            Some(rules) => read_rules(ctx, kind, rules).await?,
            None => before.rules,
        };
        let terms = Terms {
            keys: key_source(ctx, self.jwks_uri, self.jwks, before.keys)?,
            algorithms: self.algorithms.unwrap_or(before.algorithms),
            audiences: self.audiences.unwrap_or(before.audiences),
            max_lifetime: self.max_lifetime.unwrap_or(before.max_lifetime),
            single_use: self.single_use.unwrap_or(before.single_use),
            public_clients: self.public_clients.unwrap_or(before.public_clients),
            provision: self.provision.unwrap_or(before.provision),
            rules,
        };
        check_terms(kind, &terms)?;
        Ok(terms)
    }
}

fn invalid(sentence: impl Into<String>) -> AdminError {
    AdminError::Invalid(sentence.into())
}

fn read_terms(issuer: &TrustedIssuer) -> Result<Terms, AdminError> {
    serde_json::from_str(&issuer.terms).map_err(|error| AdminError::Internal(error.to_string()))
}

fn write_terms(terms: &Terms) -> Result<String, AdminError> {
    serde_json::to_string(terms).map_err(|error| AdminError::Internal(error.to_string()))
}

/// Providers publish their issuer as it is, some with a slash at the end; `http` on loopback in development only.
fn check_issuer(ctx: &Context, text: &str) -> Result<(), AdminError> {
    let rules = IssuerRules {
        trailing_slash: true,
        http_anywhere: false,
    };
    let issuer = Issuer::parse_with(text, rules).map_err(|error| invalid(format!("issuer: {error}.")))?;
    if !issuer.is_https() && !ctx.issuer.is_loopback() {
        return Err(invalid("issuer: it must begin with https://."));
    }
    if text == ctx.issuer.as_str() {
        return Err(invalid(
            "issuer: that is this server itself; exchange its tokens instead.",
        ));
    }
    Ok(())
}

fn key_source(
    ctx: &Context,
    jwks_uri: Option<String>,
    jwks: Option<Value>,
    before: KeySource,
) -> Result<KeySource, AdminError> {
    match (jwks_uri, jwks) {
        (None, None) => Ok(before),
        (Some(_), Some(_)) => Err(invalid("Give jwks_uri or jwks, not both.")),
        // An empty one goes back to discovery.
        (Some(url), None) if url.is_empty() => Ok(KeySource::Discovery),
        (Some(text), None) => {
            let url = url::Url::parse(&text).map_err(|_| invalid("jwks_uri is no URL."))?;
            // The guarded fetcher has the last word; this is for the operator.
            let in_development = ctx.issuer.is_loopback() && is_loopback(&url);
            if url.scheme() != "https" && !(in_development && url.scheme() == "http") {
                return Err(invalid("jwks_uri must begin with https://."));
            }
            Ok(KeySource::JwksUri(text))
        }
        (None, Some(keys)) => {
            let usable = JwkSet::from_value(&keys).is_ok_and(|set| !set.keys.is_empty());
            if !usable || keys.to_string().len() > doorward_jose::MAX_JWK_SET_BYTES {
                return Err(invalid(
                    "jwks must be a JWK Set of at most 64 KiB with at least one usable public key.",
                ));
            }
            Ok(KeySource::Jwks(keys))
        }
    }
}

fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn check_terms(kind: TrustedIssuerKind, terms: &Terms) -> Result<(), AdminError> {
    if terms.algorithms.is_empty() {
        return Err(invalid("algorithms must name at least one algorithm."));
    }
    if terms.audiences.len() > 10
        || terms
            .audiences
            .iter()
            .any(|aud| aud.is_empty() || aud.len() > 2048)
    {
        return Err(invalid(
            "audiences must be at most 10 texts of at most 2048 bytes.",
        ));
    }
    if !(30..=86_400).contains(&terms.max_lifetime) {
        return Err(invalid("max_lifetime must be between 30 and 86400 seconds."));
    }
    if kind == TrustedIssuerKind::Workload && (terms.provision || terms.public_clients) {
        return Err(invalid(
            "provision and public_clients are for identity providers: a workload is no person and has no client.",
        ));
    }
    Ok(())
}

async fn read_rules(
    ctx: &Context,
    kind: TrustedIssuerKind,
    bodies: Vec<RuleBody>,
) -> Result<Vec<Rule>, AdminError> {
    if bodies.len() > MOST_RULES {
        return Err(invalid(format!("An issuer has at most {MOST_RULES} rules.")));
    }
    let resources = ctx.resources.all().await?;
    let find = |named: &str| {
        let matches = |uri: &str| ResourceUri::parse(uri).is_ok_and(|uri| uri.matches(named));
        resources
            .iter()
            .find(|resource| resource.slug == named || matches(&resource.uri))
    };
    let mut rules = Vec::with_capacity(bodies.len());
    for body in bodies {
        check_rule(kind, &body)?;
        let resource = find(&body.resource)
            .ok_or_else(|| invalid("A rule's resource must be the slug or URI of a registered resource."))?;
        rules.push(Rule {
            scopes: ScopeSet::parse(&body.scope)
                .map_err(|_| invalid("A rule's scope must be scope tokens separated by single spaces."))?,
            name: body.name,
            client_ids: body.client_ids,
            claims: body.claims,
            resource: resource.uri.clone(),
            token_lifetime: body.token_lifetime,
        });
    }
    Ok(rules)
}

fn check_rule(kind: TrustedIssuerKind, rule: &RuleBody) -> Result<(), AdminError> {
    name::check("A rule's name", &rule.name)?;
    let usable = |client_id: &String| !client_id.is_empty() && client_id.len() <= 2048;
    if rule.client_ids.len() > MOST_CLIENTS || !rule.client_ids.iter().all(usable) {
        return Err(invalid(format!("A rule has at most {MOST_CLIENTS} client_ids.")));
    }
    let usable =
        |(name, pattern): (&String, &Pattern)| !name.is_empty() && name.len() <= 256 && pattern.is_usable();
    if rule.claims.len() > MOST_CLAIMS || !rule.claims.iter().all(usable) {
        return Err(invalid(format!(
            "A rule has at most {MOST_CLAIMS} claims, each a text, number or boolean, or {{\"glob\": \"…\"}}, not empty and of at most 512 characters."
        )));
    }
    if rule
        .token_lifetime
        .is_some_and(|seconds| !(10..=86_400).contains(&seconds))
    {
        return Err(invalid("token_lifetime must be between 10 and 86400 seconds."));
    }
    match kind {
        TrustedIssuerKind::IdentityProvider if rule.client_ids.is_empty() => Err(invalid(
            "A rule of an identity provider names its client_ids, or \"*\" for any.",
        )),
        TrustedIssuerKind::Workload if !rule.client_ids.is_empty() => {
            Err(invalid("A workload has no client; leave client_ids out."))
        }
        // Everybody can have a token of a public platform.
        TrustedIssuerKind::Workload if rule.claims.values().all(Pattern::matches_all) => Err(invalid(
            "A rule for workloads says what their claims have to be, at least one, such as sub.",
        )),
        _ => Ok(()),
    }
}
