//! Clocks of nodes and guards that differ by up to an hour, or are set while the guard runs.

use std::sync::Arc;
use std::time::Duration;

use doorward_guard::{FetchFailure, Revocation, UnixSeconds, WhileBlind};
use doorward_oauth::time::{Clock, ManualClock};
use http::StatusCode;
use serde_json::json;

use super::feed::feed;
use super::support::{FakeEndpoints, assert_revoked, assert_unavailable, revoked, world, world_at};
use crate::support::{START, World, pass};

const HOUR: Duration = Duration::from_hours(1);

/// A grant that a node has ended by its own clock.
fn ended(position: u32, grant: &str, revoked_at: i64) -> String {
    let data = json!({"gid": grant, "revoked_at": revoked_at});
    format!("id: log-{position}\nevent: revocation\ndata: {data}\n\n")
}

/// A token of a grant that lives for an hour from now on.
fn long_token(world: &World, grant: &str) -> String {
    world.token_with(&json!({"gid": grant, "jti": grant, "exp": world.now() + 3_600}))
}

/// With a notice each minute, at which what is past its use is forgotten.
async fn pass_with_notices(world: &World, endpoints: &FakeEndpoints, minutes: u32) {
    for minute in 0..minutes {
        for _ in 0..6 {
            pass(10).await;
            endpoints.send(": alive\n\n");
        }
        endpoints.send(ended(100 + minute, "another", world.now()));
    }
    pass(1).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_node_an_hour_behind_has_ended_stays_so_as_long_as_its_tokens_live() {
    let (world, endpoints) = world(Revocation::feed());
    world.guard.start();
    pass(1).await;
    let token = long_token(&world, "grant-1");
    endpoints.send(ended(1, "grant-1", world.now() - 3_600));
    pass(1).await;
    assert_revoked(&world, &token).await;
    pass_with_notices(&world, &endpoints, 60).await;
    // Its last minute is the one that clocks may differ.
    assert_revoked(&world, &token).await;
    // Once they have expired, it is forgotten like others.
    pass_with_notices(&world, &endpoints, 8).await;
    assert_eq!(world.guard.metrics().feed.unwrap().remembered, 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_node_more_than_an_hour_behind_has_ended_is_not_taken_for_past() {
    let (world, endpoints) = world(Revocation::feed());
    world.guard.start();
    pass(1).await;
    let token = long_token(&world, "grant-1");
    endpoints.send(ended(1, "grant-1", world.now() - 3_900));
    pass(1).await;
    assert_revoked(&world, &token).await;
}

#[tokio::test(start_paused = true)]
async fn a_guard_whose_clock_was_ahead_for_a_while_has_forgotten_no_revocation() {
    let clock = ManualClock::new(UnixSeconds(START));
    let (world, endpoints) = world_at(&clock, Revocation::feed());
    world.guard.start();
    pass(1).await;
    endpoints.send(ended(1, "grant-1", START));
    clock.advance(Duration::from_mins(3));
    clock.advance(HOUR);
    // It hears of something, and has to connect again.
    endpoints.send(ended(2, "grant-2", START + 180));
    pass(1).await;
    endpoints.end();
    pass(2).await;
    clock.set(clock.now() - HOUR);
    pass(1).await;
    for grant in ["grant-1", "grant-2"] {
        assert_revoked(&world, &long_token(&world, grant)).await;
    }
}

/// The token is of a node whose clock is a second ahead of the one that disabled its client.
#[tokio::test(start_paused = true)]
async fn a_client_that_is_disabled_takes_tokens_along_whose_node_has_a_clock_that_is_ahead() {
    let (world, endpoints) = world(Revocation::feed());
    world.guard.start();
    pass(1).await;
    let token = world.token_with(&json!({"iat": world.now() + 1}));
    assert_eq!(world.ping(&token).await, StatusCode::OK);
    endpoints.send(revoked(&world, 1, "client_id", "client-1"));
    pass(1).await;
    assert_revoked(&world, &token).await;
    // Enabled again, it has its first good token a minute after it was disabled.
    assert_revoked(&world, &world.token()).await;
    pass(60).await;
    assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
}

/// A guard that refuses tokens while it is blind, and its clock.
fn cautious_world(now: UnixSeconds) -> (World, Arc<FakeEndpoints>, ManualClock) {
    let clock = ManualClock::new(now);
    let (world, endpoints) = world_at(&clock, feed(|policy| policy.while_blind = WhileBlind::Refuse));
    (world, endpoints, clock)
}

#[tokio::test(start_paused = true)]
async fn a_guard_that_began_with_its_clock_ahead_is_blind_no_later_for_it() {
    let (world, endpoints, clock) = cautious_world(UnixSeconds(START) + HOUR);
    endpoints.refuse(Some(FetchFailure::new("the connection was refused")));
    world.guard.start();
    pass(1).await;
    clock.set(UnixSeconds(START));
    pass(27).await;
    assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
    pass(4).await;
    assert_unavailable(&world, &world.token()).await;
}

#[tokio::test(start_paused = true)]
async fn a_guard_whose_clock_is_set_back_in_an_outage_is_blind_no_later_for_it() {
    let (world, endpoints, clock) = cautious_world(UnixSeconds(START) + HOUR);
    world.guard.start();
    pass(1).await;
    endpoints.refuse(Some(FetchFailure::new("the connection was refused")));
    endpoints.end();
    clock.set(UnixSeconds(START));
    pass(27).await;
    assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
    pass(5).await;
    assert_unavailable(&world, &world.token()).await;
}

#[tokio::test(start_paused = true)]
async fn a_guard_that_hears_the_feed_is_not_blind_because_its_clock_is_set_back() {
    let (world, endpoints, clock) = cautious_world(UnixSeconds(START) + HOUR);
    world.guard.start();
    pass(1).await;
    clock.set(UnixSeconds(START));
    let token = world.token();
    for _ in 0..12 {
        assert_eq!(world.ping(&token).await, StatusCode::OK);
        pass(10).await;
        endpoints.send(": alive\n\n");
    }
}

/// The clock that nobody sets stands still meanwhile, and the task does not run.
#[tokio::test(start_paused = true)]
async fn a_guard_whose_machine_has_slept_is_blind_until_it_hears_something() {
    let (world, endpoints, clock) = cautious_world(UnixSeconds(START));
    world.guard.start();
    pass(1).await;
    assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
    clock.advance(Duration::from_mins(2));
    assert_unavailable(&world, &world.token()).await;
    endpoints.send(": alive\n\n");
    pass(1).await;
    assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
}
