//! A change of the master key.

use std::sync::Arc;

use doorward_server::StartError;
use doorward_server::config::Settings;
use doorward_server::context::Parts;
use doorward_server::keys::{KeyError, MasterKey, MasterKeyChange};
use doorward_server::maintenance;
use doorward_server::random::OsRandom;
use secrecy::SecretString;

use crate::nodes::{Node, Place};

/// The master keys, 32 bytes in base64url each.
const OLD: &str = "q7Xk2mVb9TzR4wLc8NfH3sYd6GjP1aEu0oiQZKBxM5s";
const NEW: &str = "Zs3Lp8VtYw1QnRb7KxJcMh0GfUe5iDoA2TzSk9BqXrE";

fn with(place: &Place, key: &str, other: Option<&str>) -> Settings {
    let mut settings = place.settings.clone();
    settings.keys.master_key = Some(key.into());
    settings.keys.other_master_key = other.map(SecretString::from);
    settings
}

fn key(text: &str) -> MasterKey {
    MasterKey::from_setting(&text.into(), "keys.master_key").unwrap()
}

/// A database with three signing keys and the server's secrets under the old master key; what it publishes.
async fn sealed_under_the_old(place: &Place) -> Vec<String> {
    let node = place.try_node(with(place, OLD, None)).await.unwrap();
    node.context.keys.rotate_now().await.unwrap();
    node.context.keys.rotate().await.unwrap();
    let published = node.published().await;
    assert_eq!(published.len(), 3);
    node.server.close().await.unwrap();
    published
}

async fn change(node: &Node, batch: u32) -> MasterKeyChange {
    let store = Arc::clone(&node.context.store);
    let random = Arc::new(OsRandom::default());
    let change = MasterKeyChange::begin(store, Arc::new(key(NEW).beside(key(OLD))), random).await;
    change.unwrap().in_batches_of(batch)
}

/// [KEY-008]: stopped after any number of steps, nodes with both keys serve, whichever is the first; the next run does
/// the rest.
#[tokio::test]
async fn a_change_that_is_stopped_anywhere_is_taken_up_again() {
    let place = Place::new().await;
    let published = sealed_under_the_old(&place).await;
    for steps in 0..6 {
        let node = place.try_node(with(&place, NEW, Some(OLD))).await.unwrap();
        assert_eq!(node.published().await, published);
        let mut change = change(&node, 1).await;
        for _ in 0..steps {
            change.step().await.unwrap();
        }
        drop(change);
        node.server.close().await.unwrap();
        let before = place.try_node(with(&place, OLD, Some(NEW))).await.unwrap();
        assert_eq!(before.published().await, published);
        before.server.close().await.unwrap();
    }
    let node = place.try_node(with(&place, NEW, None)).await.unwrap();
    assert_eq!(node.published().await, published);
}

/// What happens under the new key while it is changed is none of the change's business.
#[tokio::test]
async fn a_second_run_finds_nothing_to_do() {
    let place = Place::new().await;
    sealed_under_the_old(&place).await;
    let node = place.try_node(with(&place, NEW, Some(OLD))).await.unwrap();
    node.context.keys.rotate_now().await.unwrap();
    let mut first = change(&node, 2).await;
    let mut last = None;
    while let Some(resealed) = first.step().await.unwrap() {
        last = Some(resealed);
    }
    // Three keys, the root of the secrets and the mark of the admin key; rotating brought the waiting one forward.
    assert_eq!(last.map(|done| (done.seen, done.changed)), Some((5, 5)));
    let mut second = change(&node, 100).await;
    let mut changed = 0;
    while let Some(resealed) = second.step().await.unwrap() {
        changed = resealed.changed;
    }
    assert_eq!(changed, 0);
}

/// [KEY-008]: a wrong key changes nothing, and makes no key anew.
#[tokio::test]
async fn a_wrong_master_key_changes_nothing() {
    let place = Place::new().await;
    let published = sealed_under_the_old(&place).await;
    let wrong = place.try_node(with(&place, NEW, None)).await;
    let Err(StartError::Keys(KeyError::WrongMasterKey)) = wrong.map(drop) else {
        panic!("a wrong key was taken");
    };
    let node = place.try_node(with(&place, OLD, None)).await.unwrap();
    assert_eq!(node.published().await, published);
    let stored = node.context.store.signing_keys().await.unwrap();
    let random = Arc::new(OsRandom::default());
    let wrong = MasterKeyChange::begin(Arc::clone(&node.context.store), Arc::new(key(NEW)), random).await;
    assert!(matches!(wrong.map(drop), Err(KeyError::WrongMasterKey)));
    assert_eq!(node.context.store.signing_keys().await.unwrap(), stored);
}

/// What the look at the database says, the start says: one that has not every published key does not open it.
#[tokio::test]
async fn the_look_before_a_start_refuses_what_the_start_refuses() {
    let place = Place::new().await;
    let published = sealed_under_the_old(&place).await;
    let look = async |settings: &Settings| {
        let parts = Parts {
            clock: Arc::new(place.clock.clone()),
            random: Arc::new(OsRandom::default()),
        };
        maintenance::look(settings, &parts).await
    };
    let both = place.try_node(with(&place, NEW, Some(OLD))).await.unwrap();
    let mut change = change(&both, 1).await;
    change.step().await.unwrap();
    both.server.close().await.unwrap();
    // Some of the keys are under the new one now, all else under the old one.
    let half = with(&place, OLD, None);
    assert!(matches!(
        place.try_node(half.clone()).await.map(drop),
        Err(StartError::Keys(KeyError::WrongMasterKey))
    ));
    let looked = look(&half).await;
    let Err(StartError::Keys(error @ KeyError::WrongMasterKey)) = looked else {
        panic!("{looked:?}");
    };
    assert!(
        error
            .to_string()
            .contains("or the other key of a change of the master key that was not finished"),
        "{error}"
    );
    look(&with(&place, OLD, Some(NEW))).await.unwrap();
    // What was published once and is no more needs no key: it is none of the start's business either.
    let ring = &place.try_node(with(&place, OLD, Some(NEW))).await.unwrap();
    for key_id in published {
        let old = key(OLD);
        let record = ring.context.keys.statuses().into_iter();
        let record = record
            .map(|key| key.record)
            .find(|key| key.key_id == key_id)
            .unwrap();
        if !old.has_sealed(&format!("signing-key {key_id}"), &record.sealed_private_key) {
            ring.context.keys.revoke(&key_id).await.unwrap();
        }
    }
    ring.server.close().await.unwrap();
    look(&half).await.unwrap();
    place.try_node(half).await.unwrap();
}

/// [KEY-004]: on a node that has not got every master key.
#[tokio::test]
async fn a_withdrawn_key_goes_although_another_one_cannot_be_opened() {
    let place = Place::new().await;
    let node = place.try_node(with(&place, OLD, None)).await.unwrap();
    let keys = &node.context.keys;
    let stolen = node.published().await.remove(0);
    let kept = keys.rotate_now().await.unwrap().record.key_id;
    // What a node does that has the new master key.
    let mut unknown = keys.statuses()[0].record.clone();
    unknown.key_id = "sealed-elsewhere".to_owned();
    unknown.signs_from = unknown.signs_from + std::time::Duration::from_mins(15);
    let store = &node.context.store;
    let (spare, now) = (unknown.clone(), unknown.created_at);
    store.add_signing_key(unknown, Some(&kept)).await.unwrap();
    store
        .replace_signing_key(Some(&stolen), spare, now)
        .await
        .unwrap();

    assert_eq!(node.published().await, std::slice::from_ref(&kept));
    assert!(matches!(keys.reload().await, Err(KeyError::WrongMasterKey)));
    assert!(keys.verification_key(&stolen).is_none());
    assert_eq!(keys.signer().key_id(), kept);
}
