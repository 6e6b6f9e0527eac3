use std::sync::Arc;

use doorward_store::{
    Approval, ApprovalOutcome, Approved, Client, ClientSource, Consent, GrantState, RedeemOutcome, StoreError,
};

use super::scene::{APP, Opened, RESOURCE, Scene, at, at_once, client, consent, person, scopes, session};

const DOCUMENT: &str = "https://app.example/client.json";

pub(crate) async fn an_approval_makes_a_pending_grant_and_its_code(opened: Opened) {
    let scene = Scene::new(opened).await;
    let approval = scene.approval();
    let expected = Approved {
        grant: approval.grant.id,
        fresh: true,
    };
    assert_eq!(
        scene.approve(&approval).await,
        ApprovalOutcome::Approved(expected)
    );
    let (code, grant) = scene.store.code(&approval.code.digest).await.unwrap().unwrap();
    assert_eq!((code, grant), (approval.code, approval.grant));
}

pub(crate) async fn the_same_request_twice_makes_one_grant(opened: Opened) {
    let scene = Scene::new(opened).await;
    let first = scene.approved().await;
    let mut again = scene.approval();
    again.request_id = first.request_id;
    again.code.digest = first.code.digest;
    let expected = Approved {
        grant: first.grant.id,
        fresh: false,
    };
    assert_eq!(scene.approve(&again).await, ApprovalOutcome::Approved(expected));
    assert_eq!(scene.store.grant(again.grant.id).await.unwrap(), None);
    assert!(matches!(
        scene.redeem(&first, at(1)).await,
        RedeemOutcome::Redeemed(_)
    ));
}

pub(crate) async fn parallel_posts_of_one_request_make_one_grant(opened: Opened) {
    let scene = Arc::new(Scene::new(opened).await);
    let first = scene.approval();
    let (request_id, digest) = (first.request_id, first.code.digest);
    let answers = at_once(50, |_| {
        let scene = Arc::clone(&scene);
        async move {
            let mut mine = scene.approval();
            mine.request_id = request_id;
            mine.code.digest = digest;
            match scene.approve(&mine).await {
                ApprovalOutcome::Approved(approved) => approved,
                other => panic!("{other:?}"),
            }
        }
    })
    .await;
    assert_eq!(answers.iter().filter(|approved| approved.fresh).count(), 1);
    assert!(answers.iter().all(|approved| approved.grant == answers[0].grant));
}

pub(crate) async fn a_used_up_request_gets_no_second_code(opened: Opened) {
    let scene = Scene::new(opened).await;
    let redeemed = scene.approved().await;
    assert!(matches!(
        scene.redeem(&redeemed, at(1)).await,
        RedeemOutcome::Redeemed(_)
    ));
    assert_eq!(scene.approve(&redeemed).await, ApprovalOutcome::AlreadyRedeemed);
    assert_eq!(scene.state(redeemed.grant.id).await, GrantState::Active);

    let mut expired = scene.approved().await;
    expired.now = expired.code.expires_at;
    assert_eq!(scene.approve(&expired).await, ApprovalOutcome::AlreadyRedeemed);

    let burned = scene.approved().await;
    scene.store.burn_code(&burned.code.digest, at(1)).await.unwrap();
    assert_eq!(scene.approve(&burned).await, ApprovalOutcome::AlreadyRedeemed);
}

pub(crate) async fn another_person_cannot_repeat_a_request(opened: Opened) {
    let scene = Scene::new(opened).await;
    let first = scene.approved().await;
    let eve = person("eve@example.com");
    let eves = session(eve.id);
    scene.store.create_user(eve.clone()).await.unwrap();
    scene.store.create_session(eves.clone(), None).await.unwrap();
    let mut stolen = first.clone();
    stolen.session = eves.id;
    assert_eq!(scene.approve(&stolen).await, ApprovalOutcome::SignInAgain);
    stolen.grant.user = eve.id;
    assert_eq!(scene.store.approve(stolen).await, Err(StoreError::Conflict));
    assert_eq!(scene.grant(first.grant.id).await.user, scene.user.id);
}

pub(crate) async fn an_ended_session_cannot_approve(opened: Opened) {
    let scene = Scene::new(opened).await;
    let mut late = scene.approval();
    late.now = scene.session.expires_at;
    late.code.expires_at = at(999_999);
    assert_eq!(scene.approve(&late).await, ApprovalOutcome::SignInAgain);
    let approval = scene.approval();
    scene.store.end_session(&scene.session.id, at(1)).await.unwrap();
    assert_eq!(scene.approve(&approval).await, ApprovalOutcome::SignInAgain);
}

pub(crate) async fn a_disabled_person_cannot_approve(opened: Opened) {
    let scene = Scene::new(opened).await;
    let approval = scene.approval();
    let mut user = scene.user.clone();
    user.disabled = true;
    scene.store.update_user(user, at(1)).await.unwrap();
    assert_eq!(scene.approve(&approval).await, ApprovalOutcome::SignInAgain);
}

pub(crate) async fn a_disabled_or_unknown_client_gets_no_approval(opened: Opened) {
    let scene = Scene::new(opened).await;
    assert_eq!(
        scene.approve(&scene.approval_of("unknown", RESOURCE)).await,
        ApprovalOutcome::ClientGone
    );
    let mut disabled = client(APP, ClientSource::Dynamic);
    disabled.disabled = true;
    scene.store.update_client(disabled).await.unwrap();
    assert_eq!(
        scene.approve(&scene.approval()).await,
        ApprovalOutcome::ClientGone
    );
}

pub(crate) async fn a_client_that_changed_gets_no_approval(opened: Opened) {
    let scene = Scene::new(opened).await;
    let asked_about = scene.approval();
    scene.store.update_client(another()).await.unwrap();
    assert_eq!(scene.approve(&asked_about).await, ApprovalOutcome::ClientGone);
    let asked_again = Approval {
        fingerprint: another().fingerprint,
        ..asked_about
    };
    assert!(matches!(
        scene.approve(&asked_again).await,
        ApprovalOutcome::Approved(_)
    ));
}

/// The client with another name.
fn another() -> Client {
    Client {
        fingerprint: "fingerprint-2".to_owned(),
        ..client(APP, ClientSource::Dynamic)
    }
}

/// It is another one, whatever it is called.
pub(crate) async fn a_client_that_an_operator_registered_meanwhile_gets_no_approval_for_a_document(
    opened: Opened,
) {
    let scene = Scene::new(opened).await;
    let mut asked_about = scene.approval_of(DOCUMENT, RESOURCE);
    asked_about.client = Some(client(DOCUMENT, ClientSource::MetadataDocument));
    let registered = Client {
        fingerprint: "fingerprint-2".to_owned(),
        ..client(DOCUMENT, ClientSource::Admin)
    };
    scene.store.create_client(registered).await.unwrap();
    assert_eq!(scene.approve(&asked_about).await, ApprovalOutcome::ClientGone);
}

pub(crate) async fn of_fifty_approvals_while_the_client_changes_none_counts(opened: Opened) {
    let scene = Arc::new(Scene::new(opened).await);
    let outcomes = at_once(51, |number| {
        let scene = Arc::clone(&scene);
        async move {
            if number == 25 {
                scene.store.update_client(another()).await.unwrap();
                return None;
            }
            Some(scene.approve(&scene.approval()).await)
        }
    });
    for outcome in outcomes.await.into_iter().flatten() {
        match outcome {
            ApprovalOutcome::Approved(approved) => {
                assert_eq!(scene.state(approved.grant).await, GrantState::Ended);
            }
            refused => assert_eq!(refused, ApprovalOutcome::ClientGone),
        }
    }
}

pub(crate) async fn a_removed_resource_gets_no_approval(opened: Opened) {
    let scene = Scene::new(opened).await;
    scene.store.delete_resource("files", at(1)).await.unwrap();
    assert_eq!(
        scene.approve(&scene.approval()).await,
        ApprovalOutcome::ResourceGone
    );
}

pub(crate) async fn a_refused_approval_changes_nothing(opened: Opened) {
    let scene = Scene::new(opened).await;
    let mut approval = scene.approval_of(DOCUMENT, "https://gone.example/mcp");
    approval.client = Some(client(DOCUMENT, ClientSource::MetadataDocument));
    approval.consent = Some(consent("fingerprint-1", "files:read", "https://app.example/cb"));
    assert_eq!(scene.approve(&approval).await, ApprovalOutcome::ResourceGone);
    assert_eq!(scene.store.client(DOCUMENT).await.unwrap(), None);
    assert_eq!(scene.store.grant(approval.grant.id).await.unwrap(), None);
    assert_eq!(scene.store.code(&approval.code.digest).await.unwrap(), None);
    let remembered = scene
        .store
        .consent(scene.user.id, DOCUMENT, "https://gone.example/mcp")
        .await
        .unwrap();
    assert_eq!(remembered, None);
}

async fn allow(scene: &Scene, consent: Consent) {
    let mut approval = scene.approval();
    approval.consent = Some(consent);
    assert!(matches!(
        scene.approve(&approval).await,
        ApprovalOutcome::Approved(_)
    ));
}

pub(crate) async fn consent_grows_while_the_fingerprint_stays(opened: Opened) {
    let scene = Scene::new(opened).await;
    assert_eq!(scene.consent().await, None);
    allow(&scene, consent("one", "files:read", "https://app.example/a")).await;
    let mut second = consent("one", "files:write", "https://app.example/b");
    second.granted_at = at(50);
    allow(&scene, second).await;
    allow(
        &scene,
        Consent {
            granted_at: at(60),
            ..consent("one", "files:read", "https://app.example/a")
        },
    )
    .await;
    let expected = Consent {
        scopes: scopes("files:read files:write"),
        fingerprint: "one".to_owned(),
        redirect_uris: vec![
            "https://app.example/a".to_owned(),
            "https://app.example/b".to_owned(),
        ],
        granted_at: at(60),
    };
    assert_eq!(scene.consent().await, Some(expected));
}

pub(crate) async fn what_is_declined_later_is_no_longer_remembered(opened: Opened) {
    let scene = Scene::new(opened).await;
    let uri = "https://app.example/a";
    allow(&scene, consent("one", "files:read files:write files:share", uri)).await;
    let mut approval = scene.approval();
    approval.consent = Some(consent("one", "files:read", uri));
    approval.declined = scopes("files:write");
    scene.approve(&approval).await;
    let remembered = scene.consent().await.unwrap().scopes;
    assert_eq!(remembered, scopes("files:read files:share"));
}

pub(crate) async fn consent_starts_afresh_with_a_new_fingerprint(opened: Opened) {
    let scene = Scene::new(opened).await;
    allow(
        &scene,
        consent("one", "files:read files:write", "https://app.example/a"),
    )
    .await;
    let second = consent("two", "files:read", "https://evil.example/b");
    allow(&scene, second.clone()).await;
    assert_eq!(scene.consent().await, Some(second));
}

pub(crate) async fn a_snapshot_is_kept_and_renewed(opened: Opened) {
    let scene = Scene::new(opened).await;
    let mut snapshot = client(DOCUMENT, ClientSource::MetadataDocument);
    let mut approval = scene.approval_of(DOCUMENT, RESOURCE);
    approval.client = Some(snapshot.clone());
    assert!(matches!(
        scene.approve(&approval).await,
        ApprovalOutcome::Approved(_)
    ));
    assert_eq!(
        scene.store.client(DOCUMENT).await.unwrap().as_ref(),
        Some(&snapshot)
    );

    let mut approval = scene.approval_of(DOCUMENT, RESOURCE);
    r#"{"client_name":"Renamed"}"#.clone_into(&mut snapshot.metadata);
    "fingerprint-2".clone_into(&mut snapshot.fingerprint);
    snapshot.updated_at = at(9);
    approval.client = Some(snapshot.clone());
    assert!(matches!(
        scene.approve(&approval).await,
        ApprovalOutcome::Approved(_)
    ));
    assert_eq!(scene.store.client(DOCUMENT).await.unwrap(), Some(snapshot));
}

pub(crate) async fn a_snapshot_never_touches_a_registered_client(opened: Opened) {
    let scene = Scene::new(opened).await;
    for source in [ClientSource::Admin, ClientSource::Dynamic] {
        let id = format!("https://app.example/{source:?}");
        let registered = client(&id, source);
        scene.store.create_client(registered.clone()).await.unwrap();
        let mut approval = scene.approval_of(&id, RESOURCE);
        let mut snapshot = client(&id, ClientSource::MetadataDocument);
        r#"{"client_name":"Evil"}"#.clone_into(&mut snapshot.metadata);
        approval.client = Some(snapshot);
        assert!(matches!(
            scene.approve(&approval).await,
            ApprovalOutcome::Approved(_)
        ));
        assert_eq!(scene.store.client(&id).await.unwrap(), Some(registered));
    }
}

pub(crate) async fn a_snapshot_never_enables_a_disabled_client(opened: Opened) {
    let scene = Scene::new(opened).await;
    let mut disabled = client(DOCUMENT, ClientSource::MetadataDocument);
    disabled.disabled = true;
    scene.store.create_client(disabled.clone()).await.unwrap();
    let mut approval = scene.approval_of(DOCUMENT, RESOURCE);
    approval.client = Some(client(DOCUMENT, ClientSource::MetadataDocument));
    assert_eq!(scene.approve(&approval).await, ApprovalOutcome::ClientGone);
    assert_eq!(scene.store.client(DOCUMENT).await.unwrap(), Some(disabled));
}

pub(crate) async fn an_incoherent_approval_is_invalid(opened: Opened) {
    let scene = Scene::new(opened).await;
    let mut active = scene.approval();
    active.grant.state = GrantState::Active;
    let mut other_grant = scene.approval();
    other_grant.code.grant = scene.approval().grant.id;
    let mut other_client = scene.approval();
    "other".clone_into(&mut other_client.code.client_id);
    let mut not_a_snapshot = scene.approval();
    not_a_snapshot.client = Some(client(APP, ClientSource::Admin));
    for wrong in [active, other_grant, other_client, not_a_snapshot] {
        assert!(matches!(
            scene.store.approve(wrong).await,
            Err(StoreError::Invalid(_))
        ));
    }
}
