use std::sync::Arc;
use std::time::Duration;

use doorward_store::{
    Approval, CLOCK_ERROR, DeviceAuthorization, Digest, GrantState, PollOutcome, RedeemCode, RedeemOutcome,
    StoreError,
};

use super::scene::{APP, Opened, RESOURCE, Scene, at, at_once, digest, fresh, redemption, scopes};

pub(crate) fn device(user_code: Digest) -> DeviceAuthorization {
    DeviceAuthorization {
        digest: digest(20, fresh()),
        user_code,
        client_id: APP.to_owned(),
        resources: vec![RESOURCE.to_owned()],
        scopes: scopes("files:read"),
        fingerprint: "fingerprint-1".to_owned(),
        address: "192.0.2.1".to_owned(),
        wait: 5,
        denied: false,
        created_at: at(0),
        expires_at: at(600),
    }
}

async fn begun(scene: &Scene) -> DeviceAuthorization {
    let device = device(digest(21, fresh()));
    scene.store.begin_device(device.clone()).await.unwrap();
    device
}

async fn poll(scene: &Scene, device: &DeviceAuthorization, second: i64) -> PollOutcome {
    scene
        .store
        .poll_device(&device.digest, APP, 5, at(second))
        .await
        .unwrap()
}

fn approval_of(scene: &Scene, device: &DeviceAuthorization) -> Approval {
    let mut approval = scene.approval();
    approval.code.digest = device.digest;
    approval.code.redirect_uri = String::new();
    approval.code.expires_at = device.expires_at;
    approval
}

/// Approves a device: its code has the digest of the device code.
async fn approved(scene: &Scene, device: &DeviceAuthorization) -> RedeemCode {
    let approval = approval_of(scene, device);
    scene.approve(&approval).await;
    RedeemCode {
        replay_ends_grant: false,
        ..redemption(&approval, at(1))
    }
}

pub(crate) async fn a_device_reads_back_by_its_user_code(opened: Opened) {
    let scene = Scene::new(opened).await;
    let device = begun(&scene).await;
    let find = |code: Digest, second| {
        let store = Arc::clone(&scene.store);
        async move { store.device_by_user_code(&code, at(second)).await.unwrap() }
    };
    assert_eq!(find(device.user_code, 599).await, Some(device.clone()));
    assert_eq!(find(device.user_code, 600).await, None);
    assert_eq!(find(digest(22, fresh()), 1).await, None);
}

pub(crate) async fn a_user_code_is_free_again_when_it_expired(opened: Opened) {
    let scene = Scene::new(opened).await;
    let first = begun(&scene).await;
    let mut second = device(first.user_code);
    assert_eq!(
        scene.store.begin_device(second.clone()).await,
        Err(StoreError::Conflict)
    );
    second.created_at = at(600);
    second.expires_at = at(1200);
    scene.store.begin_device(second.clone()).await.unwrap();
    let found = scene.store.device_by_user_code(&first.user_code, at(601)).await;
    assert_eq!(found.unwrap(), Some(second));
}

pub(crate) async fn a_device_that_polls_too_soon_has_to_wait_longer(opened: Opened) {
    let scene = Scene::new(opened).await;
    let device = begun(&scene).await;
    for (second, expected) in [
        (1, PollOutcome::Pending),
        (6, PollOutcome::Pending),
        (8, PollOutcome::SlowDown),
        // Ten seconds from now on, less the one that rounding takes.
        (16, PollOutcome::SlowDown),
        (32, PollOutcome::Pending),
    ] {
        assert_eq!(poll(&scene, &device, second).await, expected, "second {second}");
    }
}

pub(crate) async fn polls_are_told_what_became_of_the_request(opened: Opened) {
    let scene = Scene::new(opened).await;
    let device = begun(&scene).await;
    let other = scene.store.poll_device(&device.digest, "other", 5, at(1)).await;
    assert_eq!(other, Ok(PollOutcome::Unknown));
    let unknown = scene.store.poll_device(&digest(23, fresh()), APP, 5, at(1)).await;
    assert_eq!(unknown, Ok(PollOutcome::Unknown));
    assert_eq!(poll(&scene, &device, 600).await, PollOutcome::Expired);
    assert_eq!(poll(&scene, &device, 599).await, PollOutcome::Pending);
}

pub(crate) async fn a_no_counts_until_somebody_says_yes(opened: Opened) {
    let scene = Scene::new(opened).await;
    let refused = begun(&scene).await;
    assert_eq!(scene.store.deny_device(&refused.digest, at(1)).await, Ok(true));
    assert_eq!(poll(&scene, &refused, 2).await, PollOutcome::Denied);
    let allowed = begun(&scene).await;
    approved(&scene, &allowed).await;
    assert_eq!(scene.store.deny_device(&allowed.digest, at(1)).await, Ok(false));
    let late = begun(&scene).await;
    assert_eq!(scene.store.deny_device(&late.digest, at(600)).await, Ok(false));
    // And the other way round: who was told "denied" may rely on it.
    let denied = begun(&scene).await;
    assert_eq!(scene.store.deny_device(&denied.digest, at(1)).await, Ok(true));
    let approval = approval_of(&scene, &denied);
    assert_eq!(scene.store.approve(approval).await, Err(StoreError::Conflict));
    assert_eq!(poll(&scene, &denied, 20).await, PollOutcome::Denied);
}

pub(crate) async fn of_fifty_answers_to_one_device_one_counts(opened: Opened) {
    let scene = Scene::new(opened).await;
    for _ in 0..4 {
        let device = begun(&scene).await;
        let answers = at_once(50, |number| {
            let store = Arc::clone(&scene.store);
            let (approval, digest) = (approval_of(&scene, &device), device.digest);
            async move {
                if number % 2 == 0 {
                    store.approve(approval).await.is_ok()
                } else {
                    store.deny_device(&digest, at(1)).await.unwrap()
                }
            }
        })
        .await;
        let count = |allowed: bool| {
            let those = answers
                .iter()
                .enumerate()
                .filter(|(number, counts)| **counts && (number % 2 == 0) == allowed);
            those.count()
        };
        let has_code = scene.store.code(&device.digest).await.unwrap().is_some();
        // A person may say no more than once.
        assert_eq!(count(true), usize::from(has_code));
        assert_eq!(count(false) == 0, has_code);
    }
}

/// DEV-008
pub(crate) async fn fifty_parallel_polls_get_one_token_and_the_grant_lives(opened: Opened) {
    let scene = Scene::new(opened).await;
    let device = begun(&scene).await;
    let redeem = approved(&scene, &device).await;
    let grant = redeem.issuance.grant;
    let answers = at_once(50, |number| {
        let (store, mut redeem) = (Arc::clone(&scene.store), redeem.clone());
        redeem.issuance.jti = format!("device-{}-{number}", grant.0);
        async move { store.redeem_code(redeem).await.unwrap() }
    })
    .await;
    let redeemed = answers
        .iter()
        .filter(|answer| matches!(answer, RedeemOutcome::Redeemed(_)));
    assert_eq!(redeemed.count(), 1);
    assert_eq!(scene.state(grant).await, GrantState::Active);
}

/// Who signs out of a shared computer right after the approval does not undo it; a code for a browser ends.
pub(crate) async fn a_session_that_ends_leaves_the_device_its_code(opened: Opened) {
    let scene = Scene::new(opened).await;
    let device = begun(&scene).await;
    let redeem = approved(&scene, &device).await;
    let of_browser = scene.approved().await;
    scene.store.end_session(&scene.session.id, at(1)).await.unwrap();
    assert_eq!(scene.state(of_browser.grant.id).await, GrantState::Ended);
    assert!(matches!(
        scene.store.redeem_code(redeem).await,
        Ok(RedeemOutcome::Redeemed(_))
    ));
}

pub(crate) async fn a_device_is_swept_after_its_time(opened: Opened) {
    let scene = Scene::new(opened).await;
    let device = begun(&scene).await;
    scene
        .store
        .sweep(at(601), Duration::from_secs(1000), 100)
        .await
        .unwrap();
    assert_eq!(poll(&scene, &device, 601).await, PollOutcome::Expired);
    scene
        .store
        .sweep(at(601) + CLOCK_ERROR, Duration::from_secs(1000), 100)
        .await
        .unwrap();
    assert_eq!(poll(&scene, &device, 601).await, PollOutcome::Unknown);
}
