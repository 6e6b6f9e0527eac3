use std::sync::Arc;
use std::time::Duration;

use doorward_store::{ClientSource, EndReason, Grant, GrantState, RotateOutcome, StoreError};

use super::scene::{APP, Opened, POLICY, Scene, at, at_once, client, redemption, rotation};

const DAY: i64 = 86_400;

pub(crate) async fn the_current_generation_moves_on(opened: Opened) {
    let scene = Scene::new(opened).await;
    let id = scene.active().await;
    for generation in 1..=40_u32 {
        let now = at(i64::from(generation) * 600);
        let RotateOutcome::Rotated {
            grant,
            successor,
            retry,
        } = scene.rotate(id, generation, now).await
        else {
            panic!("generation {generation} does not rotate");
        };
        assert_eq!((successor, retry), (generation + 1, false));
        assert_eq!(
            (grant.generation, grant.generation_at, grant.last_used_at),
            (generation + 1, now, now)
        );
        assert_eq!(scene.grant(id).await, *grant);
    }
}

pub(crate) async fn a_lost_answer_gets_the_same_successor_at_any_time(opened: Opened) {
    let scene = Scene::new(opened).await;
    let id = scene.active().await;
    assert_eq!(scene.rotated(id, 1, at(10)).await, (2, false));
    for later in [10, 11, 200, 29 * DAY] {
        assert_eq!(scene.rotated(id, 1, at(later)).await, (2, true));
    }
    assert_eq!(scene.rotated(id, 2, at(29 * DAY)).await, (3, false));
}

pub(crate) async fn an_older_token_inside_the_window_gets_its_old_successor(opened: Opened) {
    let scene = Scene::new(opened).await;
    let id = scene.active().await;
    for generation in 1..=5 {
        assert_eq!(
            scene
                .rotated(id, generation, at(i64::from(generation) * 10))
                .await,
            (generation + 1, false)
        );
    }
    // Generation 1 was superseded at 10, 2 at 20, 3 at 30.
    assert_eq!(scene.rotated(id, 1, at(130)).await, (2, true));
    assert_eq!(scene.rotated(id, 2, at(140)).await, (3, true));
    assert_eq!(scene.rotated(id, 3, at(140)).await, (4, true));
    assert_eq!(scene.rotated(id, 6, at(140)).await, (7, false));
}

pub(crate) async fn an_older_token_outside_the_window_ends_the_grant(opened: Opened) {
    let scene = Scene::new(opened).await;
    let id = scene.active().await;
    scene.rotated(id, 1, at(10)).await;
    scene.rotated(id, 2, at(20)).await;
    assert_eq!(scene.rotate(id, 1, at(131)).await, RotateOutcome::Reused);
    let grant = scene.grant(id).await;
    assert_eq!(
        (grant.end_reason, grant.ended_at),
        (Some(EndReason::RefreshTokenReused), Some(at(131)))
    );
    for generation in 1..=4 {
        assert_eq!(scene.rotate(id, generation, at(132)).await, RotateOutcome::Ended);
    }
}

pub(crate) async fn without_a_window_an_older_token_ends_the_grant(opened: Opened) {
    let scene = Scene::new(opened).await;
    let id = scene.active().await;
    for generation in 1..=2 {
        let mut rotate = rotation(id, generation, at(10));
        rotate.policy.retry_window = Duration::ZERO;
        assert!(matches!(
            scene.store.rotate_refresh(rotate).await,
            Ok(RotateOutcome::Rotated { retry: false, .. })
        ));
    }
    let mut old = rotation(id, 1, at(10));
    old.policy.retry_window = Duration::ZERO;
    assert_eq!(scene.store.rotate_refresh(old).await, Ok(RotateOutcome::Reused));
}

pub(crate) async fn fifty_parallel_callers_get_one_successor(opened: Opened) {
    let scene = Arc::new(Scene::new(opened).await);
    let id = scene.active().await;
    for generation in 1..=10 {
        let answers = at_once(50, |_| {
            let scene = Arc::clone(&scene);
            async move { scene.rotated(id, generation, at(10)).await }
        })
        .await;
        assert!(answers.iter().all(|(successor, _)| *successor == generation + 1));
        assert_eq!(answers.iter().filter(|(_, retry)| !retry).count(), 1);
        assert_eq!(scene.grant(id).await.generation, generation + 1);
    }
    assert_eq!(scene.state(id).await, GrantState::Active);
}

pub(crate) async fn a_use_rotates_the_grant_that_it_looked_at(opened: Opened) {
    let scene = Scene::new(opened).await;
    let id = scene.active().await;
    for generation in 1..=3 {
        let rotate = rotation(id, generation, at(i64::from(generation) * 10));
        let recorded = rotate.issuance.clone();
        let before = scene.grant(id).await;
        let used = scene.store.use_refresh(
            id,
            Box::new(move |grant| {
                // The rest may be older than the database.
                let looked_at = |grant: &Grant| Grant {
                    generation: 0,
                    generation_at: at(0),
                    last_used_at: at(0),
                    ..grant.clone()
                };
                assert_eq!(looked_at(grant), looked_at(&before));
                Some(rotate)
            }),
        );
        let Ok(Some(RotateOutcome::Rotated {
            grant,
            successor,
            retry,
        })) = used.await
        else {
            panic!("generation {generation} does not rotate");
        };
        assert_eq!((successor, retry), (generation + 1, false));
        assert_eq!(scene.grant(id).await, *grant);
        let found = scene.store.issuance(&recorded.jti).await.unwrap();
        assert_eq!(found, Some(recorded));
    }
    // What rotate_refresh refuses, a use is refused too, and an old generation ends the grant.
    let mut outcomes = Vec::new();
    for (generation, now) in [(9, 40), (1, 500), (4, 501)] {
        let decide = Box::new(move |_: &_| Some(rotation(id, generation, at(now))));
        outcomes.push(scene.store.use_refresh(id, decide).await.unwrap().unwrap());
    }
    assert_eq!(
        outcomes,
        [
            RotateOutcome::Unknown,
            RotateOutcome::Reused,
            RotateOutcome::Ended
        ]
    );
    assert_eq!(
        scene.grant(id).await.end_reason,
        Some(EndReason::RefreshTokenReused)
    );
}

pub(crate) async fn a_use_that_wants_nothing_changes_nothing(opened: Opened) {
    let scene = Scene::new(opened).await;
    let id = scene.active().await;
    let before = scene.grant(id).await;
    assert_eq!(scene.store.use_refresh(id, Box::new(|_| None)).await, Ok(None));
    let nowhere = scene.approval().grant.id;
    let unasked = Box::new(|_: &_| panic!("there is no such grant"));
    assert_eq!(scene.store.use_refresh(nowhere, unasked).await, Ok(None));
    let mut incoherent = rotation(id, 1, at(5));
    incoherent.issuance.grant = nowhere;
    let incoherent = Box::new(move |_: &_| Some(incoherent));
    assert!(matches!(
        scene.store.use_refresh(id, incoherent).await,
        Err(StoreError::Invalid(_))
    ));
    assert_eq!(scene.grant(id).await, before);
}

pub(crate) async fn a_use_rotates_no_other_grant(opened: Opened) {
    let scene = Scene::new(opened).await;
    let (id, other) = (scene.active().await, scene.active().await);
    let before = (scene.grant(id).await, scene.grant(other).await);
    let of_another = rotation(other, 1, at(5));
    let jti = of_another.issuance.jti.clone();
    let used = scene
        .store
        .use_refresh(id, Box::new(move |_: &_| Some(of_another)))
        .await;
    assert!(matches!(used, Err(StoreError::Invalid(_))), "{used:?}");
    assert_eq!((scene.grant(id).await, scene.grant(other).await), before);
    assert_eq!(scene.store.issuance(&jti).await, Ok(None));
}

pub(crate) async fn fifty_parallel_uses_get_one_successor(opened: Opened) {
    let scene = Arc::new(Scene::new(opened).await);
    let id = scene.active().await;
    for generation in 1..=5 {
        let answers = at_once(50, |_| {
            let scene = Arc::clone(&scene);
            async move {
                let decide = Box::new(move |_: &_| Some(rotation(id, generation, at(10))));
                match scene.store.use_refresh(id, decide).await {
                    Ok(Some(RotateOutcome::Rotated { successor, retry, .. })) => (successor, retry),
                    other => panic!("{other:?}"),
                }
            }
        })
        .await;
        assert!(answers.iter().all(|(successor, _)| *successor == generation + 1));
        assert_eq!(answers.iter().filter(|(_, retry)| !retry).count(), 1);
        assert_eq!(scene.grant(id).await.generation, generation + 1);
    }
}

pub(crate) async fn unknown_generations_change_nothing(opened: Opened) {
    let scene = Scene::new(opened).await;
    let id = scene.active().await;
    let before = scene.grant(id).await;
    for generation in [0, 2, 3, u32::MAX] {
        assert_eq!(scene.rotate(id, generation, at(5)).await, RotateOutcome::Unknown);
    }
    assert_eq!(scene.grant(id).await, before);
    let nowhere = scene.approval().grant.id;
    assert_eq!(scene.rotate(nowhere, 1, at(5)).await, RotateOutcome::Unknown);
    for (rotated, recorded) in [(id, nowhere), (nowhere, id)] {
        let mut other = rotation(rotated, 1, at(5));
        other.issuance.grant = recorded;
        assert!(matches!(
            scene.store.rotate_refresh(other).await,
            Err(StoreError::Invalid(_))
        ));
    }
}

pub(crate) async fn an_idle_grant_expires(opened: Opened) {
    let scene = Scene::new(opened).await;
    let id = scene.active().await;
    assert_eq!(
        scene.rotate(id, 1, at(30 * DAY + 1)).await,
        RotateOutcome::Expired
    );
    assert_eq!(scene.rotated(id, 1, at(30 * DAY)).await, (2, false));
    assert_eq!(scene.rotated(id, 2, at(60 * DAY)).await, (3, false));
}

pub(crate) async fn the_absolute_end_cannot_be_rotated_away(opened: Opened) {
    let scene = Scene::new(opened).await;
    let id = scene.active().await;
    let mut generation = 1;
    for day in (10..90).step_by(10) {
        generation = scene.rotated(id, generation, at(day * DAY)).await.0;
    }
    assert_eq!(
        scene.rotate(id, generation, at(90 * DAY)).await,
        RotateOutcome::Expired
    );
    assert_eq!(
        scene.rotated(id, generation, at(90 * DAY - 1)).await,
        (generation + 1, false)
    );
    assert_eq!(
        scene.rotate(id, generation, at(90 * DAY)).await,
        RotateOutcome::Expired
    );
    assert_eq!(
        scene.grant(id).await.refresh_expires_at,
        Some(at(0) + POLICY.absolute_ttl)
    );
}

pub(crate) async fn a_grant_without_refresh_tokens_cannot_rotate(opened: Opened) {
    let scene = Scene::new(opened).await;
    let approval = scene.approved().await;
    assert_eq!(
        scene.rotate(approval.grant.id, 1, at(1)).await,
        RotateOutcome::Unknown
    );
    let mut redemption = redemption(&approval, at(1));
    redemption.refresh = None;
    scene.store.redeem_code(redemption).await.unwrap();
    for generation in [0, 1] {
        assert_eq!(
            scene.rotate(approval.grant.id, generation, at(1)).await,
            RotateOutcome::Unknown
        );
    }
}

pub(crate) async fn a_refresh_is_refused_when_person_client_or_resource_is_gone(opened: Opened) {
    let scene = Scene::new(opened).await;
    let id = scene.active().await;
    scene.store.delete_resource("files", at(1)).await.unwrap();
    assert_eq!(scene.rotate(id, 1, at(2)).await, RotateOutcome::Ended);
}

pub(crate) async fn a_disabled_client_may_come_back(opened: Opened) {
    let scene = Scene::new(opened).await;
    let id = scene.active().await;
    let mut disabled = client(APP, ClientSource::Dynamic);
    disabled.disabled = true;
    scene.store.update_client(disabled).await.unwrap();
    assert_eq!(scene.rotate(id, 1, at(2)).await, RotateOutcome::Ended);
    scene
        .store
        .update_client(client(APP, ClientSource::Dynamic))
        .await
        .unwrap();
    assert_eq!(scene.rotated(id, 1, at(3)).await, (2, false));
}

pub(crate) async fn a_clock_that_went_back_neither_revives_nor_kills(opened: Opened) {
    let scene = Scene::new(opened).await;
    let id = scene.active().await;
    assert_eq!(scene.rotated(id, 1, at(5000)).await, (2, false));
    // One hour back: the current token rotates, and the spent one starts no second line.
    assert_eq!(scene.rotated(id, 2, at(1400)).await, (3, false));
    assert_eq!(scene.grant(id).await.generation_at, at(5000));
    assert_eq!(scene.rotated(id, 1, at(1401)).await, (2, true));
    assert_eq!(scene.grant(id).await.generation, 3);
    // Ten years back, one rotation, and the right time again: neither idle nor reused.
    assert_eq!(scene.rotated(id, 3, at(-3650 * DAY)).await, (4, false));
    assert_eq!(scene.rotated(id, 4, at(5010)).await, (5, false));
    assert_eq!(scene.grant(id).await.last_used_at, at(5010));
    // And the spent ones are spent for good.
    assert_eq!(scene.rotate(id, 1, at(5121)).await, RotateOutcome::Reused);
}

pub(crate) async fn reuse_long_ago_is_still_noticed(opened: Opened) {
    let scene = Scene::new(opened).await;
    let id = scene.active().await;
    for generation in 1..=30 {
        scene.rotated(id, generation, at(i64::from(generation))).await;
    }
    // Inside the window by time, but more generations back than are remembered.
    assert_eq!(scene.rotate(id, 1, at(31)).await, RotateOutcome::Reused);
}

pub(crate) async fn every_answer_records_its_token(opened: Opened) {
    let scene = Scene::new(opened).await;
    let id = scene.active().await;
    for (generation, now) in [(1, 10), (1, 11), (2, 12)] {
        let rotate = rotation(id, generation, at(now));
        let expected = rotate.issuance.clone();
        scene.store.rotate_refresh(rotate).await.unwrap();
        assert_eq!(scene.store.issuance(&expected.jti).await.unwrap(), Some(expected));
        assert_eq!(scene.grant(id).await.last_used_at, at(now));
    }
    let refused = rotation(id, 9, at(13));
    let jti = refused.issuance.jti.clone();
    scene.store.rotate_refresh(refused).await.unwrap();
    assert_eq!(scene.store.issuance(&jti).await.unwrap(), None);
}
