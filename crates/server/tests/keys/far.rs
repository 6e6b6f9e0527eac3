//! A key whose time is far off: made while a clock was wrong, or when keys were published for longer.

use doorward_jose::Algorithm;
use doorward_oauth::time::Clock as _;
use doorward_server::config::{Rotation, Span};
use doorward_store::signing_keys::SigningKeyState::{self, Active, Next, Previous};
use doorward_store::{CLOCK_ERROR, UnixSeconds};
use http::StatusCode;
use serde_json::{Value, json};

use crate::nodes::{Node, Place};
use crate::support::log::Log;

const DAY: u64 = 86_400;

fn states(node: &Node) -> Vec<SigningKeyState> {
    let keys = node.context.keys.statuses();
    keys.iter().map(|key| key.state).collect()
}

/// A server that has looked at its keys under a clock that was 400 days ahead; the key that it made then.
async fn after_a_wrong_clock(place: &Place) -> (Node, String) {
    let node = place.node().await;
    let right = place.clock.now();
    place.wait(400 * DAY);
    node.tick().await;
    place.clock.set(right);
    node.tick().await;
    assert_eq!(states(&node), [Next, Active]);
    let far = node.context.keys.statuses()[0].record.clone();
    assert_eq!(far.signs_from, UnixSeconds(right.0 + 400 * 86_400 + 900));
    (node, far.key_id)
}

#[tokio::test]
async fn a_key_of_a_wrong_clock_keeps_no_other_from_coming_and_never_signs() {
    let place = Place::new().await;
    let (node, far) = after_a_wrong_clock(&place).await;
    let log = Log::start();
    let rotate = || node.admin("POST", "/admin/keys/rotate", Value::Null);
    let made = rotate().await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    assert_eq!(made.json()["starts_at"], json!(place.clock.now().0 + 900));
    let again = rotate().await;
    assert_eq!(
        (again.status, again.json()["key_id"].clone()),
        (StatusCode::OK, made.json()["key_id"].clone())
    );
    let mut warnings = log.lines();
    warnings.retain(|line| line["level"] == "WARN");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(warnings[0]["key_id"], *far);

    assert_eq!(states(&node), [Next, Next, Active]);
    place.wait(900);
    assert_eq!(states(&node), [Active, Previous, Previous]);
    // By the schedule as well, and when its time would have come.
    place.wait(400 * DAY);
    node.tick().await;
    assert_eq!(states(&node)[..2], [Next, Active]);
    place.wait(900);
    assert_ne!(node.context.keys.signer().key_id(), far);
}

#[tokio::test]
async fn a_key_of_a_wrong_clock_does_not_stop_the_schedule() {
    let place = Place::new().await;
    let (node, far) = after_a_wrong_clock(&place).await;
    place.wait(3600 - 900 - 1);
    node.tick().await;
    assert_eq!(states(&node), [Next, Active]);
    place.wait(1);
    node.tick().await;
    assert_eq!(states(&node), [Next, Next, Active]);
    node.tick().await;
    place.wait(900);
    node.tick().await;
    assert_eq!(states(&node), [Active, Previous, Previous]);
    // It goes with the others.
    place.wait(DAY + 120 + CLOCK_ERROR.as_secs());
    node.context.keys.reload().await.unwrap();
    assert!(!node.published().await.contains(&far));
}

#[tokio::test]
async fn a_key_of_a_wrong_clock_does_not_hold_back_another_algorithm() {
    let place = Place::new().await;
    let (node, _) = after_a_wrong_clock(&place).await;
    node.server.close().await.unwrap();
    let node = place.node_with(Algorithm::EdDsa).await;
    assert_eq!(states(&node), [Next, Next, Active]);
    place.wait(900);
    assert_eq!(node.context.keys.signer().algorithm(), Algorithm::EdDsa);
    node.server.close().await.unwrap();
    // Started again it has what the settings want.
    let node = place.node_with(Algorithm::EdDsa).await;
    assert_eq!(states(&node), [Active, Previous, Previous]);
}

/// One of the algorithm that the settings want, but not before its far-off time.
#[tokio::test]
async fn a_key_of_a_wrong_clock_is_no_change_of_the_algorithm() {
    let place = Place::new().await;
    let node = place.node().await;
    node.server.close().await.unwrap();
    let right = place.clock.now();
    place.wait(400 * DAY);
    let node = place.node_with(Algorithm::EdDsa).await;
    node.server.close().await.unwrap();
    place.clock.set(right);
    let node = place.node_with(Algorithm::EdDsa).await;
    place.wait(900);
    assert_eq!(node.context.keys.signer().algorithm(), Algorithm::EdDsa);
}

#[tokio::test]
async fn a_key_that_was_to_be_published_for_longer_keeps_no_other_from_coming() {
    let mut place = Place::new().await;
    place.settings.keys.rotation = Rotation::every(Span::days(90));
    place.settings.keys.publish_ahead = Span::days(30);
    let node = place.node().await;
    node.context.keys.rotate().await.unwrap();
    node.server.close().await.unwrap();
    place.settings.keys.publish_ahead = Span::minutes(10);
    let node = place.node().await;
    let made = node.admin("POST", "/admin/keys/rotate", Value::Null).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    assert_eq!(made.json()["starts_at"], json!(place.clock.now().0 + 600));
}

/// As far as clocks may differ it is the one that waits.
#[tokio::test]
async fn a_key_of_a_node_whose_clock_is_an_hour_ahead_waits_as_any_other() {
    let place = Place::new().await;
    let node = place.node().await;
    let right = place.clock.now();
    place.wait(CLOCK_ERROR.as_secs());
    let made = node.context.keys.rotate().await.unwrap().record.key_id;
    place.clock.set(right);
    assert_eq!(node.context.keys.rotate().await.unwrap().record.key_id, made);
    assert_eq!(states(&node), [Next, Active]);
}

#[tokio::test]
async fn a_key_of_a_wrong_clock_signs_when_another_one_is_wanted_at_once() {
    let place = Place::new().await;
    let (node, far) = after_a_wrong_clock(&place).await;
    let signs = node
        .admin("POST", "/admin/keys/rotate", json!({"now": true}))
        .await;
    assert_eq!(signs.json()["key_id"], *far);
    assert_eq!(states(&node), [Active, Previous]);
    place.wait(3600 - 900);
    node.tick().await;
    assert_eq!(states(&node), [Next, Active, Previous]);
}
