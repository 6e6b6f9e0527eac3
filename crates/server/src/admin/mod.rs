//! The operators' API. Every route is registered through [`router`], behind one check of the admin key.

mod clients;
mod error;
mod grants;
mod key;
mod keys;
mod name;
mod page;
mod resources;
mod token_exchange;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use tokio::sync::Mutex;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::context::Context;

pub use key::{AdminKeyOffer, ensure_admin_key};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Doorward admin API",
        description = "Resources, clients, people, grants, token exchange and signing keys. Send `Authorization: Bearer <admin key>`."
    ),
    modifiers(&AdminKeyScheme),
    security(("admin_key" = []))
)]
struct Document;

struct AdminKeyScheme;

impl Modify for AdminKeyScheme {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(
            "admin_key",
            SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)),
        );
    }
}

/// The routes with their description, which therefore cannot drift from them.
fn described() -> OpenApiRouter<Arc<Context>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(resources::list, resources::create))
        .routes(routes!(resources::get, resources::update, resources::delete))
        .routes(routes!(clients::list, clients::create))
        .routes(routes!(clients::get, clients::update, clients::delete))
        .routes(routes!(clients::rotate_secret))
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::get, users::update, users::delete))
        .routes(routes!(users::disable))
        .routes(routes!(users::enable))
        .routes(routes!(grants::list))
        .routes(routes!(grants::get, grants::revoke))
        .routes(routes!(keys::list))
        .routes(routes!(keys::rotate))
        .routes(routes!(token_exchange::explain))
}

/// The `OpenAPI` document of the admin API.
pub fn openapi() -> utoipa::openapi::OpenApi {
    described().into_openapi()
}

/// The admin API. Nothing in it answers without an admin key.
pub fn router(ctx: &Arc<Context>) -> Router {
    let (router, document) = described().split_for_parts();
    router
        .route("/admin/openapi.json", get(async move || axum::Json(document)))
        .layer(from_fn_with_state(Arc::default(), one_change_at_a_time))
        .layer(from_fn_with_state(Arc::clone(ctx), key::require_admin_key))
        .with_state(Arc::clone(ctx))
}

/// Most changes read a record, check the whole of it and write it back: two at once must not undo each other, or a
/// person who has just been disabled is enabled by a new name. The embedded database has one process, so that a lock
/// in it is enough.
async fn one_change_at_a_time(State(turn): State<Arc<Mutex<()>>>, request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    let _turn = turn.lock().await;
    next.run(request).await
}
