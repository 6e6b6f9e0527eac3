use std::time::Duration;

use doorward_store::{EndReason, GrantState, RedeemOutcome, StoreError};

use super::scene::{Opened, Scene, at, person, session};

const IDLE: Duration = Duration::from_hours(1);

pub(crate) async fn a_session_reads_back_with_its_person(opened: Opened) {
    let scene = Scene::new(opened).await;
    let found = scene.store.session(&scene.session.id, IDLE, at(1)).await.unwrap();
    assert_eq!(found, Some((scene.session.clone(), scene.user.clone())));
    let mut other = scene.session.id;
    other[31] ^= 1;
    assert_eq!(scene.store.session(&other, IDLE, at(1)).await.unwrap(), None);
    assert_eq!(
        scene.store.create_session(scene.session.clone(), None).await,
        Err(StoreError::Conflict)
    );
}

pub(crate) async fn a_session_ends_when_idle_or_past_its_limit(opened: Opened) {
    let scene = Scene::new(opened).await;
    let id = scene.session.id;
    assert!(
        scene
            .store
            .session(&id, Duration::from_secs(30), at(31))
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        scene
            .store
            .session(&id, Duration::from_secs(30), at(30))
            .await
            .unwrap()
            .is_some()
    );
    let limit = 12 * 3600;
    assert!(
        scene
            .store
            .session(&id, Duration::MAX, at(limit - 1))
            .await
            .unwrap()
            .is_some()
    );
    assert!(
        scene
            .store
            .session(&id, Duration::MAX, at(limit))
            .await
            .unwrap()
            .is_none()
    );
}

pub(crate) async fn use_keeps_a_session_alive(opened: Opened) {
    let scene = Scene::new(opened).await;
    // A minute without use ends it, and no minute is without.
    for visit in 1..=180 {
        assert!(
            scene
                .store
                .session(&scene.session.id, Duration::from_mins(1), at(visit * 31))
                .await
                .unwrap()
                .is_some()
        );
        // The use is written behind the answer; the writer works in order.
        scene.store.ping().await.unwrap();
    }
    let (session, _) = scene
        .store
        .session(&scene.session.id, IDLE, at(180 * 31))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(session.last_seen_at, at(180 * 31));
}

pub(crate) async fn a_disabled_person_has_no_session(opened: Opened) {
    let scene = Scene::new(opened).await;
    let mut user = scene.user.clone();
    user.disabled = true;
    scene.store.update_user(user, at(1)).await.unwrap();
    assert_eq!(
        scene.store.session(&scene.session.id, IDLE, at(1)).await.unwrap(),
        None
    );
}

pub(crate) async fn a_new_session_ends_the_one_it_replaces(opened: Opened) {
    let scene = Scene::new(opened).await;
    let next = session(scene.user.id);
    scene
        .store
        .create_session(next.clone(), Some(scene.session.id))
        .await
        .unwrap();
    assert_eq!(
        scene.store.session(&scene.session.id, IDLE, at(1)).await.unwrap(),
        None
    );
    assert!(
        scene
            .store
            .session(&next.id, IDLE, at(1))
            .await
            .unwrap()
            .is_some()
    );
}

pub(crate) async fn nobody_signs_in_without_an_enabled_account(opened: Opened) {
    let scene = Scene::new(opened).await;
    let stranger = person("stranger@example.com");
    assert_eq!(
        scene.store.create_session(session(stranger.id), None).await,
        Err(StoreError::NotFound)
    );
    let mut user = scene.user.clone();
    user.disabled = true;
    scene.store.update_user(user.clone(), at(1)).await.unwrap();
    assert_eq!(
        scene.store.create_session(session(user.id), None).await,
        Err(StoreError::NotFound)
    );
}

pub(crate) async fn an_ended_session_takes_its_unredeemed_codes_along(opened: Opened) {
    let scene = Scene::new(opened).await;
    let (active, pending) = (scene.active().await, scene.approved().await);
    scene.store.end_session(&scene.session.id, at(5)).await.unwrap();
    scene.store.end_session(&scene.session.id, at(6)).await.unwrap();
    assert_eq!(
        scene.store.session(&scene.session.id, IDLE, at(6)).await.unwrap(),
        None
    );
    assert_eq!(
        scene.grant(pending.grant.id).await.end_reason,
        Some(EndReason::SessionEnded)
    );
    assert_eq!(
        scene.redeem(&pending, at(7)).await,
        RedeemOutcome::Refused(GrantState::Ended)
    );
    assert_eq!(scene.state(active).await, GrantState::Active);
}
