//! Rotation on one node, by schedule and by command.

use doorward_oauth::time::Clock as _;
use doorward_store::CLOCK_ERROR;
use http::StatusCode;
use serde_json::{Value, json};

use crate::nodes::{Node, Place, key_of};
use crate::support::log::Log;

const DAY: u64 = 86_400;

async fn keys(node: &Node) -> Vec<Value> {
    let listed = node.admin("GET", "/admin/keys", Value::Null).await.json();
    listed["items"].as_array().unwrap().clone()
}

async fn states(node: &Node) -> Vec<String> {
    let keys = keys(node).await;
    keys.iter()
        .map(|key| key["state"].as_str().unwrap().to_owned())
        .collect()
}

/// [KEY-003]: published first, and signing when everybody can know it.
#[tokio::test]
async fn a_new_key_is_published_before_it_signs() {
    let place = Place::new().await;
    let node = place.node().await;
    let program = node.program().await;
    let first = node.published().await;
    let reply = node.admin("POST", "/admin/keys/rotate", Value::Null).await;
    assert_eq!(reply.status, StatusCode::CREATED);
    let next = reply.json();
    assert_eq!(
        (&next["state"], &next["stops_at"]),
        (&json!("next"), &Value::Null)
    );
    assert_eq!(next["starts_at"], json!(place.clock.now().0 + 900));
    let second = next["key_id"].as_str().unwrap().to_owned();
    assert_eq!(node.published().await, [first[0].clone(), second.clone()]);
    assert_eq!(states(&node).await, ["next", "active"]);
    // Asked for again it is the same one.
    let again = node
        .admin("POST", "/admin/keys/rotate", json!({"now": false}))
        .await;
    assert_eq!(again.json()["key_id"], *second);

    place.wait(899);
    assert_eq!(key_of(&node.token(&program).await), first[0]);
    place.wait(1);
    assert_eq!(key_of(&node.token(&program).await), second);
    assert_eq!(states(&node).await, ["active", "previous"]);
    node.tick().await;
    assert_eq!(node.published().await, [second, first[0].clone()]);
}

/// [KEY-002]: as long as any token may live, whatever policies say; resource servers may be late, and this node's
/// clock ahead.
#[tokio::test]
async fn a_key_is_withdrawn_when_its_last_token_expired() {
    let place = Place::new().await;
    let node = place.node().await;
    node.context.keys.rotate_now().await.unwrap();
    let both = node.published().await;
    place.wait(DAY + 120 + CLOCK_ERROR.as_secs() - 1);
    node.context.keys.reload().await.unwrap();
    assert_eq!(node.published().await, both);
    place.wait(1);
    node.context.keys.reload().await.unwrap();
    assert_eq!(node.published().await, both[..1]);
}

/// Any number of keys may still have live tokens, as far as verifiers read.
#[tokio::test]
async fn every_key_of_the_last_day_stays_published() {
    let place = Place::new().await;
    let node = place.node().await;
    for _ in 0..30 {
        place.wait(3600);
        node.context.keys.rotate_now().await.unwrap();
    }
    let published = node.published().await;
    assert_eq!(
        published.len(),
        1 + 26,
        "those that stopped in the last 25 hours and 7 minutes"
    );
    let newest: Vec<String> = keys(&node).await[..27]
        .iter()
        .map(|key| key["key_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(published, newest);
}

/// [KEY-004]: withdrawn at once, and none of its tokens counts here any more.
#[tokio::test]
async fn a_revoked_key_and_its_tokens_end_at_once() {
    let place = Place::new().await;
    let node = place.node().await;
    let program = node.program().await;
    let stolen = node.published().await.remove(0);
    let token = node.token(&program).await;
    assert!(node.says_active(&program, &token).await);

    let reply = node
        .admin("POST", &format!("/admin/keys/{stolen}/revoke"), Value::Null)
        .await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    let signs = reply.json();
    assert_eq!(signs["state"], "active");
    let signs = signs["key_id"].as_str().unwrap().to_owned();
    assert_ne!(signs, stolen);
    assert_eq!(node.published().await, std::slice::from_ref(&signs));
    assert!(!node.says_active(&program, &token).await);
    let fresh = node.token(&program).await;
    assert_eq!(key_of(&fresh), signs);
    assert!(node.says_active(&program, &fresh).await);
    assert_eq!(states(&node).await, ["active", "revoked"]);

    let log = Log::start();
    let again = node
        .admin("POST", &format!("/admin/keys/{stolen}/revoke"), Value::Null)
        .await;
    assert_eq!(again.json()["key_id"], *signs, "nothing more happens");
    let mut warnings = log.lines();
    warnings.retain(|line| line["level"] == "WARN");
    assert_eq!(warnings, [] as [Value; 0]);
    let unknown = node
        .admin("POST", "/admin/keys/unknown/revoke", Value::Null)
        .await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert_eq!(keys(&node).await.len(), 2);
}

/// [KEY-004]: as another node does it, of which only the store tells.
#[tokio::test]
async fn a_key_that_was_withdrawn_in_the_store_signs_nothing_and_counts_for_nothing() {
    let place = Place::new().await;
    let node = place.node().await;
    let program = node.program().await;
    let stolen = node.published().await.remove(0);
    let token = node.token(&program).await;
    // Twice: the second answer comes from memory.
    assert!(node.says_active(&program, &token).await);
    assert!(node.says_active(&program, &token).await);
    let next = node.context.keys.rotate().await.unwrap().record;

    let mut spare = next.clone();
    spare.key_id = "spare".to_owned();
    let store = &node.context.store;
    let now = place.clock.now();
    store
        .replace_signing_key(Some(&stolen), spare, now)
        .await
        .unwrap();
    assert!(!node.says_active(&program, &token).await);
    let fresh = node.token(&program).await;
    assert_eq!(key_of(&fresh), next.key_id);
    assert!(node.says_active(&program, &fresh).await);
}

/// [KEY-004]: a node whose clock is ahead withdraws the key; here it is not yet that late.
#[tokio::test]
async fn what_follows_a_withdrawn_key_signs_at_once_also_where_the_clock_is_behind() {
    let place = Place::new().await;
    let node = place.node().await;
    let program = node.program().await;
    let retired = node.published().await.remove(0);
    place.wait(1800);
    let stolen = node.context.keys.rotate_now().await.unwrap().record.key_id;
    place.wait(600);
    let here = place.clock.now();
    place.wait(CLOCK_ERROR.as_secs());
    let fresh = node.context.keys.revoke(&stolen).await.unwrap().record.key_id;

    place.clock.set(here);
    node.tick().await;
    assert_eq!(key_of(&node.token(&program).await), fresh);
    assert_eq!(states(&node).await, ["active", "revoked", "previous"]);
    assert_eq!(node.published().await, [fresh.clone(), retired]);
    assert_eq!(node.context.keys.age(), std::time::Duration::ZERO);
    // It has its whole time before it, by any clock.
    place.wait(3600 - 900 - 1 + CLOCK_ERROR.as_secs());
    node.tick().await;
    assert_eq!(states(&node).await, ["active", "revoked", "previous"]);
    place.wait(1);
    node.tick().await;
    assert_eq!(states(&node).await, ["next", "active", "revoked", "previous"]);
}

/// [KEY-004]: also where the one that follows had begun at the node that withdrew, and not yet here.
#[tokio::test]
async fn a_key_that_signs_here_alone_is_followed_at_once_when_it_is_withdrawn() {
    let place = Place::new().await;
    let node = place.node().await;
    let program = node.program().await;
    place.wait(1800);
    let stolen = node.context.keys.rotate_now().await.unwrap().record.key_id;
    let next = node.context.keys.rotate().await.unwrap().record.key_id;
    let here = place.clock.now();
    place.wait(CLOCK_ERROR.as_secs());
    let signs = node.context.keys.revoke(&stolen).await.unwrap().record.key_id;
    assert_eq!(signs, next);
    place.clock.set(here);
    node.tick().await;
    assert_eq!(key_of(&node.token(&program).await), next);
}

/// [KEY-004]: the other way round, by a node whose clock is behind.
#[tokio::test]
async fn what_follows_a_withdrawn_key_signs_at_once_where_the_clock_is_ahead() {
    let place = Place::new().await;
    let node = place.node().await;
    let program = node.program().await;
    place.wait(2 * CLOCK_ERROR.as_secs());
    let stolen = node.context.keys.rotate_now().await.unwrap().record.key_id;
    let here = place.clock.now() + CLOCK_ERROR;
    let fresh = node.context.keys.revoke(&stolen).await.unwrap().record.key_id;
    place.clock.set(here);
    assert_eq!(key_of(&node.token(&program).await), fresh);
}

/// The one that waits is known to the most.
#[tokio::test]
async fn when_the_key_that_signs_is_revoked_the_next_one_signs() {
    let place = Place::new().await;
    let node = place.node().await;
    let stolen = node.published().await.remove(0);
    let next = node.context.keys.rotate().await.unwrap().record.key_id;
    node.context.keys.revoke(&stolen).await.unwrap();
    assert_eq!(node.published().await, std::slice::from_ref(&next));
    assert_eq!(node.context.keys.signer().key_id(), next);
    // And when the next one is revoked before its time, nothing else changes.
    let waiting = node.context.keys.rotate().await.unwrap().record.key_id;
    let signs = node.context.keys.revoke(&waiting).await.unwrap();
    assert_eq!(signs.record.key_id, next);
    assert_eq!(node.published().await, [next]);
}

/// [KEY-005]
#[tokio::test]
async fn keys_rotate_by_themselves_when_their_time_comes() {
    let place = Place::new().await;
    let node = place.node().await;
    place.wait(3600 - 900 - 1);
    node.tick().await;
    assert_eq!(states(&node).await, ["active"]);
    place.wait(1);
    node.tick().await;
    assert_eq!(states(&node).await, ["next", "active"]);
    node.tick().await;
    place.wait(900);
    node.tick().await;
    assert_eq!(states(&node).await, ["active", "previous"]);
    // A server that was away when a key was due makes the next one when it is back.
    place.wait(20 * 3600);
    node.tick().await;
    assert_eq!(states(&node).await, ["next", "active", "previous"]);
}

#[tokio::test]
async fn without_a_schedule_keys_stay() {
    let mut place = Place::new().await;
    place.settings.keys.rotation = doorward_server::config::Rotation::OFF;
    let node = place.node().await;
    place.wait(1000 * DAY);
    node.tick().await;
    assert_eq!(states(&node).await, ["active"]);
}

/// [CRASH-010]: whatever the clock says, some key signs.
#[tokio::test]
async fn a_clock_that_was_set_back_leaves_a_key_that_signs() {
    let place = Place::new().await;
    let node = place.node().await;
    let program = node.program().await;
    place
        .clock
        .set(doorward_store::UnixSeconds(place.clock.now().0 - 7200));
    let token = node.token(&program).await;
    assert_eq!([key_of(&token)], node.published().await[..]);
    node.tick().await;
    assert_eq!(node.published().await.len(), 1);
}

#[tokio::test]
async fn unknown_members_are_refused() {
    let place = Place::new().await;
    let node = place.node().await;
    for body in [json!({"at_once": true}), json!({"now": "yes"})] {
        let reply = node.admin("POST", "/admin/keys/rotate", body).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{reply:?}");
    }
    assert_eq!(states(&node).await, ["active"]);
}
