use std::sync::Arc;

use doorward_store::{
    ApprovalOutcome, ClientSource, EndReason, GrantFilter, GrantState, PageRequest, RotateOutcome,
};

use super::scene::{APP, Opened, RESOURCE, Scene, at, at_once, client, consent, redemption, resource};

pub(crate) async fn a_revoked_grant_rotates_no_more(opened: Opened) {
    let scene = Scene::new(opened).await;
    let (id, other) = (scene.active().await, scene.active().await);
    assert_eq!(
        scene
            .store
            .revoke_grants(GrantFilter::one(id), EndReason::RevokedByClient, at(5))
            .await,
        Ok(1)
    );
    assert_eq!(
        scene
            .store
            .revoke_grants(GrantFilter::one(id), EndReason::RevokedByClient, at(6))
            .await,
        Ok(0)
    );
    assert_eq!(scene.rotate(id, 1, at(6)).await, RotateOutcome::Ended);
    assert_eq!(scene.rotated(other, 1, at(6)).await, (2, false));
}

pub(crate) async fn after_a_revocation_answered_no_rotation_succeeds(opened: Opened) {
    let scene = Arc::new(Scene::new(opened).await);
    for _ in 0..20 {
        let id = scene.active().await;
        let answers = at_once(51, |caller| {
            let scene = Arc::clone(&scene);
            async move {
                if caller == 25 {
                    let revoked = scene
                        .store
                        .revoke_grants(GrantFilter::one(id), EndReason::RevokedByClient, at(5))
                        .await;
                    assert_eq!(revoked, Ok(1));
                    // Answered: whatever comes now is refused.
                    assert_eq!(scene.rotate(id, 1, at(5)).await, RotateOutcome::Ended);
                    assert_eq!(scene.rotate(id, 2, at(5)).await, RotateOutcome::Ended);
                    return true;
                }
                matches!(
                    scene.rotate(id, 1, at(5)).await,
                    RotateOutcome::Rotated { .. } | RotateOutcome::Ended
                )
            }
        })
        .await;
        assert!(answers.into_iter().all(|fine| fine));
        assert_eq!(scene.state(id).await, GrantState::Ended);
    }
}

pub(crate) async fn filters_choose_the_grants_to_end(opened: Opened) {
    let scene = Scene::new(opened).await;
    scene
        .store
        .create_client(client("other", ClientSource::Admin))
        .await
        .unwrap();
    scene
        .store
        .create_resource(resource("mail", "https://mail.example/"))
        .await
        .unwrap();
    let mut ids = Vec::new();
    for (client_id, uri) in [
        (APP, RESOURCE),
        (APP, "https://mail.example/"),
        ("other", RESOURCE),
    ] {
        let approval = scene.approval_of(client_id, uri);
        scene.approve(&approval).await;
        ids.push(approval.grant.id);
    }
    let revoke = |filter| {
        scene
            .store
            .revoke_grants(filter, EndReason::RevokedByAdmin, at(5))
    };
    let nobody = GrantFilter {
        user: Some(doorward_store::UserId(uuid::Uuid::nil())),
        ..GrantFilter::default()
    };
    assert_eq!(revoke(nobody).await, Ok(0));
    let active = GrantFilter {
        state: Some(GrantState::Active),
        ..GrantFilter::default()
    };
    assert_eq!(revoke(active).await, Ok(0));
    let both = GrantFilter {
        client_id: Some(APP.to_owned()),
        resource: Some(RESOURCE.to_owned()),
        ..GrantFilter::default()
    };
    assert_eq!(revoke(both).await, Ok(1));
    assert_eq!(scene.state(ids[0]).await, GrantState::Ended);
    let on_resource = GrantFilter {
        resource: Some(RESOURCE.to_owned()),
        ..GrantFilter::default()
    };
    assert_eq!(revoke(on_resource).await, Ok(1));
    assert_eq!(scene.state(ids[1]).await, GrantState::Pending);
    assert_eq!(revoke(GrantFilter::default()).await, Ok(1));
    assert_eq!(scene.state(ids[1]).await, GrantState::Ended);
}

pub(crate) async fn an_ended_grant_keeps_its_first_reason(opened: Opened) {
    let scene = Scene::new(opened).await;
    let id = scene.active().await;
    scene
        .store
        .revoke_grants(GrantFilter::one(id), EndReason::RevokedByUser, at(5))
        .await
        .unwrap();
    scene.store.delete_client(APP, at(6)).await.unwrap();
    let grant = scene.grant(id).await;
    assert_eq!(
        (grant.end_reason, grant.ended_at),
        (Some(EndReason::RevokedByUser), Some(at(5)))
    );
}

pub(crate) async fn a_person_who_revokes_is_asked_again(opened: Opened) {
    let scene = Scene::new(opened).await;
    for (reason, remembered) in [
        (EndReason::RevokedByClient, true),
        (EndReason::RevokedByUser, false),
        (EndReason::RevokedByAdmin, false),
    ] {
        let mut approval = scene.approval();
        approval.consent = Some(consent("fingerprint-1", "files:read", "https://app.example/cb"));
        assert!(matches!(
            scene.approve(&approval).await,
            ApprovalOutcome::Approved(_)
        ));
        scene
            .store
            .revoke_grants(GrantFilter::one(approval.grant.id), reason, at(5))
            .await
            .unwrap();
        assert_eq!(scene.consent().await.is_some(), remembered, "{reason:?}");
    }
}

pub(crate) async fn one_token_can_be_revoked_alone(opened: Opened) {
    let scene = Scene::new(opened).await;
    let approval = scene.approved().await;
    let redemption = redemption(&approval, at(1));
    let jti = redemption.issuance.jti.clone();
    scene.store.redeem_code(redemption).await.unwrap();
    assert_eq!(scene.store.revoke_issuance(&jti, at(2)).await, Ok(true));
    assert_eq!(scene.store.revoke_issuance(&jti, at(3)).await, Ok(true));
    assert_eq!(scene.store.revoke_issuance("nobody's", at(3)).await, Ok(false));
    assert_eq!(
        scene.store.issuance(&jti).await.unwrap().unwrap().revoked_at,
        Some(at(2))
    );
    assert_eq!(scene.state(approval.grant.id).await, GrantState::Active);
}

pub(crate) async fn grants_come_in_pages_newest_first(opened: Opened) {
    let scene = Scene::new(opened).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(scene.approved().await.grant.id);
    }
    scene
        .store
        .revoke_grants(GrantFilter::one(ids[2]), EndReason::RevokedByUser, at(5))
        .await
        .unwrap();
    ids.reverse();
    let user = GrantFilter {
        user: Some(scene.user.id),
        ..GrantFilter::default()
    };
    let client = GrantFilter {
        client_id: Some(APP.to_owned()),
        ..GrantFilter::default()
    };
    let on_resource = GrantFilter {
        resource: Some(RESOURCE.to_owned()),
        ..GrantFilter::default()
    };
    for filter in [user, client, on_resource, GrantFilter::default()] {
        let first = scene
            .store
            .grants(
                filter.clone(),
                PageRequest {
                    after: None,
                    limit: 3,
                },
            )
            .await
            .unwrap();
        let last = scene
            .store
            .grants(
                filter,
                PageRequest {
                    after: first.next.clone(),
                    limit: 3,
                },
            )
            .await
            .unwrap();
        let seen: Vec<_> = [first.items, last.items]
            .concat()
            .into_iter()
            .map(|grant| grant.id)
            .collect();
        assert_eq!(seen, ids);
        assert_eq!(last.next, None);
    }
    let pending = GrantFilter {
        state: Some(GrantState::Pending),
        ..GrantFilter::default()
    };
    assert_eq!(
        scene
            .store
            .grants(pending, PageRequest::default())
            .await
            .unwrap()
            .items
            .len(),
        4
    );
    let one = scene
        .store
        .grants(GrantFilter::one(ids[0]), PageRequest::default())
        .await
        .unwrap();
    assert_eq!((one.items.len(), one.next), (1, None));
}
