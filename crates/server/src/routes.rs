//! Where everything is. The metadata names endpoints by the same constants that route them.

mod table;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use doorward_oauth::error::{ErrorCode, OAuthError};
use futures_util::FutureExt as _;
use http::{StatusCode, header};

use crate::authorization_server::Routers;
use crate::clients::registration;
use crate::context::Context;
use crate::http::cors::OpenRoutes;
use crate::http::error::{TokenError, store_fault};
use crate::http::metrics::CONTENT_TYPE as METRICS_TYPE;
use crate::http::{Envelope, Intended, Shortcut, Straight, cors, wrap_admin, wrap_public};
use crate::{admin, authorize, device, discovery, events, introspect, login, pages, revoke, token};

pub use table::{Audience, Endpoint, admin_endpoints, public_endpoints};

pub const AUTHORIZE: &str = "/oauth/authorize";
pub const TOKEN: &str = "/oauth/token";
pub const REGISTER: &str = "/oauth/register";
const REGISTRATION: &str = "/oauth/register/{client_id}";
pub const PAR: &str = "/oauth/par";
pub const DEVICE_AUTHORIZATION: &str = "/oauth/device_authorization";
pub const DEVICE: &str = "/device";
pub const REVOKE: &str = "/oauth/revoke";
pub const INTROSPECT: &str = "/oauth/introspect";
/// Server-sent events; no standard names it.
pub const REVOCATION_EVENTS: &str = "/events/revocations";
pub const JWKS: &str = "/.well-known/jwks.json";
pub const LOGIN: &str = "/login";
pub const CONSENT: &str = "/consent";
pub const LOGOUT: &str = "/logout";

const SERVER_METADATA: &str = "/.well-known/oauth-authorization-server";
const OPENID_METADATA: &str = "/.well-known/openid-configuration";
pub(crate) const RESOURCE_METADATA: &str = "/.well-known/oauth-protected-resource";
const ONE_RESOURCES_METADATA: &str = "/.well-known/oauth-protected-resource/{*path}";

/// The public router.
pub fn public(ctx: &Arc<Context>) -> Router {
    let envelope = envelope(ctx)
        .with_open_routes(OpenRoutes::new(
            &ctx.settings.cors,
            open_routes(ctx.issuer.path()),
        ))
        .with_shortcuts(shortcuts(ctx))
        .with_straight(straight(ctx));
    wrap_public(public_routes(ctx), envelope)
}

/// The operators' router.
pub fn admin(ctx: &Arc<Context>) -> Router {
    wrap_admin(admin_routes(ctx), envelope(ctx))
}

/// The routers without what is around them, for tests of what they serve: these show their paths (`Debug`).
#[doc(hidden)]
pub fn bare_routers(ctx: &Arc<Context>) -> Routers {
    Routers {
        public: public_routes(ctx),
        admin: admin_routes(ctx),
    }
}

fn public_routes(ctx: &Arc<Context>) -> Router {
    let below_issuer = Router::new()
        .merge(for_clients().layer(cors::layer(&ctx.settings.cors)))
        .merge(for_people())
        // No browser asks for it, so no other origin may.
        .route(REVOCATION_EVENTS, get(events::endpoint).post(events::posted));
    let router = match ctx.issuer.path() {
        "" => below_issuer,
        path => Router::new().nest(path, below_issuer),
    };
    router
        .merge(well_known(ctx.issuer.path()).layer(cors::layer(&ctx.settings.cors)))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .with_state(Arc::clone(ctx))
}

fn admin_routes(ctx: &Arc<Context>) -> Router {
    let open = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Arc::clone(ctx));
    open.merge(admin::router(ctx))
}

/// What programs call, from any origin.
fn for_clients() -> Router<Arc<Context>> {
    Router::new()
        .route(TOKEN, post(token::endpoint))
        .route(REGISTER, post(registration::endpoint))
        .route(
            REGISTRATION,
            get(registration::management::get)
                .put(registration::management::put)
                .delete(registration::management::delete),
        )
        .route(PAR, post(authorize::par::endpoint))
        .route(DEVICE_AUTHORIZATION, post(device::endpoint))
        .route(REVOKE, post(revoke::endpoint))
        .route(INTROSPECT, post(introspect::endpoint))
        .route(JWKS, get(discovery::jwks))
}

/// What people see; never from another origin.
fn for_people() -> Router<Arc<Context>> {
    Router::new()
        .route(AUTHORIZE, get(authorize::get).post(authorize::post))
        .route(LOGIN, get(login::get).post(login::post))
        .route(
            CONSENT,
            get(authorize::consent::get).post(authorize::consent::post),
        )
        .route(DEVICE, get(device::get).post(device::post))
        .route(LOGOUT, get(login::logout::get).post(login::logout::post))
        .merge(pages::assets())
}

/// RFC 8414 §3.1 and its OpenID twins: with the issuer's path inserted, in front of it for OpenID, and at
/// the root.
fn well_known(issuer_path: &str) -> Router<Arc<Context>> {
    let router = Router::new()
        .route(RESOURCE_METADATA, get(discovery::protected_resource))
        .route(ONE_RESOURCES_METADATA, get(discovery::protected_resource));
    metadata_paths(issuer_path).iter().fold(router, |router, path| {
        router.route(path, get(discovery::server_metadata))
    })
}

/// The routes of [`for_clients`] and [`well_known`].
fn open_routes(issuer_path: &str) -> Vec<String> {
    let below_issuer = [
        TOKEN,
        REGISTER,
        REGISTRATION,
        PAR,
        DEVICE_AUTHORIZATION,
        REVOKE,
        INTROSPECT,
        JWKS,
    ];
    let mut routes = metadata_paths(issuer_path);
    routes.extend(below_issuer.map(|path| format!("{issuer_path}{path}")));
    routes.extend([RESOURCE_METADATA, ONE_RESOURCES_METADATA].map(str::to_owned));
    routes
}

fn metadata_paths(issuer_path: &str) -> Vec<String> {
    let mut paths = vec![SERVER_METADATA.to_owned(), OPENID_METADATA.to_owned()];
    if !issuer_path.is_empty() {
        paths.extend([
            format!("{SERVER_METADATA}{issuer_path}"),
            format!("{OPENID_METADATA}{issuer_path}"),
            format!("{issuer_path}{OPENID_METADATA}"),
        ]);
    }
    paths
}

/// The documents that every client and every resource server asks for.
fn shortcuts(ctx: &Arc<Context>) -> Vec<Shortcut> {
    let issuer_path = ctx.issuer.path();
    let keys = Arc::clone(ctx);
    let mut shortcuts = vec![Shortcut::new(format!("{issuer_path}{JWKS}"), move || {
        keys.keys.document_at_hand()
    })];
    shortcuts.extend(metadata_paths(issuer_path).into_iter().map(|path| {
        let ctx = Arc::clone(ctx);
        Shortcut::new(path, move || ctx.server_metadata.at_hand(&ctx.resources))
    }));
    shortcuts
}

/// The endpoints that programs call for every token, and about it.
fn straight(ctx: &Arc<Context>) -> Vec<Straight> {
    let path = |endpoint: &str| format!("{}{endpoint}", ctx.issuer.path());
    let state = || State(Arc::clone(ctx));
    let (token, introspect, revoke) = (state(), state(), state());
    vec![
        Straight::new(path(TOKEN), move |info, headers, body| {
            token::endpoint(token.clone(), info, headers, body)
        }),
        Straight::new(path(INTROSPECT), move |info, headers, body| {
            introspect::endpoint(introspect.clone(), info, headers, body).map(IntoResponse::into_response)
        }),
        Straight::new(path(REVOKE), move |info, headers, body| {
            revoke::endpoint(revoke.clone(), info, headers, body).map(IntoResponse::into_response)
        }),
    ]
}

fn envelope(ctx: &Context) -> Envelope {
    Envelope::new(
        &ctx.settings,
        &ctx.issuer,
        Arc::clone(&ctx.random),
        ctx.metrics.clone(),
    )
    .recording(Arc::clone(&ctx.audit))
}

/// The process runs.
async fn livez() -> &'static str {
    "ok"
}

/// The store answers, so that requests can be.
async fn readyz(State(ctx): State<Arc<Context>>) -> Response {
    if ctx.leaving.load(Ordering::Relaxed) {
        let ends = OAuthError::new(ErrorCode::TemporarilyUnavailable, "The server ends.");
        return (Extension(Intended), TokenError::from(ends)).into_response();
    }
    match ctx.store.ping().await {
        Ok(()) => "ready".into_response(),
        Err(error) => {
            let fault = store_fault(&error, "The database does not answer.");
            TokenError::with_status(StatusCode::SERVICE_UNAVAILABLE, fault)
                .with_code(ErrorCode::ServerError, ErrorCode::TemporarilyUnavailable)
                .into_response()
        }
    }
}

/// Prometheus metrics. They hold no names and no secrets.
async fn metrics(State(ctx): State<Arc<Context>>) -> Response {
    ctx.metrics.changes_known(ctx.store.changes().are_known());
    match ctx.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
