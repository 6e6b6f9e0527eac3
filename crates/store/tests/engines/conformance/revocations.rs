//! The log of revocations: every road leads into it, in the order of the commits, and it can be followed.

use std::sync::Arc;
use std::time::Duration;

use doorward_store::{
    Change, Client, ClientSource, EndReason, GrantFilter, GrantId, GrantState, RedeemOutcome, Resource,
    Revocation, RevocationPage, Revoked, RotateOutcome, Store, UnixSeconds, User,
};

use super::scene::{APP, Opened, RESOURCE, Scene, at, at_once, client, redemption, resource};

async fn log(store: &dyn Store, after: u64) -> RevocationPage {
    store.revocations(after, 1000).await.unwrap()
}

/// What was revoked after a position, without the positions.
async fn revoked_after(store: &dyn Store, after: u64) -> Vec<(Revoked, UnixSeconds)> {
    let page = log(store, after).await;
    page.items
        .into_iter()
        .map(|entry| (entry.revoked, entry.revoked_at))
        .collect()
}

fn grants(ids: &[GrantId], when: UnixSeconds) -> Vec<(Revoked, UnixSeconds)> {
    ids.iter().map(|id| (Revoked::Grant(*id), when)).collect()
}

async fn revoke(scene: &Scene, id: GrantId, reason: EndReason, now: UnixSeconds) {
    let revoked = scene.store.revoke_grants(GrantFilter::one(id), reason, now).await;
    assert_eq!(revoked, Ok(1));
}

pub(crate) async fn whoever_revokes_a_grant_it_is_in_the_log(opened: Opened) {
    let scene = Scene::new(opened).await;
    let mut last = log(&*scene.store, 0).await.last;
    for (seconds, reason) in [
        EndReason::RevokedByClient,
        EndReason::RevokedByUser,
        EndReason::RevokedByAdmin,
    ]
    .into_iter()
    .enumerate()
    {
        let now = at(10 + i64::try_from(seconds).unwrap());
        let id = scene.active().await;
        revoke(&scene, id, reason, now).await;
        assert_eq!(revoked_after(&*scene.store, last).await, grants(&[id], now));
        last = log(&*scene.store, last).await.last;
    }
}

pub(crate) async fn a_replayed_code_and_a_reused_refresh_token_are_in_the_log(opened: Opened) {
    let scene = Scene::new(opened).await;
    let approval = scene.approved().await;
    scene.redeem(&approval, at(1)).await;
    assert_eq!(scene.redeem(&approval, at(2)).await, RedeemOutcome::Replayed);
    let reused = scene.active().await;
    for generation in 1..4 {
        scene.rotated(reused, generation, at(10)).await;
    }
    assert_eq!(scene.rotate(reused, 1, at(10_000)).await, RotateOutcome::Reused);
    let burned = scene.approved().await;
    scene.redeem(&burned, at(1)).await;
    scene
        .store
        .burn_code(&burned.code.digest, at(10_001))
        .await
        .unwrap();
    let expected = [
        grants(&[approval.grant.id], at(2)),
        grants(&[reused], at(10_000)),
        grants(&[burned.grant.id], at(10_001)),
    ];
    assert_eq!(revoked_after(&*scene.store, 0).await, expected.concat());
}

pub(crate) async fn a_disabled_or_deleted_person_is_in_the_log(opened: Opened) {
    let scene = Scene::new(opened).await;
    let mut ids = [scene.active().await, scene.active().await];
    ids.sort_unstable_by_key(|id| id.0);
    let disabled = User {
        disabled: true,
        ..scene.user.clone()
    };
    scene.store.update_user(disabled, at(5)).await.unwrap();
    let mut seen = revoked_after(&*scene.store, 0).await;
    seen.sort_by_key(|(revoked, _)| match revoked {
        Revoked::Grant(id) => id.0,
        other => panic!("{other:?}"),
    });
    assert_eq!(seen, grants(&ids, at(5)));

    let last = log(&*scene.store, 0).await.last;
    scene.store.update_user(scene.user.clone(), at(6)).await.unwrap();
    let session = super::scene::session(scene.user.id);
    scene.store.create_session(session.clone(), None).await.unwrap();
    let mut approval = scene.approval();
    approval.session = session.id;
    scene.approve(&approval).await;
    scene.redeem(&approval, at(7)).await;
    scene.store.delete_user(scene.user.id, at(8)).await.unwrap();
    assert_eq!(
        revoked_after(&*scene.store, last).await,
        grants(&[approval.grant.id], at(8))
    );
}

pub(crate) async fn a_deleted_client_or_resource_is_in_the_log(opened: Opened) {
    let scene = Scene::new(opened).await;
    let moved = scene.active().await;
    let elsewhere = Resource {
        uri: "https://elsewhere.example/mcp".to_owned(),
        updated_at: at(4),
        ..resource("files", RESOURCE)
    };
    scene.store.update_resource(elsewhere).await.unwrap();
    scene
        .store
        .create_resource(resource("again", RESOURCE))
        .await
        .unwrap();
    let on_resource = scene.active().await;
    scene.store.delete_resource("again", at(5)).await.unwrap();
    scene
        .store
        .create_resource(resource("third", RESOURCE))
        .await
        .unwrap();
    let of_client = scene.active().await;
    scene.store.delete_client(APP, at(6)).await.unwrap();
    // The client by itself: it may hold tokens under the grants of others.
    let expected = [
        grants(&[moved], at(4)),
        grants(&[on_resource], at(5)),
        vec![(Revoked::Client(APP.to_owned()), at(6))],
        grants(&[of_client], at(6)),
    ];
    assert_eq!(revoked_after(&*scene.store, 0).await, expected.concat());
}

pub(crate) async fn a_disabled_client_is_in_the_log_once(opened: Opened) {
    let scene = Scene::new(opened).await;
    let id = scene.active().await;
    for (disabled, seconds) in [(true, 5), (true, 6), (false, 7), (true, 8)] {
        let changed = Client {
            disabled,
            updated_at: at(seconds),
            ..client(APP, ClientSource::Dynamic)
        };
        scene.store.update_client(changed).await.unwrap();
    }
    let disabled = |seconds| (Revoked::Client(APP.to_owned()), at(seconds));
    assert_eq!(revoked_after(&*scene.store, 0).await, [disabled(5), disabled(8)]);
    assert_eq!(scene.state(id).await, GrantState::Active);
}

pub(crate) async fn a_revoked_token_is_in_the_log_once(opened: Opened) {
    let scene = Scene::new(opened).await;
    let approval = scene.approved().await;
    let redemption = redemption(&approval, at(1));
    let jti = redemption.issuance.jti.clone();
    scene.store.redeem_code(redemption).await.unwrap();
    scene.store.revoke_issuance(&jti, at(2)).await.unwrap();
    scene.store.revoke_issuance(&jti, at(3)).await.unwrap();
    assert_eq!(
        revoked_after(&*scene.store, 0).await,
        [(Revoked::Token(jti), at(2))]
    );
}

/// No token was issued for it, so nobody has to hear of it.
pub(crate) async fn a_pending_grant_that_ends_is_not_in_the_log(opened: Opened) {
    let scene = Scene::new(opened).await;
    let pending = scene.approved().await;
    revoke(&scene, pending.grant.id, EndReason::RevokedByUser, at(5)).await;
    scene.approved().await;
    scene.store.end_session(&scene.session.id, at(6)).await.unwrap();
    assert_eq!(revoked_after(&*scene.store, 0).await, []);
}

pub(crate) async fn the_log_is_read_in_stretches(opened: Opened) {
    let scene = Scene::new(opened).await;
    let mut ids = Vec::new();
    for seconds in 0..7 {
        let id = scene.active().await;
        revoke(&scene, id, EndReason::RevokedByUser, at(seconds)).await;
        ids.push(id);
    }
    let whole = log(&*scene.store, 0).await;
    assert!(!whole.log.is_empty());
    assert_eq!(whole.last, whole.items[6].position);
    let (mut position, mut seen) = (0, Vec::new());
    loop {
        let page = scene.store.revocations(position, 3).await.unwrap();
        assert_eq!((&page.log, page.last), (&whole.log, whole.last));
        let Some(last) = page.items.last() else { break };
        assert!(page.items.len() <= 3);
        position = last.position;
        seen.extend(page.items);
    }
    assert_eq!(seen, whole.items);
    assert!(seen.is_sorted_by(|one, next| one.position < next.position));
    assert_eq!(log(&*scene.store, whole.last + 100).await.items, []);
    assert_eq!(log(&*scene.store, u64::MAX).await.items, []);
}

pub(crate) async fn only_the_beginning_of_the_log_is_forgotten(opened: Opened) {
    let scene = Scene::new(opened).await;
    // The clock of the third was ahead.
    for seconds in [1, 2, 50, 3, 60] {
        let id = scene.active().await;
        revoke(&scene, id, EndReason::RevokedByUser, at(seconds)).await;
    }
    let before = log(&*scene.store, 0).await;
    assert_eq!(before.forgotten, 0);
    assert_eq!(scene.store.forget_revocations(at(1), 10).await, Ok(0));
    assert_eq!(scene.store.forget_revocations(at(10), 1).await, Ok(1));
    assert_eq!(scene.store.forget_revocations(at(10), 10).await, Ok(1));
    assert_eq!(scene.store.forget_revocations(at(10), 10).await, Ok(0));
    let after = log(&*scene.store, 0).await;
    assert_eq!(after.items, before.items[2..]);
    assert_eq!(
        (after.forgotten, after.last),
        (before.items[1].position, before.last)
    );

    assert_eq!(scene.store.forget_revocations(at(1000), 10).await, Ok(3));
    let empty = log(&*scene.store, 0).await;
    assert_eq!((empty.forgotten, empty.last), (before.last, before.last));
    let id = scene.active().await;
    revoke(&scene, id, EndReason::RevokedByUser, at(70)).await;
    let next = log(&*scene.store, before.last).await;
    assert_eq!(next.items.len(), 1);
    assert!(next.items[0].position > before.last);
}

pub(crate) async fn whoever_follows_the_log_is_told_at_once(opened: Opened) {
    let scene = Scene::new(opened).await;
    let id = scene.active().await;
    let mut signal = scene.store.changes().subscribe(Change::Revocations);
    // Who begins to hear of other nodes is told that anything may have changed.
    while scene.store.changes().version(Change::Revocations).is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    signal.mark_unchanged();
    scene.rotated(id, 1, at(1)).await;
    assert!(!signal.has_changed().unwrap());
    revoke(&scene, id, EndReason::RevokedByUser, at(5)).await;
    tokio::time::timeout(Duration::from_secs(5), signal.changed())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(revoked_after(&*scene.store, 0).await.len(), 1);
}

/// Who has read a position has seen everything before it, however many revoke at once.
pub(crate) async fn a_follower_of_fifty_parallel_revocations_misses_none(opened: Opened) {
    let scene = Arc::new(Scene::new(opened).await);
    let mut ids = Vec::new();
    for _ in 0..50 {
        ids.push(scene.active().await);
    }
    let ids = Arc::new(ids);
    let seen = at_once(51, |caller| {
        let (scene, ids) = (Arc::clone(&scene), Arc::clone(&ids));
        async move {
            let Some(id) = ids.get(caller) else {
                return follow(&*scene.store, 50).await;
            };
            revoke(&scene, *id, EndReason::RevokedByClient, at(5)).await;
            Vec::new()
        }
    })
    .await
    .concat();
    assert_eq!(seen, log(&*scene.store, 0).await.items);
}

async fn follow(store: &dyn Store, entries: usize) -> Vec<Revocation> {
    let (mut position, mut seen) = (0, Vec::new());
    let mut signal = store.changes().subscribe(Change::Revocations);
    while seen.len() < entries {
        signal.mark_unchanged();
        let page = store.revocations(position, 7).await.unwrap();
        position = page.items.last().map_or(position, |last| last.position);
        if page.items.is_empty() {
            // Until the next revocation; a disk may be slow.
            let told = tokio::time::timeout(Duration::from_mins(1), signal.changed()).await;
            told.unwrap_or_else(|_| panic!("only {} of {entries} entries came", seen.len()))
                .unwrap();
        }
        seen.extend(page.items);
    }
    seen
}
