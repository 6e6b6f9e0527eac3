//! What becomes of tokens while the guard may have missed something.

use std::time::Duration;

use doorward_guard::{FeedFault, FetchFailure, IntrospectionPolicy, WhileBlind};
use http::StatusCode;
use serde_json::json;

use super::feed::{fault, feed};
use super::support::{assert_revoked, assert_unavailable, revoked, world};
use crate::support::pass;

#[tokio::test(start_paused = true)]
async fn without_the_feed_tokens_count_unless_it_is_to_be_otherwise() {
    for (while_blind, blind, expected) in [
        (WhileBlind::Accept, 600, StatusCode::OK),
        (WhileBlind::Refuse, 28, StatusCode::OK),
        (WhileBlind::Refuse, 32, StatusCode::SERVICE_UNAVAILABLE),
    ] {
        let (world, endpoints) = world(feed(|policy| policy.while_blind = while_blind.clone()));
        world.guard.start();
        pass(1).await;
        endpoints.send(revoked(&world, 1, "gid", "grant-2"));
        pass(1).await;
        endpoints.refuse(Some(FetchFailure::new("the connection was refused")));
        endpoints.end();
        pass(blind).await;
        assert_eq!(
            world.ping(&world.token()).await,
            expected,
            "{while_blind:?} {blind}"
        );
        // What is known stays known.
        assert_revoked(&world, &world.token_with(&json!({"gid": "grant-2"}))).await;
        endpoints.refuse(None);
        pass(31).await;
        assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_feed_the_server_can_be_asked() {
    let asking = WhileBlind::Ask(IntrospectionPolicy::default());
    let (world, endpoints) = world(feed(|policy| policy.while_blind = asking));
    endpoints.active(false);
    world.guard.start();
    pass(1).await;
    assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
    assert_eq!(endpoints.forms().len(), 0);
    endpoints.refuse(Some(FetchFailure::new("the connection was refused")));
    endpoints.end();
    pass(40).await;
    assert_revoked(&world, &world.token()).await;
    assert_eq!(endpoints.forms().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reset_is_not_trusted_until_everything_was_told_again() {
    let (world, endpoints) = world(feed(|policy| {
        policy.while_blind = WhileBlind::Refuse;
        policy.blind_after = Duration::ZERO;
    }));
    world.guard.start();
    pass(1).await;
    assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
    endpoints.send(revoked(&world, 1, "gid", "grant-2"));
    endpoints.send("event: reset\ndata: {}\n\n");
    pass(1).await;
    assert_eq!(fault(&world), Some(FeedFault::CatchingUp));
    assert_unavailable(&world, &world.token()).await;
    assert_revoked(&world, &world.token_with(&json!({"gid": "grant-2"}))).await;
    // A connection that breaks now begins at the beginning.
    endpoints.open_with("event: reset\ndata: {}\n\n");
    endpoints.end();
    pass(2).await;
    assert_eq!(endpoints.cursors().last(), Some(&None));
    endpoints.send(revoked(&world, 1, "gid", "grant-1"));
    endpoints.send("id: other-1\nevent: ready\ndata: {}\n\n");
    pass(1).await;
    assert_eq!(fault(&world), None);
    assert_revoked(&world, &world.token()).await;
    assert_eq!(
        world.ping(&world.token_with(&json!({"gid": "grant-3"}))).await,
        StatusCode::OK
    );
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded_and_nothing_is_forgotten_early() {
    let (world, endpoints) = world(feed(|policy| {
        policy.max_entries = 2;
        policy.max_token_lifetime = Duration::from_mins(5);
    }));
    world.guard.start();
    pass(1).await;
    for (position, id) in [(1, "grant-1"), (2, "grant-2"), (3, "grant-3")] {
        endpoints.send(revoked(&world, position, "gid", id));
    }
    let third = revoked(&world, 3, "gid", "grant-3");
    endpoints.open_with(format!("{third}id: log-3\nevent: ready\ndata: {{}}\n\n"));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(fault(&world), Some(FeedFault::Full));
    pass(60).await;
    assert_eq!(fault(&world), Some(FeedFault::Full));
    assert_eq!(endpoints.cursors().last(), Some(&Some("log-2".to_owned())));
    for id in ["grant-1", "grant-2"] {
        assert_revoked(&world, &world.token_with(&json!({"gid": id}))).await;
    }
    assert_eq!(world.guard.metrics().feed.unwrap().remembered, 2);
    // Five minutes and the 67 for clocks: then their tokens have expired, and the third is old as well.
    pass(71 * 60 + 31).await;
    // The feed said nothing meanwhile, so that the guard opens it again and again: on a busy machine it may just be at it.
    for _ in 0..60 {
        if fault(&world).is_none() {
            break;
        }
        pass(1).await;
    }
    assert_eq!(fault(&world), None);
    assert_eq!(world.guard.metrics().feed.unwrap().remembered, 0);
}
