use std::time::Duration;

use doorward_store::{EndReason, GrantState, PageRequest, StoreError, UserId};
use uuid::Uuid;

use super::scene::{Opened, Scene, at, consent, person};

const IDLE: Duration = Duration::from_hours(1);

pub(crate) async fn a_person_reads_back_as_written(opened: Opened) {
    let store = opened.store;
    let mut written = person("Ada.Lovelace@Example.com");
    store.create_user(written.clone()).await.unwrap();
    assert_eq!(store.user(written.id).await.unwrap().as_ref(), Some(&written));
    written.password_hash = None;
    "ada@example.org".clone_into(&mut written.email);
    store.update_user(written.clone(), at(1)).await.unwrap();
    assert_eq!(
        store.user_by_email("ADA@example.org").await.unwrap().as_ref(),
        Some(&written)
    );
    assert_eq!(
        store.user_by_email("ada.lovelace@example.com").await.unwrap(),
        None
    );
    assert_eq!(
        store.update_user(person("x@example.org"), at(1)).await,
        Err(StoreError::NotFound)
    );
}

pub(crate) async fn an_email_address_is_unique_whatever_its_case(opened: Opened) {
    let store = opened.store;
    store.create_user(person("Ada@Example.com")).await.unwrap();
    assert_eq!(
        store.create_user(person("ada@example.COM")).await,
        Err(StoreError::Conflict)
    );
    let other = person("grace@example.com");
    store.create_user(other.clone()).await.unwrap();
    let mut thief = other;
    "ADA@example.com".clone_into(&mut thief.email);
    assert_eq!(
        store.update_user(thief.clone(), at(1)).await,
        Err(StoreError::Conflict)
    );
    assert_eq!(
        store.user(thief.id).await.unwrap().unwrap().email,
        "grace@example.com"
    );
}

pub(crate) async fn people_come_in_pages_by_id(opened: Opened) {
    let store = opened.store;
    let mut ids = Vec::new();
    for number in 0..7_u128 {
        let mut user = person(&format!("user{number}@example.com"));
        user.id = UserId(Uuid::from_u128(number + 1));
        ids.push(user.id);
        store.create_user(user).await.unwrap();
    }
    let first = store
        .users(PageRequest {
            after: None,
            limit: 3,
        })
        .await
        .unwrap();
    let second = store
        .users(PageRequest {
            after: first.next.clone(),
            limit: 3,
        })
        .await
        .unwrap();
    let last = store
        .users(PageRequest {
            after: second.next.clone(),
            limit: 3,
        })
        .await
        .unwrap();
    let seen: Vec<_> = [first.items, second.items, last.items]
        .concat()
        .into_iter()
        .map(|user| user.id)
        .collect();
    assert_eq!(seen, ids);
    assert_eq!(last.next, None);
}

pub(crate) async fn a_page_token_that_no_page_gave_is_invalid(opened: Opened) {
    let wrong = opened
        .store
        .users(PageRequest {
            after: Some("'; DROP TABLE".to_owned()),
            limit: 10,
        })
        .await;
    assert!(matches!(wrong, Err(StoreError::Invalid(_))));
}

pub(crate) async fn disabling_a_person_ends_sessions_and_grants(opened: Opened) {
    let scene = Scene::new(opened).await;
    let (active, pending) = (scene.active().await, scene.approved().await.grant.id);
    let mut user = scene.user.clone();
    user.disabled = true;
    scene.store.update_user(user.clone(), at(5)).await.unwrap();
    for id in [active, pending] {
        assert_eq!(scene.grant(id).await.end_reason, Some(EndReason::UserDisabled));
    }
    user.disabled = false;
    scene.store.update_user(user, at(6)).await.unwrap();
    assert_eq!(
        scene.store.session(&scene.session.id, IDLE, at(6)).await.unwrap(),
        None
    );
    assert_eq!(scene.state(active).await, GrantState::Ended);
}

pub(crate) async fn a_changed_password_ends_the_sessions_and_unredeemed_codes(opened: Opened) {
    let scene = Scene::new(opened).await;
    let (active, pending) = (scene.active().await, scene.approved().await.grant.id);
    let mut user = scene.user.clone();
    user.password_hash = Some("$argon2id$other".to_owned());
    scene.store.update_user(user, at(5)).await.unwrap();
    assert_eq!(
        scene.store.session(&scene.session.id, IDLE, at(6)).await.unwrap(),
        None
    );
    assert_eq!(scene.state(active).await, GrantState::Active);
    assert_eq!(
        scene.grant(pending).await.end_reason,
        Some(EndReason::SessionEnded)
    );
}

pub(crate) async fn another_name_ends_nothing(opened: Opened) {
    let scene = Scene::new(opened).await;
    let (active, pending) = (scene.active().await, scene.approved().await.grant.id);
    let mut user = scene.user.clone();
    "Countess Lovelace".clone_into(&mut user.name);
    scene.store.update_user(user, at(5)).await.unwrap();
    assert!(
        scene
            .store
            .session(&scene.session.id, IDLE, at(6))
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(scene.state(active).await, GrantState::Active);
    assert_eq!(scene.state(pending).await, GrantState::Pending);
}

pub(crate) async fn deleting_a_person_ends_everything(opened: Opened) {
    let scene = Scene::new(opened).await;
    let active = scene.active().await;
    let mut approval = scene.approval();
    approval.consent = Some(consent("fingerprint-1", "files:read", "https://app.example/cb"));
    scene.approve(&approval).await;
    scene.store.delete_user(scene.user.id, at(5)).await.unwrap();
    assert_eq!(scene.store.user(scene.user.id).await.unwrap(), None);
    assert_eq!(
        scene.store.session(&scene.session.id, IDLE, at(5)).await.unwrap(),
        None
    );
    assert_eq!(scene.consent().await, None);
    assert_eq!(scene.state(active).await, GrantState::Ended);
    assert_eq!(scene.state(approval.grant.id).await, GrantState::Ended);
    scene.store.delete_user(scene.user.id, at(6)).await.unwrap();
}
