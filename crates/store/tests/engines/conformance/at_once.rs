//! Engines do what comes at once together. What one asks for is no other's business: not what is refused, not what cannot
//! be done at all, and not who gets which answer.

use std::sync::Arc;
use std::time::Duration;

use doorward_store::{EndReason, GrantFilter, GrantState, RotateOutcome, StoreError};

use super::scene::{Opened, Scene, at, at_once, rotation};

pub(crate) async fn rotations_that_meet_are_answered_each_by_itself(opened: Opened) {
    const ROUNDS: usize = 10;
    let scene = Arc::new(Scene::new(opened).await);
    let used = rotation(scene.active().await, 1, at(10));
    assert!(matches!(
        scene.store.rotate_refresh(used.clone()).await,
        Ok(RotateOutcome::Rotated { .. })
    ));
    let mut asked = Vec::new();
    for _ in 0..ROUNDS {
        let (expired, ended, old) = (scene.active().await, scene.active().await, scene.active().await);
        for generation in 1..=3 {
            scene.rotated(old, generation, at(10)).await;
        }
        scene
            .store
            .revoke_grants(GrantFilter::one(ended), EndReason::RevokedByUser, at(10))
            .await
            .unwrap();
        let mut idle = rotation(expired, 1, at(20));
        idle.policy.idle_ttl = Duration::from_secs(15);
        // The id of a token that was issued before.
        let mut twice = rotation(scene.active().await, 1, at(20));
        twice.issuance.jti.clone_from(&used.issuance.jti);
        asked.extend([
            rotation(scene.active().await, 1, at(20)),
            idle,
            rotation(ended, 1, at(20)),
            rotation(old, 1, at(500)),
            rotation(scene.active().await, 2, at(20)),
            twice,
            rotation(scene.approval().grant.id, 1, at(20)),
            rotation(old, 4, at(20)),
        ]);
    }
    let all = Arc::new(asked.clone());
    let answers = at_once(asked.len(), |caller| {
        let (scene, all) = (Arc::clone(&scene), Arc::clone(&all));
        async move { scene.store.rotate_refresh(all[caller].clone()).await }
    })
    .await;
    for (asked, answers) in asked.chunks(8).zip(answers.chunks(8)) {
        let [of_present, _, _, of_old, _, of_twice, _, _] = asked else {
            panic!("{}", asked.len());
        };
        let [present, idle, ended, old, future, twice, unknown, next] = answers else {
            panic!("{}", answers.len());
        };
        let Ok(RotateOutcome::Rotated {
            grant,
            successor: 2,
            retry: false,
        }) = present
        else {
            panic!("{present:?}");
        };
        assert_eq!(**grant, scene.grant(of_present.grant).await);
        let recorded = scene.store.issuance(&of_present.issuance.jti).await.unwrap();
        assert_eq!(recorded.as_ref(), Some(&of_present.issuance));
        assert_eq!(*idle, Ok(RotateOutcome::Expired));
        assert_eq!(*ended, Ok(RotateOutcome::Ended));
        assert_eq!(*future, Ok(RotateOutcome::Unknown));
        assert_eq!(*twice, Err(StoreError::Conflict));
        assert_eq!(scene.grant(of_twice.grant).await.generation, 1);
        assert_eq!(*unknown, Ok(RotateOutcome::Unknown));
        // An old token ends its grant, before or after the present one is used.
        assert_eq!(*old, Ok(RotateOutcome::Reused));
        assert!(matches!(
            next,
            Ok(RotateOutcome::Ended | RotateOutcome::Rotated { successor: 5, .. })
        ));
        assert_eq!(scene.state(of_old.grant).await, GrantState::Ended);
        for (rotate, answer) in asked.iter().zip(answers) {
            let kept = scene.store.issuance(&rotate.issuance.jti).await.unwrap();
            // Under the id that was asked for twice the token of before stands.
            let is_there = matches!(answer, Ok(RotateOutcome::Rotated { .. })) || answer == twice;
            assert_eq!(kept.is_some(), is_there, "{answer:?}");
        }
    }
}

pub(crate) async fn grants_that_are_read_at_once_are_each_the_one_asked_for(opened: Opened) {
    let scene = Arc::new(Scene::new(opened).await);
    let mut grants = Vec::new();
    for _ in 0..5 {
        grants.push(scene.active().await);
        grants.push(scene.approval().grant.id);
    }
    let all = Arc::new(grants.clone());
    let found = at_once(100, |caller| {
        let (scene, all) = (Arc::clone(&scene), Arc::clone(&all));
        async move { scene.store.grant(all[caller % all.len()]).await.unwrap() }
    })
    .await;
    for (caller, found) in found.into_iter().enumerate() {
        let id = grants[caller % grants.len()];
        assert_eq!(found.map(|grant| grant.id), (caller % 2 == 0).then_some(id));
    }
}
