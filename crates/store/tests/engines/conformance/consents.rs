//! What people allowed before, and when it is forgotten.

use std::sync::Arc;

use doorward_store::{
    ApprovalOutcome, ClientSource, EndReason, GrantFilter, GrantState, PageRequest, Session, UserId,
};

use super::scene::{APP, Opened, RESOURCE, Scene, at, at_once, client, consent, person, resource, session};

const OTHER: &str = "other";
const MAIL: &str = "https://mail.example/";
const FINGERPRINT: &str = "fingerprint-1";

async fn revoke(scene: &Scene, filter: GrantFilter) -> u64 {
    let reason = EndReason::RevokedByAdmin;
    scene.store.revoke_grants(filter, reason, at(5)).await.unwrap()
}

/// Allows it, and the grant ends by the client's own hand: only what is remembered is left.
async fn remember(scene: &Scene, person: (UserId, &Session), client_id: &str, uri: &str) {
    let mut approval = scene.approval_of(client_id, uri);
    approval.grant.user = person.0;
    approval.session = person.1.id;
    approval.consent = Some(consent(FINGERPRINT, "files:read", "http://127.0.0.1/cb"));
    assert!(matches!(
        scene.approve(&approval).await,
        ApprovalOutcome::Approved(_)
    ));
    let ended = scene.store.revoke_grants(
        GrantFilter::one(approval.grant.id),
        EndReason::RevokedByClient,
        at(1),
    );
    assert_eq!(ended.await, Ok(1));
}

/// Two people, two clients, two resources, and everybody allowed everything.
async fn remembered(scene: &Scene) -> UserId {
    scene
        .store
        .create_client(client(OTHER, ClientSource::Admin))
        .await
        .unwrap();
    scene.store.create_resource(resource("mail", MAIL)).await.unwrap();
    let somebody = person("somebody@example.com");
    let theirs = session(somebody.id);
    scene.store.create_user(somebody.clone()).await.unwrap();
    scene.store.create_session(theirs.clone(), None).await.unwrap();
    for who in [(scene.user.id, &scene.session), (somebody.id, &theirs)] {
        for client_id in [APP, OTHER] {
            for uri in [RESOURCE, MAIL] {
                remember(scene, who, client_id, uri).await;
            }
        }
    }
    somebody.id
}

pub(crate) async fn what_an_operator_ends_is_forgotten_also_where_no_grant_lives(opened: Opened) {
    let scene = Scene::new(opened).await;
    let somebody = remembered(&scene).await;
    let me = scene.user.id;
    let filter = |user: Option<UserId>, client_id: Option<&str>, resource: Option<&str>| GrantFilter {
        user,
        client_id: client_id.map(str::to_owned),
        resource: resource.map(str::to_owned),
        ..GrantFilter::default()
    };
    let mut left: Vec<(UserId, &str, &str)> = Vec::new();
    for user in [me, somebody] {
        left.extend([
            (user, APP, RESOURCE),
            (user, APP, MAIL),
            (user, OTHER, RESOURCE),
            (user, OTHER, MAIL),
        ]);
    }
    for which in [
        filter(Some(me), Some(APP), Some(MAIL)),
        filter(Some(somebody), None, Some(RESOURCE)),
        filter(None, Some(OTHER), Some(RESOURCE)),
        filter(Some(me), None, None),
        filter(None, Some(APP), None),
        filter(None, None, Some(MAIL)),
    ] {
        assert_eq!(revoke(&scene, which.clone()).await, 0, "{which:?}");
        left.retain(|(user, client_id, uri)| {
            which.user.is_some_and(|wanted| wanted != *user)
                || which
                    .client_id
                    .as_deref()
                    .is_some_and(|wanted| wanted != *client_id)
                || which.resource.as_deref().is_some_and(|wanted| wanted != *uri)
        });
        for user in [me, somebody] {
            for client_id in [APP, OTHER] {
                for uri in [RESOURCE, MAIL] {
                    let found = scene.store.consent(user, client_id, uri).await.unwrap();
                    let expected = left.contains(&(user, client_id, uri));
                    assert_eq!(found.is_some(), expected, "{which:?}: {client_id} {uri}");
                }
            }
        }
    }
    assert_eq!(left, []);
}

pub(crate) async fn a_grant_that_ended_by_itself_is_forgotten_by_whoever_revokes_it(opened: Opened) {
    let scene = Scene::new(opened).await;
    let mut approval = scene.approval();
    approval.consent = Some(consent(FINGERPRINT, "files:read", "http://127.0.0.1/cb"));
    scene.approve(&approval).await;
    let one = GrantFilter::one(approval.grant.id);
    for (reason, ended) in [
        (EndReason::RevokedByClient, 1),
        (EndReason::RefreshTokenReused, 0),
    ] {
        let revoked = scene.store.revoke_grants(one.clone(), reason, at(1)).await;
        assert_eq!(revoked, Ok(ended));
        assert!(scene.consent().await.is_some(), "{reason:?}");
    }
    assert_eq!(revoke(&scene, one).await, 0);
    assert_eq!(scene.consent().await, None);
    let ended = scene.grant(approval.grant.id).await;
    assert_eq!(ended.end_reason, Some(EndReason::RevokedByClient));
}

pub(crate) async fn a_disabled_person_comes_back_to_a_clean_slate(opened: Opened) {
    let scene = Scene::new(opened).await;
    let somebody = remembered(&scene).await;
    let mut me = scene.user.clone();
    for disabled in [true, false] {
        me.disabled = disabled;
        scene.store.update_user(me.clone(), at(2)).await.unwrap();
    }
    for client_id in [APP, OTHER] {
        for uri in [RESOURCE, MAIL] {
            assert_eq!(scene.store.consent(me.id, client_id, uri).await, Ok(None));
            let others = scene.store.consent(somebody, client_id, uri).await.unwrap();
            assert!(others.is_some(), "{client_id} {uri}");
        }
    }
}

pub(crate) async fn an_approval_rests_on_nothing_but_what_is_remembered(opened: Opened) {
    let scene = Scene::new(opened).await;
    let mut from_memory = scene.approval();
    from_memory.asked = false;
    assert_eq!(scene.approve(&from_memory).await, ApprovalOutcome::ConsentGone);
    let allow = async |fingerprint: &str, allowed: &str| {
        let mut approval = scene.approval();
        approval.consent = Some(consent(fingerprint, allowed, "http://127.0.0.1/cb"));
        scene.approve(&approval).await;
    };
    allow("another client", "files:read files:write").await;
    assert_eq!(scene.approve(&from_memory).await, ApprovalOutcome::ConsentGone);
    allow(FINGERPRINT, "files:write").await;
    assert_eq!(scene.approve(&from_memory).await, ApprovalOutcome::ConsentGone);
    allow(FINGERPRINT, "files:read").await;
    assert!(matches!(
        scene.approve(&from_memory).await,
        ApprovalOutcome::Approved(_)
    ));
}

pub(crate) async fn of_fifty_approvals_from_memory_none_outlives_a_revocation(opened: Opened) {
    let scene = Arc::new(Scene::new(opened).await);
    for _ in 0..10 {
        let me = (scene.user.id, &scene.session);
        remember(&scene, me, APP, RESOURCE).await;
        let of_me = GrantFilter {
            user: Some(scene.user.id),
            ..GrantFilter::default()
        };
        at_once(51, |caller| {
            let (scene, of_me) = (Arc::clone(&scene), of_me.clone());
            async move {
                if caller == 25 {
                    revoke(&scene, of_me).await;
                    return;
                }
                let mut approval = scene.approval();
                approval.asked = false;
                let outcome = scene.approve(&approval).await;
                assert!(
                    matches!(
                        outcome,
                        ApprovalOutcome::Approved(_) | ApprovalOutcome::ConsentGone
                    ),
                    "{outcome:?}"
                );
            }
        })
        .await;
        let page = PageRequest {
            after: None,
            limit: 200,
        };
        for state in [GrantState::Pending, GrantState::Active] {
            let filter = GrantFilter {
                state: Some(state),
                ..GrantFilter::default()
            };
            let alive = scene.store.grants(filter, page.clone()).await.unwrap();
            assert_eq!(alive.items, []);
        }
    }
}
