//! A clock may be a program's own: in Python it waits for the interpreter, which somebody may hold who waits for the guard.
//! So nothing is locked while the guard or its client asks it.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use axum::body::Bytes;
use doorward_guard::client::{ClientAuth, ExchangeRequest, OAuthClient};
use doorward_guard::{
    Clock, Document, Fetch, FetchFailure, FormRequest, FormResponse, IntrospectionPolicy, Revocation,
    UnixSeconds,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::runtime::Handle;

use crate::revocation::support::{revoked, world_of};
use crate::support::{ISSUER, START, pass};

thread_local! {
    static IS_ANOTHER: Cell<bool> = const { Cell::new(false) };
}

/// How long the other thread may take before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(30);

/// A clock that is asked by two at a time: before it answers one thread, another makes a call and must come back from it.
#[derive(Default)]
struct SharedClock {
    passed: AtomicU64,
    call: OnceLock<Arc<dyn Fn() + Send + Sync>>,
    is_stuck: AtomicBool,
}

impl SharedClock {
    /// What the other thread does from now on, for which the runtime is there.
    fn meanwhile(&self, call: impl Fn() + Send + Sync + 'static) {
        let runtime = Handle::current();
        let call = move || {
            let _entered = runtime.enter();
            call();
        };
        assert!(self.call.set(Arc::new(call)).is_ok());
    }

    fn is_stuck(&self) -> bool {
        self.is_stuck.load(Ordering::SeqCst)
    }
}

impl Clock for SharedClock {
    fn now(&self) -> UnixSeconds {
        let call = self.call.get().filter(|_| !IS_ANOTHER.get() && !self.is_stuck());
        if let Some(call) = call.cloned() {
            let (done, returned) = channel();
            thread::spawn(move || {
                IS_ANOTHER.set(true);
                call();
                done.send(())
            });
            let is_stuck = returned.recv_timeout(PATIENCE).is_err();
            self.is_stuck.store(is_stuck, Ordering::SeqCst);
        }
        UnixSeconds(START) + Duration::from_secs(self.passed.load(Ordering::SeqCst))
    }
}

/// Knows its endpoints. Nobody gets an answer from them: one thread at once, the other never.
struct Down;

impl Fetch for Down {
    fn get_json<'a>(&'a self, _: &'a str, _: usize) -> BoxFuture<'a, Result<Document, FetchFailure>> {
        let metadata = json!({"issuer": ISSUER, "token_endpoint": format!("{ISSUER}/token")});
        let body = Bytes::from(metadata.to_string());
        Box::pin(std::future::ready(Ok(Document::new(body))))
    }

    fn post_form<'a>(&'a self, _: FormRequest<'a>) -> BoxFuture<'a, Result<FormResponse, FetchFailure>> {
        Box::pin(async {
            if IS_ANOTHER.get() {
                std::future::pending().await
            } else {
                Err(FetchFailure::new("down"))
            }
        })
    }
}

#[tokio::test]
async fn a_client_locks_nothing_while_it_asks_the_clock() {
    let clock = Arc::new(SharedClock::default());
    let client = OAuthClient::builder(ISSUER)
        .auth(ClientAuth::basic("app", "secret"))
        .clock(clock.clone())
        .fetch(Arc::new(Down))
        .build()
        .unwrap();
    let other = client.clone();
    clock.meanwhile(move || {
        let _unfinished = other.exchange(&ExchangeRequest::new("other")).now_or_never();
    });
    // Until the circuit opens, and once more.
    for _ in 0..6 {
        assert!(client.exchange(&ExchangeRequest::new("token")).await.is_err());
    }
    assert!(!clock.is_stuck());
}

#[tokio::test(start_paused = true)]
async fn a_guard_that_asks_about_tokens_locks_nothing_while_it_asks_the_clock() {
    let clock = Arc::new(SharedClock::default());
    let (world, endpoints) = world_of(|builder| {
        builder
            .client_auth(ClientAuth::basic("guard", "secret"))
            .revocation(Revocation::Introspection(IntrospectionPolicy::default()))
            .clock(clock.clone())
    });
    endpoints.active(true);
    let (guard, token) = (world.guard.clone(), world.token());
    let other = token.clone();
    clock.meanwhile(move || {
        let _unfinished = guard.verify(&other).now_or_never();
    });
    assert!(world.guard.verify(&token).await.is_ok());
    // What was answered is still there, but counts no longer.
    clock.passed.store(60, Ordering::SeqCst);
    assert!(world.guard.verify(&token).await.is_ok());
    assert!(!clock.is_stuck());
}

#[tokio::test(start_paused = true)]
async fn a_follower_of_the_feed_locks_nothing_while_it_asks_the_clock() {
    let clock = Arc::new(SharedClock::default());
    let (world, endpoints) = world_of(|builder| {
        builder
            .client_auth(ClientAuth::basic("guard", "secret"))
            .revocation(Revocation::feed())
            .clock(clock.clone())
    });
    let token = world.token();
    assert!(world.guard.verify(&token).await.is_ok());
    let (guard, other) = (world.guard.clone(), token.clone());
    clock.meanwhile(move || {
        let _unfinished = guard.verify(&other).now_or_never();
    });
    assert!(endpoints.send(revoked(&world, 1, "gid", "grant-1")));
    pass(1).await;
    assert!(world.guard.verify(&token).await.is_err());
    assert!(!clock.is_stuck());
}
