//! The endpoint: who may listen, and from where on.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_oauth::parameters::Parameters;
use http::{HeaderMap, HeaderName, StatusCode, header};

use super::connection::{Connection, Listener};
use super::feed::Closed;
use crate::clients::authentication::{AuthenticatedClient, authenticate};
use crate::context::Context;
use crate::http::NoRoom;
use crate::http::error::TokenError;
use crate::http::form;
use crate::http::request::RequestInfo;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Proxies that collect answers before they pass them on are asked not to.
const UNBUFFERED: (HeaderName, &str) = (HeaderName::from_static("x-accel-buffering"), "no");

/// `GET /events/revocations`. For the clients that an operator registered as resource servers: to others the end of
/// a grant is none of their business.
pub(crate) async fn endpoint(
    State(ctx): State<Arc<Context>>,
    info: RequestInfo,
    headers: HeaderMap,
) -> Result<Response, TokenError> {
    // Nothing in the query: a secret there ends up in logs.
    follow(&ctx, &info, &headers, &Parameters::default()).await
}

/// `POST /events/revocations`: the same, for clients whose credentials are parameters (`client_secret_post`,
/// `private_key_jwt`). The form holds nothing else.
pub(crate) async fn posted(
    State(ctx): State<Arc<Context>>,
    info: RequestInfo,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, TokenError> {
    follow(&ctx, &info, &headers, &form::parse(&headers, &body)?).await
}

async fn follow(
    ctx: &Arc<Context>,
    info: &RequestInfo,
    headers: &HeaderMap,
    parameters: &Parameters,
) -> Result<Response, TokenError> {
    let client = authenticate(ctx, info, headers, parameters).await?;
    if !client.is_confidential() || client.resource_server().is_none() {
        return Err(TokenError::with_status(
            StatusCode::FORBIDDEN,
            OAuthError::new(
                ErrorCode::UnauthorizedClient,
                "The revocation feed is for resource servers; register a client with resource_server for this one.",
            ),
        ));
    }
    let cursor = headers
        .get(LAST_EVENT_ID)
        .map(|value| value.to_str().unwrap_or_default());
    let connection = Connection::open(
        &ctx.revocations,
        listener(ctx, client),
        cursor,
        life(ctx),
        &ctx.metrics,
    )
    .await
    .map_err(|closed| match closed {
        Closed::Store(error) => TokenError::from(error),
        Closed::Full => OAuthError::new(
            ErrorCode::TemporarilyUnavailable,
            "This server takes no more followers of revocations now; try again in a moment.",
        )
        .with_internal(NoRoom::Follower)
        .into(),
    })?;
    let head = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        UNBUFFERED,
    ];
    Ok((head, Body::from_stream(connection.into_stream())).into_response())
}

fn listener(ctx: &Arc<Context>, client: AuthenticatedClient) -> Listener {
    let (ctx, client_id) = (Arc::clone(ctx), client.client_id().to_owned());
    let client = Arc::new(client);
    Listener {
        client_id,
        may_stay: Box::new(move || {
            let (ctx, client) = (Arc::clone(&ctx), Arc::clone(&client));
            Box::pin(async move { client.still_holds(&ctx).await })
        }),
    }
}

/// `events.connection_ttl`, up to an eighth shorter: those who came together after a restart need not come back
/// together.
fn life(ctx: &Context) -> Duration {
    let [dice] = ctx.random.bytes::<1>();
    let ttl = ctx.feed_connection_ttl();
    ttl.mul_f64(1.0 - f64::from(dice) / 2048.0)
}
