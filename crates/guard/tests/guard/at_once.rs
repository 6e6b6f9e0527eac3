//! Verifying without waiting, and what a request costs that has nothing to wait for.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use doorward_guard::verifiers::StaticTokenVerifier;
use doorward_guard::{
    Claims, GuardService, Rejection, Revocation, RevocationChecker, RevocationUnavailable, ScopeSet,
    TokenClaims, VerifyError,
};
use doorward_jose::{Algorithm, SigningKey};
use futures_util::future::BoxFuture;
use futures_util::{poll, stream};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::json;
use tokio::time::timeout;
use tower::limit::ConcurrencyLimitLayer;
use tower::{Layer, Service, ServiceExt};

use crate::support::{ISSUER, World, call, pass, post};

/// What can be told at once, in few words; `None` when somebody has to be asked.
fn at_once(world: &World, token: &str) -> Option<Result<String, VerifyError>> {
    let verified = world.guard.verify_at_once(token)?;
    Some(verified.map(|claims| claims.subject.clone()))
}

/// Keys that are there decide, for good tokens and bad ones, new ones and known ones; a key that is not there decides
/// nothing, and is not fetched.
#[tokio::test(start_paused = true)]
async fn verify_at_once_says_nothing_that_somebody_else_must_be_asked() {
    let world = World::new();
    let token = world.token();
    assert_eq!(at_once(&world, &token), None);
    assert_eq!(world.server.key_fetches(), 0);
    assert_eq!(world.ping(&token).await, StatusCode::OK);
    let fetches = world.server.key_fetches();
    assert_eq!(fetches, 1);

    let other = world.token_with(&json!({"sub": "bob"}));
    let ended = world.token_with(&json!({"exp": world.now() - 61}));
    let bound = world.token_with(&json!({"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}));
    for _ in 0..2 {
        assert_eq!(at_once(&world, &token), Some(Ok("alice".to_owned())));
        assert_eq!(at_once(&world, &other), Some(Ok("bob".to_owned())));
        assert_eq!(at_once(&world, &ended), Some(Err(Rejection::Expired.into())));
        assert_eq!(
            at_once(&world, &bound),
            Some(Err(Rejection::SenderConstrained.into()))
        );
        assert_eq!(at_once(&world, "x"), Some(Err(Rejection::Malformed.into())));
    }

    let stranger = SigningKey::generate(Algorithm::Es256).unwrap();
    let unknown = doorward_jose::sign(&stranger, "at+jwt", &world.claims()).unwrap();
    assert_eq!(at_once(&world, &unknown), None);
    assert_eq!(world.server.key_fetches(), fetches);

    // Keys that nobody refreshes any more: asking begins with it, so that is not for now.
    world.server.set_down(true);
    pass(700).await;
    let fresh = world.token();
    assert_eq!(at_once(&world, &fresh), None);
    assert!(world.guard.verify(&fresh).await.is_ok());
}

struct Nobody;

impl RevocationChecker for Nobody {
    fn is_revoked<'a>(
        &'a self,
        _: &'a Claims,
        _: &'a str,
    ) -> BoxFuture<'a, Result<bool, RevocationUnavailable>> {
        Box::pin(async { Ok(false) })
    }
}

#[tokio::test(start_paused = true)]
async fn verify_at_once_leaves_revocations_and_other_verifiers_to_be_asked() {
    let world = World::with(|builder| builder.revocation(Revocation::Checker(Arc::new(Nobody))));
    let token = world.token();
    assert_eq!(world.ping(&token).await, StatusCode::OK);
    assert_eq!(at_once(&world, &token), None);
    // A token that is bad in itself is so whatever was revoked.
    let ended = world.token_with(&json!({"exp": world.now() - 61}));
    assert_eq!(at_once(&world, &ended), Some(Err(Rejection::Expired.into())));

    let world = World::with(|builder| {
        let mut claims = TokenClaims::new(ISSUER, "alice", "client-1", TokenClaims::NEVER);
        claims.scopes = ScopeSet::parse("mcp:read").unwrap();
        builder.verifier(StaticTokenVerifier::new([("t", claims)]).unwrap())
    });
    assert_eq!(world.ping("t").await, StatusCode::OK);
    assert_eq!(at_once(&world, "t"), None);
}

/// An inner service that counts its clones and refuses to be called before it was ready.
struct Counted {
    clones: Arc<AtomicUsize>,
    is_ready: bool,
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.clones.fetch_add(1, Ordering::SeqCst);
        Self {
            clones: Arc::clone(&self.clones),
            is_ready: false,
        }
    }
}

impl Service<Request<Full<Bytes>>> for Counted {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Full<Bytes>>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "called before it was ready");
        ready(Ok(Response::default()))
    }
}

async fn ready_for(service: &mut GuardService<Counted>) {
    ServiceExt::<Request<Body>>::ready(service).await.unwrap();
}

fn request(token: &str) -> Request<Body> {
    let request = post().header("authorization", format!("Bearer {token}"));
    request.body(Body::from(call("echo").to_string())).unwrap()
}

#[tokio::test(start_paused = true)]
async fn one_clone_of_the_service_serves_one_request_after_the_other() {
    let world = World::new();
    let clones = Arc::new(AtomicUsize::new(0));
    let service = world.guard.layer().layer(Counted {
        clones: Arc::clone(&clones),
        is_ready: false,
    });
    for _ in 0..5 {
        let answer = service.clone().oneshot(request(&world.token())).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
    assert_eq!(clones.load(Ordering::SeqCst), 1);
    // Requests at the same time have one each.
    let mut several: Vec<_> = (0..3).map(|_| service.clone()).collect();
    for service in &mut several {
        ready_for(service).await;
    }
    assert_eq!(clones.load(Ordering::SeqCst), 3);
    for mut service in several {
        assert!(service.call(request(&world.token())).await.is_ok());
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(clones.load(Ordering::SeqCst), 3);
}

/// Whoever has a permit while the body of a stranger is waited for keeps it from others.
#[tokio::test(start_paused = true)]
async fn a_stranger_whose_body_does_not_come_holds_no_permit() {
    let world = World::new();
    let counted = Counted {
        clones: Arc::default(),
        is_ready: false,
    };
    let limited = ConcurrencyLimitLayer::new(1).layer(counted);
    let service = world.guard.layer().layer(limited);
    let mut stranger = service.clone();
    ServiceExt::<Request<Body>>::ready(&mut stranger).await.unwrap();
    let never = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
    let mut refused = stranger.call(post().body(never).unwrap());
    assert!(poll!(&mut refused).is_pending(), "its body may still come");
    let good = service.clone().oneshot(request(&world.token()));
    let answer = timeout(Duration::from_millis(500), good).await.unwrap();
    assert_eq!(answer.unwrap().status(), StatusCode::OK);
    assert_eq!(refused.await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

/// It is made for every request. What few requests wait for is boxed apart; else it had 3.1 KB (docs/performance.md).
#[tokio::test(start_paused = true)]
async fn the_future_of_a_request_is_small() {
    let world = World::new();
    let mut service = world.guard.layer().layer(Counted {
        clones: Arc::default(),
        is_ready: false,
    });
    ready_for(&mut service).await;
    let future = service.call(request(&world.token()));
    let size = size_of_val(&*future);
    assert!(size <= 1280, "{size}");
    assert_eq!(future.await.unwrap().status(), StatusCode::OK);
}
