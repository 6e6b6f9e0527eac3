//! The operators' API. Every route is registered through [`router`], behind one check of the admin key.

mod admin_keys;
mod assertion_audiences;
mod audit;
mod by;
mod change;
mod clients;
mod document;
mod error;
mod etag;
mod grants;
mod id;
mod initial_tokens;
mod key;
mod keys;
mod name;
mod other_servers;
mod page;
mod policy;
mod resources;
mod token_exchange;
mod trusted_issuers;
mod trusted_subjects;
mod users;
mod words;

use std::collections::HashSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, any, get, on};
use doorward_store::Turn;
use http::Method;
use utoipa::openapi::path::{HttpMethod, Parameter, ParameterIn};
use utoipa::openapi::{OpenApi, RefOr};
use utoipa::{OpenApi as _, Path as _};
use utoipa_axum::PathItemExt;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::by::InTurn;
use self::error::AdminError;
use crate::context::Context;

pub use key::{AdminKeyOffer, make_first_key, take_back, tell_bootstrap_key};

/// One list, of which both are made: the routes with their description, which therefore cannot drift from them, and the
/// routes alone. A server need not hold the description, for which few ask.
macro_rules! endpoints {
    ($($($module:ident::$handler:ident),+;)+) => {
        fn described() -> OpenApiRouter<Arc<Context>> {
            OpenApiRouter::with_openapi(document::Document::openapi())$(.routes(routes!($($module::$handler),+)))+
        }

        /// Names each operation after its handler, which is one of a kind.
        fn name(document: &mut OpenApi) {
            utoipa_axum::paste! {
                $($(
                    document::name_operation::<$module::[<__path_ $handler>]>(
                        document,
                        concat!(stringify!($module), "_", stringify!($handler)),
                    );
                )+)+
            }
        }

        /// The operations that read a query: all others are called without one.
        fn with_query() -> HashSet<(String, HttpMethod)> {
            utoipa_axum::paste! {
                [$($(query_of::<$module::[<__path_ $handler>]>()),+),+].into_iter().flatten().collect()
            }
        }

        fn endpoints() -> Router<Arc<Context>> {
            utoipa_axum::paste! {
                Router::new()$($(
                    .route(
                        &$module::[<__path_ $handler>]::path(),
                        on(methods::<$module::[<__path_ $handler>]>(), $module::$handler),
                    )
                )+)+
            }
        }
    };
}

endpoints! {
    resources::list, resources::create;
    resources::get, resources::update, resources::delete;
    clients::list, clients::create;
    clients::get, clients::update, clients::delete;
    clients::rotate_secret;
    users::list, users::create;
    users::get, users::update, users::delete;
    users::disable;
    users::enable;
    grants::list;
    grants::revoke_all;
    grants::get, grants::revoke;
    initial_tokens::list, initial_tokens::create;
    initial_tokens::get, initial_tokens::delete;
    admin_keys::list, admin_keys::create;
    admin_keys::get, admin_keys::delete;
    keys::list;
    keys::get;
    keys::rotate;
    keys::revoke;
    audit::list;
    audit::get;
    token_exchange::explain;
    trusted_issuers::list, trusted_issuers::create;
    trusted_issuers::get, trusted_issuers::update, trusted_issuers::delete;
    assertion_audiences::list, assertion_audiences::create;
    assertion_audiences::get, assertion_audiences::update, assertion_audiences::delete;
    trusted_subjects::list, trusted_subjects::link, trusted_subjects::unlink;
}

/// The methods that an endpoint describes itself with.
fn methods<E: utoipa::Path>() -> MethodFilter {
    let methods = E::methods();
    let filters = methods.iter().map(PathItemExt::to_method_filter);
    filters.reduce(MethodFilter::or).unwrap_or(MethodFilter::GET)
}

/// The `OpenAPI` document of the admin API.
pub fn openapi() -> OpenApi {
    let mut document = document::completed(described().into_openapi());
    name(&mut document);
    document
}

/// The admin API. Nothing in it answers without an admin key.
pub fn router(ctx: &Arc<Context>) -> Router {
    let records = endpoints().with_state(Arc::clone(ctx));
    records
        .clone()
        .layer(from_fn_with_state(records, etag::conditional))
        .route("/admin/openapi.json", get(async || axum::Json(openapi())))
        .layer(from_fn_with_state(Arc::clone(ctx), one_change_at_a_time))
        .layer(from_fn_with_state(Arc::new(with_query()), refuse_unread_query))
        .route("/admin", any(unknown))
        .route("/admin/", any(unknown))
        .route("/admin/{*unknown}", any(unknown))
        .layer(from_fn_with_state(Arc::clone(ctx), key::require_admin_key))
}

async fn unknown() -> AdminError {
    AdminError::UnknownEndpoint
}

fn query_of<E: utoipa::Path>() -> Vec<(String, HttpMethod)> {
    let parameters = E::operation().parameters.unwrap_or_default();
    let reads = |parameter: &RefOr<Parameter>| matches!(parameter, RefOr::T(one) if one.parameter_in == ParameterIn::Query);
    if !parameters.iter().any(reads) {
        return Vec::new();
    }
    E::methods()
        .into_iter()
        .map(|method| (E::path(), method))
        .collect()
}

/// What nobody reads is refused, as unknown members are: a filter with a slip of the pen must not look like one that found
/// everything.
async fn refuse_unread_query(
    State(with_query): State<Arc<HashSet<(String, HttpMethod)>>>,
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let method = match *request.method() {
        Method::GET | Method::HEAD => HttpMethod::Get,
        Method::POST => HttpMethod::Post,
        Method::PATCH => HttpMethod::Patch,
        Method::DELETE => HttpMethod::Delete,
        // Nobody serves it.
        _ => return next.run(request).await,
    };
    let reads = path.is_some_and(|path| with_query.contains(&(path.as_str().to_owned(), method)));
    if reads || request.uri().query().is_none_or(str::is_empty) {
        return next.run(request).await;
    }
    AdminError::invalid("There is no query here; leave out the question mark and what follows it.")
        .into_response()
}

/// Most changes read a record, check the whole of it and write it back: two at once, on whatever nodes, must not undo
/// each other, or a person who has just been disabled is enabled by a new name. Nor is anything changed with an admin key
/// that was deleted while it waited.
async fn one_change_at_a_time(State(ctx): State<Arc<Context>>, mut request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    match ctx.store.turn("admin").await {
        Ok(turn) => {
            if let Err(error) = key::still_counts(&ctx, request.extensions().get().copied()).await {
                return error.into_response();
            }
            request.extensions_mut().insert(InTurn(Turn::clone(&turn)));
            let answer = next.run(request).await;
            drop(turn);
            answer
        }
        Err(error) => AdminError::from(error).into_response(),
    }
}
