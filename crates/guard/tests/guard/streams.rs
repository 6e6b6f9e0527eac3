//! Event streams do not outlive their token.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use doorward_guard::{Claims, GuardBuilder, Revocation, RevocationChecker, RevocationUnavailable};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use http::{Response, StatusCode};
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::Instant;
use tower::{ServiceExt, service_fn};

use crate::support::{World, ping_message, post};

/// A server that sends an event every 10 s, for ever.
async fn endless(_: Request<http_body_util::Full<Bytes>>) -> Result<Response<Body>, Infallible> {
    let events = stream::repeat(()).then(async |()| {
        tokio::time::sleep(Duration::from_secs(10)).await;
        Ok::<_, Infallible>(Bytes::from_static(b"data: 1\n\n"))
    });
    let response = Response::builder().header("content-type", "text/event-stream");
    Ok(response.body(Body::from_stream(events)).unwrap())
}

/// Opens a stream and reads it to its end: how many seconds and events.
async fn read(world: &World, token: &str, limit: Duration) -> Option<(u64, usize)> {
    let app = world.guard.protect("/mcp", service_fn(endless));
    let request = post().header("authorization", format!("Bearer {token}"));
    let request = request.body(Body::from(ping_message().to_string())).unwrap();
    let opened = Instant::now();
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let mut events = response.into_body().into_data_stream();
    let whole = async {
        let mut count = 0;
        while let Some(event) = events.next().await {
            assert_eq!(event.unwrap(), "data: 1\n\n");
            count += 1;
        }
        (opened.elapsed().as_secs(), count)
    };
    tokio::time::timeout(limit, whole).await.ok()
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_its_token() {
    let world = World::new();
    let token = world.token_with(&json!({"exp": world.now() + 100}));
    // The minute by which clocks may differ counts for streams as for requests.
    let (seconds, events) = read(&world, &token, Duration::from_hours(1)).await.unwrap();
    assert!((159..=160).contains(&seconds), "{seconds}");
    assert!((15..=16).contains(&events), "{events}");
    assert_eq!(world.ping(&token).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test(start_paused = true)]
async fn streams_can_be_left_open() {
    let world = World::with(|builder| builder.end_streams_with_token(false));
    assert_eq!(read(&world, &world.token(), Duration::from_hours(2)).await, None);
}

#[derive(Default)]
struct Checker {
    revoked: AtomicBool,
    away: AtomicBool,
    told: Arc<Notify>,
}

impl RevocationChecker for Checker {
    fn is_revoked<'a>(
        &'a self,
        claims: &'a Claims,
        token: &'a str,
    ) -> BoxFuture<'a, Result<bool, RevocationUnavailable>> {
        assert!(claims.jti == "token-1" && token.contains('.'));
        let retry_after = Duration::from_secs(7);
        let answer = if self.away.load(Ordering::SeqCst) {
            Err(RevocationUnavailable { retry_after })
        } else {
            Ok(self.revoked.load(Ordering::SeqCst))
        };
        std::future::ready(answer).boxed()
    }

    fn revoked(&self, claims: &Claims) -> Option<BoxFuture<'static, ()>> {
        assert_eq!(claims.grant_id.as_deref(), Some("grant-1"));
        let told = Arc::clone(&self.told);
        Some(Box::pin(async move { told.notified().await }))
    }
}

fn checked(checker: &Arc<Checker>) -> impl FnOnce(GuardBuilder) -> GuardBuilder {
    let checker = Arc::clone(checker);
    move |builder| builder.revocation(Revocation::Checker(checker))
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_its_grant_is_revoked() {
    let checker = Arc::new(Checker::default());
    let world = World::with(checked(&checker));
    let told = Arc::clone(&checker.told);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(35)).await;
        told.notify_waiters();
    });
    let (seconds, events) = read(&world, &world.token(), Duration::from_hours(1))
        .await
        .unwrap();
    assert!((34..=36).contains(&seconds), "{seconds}");
    assert_eq!(events, 3);
}

#[tokio::test(start_paused = true)]
async fn a_revoked_token_is_refused_and_one_nobody_knows_about_is_503() {
    let checker = Arc::new(Checker::default());
    let world = World::with(checked(&checker));
    assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
    checker.revoked.store(true, Ordering::SeqCst);
    let answer = world.post(&world.token(), &ping_message()).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.json()["error"], "invalid_token");
    assert!(world.guard.verify(&world.token()).await.is_err());
    checker.away.store(true, Ordering::SeqCst);
    let answer = world.post(&world.token(), &ping_message()).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.header("retry-after"), "7");
    assert_eq!(world.guard.metrics().refused["token_revoked"], 1);
    assert_eq!(world.guard.metrics().refused["tokens_uncheckable"], 1);
}
