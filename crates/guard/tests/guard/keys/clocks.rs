//! The keys of a guard whose clock is set while it runs.

use std::sync::Arc;
use std::time::Duration;

use doorward_guard::UnixSeconds;
use doorward_jose::sign;
use doorward_oauth::time::ManualClock;
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::json;

use super::es256;
use crate::support::{START, World, pass, ping_message};

const HOUR: Duration = Duration::from_hours(1);

/// Whoever sets a clock right must not keep a new key out until it is as late again.
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_does_not_prolong_the_cooldown() {
    let clock = ManualClock::new(UnixSeconds(START));
    let world = World::with(|builder| builder.clock(Arc::new(clock.clone())));
    let claims = world.changed(&json!({"iat": START - 3600}));
    let known = world.sign("at+jwt", &claims);
    assert_eq!(world.ping(&known).await, StatusCode::OK);
    let unknown = sign(&es256(), "at+jwt", &claims).unwrap();
    assert_eq!(world.ping(&unknown).await, StatusCode::UNAUTHORIZED);
    assert_eq!(world.server.key_fetches(), 2);
    clock.set(UnixSeconds(START - 3600));
    let next = es256();
    world.server.publish_keys(&[&next, &world.key]);
    let token = sign(&next, "at+jwt", &claims).unwrap();
    assert_eq!(world.ping(&token).await, StatusCode::OK);
    assert_eq!(world.server.key_fetches(), 3);
}

/// Known keys that are this old are used no more.
const MAX_STALE: Duration = Duration::from_mins(30);

/// A guard that has fetched its keys with its clock an hour ahead, and whose issuer is away since the clock was set back. The
/// token is good by either time.
async fn set_back() -> (World, String) {
    let clock = ManualClock::new(UnixSeconds(START) + HOUR);
    let world = World::with(|builder| builder.max_stale(MAX_STALE).clock(Arc::new(clock.clone())));
    let token = world.token_with(&json!({"iat": START, "exp": START + 4 * 3600}));
    assert_eq!(world.ping(&token).await, StatusCode::OK);
    world.server.set_down(true);
    clock.set(UnixSeconds(START));
    (world, token)
}

#[tokio::test(start_paused = true)]
async fn keys_from_before_a_clock_was_set_back_last_no_longer_for_it() {
    let (world, token) = set_back().await;
    let other = world.token_with(&json!({"iat": START, "exp": START + 4 * 3600, "jti": "other"}));
    pass(MAX_STALE.as_secs() - 5).await;
    assert_eq!(world.ping(&token).await, StatusCode::OK);
    pass(10).await;
    for token in [token, other] {
        assert_eq!(world.ping(&token).await, StatusCode::SERVICE_UNAVAILABLE);
    }
}

#[tokio::test(start_paused = true)]
async fn keys_that_nobody_refreshes_are_not_taken_for_fresh_after_a_clock_was_set_back() {
    let (world, token) = set_back().await;
    assert!(world.guard.verify_at_once(&token).is_some());
    pass(11 * 60).await;
    assert!(world.guard.verify_at_once(&token).is_none());
}

/// When to come again is told as it is, and not by a clock that was set back in between.
#[tokio::test(start_paused = true)]
async fn nobody_is_sent_away_for_longer_because_a_clock_was_set_back() {
    let clock = ManualClock::new(UnixSeconds(START) + HOUR);
    let world = World::with(|builder| builder.clock(Arc::new(clock.clone())));
    world.server.set_down(true);
    let token = world.token_with(&json!({"iat": START, "exp": START + 4 * 3600}));
    assert_eq!(world.ping(&token).await, StatusCode::SERVICE_UNAVAILABLE);
    clock.set(UnixSeconds(START));
    let answer = world.post(&token, &ping_message()).await;
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=4).contains(&seconds), "{seconds}");
}

/// A machine that slept over a weekend, or whose clock was wrong before.
#[tokio::test(start_paused = true)]
async fn keys_that_a_clock_makes_too_old_are_fetched_for_the_first_who_asks() {
    let clock = ManualClock::new(UnixSeconds(START));
    let world = World::with(|builder| builder.clock(Arc::new(clock.clone())));
    let token = world.token_with(&json!({"exp": START + 100 * 3600}));
    assert_eq!(world.ping(&token).await, StatusCode::OK);
    clock.advance(25 * HOUR);
    let answers = join_all((0..20).map(|_| world.ping(&token))).await;
    assert_eq!(answers, [StatusCode::OK; 20]);
    assert_eq!(world.server.key_fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_is_away_is_not_asked_by_everyone_whose_keys_are_too_old() {
    let clock = ManualClock::new(UnixSeconds(START));
    let world = World::with(|builder| builder.clock(Arc::new(clock.clone())));
    let token = world.token_with(&json!({"exp": START + 100 * 3600}));
    assert_eq!(world.ping(&token).await, StatusCode::OK);
    world.server.set_down(true);
    clock.advance(25 * HOUR);
    let asked = world.server.key_fetches();
    for _ in 0..60 {
        assert_eq!(world.ping(&token).await, StatusCode::SERVICE_UNAVAILABLE);
        pass(1).await;
    }
    let asked = world.server.key_fetches() - asked;
    assert!((2..=7).contains(&asked), "{asked} in a minute");
    world.server.set_down(false);
    pass(30).await;
    assert_eq!(world.ping(&token).await, StatusCode::OK);
}
