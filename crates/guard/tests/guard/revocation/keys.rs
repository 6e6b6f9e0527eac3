//! Keys that change before the guard hears the feed for the first time.

use std::time::Duration;

use doorward_guard::{Algorithm, Revocation};
use doorward_jose::SigningKey;
use http::StatusCode;

use super::support::world;
use crate::support::{Behaviour, JWKS, pass};

/// Nobody tells a guard of a key that was withdrawn before it was connected.
#[tokio::test(start_paused = true)]
async fn a_key_that_is_withdrawn_before_the_first_connection_counts_no_longer_than_that() {
    let (world, endpoints) = world(Revocation::feed());
    endpoints.set_waiting(true);
    let token = world.token();
    assert_eq!(world.ping(&token).await, StatusCode::OK);
    let next = SigningKey::generate(Algorithm::Es256).unwrap();
    world.server.publish_keys(&[&next]);
    pass(10).await;
    assert_eq!(world.ping(&token).await, StatusCode::OK);
    endpoints.set_waiting(false);
    pass(2).await;
    assert_eq!(world.server.key_fetches(), 2);
    assert_eq!(world.ping(&token).await, StatusCode::UNAUTHORIZED);
}

/// Its answer may be from before the connection.
#[tokio::test(start_paused = true)]
async fn keys_that_are_asked_for_when_the_feed_answers_are_asked_for_once_more() {
    let (world, endpoints) = world(Revocation::feed());
    endpoints.set_waiting(true);
    world.guard.start();
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(world.server.key_fetches(), 1);
    endpoints.set_waiting(false);
    pass(20).await;
    assert_eq!(world.server.key_fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn keys_that_come_after_the_first_connection_are_not_asked_for_again() {
    let (world, endpoints) = world(Revocation::feed());
    endpoints.set_waiting(true);
    world.server.publish(JWKS, Behaviour::Fails);
    world.guard.start();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(world.server.key_fetches(), 1);
    endpoints.set_waiting(false);
    world.server.publish_keys(&[&world.key]);
    pass(20).await;
    assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
    assert_eq!(world.server.key_fetches(), 2);
}

/// As in a process that was forked: what the guard knows is there, and the tasks are not.
#[test]
fn a_guard_whose_tasks_are_gone_fetches_the_keys_again_when_it_follows_again() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
    };
    let (world, token) = runtime().block_on(async {
        let (world, _) = world(Revocation::feed());
        let token = world.token();
        assert_eq!(world.ping(&token).await, StatusCode::OK);
        (world, token)
    });
    let next = SigningKey::generate(Algorithm::Es256).unwrap();
    world.server.publish_keys(&[&next]);
    runtime().block_on(async {
        // Silence tells the guard that nobody follows.
        pass(60).await;
        assert_eq!(world.ping(&token).await, StatusCode::OK);
        pass(2).await;
        assert_eq!(world.ping(&token).await, StatusCode::UNAUTHORIZED);
    });
}
