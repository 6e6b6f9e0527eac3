use doorward_store::{ApprovalOutcome, EndReason, GrantFilter, GrantState, PageRequest, RedeemOutcome};

use super::scene::{Opened, RESOURCE, Scene, at, resource};

const SECOND: &str = "https://mail.example/mcp";

async fn scene(opened: Opened) -> Scene {
    let scene = Scene::new(opened).await;
    scene
        .store
        .create_resource(resource("mail", SECOND))
        .await
        .unwrap();
    scene
}

async fn active(scene: &Scene) -> doorward_store::GrantId {
    let mut approval = scene.approval();
    approval.grant.more_resources = vec![SECOND.to_owned()];
    scene.approve(&approval).await;
    assert!(matches!(
        scene.redeem(&approval, at(0)).await,
        RedeemOutcome::Redeemed(grant) if grant.more_resources == [SECOND]
    ));
    approval.grant.id
}

pub(crate) async fn a_grant_on_several_resources_reads_back(opened: Opened) {
    let scene = scene(opened).await;
    let grant = scene.grant(active(&scene).await).await;
    assert_eq!(
        (grant.resource.as_str(), grant.more_resources),
        (RESOURCE, vec![SECOND.to_owned()])
    );
    assert_eq!(scene.rotated(grant.id, 1, at(1)).await, (2, false));
}

pub(crate) async fn removing_any_of_its_resources_ends_a_grant(opened: Opened) {
    let scene = scene(opened).await;
    let (several, one) = (active(&scene).await, scene.active().await);
    assert_eq!(scene.store.delete_resource("mail", at(1)).await, Ok(1));
    assert_eq!(
        scene.grant(several).await.end_reason,
        Some(EndReason::ResourceDeleted)
    );
    assert_eq!(scene.state(one).await, GrantState::Active);
}

pub(crate) async fn a_filter_finds_a_grant_by_each_of_its_resources(opened: Opened) {
    let scene = scene(opened).await;
    let several = active(&scene).await;
    for uri in [RESOURCE, SECOND] {
        let on = GrantFilter {
            resource: Some(uri.to_owned()),
            ..GrantFilter::default()
        };
        for filter in [
            on.clone(),
            GrantFilter {
                user: Some(scene.user.id),
                ..on.clone()
            },
            GrantFilter {
                id: Some(several),
                ..on
            },
        ] {
            let found = scene.store.grants(filter, PageRequest::default()).await.unwrap();
            assert_eq!(
                found.items.iter().map(|grant| grant.id).collect::<Vec<_>>(),
                [several],
                "{uri}"
            );
        }
    }
    let on_second = GrantFilter {
        resource: Some(SECOND.to_owned()),
        ..GrantFilter::default()
    };
    let ended = scene
        .store
        .revoke_grants(on_second, EndReason::RevokedByAdmin, at(1))
        .await;
    assert_eq!(ended, Ok(1));
}

pub(crate) async fn a_removed_second_resource_gets_no_approval(opened: Opened) {
    let scene = Scene::new(opened).await;
    let mut approval = scene.approval();
    approval.grant.more_resources = vec![SECOND.to_owned()];
    assert_eq!(scene.approve(&approval).await, ApprovalOutcome::ResourceGone);
    assert_eq!(scene.store.grant(approval.grant.id).await, Ok(None));
}
