//! What the server says about itself: RFC 8414 and OpenID discovery at every path form, the key set, and
//! the RFC 9728 documents of registered resources.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use doorward_jose::Algorithm;
use doorward_oauth::assertion::AssertionRules;
use doorward_oauth::bearer::ID_JAG_PROFILE;
use doorward_oauth::client::TokenEndpointAuthMethod;
use doorward_oauth::id_jag::ID_JAG_TYPE;
use doorward_oauth::metadata::{AuthorizationServerMetadata, ProtectedResourceMetadata};
use doorward_oauth::resource::ResourceUri;
use doorward_oauth::scope::{OFFLINE_ACCESS, Scope, ScopeSet};
use doorward_store::Resource;
use http::{HeaderMap, StatusCode, Uri};
use serde::Serialize;

use crate::context::Context;
use crate::http::document::Document;
use crate::http::error::TokenError;
use crate::login::acr;
use crate::resources::{Registered, Resources};
use crate::routes;
use crate::token::grant_types;

/// The metadata, made once for the resources of which it names the scopes.
#[derive(Default)]
pub(crate) struct ServerMetadata(ArcSwapOption<(Registered, Arc<Document>)>);

impl ServerMetadata {
    /// The document, when it is made and current.
    pub(crate) fn at_hand(&self, resources: &Resources) -> Option<Arc<Document>> {
        self.made_of(&resources.unchanged()?)
    }

    fn made_of(&self, resources: &Registered) -> Option<Arc<Document>> {
        let made = self.0.load();
        let made = made.as_ref().filter(|made| Arc::ptr_eq(&made.0, resources))?;
        Some(Arc::clone(&made.1))
    }

    fn of(&self, ctx: &Context, resources: &Registered) -> Result<Arc<Document>, TokenError> {
        if let Some(document) = self.made_of(resources) {
            return Ok(document);
        }
        let document = Document::of(&metadata(ctx, &scopes_supported(resources))).map(Arc::new);
        let document = document.map_err(TokenError::internal)?;
        self.0
            .store(Some(Arc::new((Arc::clone(resources), Arc::clone(&document)))));
        Ok(document)
    }
}

/// `GET /.well-known/oauth-authorization-server` and its twins.
pub async fn server_metadata(
    State(ctx): State<Arc<Context>>,
    headers: HeaderMap,
) -> Result<Response, TokenError> {
    let resources = ctx.resources.all().await?;
    Ok(ctx.server_metadata.of(&ctx, &resources)?.answer(&headers))
}

/// `GET /.well-known/jwks.json`.
pub async fn jwks(State(ctx): State<Arc<Context>>, headers: HeaderMap) -> Response {
    ctx.keys.document().await.answer(&headers)
}

/// `GET /.well-known/oauth-protected-resource[/…]`: the document of a registered resource, for MCP servers
/// that do not serve their own and whose proxy sends the path here. The rest of the path is the path of the resource's
/// URI, or its slug; without one, it is the only resource.
pub async fn protected_resource(
    State(ctx): State<Arc<Context>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, TokenError> {
    // As it is written: paths are compared without decoding them (RFC 9728 §3.3).
    let path = uri
        .path()
        .strip_prefix(routes::RESOURCE_METADATA)
        .unwrap_or_default();
    let path = path.strip_prefix('/').unwrap_or_default();
    let resources = ctx.resources.all().await?;
    Ok(match named(&resources, path) {
        Some(resource) => document(&headers, &resource_metadata(&ctx, resource)),
        None => StatusCode::NOT_FOUND.into_response(),
    })
}

/// The resource of this name: a client looks for it by its path (RFC 9728 §3.1), so that no slug stands in for another's path.
/// Two with one path on two hosts cannot be told apart without trusting the `Host` header, but by their slugs.
fn named<'r>(resources: &'r [Arc<Resource>], path: &str) -> Option<&'r Resource> {
    let with_path: Vec<_> = resources
        .iter()
        .filter(|resource| has_path(resource, path))
        .collect();
    let candidates = match (&with_path[..], resources) {
        ([only], _) => return Some(only),
        ([], [only]) if path.is_empty() => return Some(only),
        ([], _) => resources.iter().collect(),
        _ => with_path,
    };
    candidates
        .into_iter()
        .find(|resource| resource.slug == path)
        .map(AsRef::as_ref)
}

/// Without the slash that each path but that of a bare host begins with.
fn has_path(resource: &Resource, path: &str) -> bool {
    ResourceUri::parse(&resource.uri)
        .is_ok_and(|uri| uri.path().strip_prefix('/').unwrap_or_default() == path)
}

/// The answer with a document of the moment.
fn document<T: Serialize>(headers: &HeaderMap, value: &T) -> Response {
    match Document::of(value) {
        Ok(document) => document.answer(headers),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Every scope that can be asked for, in the order of the resources, and `offline_access`, which clients add
/// only when it is listed here (SEP-2207).
fn scopes_supported(resources: &[Arc<Resource>]) -> ScopeSet {
    let names = resources
        .iter()
        .flat_map(|resource| resource.scopes.iter().map(|scope| scope.name.as_str()));
    names
        .chain([OFFLINE_ACCESS])
        .filter_map(|name| Scope::parse(name).ok())
        .collect()
}

fn metadata(ctx: &Context, scopes_supported: &ScopeSet) -> AuthorizationServerMetadata {
    let url = |path: &str| Some(format!("{}{path}", ctx.issuer.as_str()));
    let assertions = Some(names(&AssertionRules::ALGORITHMS));
    AuthorizationServerMetadata {
        issuer: ctx.issuer.as_str().to_owned(),
        authorization_endpoint: url(routes::AUTHORIZE),
        token_endpoint: url(routes::TOKEN),
        registration_endpoint: url(routes::REGISTER).filter(|_| ctx.settings.registration.dcr.is_there()),
        revocation_endpoint: url(routes::REVOKE),
        introspection_endpoint: url(routes::INTROSPECT),
        revocation_events_endpoint: url(routes::REVOCATION_EVENTS),
        pushed_authorization_request_endpoint: url(routes::PAR).filter(|_| ctx.settings.par.enabled),
        require_pushed_authorization_requests: ctx.settings.par.enabled.then_some(ctx.settings.par.required),
        device_authorization_endpoint: url(routes::DEVICE_AUTHORIZATION)
            .filter(|_| ctx.settings.device.enabled),
        acr_values_supported: Some(acr::SUPPORTED.map(str::to_owned).to_vec()),
        jwks_uri: url(routes::JWKS),
        scopes_supported: Some(scopes_supported.iter().map(ToString::to_string).collect()),
        response_types_supported: vec!["code".to_owned()],
        response_modes_supported: Some(vec!["query".to_owned()]),
        grant_types_supported: Some(
            grant_types(&ctx.settings)
                .into_iter()
                .map(|grant| grant.as_str().to_owned())
                .collect(),
        ),
        token_endpoint_auth_methods_supported: Some(methods(&AUTH_METHODS)),
        token_endpoint_auth_signing_alg_values_supported: assertions.clone(),
        dpop_signing_alg_values_supported: dpop_algorithms(ctx),
        revocation_endpoint_auth_methods_supported: Some(methods(&AUTH_METHODS)),
        introspection_endpoint_auth_methods_supported: Some(methods(&AUTH_METHODS[1..])),
        revocation_endpoint_auth_signing_alg_values_supported: assertions.clone(),
        introspection_endpoint_auth_signing_alg_values_supported: assertions.clone(),
        code_challenge_methods_supported: Some(vec!["S256".to_owned()]),
        authorization_response_iss_parameter_supported: Some(true),
        client_id_metadata_document_supported: Some(ctx.settings.registration.cimd),
        authorization_grant_profiles_supported: ctx
            .settings
            .jwt_bearer
            .enabled
            .then(|| vec![ID_JAG_PROFILE.to_owned()]),
        identity_chaining_requested_token_types_supported: (ctx.settings.token_exchange.enabled
            && ctx.settings.token_exchange.id_jag)
            .then(|| vec![ID_JAG_TYPE.to_owned()]),
        ..AuthorizationServerMetadata::default()
    }
}

/// `none` first: clients with a metadata document look for it.
const AUTH_METHODS: [TokenEndpointAuthMethod; 4] = [
    TokenEndpointAuthMethod::None,
    TokenEndpointAuthMethod::ClientSecretBasic,
    TokenEndpointAuthMethod::ClientSecretPost,
    TokenEndpointAuthMethod::PrivateKeyJwt,
];

fn names(algorithms: &[Algorithm]) -> Vec<String> {
    algorithms
        .iter()
        .map(|algorithm| algorithm.as_str().to_owned())
        .collect()
}

/// Which signatures a proof may have (RFC 9449 §5.1); absent where tokens are not bound.
fn dpop_algorithms(ctx: &Context) -> Option<Vec<String>> {
    let dpop = &ctx.settings.dpop;
    dpop.enabled.then(|| names(&dpop.algorithms))
}

fn methods(methods: &[TokenEndpointAuthMethod]) -> Vec<String> {
    methods.iter().map(|method| method.as_str().to_owned()).collect()
}

fn resource_metadata(ctx: &Context, resource: &Resource) -> ProtectedResourceMetadata {
    let defaults = resource.scopes.iter().filter(|scope| scope.default);
    ProtectedResourceMetadata {
        resource: resource.uri.clone(),
        authorization_servers: vec![ctx.issuer.as_str().to_owned()],
        scopes_supported: Some(defaults.map(|scope| scope.name.clone()).collect()),
        bearer_methods_supported: Some(vec!["header".to_owned()]),
        resource_name: Some(resource.display_name.clone()),
        dpop_signing_alg_values_supported: dpop_algorithms(ctx),
        dpop_bound_access_tokens_required: ctx
            .settings
            .dpop
            .enabled
            .then_some(resource.policy.dpop_bound_access_tokens_required),
        ..ProtectedResourceMetadata::default()
    }
}
