//! Tokens that clients get for themselves.

use std::sync::Arc;

use doorward_store::{
    ClientSource, EndReason, Grant, GrantFilter, GrantId, GrantState, Issuance, IssueOwn, OwnOutcome,
    PageRequest, StoreError, UserId,
};
use uuid::Uuid;

use super::scene::{APP, Opened, RESOURCE, Scene, at, at_once, client, fresh, issuance, scopes};

pub(crate) fn own(now: i64) -> IssueOwn {
    let id = GrantId(Uuid::new_v7(uuid::Timestamp::from_unix_time(
        1_800_000_000 + u64::from(fresh()),
        0,
        0,
        0,
    )));
    let mut issuance = issuance(id, at(now));
    APP.clone_into(&mut issuance.subject);
    IssueOwn {
        grant: Grant {
            id,
            user: UserId::NOBODY,
            subject: APP.to_owned(),
            client_id: APP.to_owned(),
            resource: RESOURCE.to_owned(),
            scopes: scopes("files:read files:write"),
            state: GrantState::Active,
            end_reason: None,
            ended_at: None,
            created_at: at(now),
            authenticated_at: at(now),
            methods: Vec::new(),
            generation: 0,
            generation_at: at(now),
            refresh_salt: [0; 16],
            refresh_expires_at: None,
            last_used_at: at(now),
            more_resources: Vec::new(),
            trusted_issuer: None,
            dpop_jkt: None,
        },
        issuance,
        now: at(now),
    }
}

async fn issued(scene: &Scene, issue: &IssueOwn) -> GrantId {
    match scene.store.issue_own(issue.clone()).await.unwrap() {
        OwnOutcome::Issued(id) => id,
        other => panic!("{other:?}"),
    }
}

/// Engines do what comes at once together.
pub(crate) async fn tokens_that_are_asked_for_at_once_are_each_of_the_client_that_asks(opened: Opened) {
    const CLIENTS: usize = 6;
    let scene = Arc::new(Scene::new(opened).await);
    let of = |number: usize, now: i64| {
        let mut issue = own(now);
        let name = format!("app-{number}");
        issue.grant.subject.clone_from(&name);
        issue.issuance.subject.clone_from(&name);
        issue.issuance.client_id.clone_from(&name);
        issue.grant.client_id = name;
        issue
    };
    let mut grants = Vec::new();
    for number in 0..CLIENTS {
        let mut client = client(&format!("app-{number}"), ClientSource::Admin);
        scene.store.create_client(client.clone()).await.unwrap();
        grants.push(issued(&scene, &of(number, 0)).await);
        client.disabled = number == 0;
        scene.store.update_client(client).await.unwrap();
    }
    let asked: Arc<Vec<IssueOwn>> = Arc::new((0..60).map(|caller| of(caller % CLIENTS, 1)).collect());
    let answers = at_once(asked.len(), |caller| {
        let (scene, asked) = (Arc::clone(&scene), Arc::clone(&asked));
        async move { scene.store.issue_own(asked[caller].clone()).await.unwrap() }
    })
    .await;
    let standings = at_once(asked.len(), |caller| {
        let (scene, asked) = (Arc::clone(&scene), Arc::clone(&asked));
        async move {
            scene
                .store
                .token_standing(&asked[caller].issuance.jti)
                .await
                .unwrap()
        }
    })
    .await;
    for (caller, (answer, standing)) in answers.into_iter().zip(standings).enumerate() {
        let number = caller % CLIENTS;
        if number == 0 {
            assert_eq!((answer, standing), (OwnOutcome::ClientGone, None));
            continue;
        }
        assert_eq!(answer, OwnOutcome::Issued(grants[number]));
        let standing = standing.unwrap();
        assert_eq!(
            (standing.grant, standing.granted_to),
            (grants[number], format!("app-{number}"))
        );
        let recorded = scene
            .store
            .issuance(&asked[caller].issuance.jti)
            .await
            .unwrap()
            .unwrap();
        let expected = Issuance {
            grant: grants[number],
            ..asked[caller].issuance.clone()
        };
        assert_eq!(recorded, expected);
    }
}

pub(crate) async fn a_client_has_one_grant_of_its_own_for_a_resource(opened: Opened) {
    let scene = Scene::new(opened).await;
    let first = own(0);
    let id = issued(&scene, &first).await;
    assert_eq!(id, first.grant.id);
    assert_eq!(scene.grant(id).await, first.grant);
    let second = own(30);
    assert_eq!(issued(&scene, &second).await, id);
    for issue in [&first, &second] {
        let recorded = scene.store.issuance(&issue.issuance.jti).await.unwrap().unwrap();
        assert_eq!((recorded.grant, recorded.subject.as_str()), (id, APP));
    }
    assert_eq!(scene.grant(id).await.last_used_at, at(0), "within a minute");
    let mut narrower = own(31);
    narrower.grant.scopes = scopes("files:read");
    assert_eq!(issued(&scene, &narrower).await, id);
    let grant = scene.grant(id).await;
    assert_eq!((grant.scopes, grant.last_used_at), (scopes("files:read"), at(31)));
}

pub(crate) async fn fifty_first_tokens_at_once_share_one_grant(opened: Opened) {
    let scene = Arc::new(Scene::new(opened).await);
    let ids = at_once(50, |_| {
        let scene = Arc::clone(&scene);
        async move { issued(&scene, &own(0)).await }
    })
    .await;
    assert!(ids.iter().all(|id| *id == ids[0]));
    let all = scene.store.grants(GrantFilter::default(), PageRequest::default());
    assert_eq!(all.await.unwrap().items.len(), 1);
}

pub(crate) async fn after_its_grant_was_revoked_a_client_gets_another_one(opened: Opened) {
    let scene = Scene::new(opened).await;
    let id = issued(&scene, &own(0)).await;
    let revoked = scene
        .store
        .revoke_grants(GrantFilter::one(id), EndReason::RevokedByAdmin, at(1))
        .await;
    assert_eq!(revoked, Ok(1));
    let next = issued(&scene, &own(2)).await;
    assert_ne!(next, id);
    assert_eq!(scene.state(id).await, GrantState::Ended);
}

pub(crate) async fn a_client_or_resource_that_is_gone_gets_no_token_of_its_own(opened: Opened) {
    let scene = Scene::new(opened).await;
    let mut disabled = client(APP, ClientSource::Dynamic);
    disabled.disabled = true;
    scene.store.update_client(disabled).await.unwrap();
    let refused = own(1);
    assert_eq!(
        scene.store.issue_own(refused.clone()).await,
        Ok(OwnOutcome::ClientGone)
    );
    assert_eq!(scene.store.issuance(&refused.issuance.jti).await.unwrap(), None);
    scene
        .store
        .update_client(client(APP, ClientSource::Dynamic))
        .await
        .unwrap();
    issued(&scene, &own(2)).await;
    scene.store.delete_resource("files", at(3)).await.unwrap();
    assert_eq!(scene.store.issue_own(own(4)).await, Ok(OwnOutcome::ResourceGone));
    scene.store.delete_client(APP, at(5)).await.unwrap();
    assert_eq!(scene.store.issue_own(own(6)).await, Ok(OwnOutcome::ClientGone));
}

pub(crate) async fn an_incoherent_own_grant_is_invalid(opened: Opened) {
    let scene = Scene::new(opened).await;
    let mut of_a_person = own(0);
    of_a_person.grant.user = scene.user.id;
    let mut pending = own(0);
    pending.grant.state = GrantState::Pending;
    let mut of_another = own(0);
    "somebody".clone_into(&mut of_another.issuance.subject);
    for issue in [of_a_person, pending, of_another] {
        assert!(matches!(
            scene.store.issue_own(issue).await,
            Err(StoreError::Invalid(_))
        ));
    }
}
