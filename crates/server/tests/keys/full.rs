//! No more keys are published than verifiers read.

use std::time::Duration;

use doorward_jose::{Algorithm, JwkSet};
use doorward_store::CLOCK_ERROR;
use http::StatusCode;
use serde_json::{Value, json};

use crate::nodes::{Node, Place};
use crate::support::log::Log;

/// With so many published no other one is made.
const FULL: usize = 90;

/// A server that publishes as many as may be.
async fn full(place: &Place) -> Node {
    let node = place.node().await;
    for _ in 1..FULL {
        node.context.keys.rotate_now().await.unwrap();
    }
    assert_eq!(node.published().await.len(), FULL);
    node
}

fn told(log: &Log, message: &str) -> usize {
    let lines = log.lines();
    let same = lines.iter().filter(|line| {
        line["level"] == "WARN"
            && line["message"]
                .as_str()
                .is_some_and(|text| text.contains(message))
    });
    same.count()
}

#[tokio::test]
async fn no_other_key_is_made_while_as_many_are_published_as_verifiers_read() {
    let place = Place::new().await;
    let node = full(&place).await;
    let before = node.published().await;
    for now in [true, false] {
        let refused = node
            .admin("POST", "/admin/keys/rotate", json!({"now": now}))
            .await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{refused:?}");
        let sentence = refused.json()["error_description"].as_str().unwrap().to_owned();
        assert_eq!(
            sentence,
            "90 signing keys are published, and verifiers read no more than 100 in 64 KiB: wait until the oldest of them have had their time, or revoke one whose tokens may end."
        );
    }
    assert_eq!(node.published().await, before);
    let document = node.document().await;
    assert_eq!(JwkSet::parse(document.as_bytes()).unwrap().keys.len(), FULL);

    // One that is withdrawn makes room for its successor, and one that is not needed for another.
    node.context.keys.revoke(&before[0]).await.unwrap();
    assert_eq!(node.published().await.len(), FULL);
    node.context.keys.revoke(&before[9]).await.unwrap();
    assert_eq!(node.published().await.len(), FULL - 1);
    let rotate = || node.admin("POST", "/admin/keys/rotate", Value::Null);
    assert_eq!(rotate().await.status, StatusCode::CREATED);
    assert_eq!(node.published().await.len(), FULL);
    // The one that waits needs no room.
    assert_eq!(rotate().await.status, StatusCode::OK);
    let now = node
        .admin("POST", "/admin/keys/rotate", json!({"now": true}))
        .await;
    assert_eq!(now.status, StatusCode::OK, "{now:?}");
    // And time makes room.
    place.wait(86_400 + 120 + CLOCK_ERROR.as_secs());
    node.context.keys.reload().await.unwrap();
    assert_eq!(node.published().await.len(), 1);
    assert_eq!(rotate().await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn the_schedule_keeps_the_key_that_signs_while_there_is_no_room_and_says_so_once() {
    let place = Place::new().await;
    let node = full(&place).await;
    let signs = node.context.keys.signer().key_id().to_owned();
    place.wait(7200);
    let log = Log::start();
    node.tick().await;
    node.tick().await;
    assert_eq!(told(&log, "no next signing key"), 1);
    assert_eq!(node.published().await.len(), FULL);
    assert_eq!(node.context.keys.signer().key_id(), signs);
    place.wait(86_400 + 120 + CLOCK_ERROR.as_secs());
    node.tick().await;
    assert_eq!(node.published().await.len(), 2);
    assert_eq!(told(&log, "no next signing key"), 0);
}

#[tokio::test]
async fn a_start_with_another_algorithm_goes_on_with_what_signs_while_there_is_no_room() {
    let place = Place::new().await;
    let node = full(&place).await;
    node.server.close().await.unwrap();
    let log = Log::start();
    let node = place.node_with(Algorithm::EdDsa).await;
    assert_eq!(told(&log, "no key of the algorithm of the settings"), 1);
    assert_eq!(node.published().await.len(), FULL);
    assert_eq!(node.context.keys.signer().algorithm(), Algorithm::Es256);
    // As soon as there is room the schedule makes it.
    place.clock.advance(Duration::from_hours(26));
    node.tick().await;
    assert_eq!(node.context.keys.statuses()[0].record.algorithm, "EdDSA");
}
