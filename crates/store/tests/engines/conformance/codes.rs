use std::sync::Arc;

use doorward_store::{
    ClientSource, EndReason, GrantFilter, GrantState, RedeemOutcome, RotateOutcome, StoreError,
};

use super::scene::{APP, Opened, POLICY, Scene, at, at_once, client, digest, issuance, redemption};

pub(crate) async fn a_code_is_redeemed_once_and_its_token_recorded(opened: Opened) {
    let scene = Scene::new(opened).await;
    let approval = scene.approved().await;
    let redemption = redemption(&approval, at(5));
    let RedeemOutcome::Redeemed(grant) = scene.store.redeem_code(redemption.clone()).await.unwrap() else {
        panic!("not redeemed");
    };
    assert_eq!(grant.state, GrantState::Active);
    assert_eq!((grant.generation, grant.generation_at), (1, at(5)));
    assert_eq!(grant.refresh_expires_at, Some(at(5) + POLICY.absolute_ttl));
    assert_eq!(grant.last_used_at, at(5));
    let (code, stored) = scene.store.code(&approval.code.digest).await.unwrap().unwrap();
    assert_eq!(code.redeemed_at, Some(at(5)));
    assert_eq!(stored, *grant);
    let recorded = scene.store.issuance(&redemption.issuance.jti).await.unwrap();
    assert_eq!(recorded, Some(redemption.issuance));
}

pub(crate) async fn the_keys_of_code_and_grant_are_kept(opened: Opened) {
    let scene = Scene::new(opened).await;
    let mut approval = scene.approval();
    approval.code.dpop_jkt = Some("thumbprint".to_owned());
    scene.approve(&approval).await;
    let (code, grant) = scene.store.code(&approval.code.digest).await.unwrap().unwrap();
    assert_eq!(
        (code.dpop_jkt.as_deref(), grant.dpop_jkt),
        (Some("thumbprint"), None)
    );
    let mut redemption = redemption(&approval, at(5));
    redemption.dpop_jkt = Some("another".to_owned());
    scene.store.redeem_code(redemption).await.unwrap();
    let bound = scene.grant(approval.grant.id).await;
    assert_eq!(bound.dpop_jkt.as_deref(), Some("another"));
    let RotateOutcome::Rotated { grant, .. } = scene.rotate(bound.id, 1, at(6)).await else {
        panic!("not rotated");
    };
    assert_eq!(grant.dpop_jkt.as_deref(), Some("another"));
}

pub(crate) async fn a_code_without_refresh_policy_gives_no_generation(opened: Opened) {
    let scene = Scene::new(opened).await;
    let approval = scene.approved().await;
    let mut redemption = redemption(&approval, at(5));
    redemption.refresh = None;
    let RedeemOutcome::Redeemed(grant) = scene.store.redeem_code(redemption).await.unwrap() else {
        panic!("not redeemed");
    };
    assert_eq!((grant.generation, grant.refresh_expires_at), (0, None));
}

pub(crate) async fn a_replayed_code_revokes_its_grant(opened: Opened) {
    let scene = Scene::new(opened).await;
    let approval = scene.approved().await;
    assert!(matches!(
        scene.redeem(&approval, at(1)).await,
        RedeemOutcome::Redeemed(_)
    ));
    // Long after its end it is still a replay.
    let replay = redemption(&approval, at(5000));
    assert_eq!(
        scene.store.redeem_code(replay.clone()).await.unwrap(),
        RedeemOutcome::Replayed
    );
    let grant = scene.grant(approval.grant.id).await;
    assert_eq!(
        (grant.state, grant.end_reason),
        (GrantState::Ended, Some(EndReason::CodeReplayed))
    );
    assert_eq!(scene.store.issuance(&replay.issuance.jti).await.unwrap(), None);
    assert_eq!(scene.redeem(&approval, at(5001)).await, RedeemOutcome::Replayed);
}

pub(crate) async fn fifty_parallel_redemptions_give_one_grant_which_then_ends(opened: Opened) {
    let scene = Arc::new(Scene::new(opened).await);
    for _ in 0..10 {
        let approval = Arc::new(scene.approved().await);
        let answers = at_once(50, |_| {
            let (scene, approval) = (Arc::clone(&scene), Arc::clone(&approval));
            async move { scene.redeem(&approval, at(1)).await }
        })
        .await;
        let redeemed = answers
            .iter()
            .filter(|answer| matches!(answer, RedeemOutcome::Redeemed(_)))
            .count();
        let replayed = answers
            .iter()
            .filter(|answer| **answer == RedeemOutcome::Replayed)
            .count();
        assert_eq!((redeemed, replayed), (1, 49));
        assert_eq!(
            scene.grant(approval.grant.id).await.end_reason,
            Some(EndReason::CodeReplayed)
        );
    }
}

pub(crate) async fn an_expired_code_is_refused(opened: Opened) {
    let scene = Scene::new(opened).await;
    let approval = scene.approved().await;
    assert_eq!(
        scene.redeem(&approval, at(60)).await,
        RedeemOutcome::Refused(GrantState::Pending)
    );
    assert!(matches!(
        scene.redeem(&approval, at(59)).await,
        RedeemOutcome::Redeemed(_)
    ));
}

pub(crate) async fn an_unknown_code_is_unknown(opened: Opened) {
    let scene = Scene::new(opened).await;
    let approval = scene.approval();
    assert_eq!(scene.redeem(&approval, at(1)).await, RedeemOutcome::Unknown);
    assert_eq!(scene.store.code(&digest(9, 9)).await.unwrap(), None);
    scene.store.burn_code(&digest(9, 9), at(1)).await.unwrap();
}

pub(crate) async fn a_code_is_refused_when_person_client_or_resource_is_gone(opened: Opened) {
    let scene = Scene::new(opened).await;
    let approval = scene.approved().await;
    let mut disabled = client(APP, ClientSource::Dynamic);
    disabled.disabled = true;
    scene.store.update_client(disabled).await.unwrap();
    assert_eq!(
        scene.redeem(&approval, at(1)).await,
        RedeemOutcome::Refused(GrantState::Pending)
    );
    scene
        .store
        .update_client(client(APP, ClientSource::Dynamic))
        .await
        .unwrap();

    scene.store.delete_user(scene.user.id, at(1)).await.unwrap();
    assert_eq!(
        scene.redeem(&approval, at(2)).await,
        RedeemOutcome::Refused(GrantState::Ended)
    );
}

pub(crate) async fn a_code_of_a_revoked_grant_is_refused(opened: Opened) {
    let scene = Scene::new(opened).await;
    let approval = scene.approved().await;
    let filter = GrantFilter::one(approval.grant.id);
    assert_eq!(
        scene
            .store
            .revoke_grants(filter, EndReason::RevokedByUser, at(1))
            .await,
        Ok(1)
    );
    assert_eq!(
        scene.redeem(&approval, at(2)).await,
        RedeemOutcome::Refused(GrantState::Ended)
    );
    assert_eq!(
        scene.grant(approval.grant.id).await.end_reason,
        Some(EndReason::RevokedByUser)
    );
}

pub(crate) async fn a_burned_code_is_refused_and_its_grant_ended(opened: Opened) {
    let scene = Scene::new(opened).await;
    let approval = scene.approved().await;
    scene.store.burn_code(&approval.code.digest, at(1)).await.unwrap();
    assert_eq!(
        scene.grant(approval.grant.id).await.end_reason,
        Some(EndReason::CodeBurned)
    );
    assert_eq!(
        scene.redeem(&approval, at(2)).await,
        RedeemOutcome::Refused(GrantState::Ended)
    );
}

pub(crate) async fn a_token_id_is_used_once(opened: Opened) {
    let scene = Scene::new(opened).await;
    let (first, second) = (scene.approved().await, scene.approved().await);
    let one = redemption(&first, at(1));
    scene.store.redeem_code(one.clone()).await.unwrap();
    let mut two = redemption(&second, at(1));
    two.issuance.jti = one.issuance.jti;
    assert_eq!(scene.store.redeem_code(two).await, Err(StoreError::Conflict));
    // Nothing of the failed redemption is left: the code still works.
    assert_eq!(scene.state(second.grant.id).await, GrantState::Pending);
    assert!(matches!(
        scene.redeem(&second, at(2)).await,
        RedeemOutcome::Redeemed(_)
    ));
}

pub(crate) async fn a_clock_that_went_back_does_not_revive_a_code(opened: Opened) {
    let scene = Scene::new(opened).await;
    let expired = scene.approved().await;
    assert_eq!(
        scene.redeem(&expired, at(-3600)).await,
        RedeemOutcome::Refused(GrantState::Pending)
    );
    // A small step is no reason to refuse.
    assert!(matches!(
        scene.redeem(&expired, at(-5)).await,
        RedeemOutcome::Redeemed(_)
    ));
    assert_eq!(scene.redeem(&expired, at(-3600)).await, RedeemOutcome::Replayed);
}

pub(crate) async fn a_token_for_another_grant_is_invalid(opened: Opened) {
    let scene = Scene::new(opened).await;
    let approval = scene.approved().await;
    let mut redemption = redemption(&approval, at(1));
    redemption.issuance = issuance(scene.active().await, at(1));
    assert!(matches!(
        scene.store.redeem_code(redemption).await,
        Err(StoreError::Invalid(_))
    ));
    assert_eq!(scene.state(approval.grant.id).await, GrantState::Pending);
}
