use std::sync::Arc;
use std::time::Duration;

use doorward_store::{
    Actor, ActorKind, Client, ClientSource, EndReason, GrantFilter, GrantState, InitialAccessToken,
    LoginThrottle, PageRequest, RedeemCode, RedeemOutcome, RegisterOutcome, StoreError, ThrottlePolicy,
};
use serde_json::json;
use uuid::Uuid;

use super::audit::{events, origin};
use super::scene::{APP, Opened, Scene, at, at_once, client, consent, digest, person, redemption};

const RETAIN: Duration = Duration::from_secs(1000);
const YEAR: i64 = 365 * 86_400;

pub(crate) async fn what_is_past_its_use_is_removed(opened: Opened) {
    let scene = Scene::new(opened).await;
    let redeemed = scene.approved().await;
    let redemption = redemption(&redeemed, at(1));
    scene.store.redeem_code(redemption.clone()).await.unwrap();
    let pending = scene.approved().await;
    let ended = scene.active().await;
    let filter = GrantFilter::one(ended);
    scene
        .store
        .revoke_grants(filter, EndReason::RevokedByUser, at(2))
        .await
        .unwrap();
    let policy = ThrottlePolicy {
        free_attempts: 1,
        first_wait: Duration::from_secs(1),
        longest_wait: Duration::from_secs(1),
        forget_after: Duration::from_secs(10),
    };
    let keys = ["ada".to_owned()];
    assert_eq!(
        scene.store.begin_login(&keys, policy, at(0)).await,
        Ok(LoginThrottle::Allowed)
    );

    let removed = scene.store.sweep(at(YEAR), RETAIN, 100).await.unwrap().total();
    // 1 session, 1 throttle, 2 issuances, 3 codes, 3 grants, and the client, which nobody uses any more.
    assert_eq!(removed, 11);
    assert_eq!(
        scene.store.issuance(&redemption.issuance.jti).await.unwrap(),
        None
    );
    assert_eq!(scene.redeem(&redeemed, at(YEAR)).await, RedeemOutcome::Unknown);
    for id in [redeemed.grant.id, pending.grant.id, ended] {
        assert_eq!(scene.store.grant(id).await.unwrap(), None);
    }
    assert_eq!(
        scene
            .store
            .sweep(at(YEAR), RETAIN, 100)
            .await
            .map(|swept| swept.total()),
        Ok(0)
    );
    assert!(scene.store.user(scene.user.id).await.unwrap().is_some());
}

/// [DCR-021]
pub(crate) async fn clients_that_registered_themselves_and_were_never_allowed_anything_are_removed(
    opened: Opened,
) {
    let scene = Scene::new(opened).await;
    let store = &scene.store;
    // The client of the scene was allowed something.
    scene.active().await;
    let add = async |name: &str, source, updated_at: i64, disabled| {
        let client = Client {
            updated_at: at(updated_at),
            disabled,
            ..client(name, source)
        };
        store.create_client(client).await.unwrap();
    };
    add("unused", ClientSource::Dynamic, 0, false).await;
    add("recent", ClientSource::Dynamic, 10, false).await;
    add("disabled", ClientSource::Dynamic, 0, true).await;
    add("admin", ClientSource::Admin, 0, false).await;
    add("snapshot", ClientSource::MetadataDocument, 0, false).await;
    add("comes back", ClientSource::Dynamic, 0, false).await;
    let again = Client {
        updated_at: at(100_000),
        ..client("comes back", ClientSource::Dynamic)
    };
    store.register_client(again).await.unwrap();

    store.sweep(at(1000), RETAIN, 100).await.unwrap();
    assert!(store.client("unused").await.unwrap().is_some());
    store.sweep(at(1001), RETAIN, 100).await.unwrap();
    assert_eq!(store.client("unused").await.unwrap(), None);
    for name in [APP, "recent", "disabled", "admin", "snapshot", "comes back"] {
        assert!(store.client(name).await.unwrap().is_some(), "{name}");
    }
    store.sweep(at(101_000), RETAIN, 100).await.unwrap();
    for name in [APP, "disabled", "admin", "snapshot", "comes back"] {
        assert!(store.client(name).await.unwrap().is_some(), "{name}");
    }
    assert_eq!(store.client("recent").await.unwrap(), None);
    store.sweep(at(101_001), RETAIN, 100).await.unwrap();
    assert_eq!(store.client("comes back").await.unwrap(), None);
}

pub(crate) async fn a_client_that_is_removed_takes_what_people_allowed_it_long_ago_along(opened: Opened) {
    let scene = Scene::new(opened).await;
    let mut approval = scene.approval();
    approval.consent = Some(consent("fingerprint-1", "files:read", "http://127.0.0.1/cb"));
    scene.approve(&approval).await;
    let one = GrantFilter::one(approval.grant.id);
    let ended = scene
        .store
        .revoke_grants(one, EndReason::RevokedByClient, at(1))
        .await;
    assert_eq!(ended, Ok(1));
    scene.store.sweep(at(1001), RETAIN, 100).await.unwrap();
    assert!(scene.consent().await.is_some());
    let mut round = 0;
    while scene.store.client(APP).await.unwrap().is_some() {
        round += 1;
        assert!(round < 10, "the client stays");
        scene.store.sweep(at(100_000), RETAIN, 100).await.unwrap();
    }
    assert_eq!(scene.consent().await, None);
}

/// Those that are in use stay: to look at all of them each time would keep everybody else waiting.
pub(crate) async fn so_many_clients_are_looked_at_in_one_go(opened: Opened) {
    let store = Arc::clone(&opened.store);
    let add = |name: String, disabled: bool| {
        let store = Arc::clone(&store);
        async move {
            let client = Client {
                disabled,
                updated_at: at(0),
                ..client(&name, ClientSource::Dynamic)
            };
            store.create_client(client).await.unwrap();
        }
    };
    at_once(1000, |number| add(format!("b{number:04}"), true)).await;
    add("c".into(), false).await;
    let sweep = async || store.sweep(at(2000), RETAIN, 100).await.unwrap();
    sweep().await;
    assert!(store.client("c").await.unwrap().is_some(), "one too many");
    sweep().await;
    assert_eq!(store.client("c").await.unwrap(), None);
    // And round again.
    add("a".into(), false).await;
    sweep().await;
    assert_eq!(store.client("a").await.unwrap(), None);
}

pub(crate) async fn what_is_in_use_stays(opened: Opened) {
    let scene = Scene::new(opened).await;
    let (active, pending) = (scene.active().await, scene.approved().await);
    assert_eq!(
        scene
            .store
            .sweep(at(999), RETAIN, 100)
            .await
            .map(|swept| swept.total()),
        Ok(0)
    );
    // The session and the access token end; a redeemed code goes after its retention, its grant lives on.
    let removed = scene
        .store
        .sweep(at(2 * 86_400), RETAIN, 100)
        .await
        .unwrap()
        .total();
    assert_eq!(removed, 1 + 1 + 2 + 1);
    assert_eq!(scene.store.grant(pending.grant.id).await.unwrap(), None);
    assert_eq!(scene.state(active).await, GrantState::Active);
    assert_eq!(scene.rotated(active, 1, at(2 * 86_400)).await, (2, false));
}

pub(crate) async fn a_sweep_removes_at_most_its_limit(opened: Opened) {
    let scene = Scene::new(opened).await;
    for _ in 0..10 {
        scene.approved().await;
    }
    // Of each kind: a session, three codes, and three pending grants with a code each that went along.
    assert_eq!(
        scene
            .store
            .sweep(at(YEAR), RETAIN, 3)
            .await
            .map(|swept| swept.total()),
        Ok(1 + 3 + 3)
    );
    let mut total = 7;
    loop {
        let removed = scene.store.sweep(at(YEAR), RETAIN, 3).await.unwrap().total();
        if removed == 0 {
            break;
        }
        assert!(removed <= 6);
        total += removed;
    }
    assert!(total >= 11);
}

/// By expiring, or by their last use.
pub(crate) async fn initial_tokens_go_long_after_they_ended(opened: Opened) {
    let store = &*opened.store;
    for (number, uses_left, expires_at) in [
        (1, Some(1), None),
        (2, Some(2), Some(at(20))),
        (3, None, None),
        (4, Some(2), None),
    ] {
        let token = InitialAccessToken {
            id: Uuid::from_u128(number.into()),
            digest: digest(34, number),
            name: "A team".to_owned(),
            uses_left,
            created_at: at(0),
            expires_at,
        };
        store.create_initial_token(token).await.unwrap();
        let client = client(&format!("client {number}"), ClientSource::Admin);
        let registered = store
            .register_with_token(client, &digest(34, number), at(10))
            .await;
        assert_eq!(registered, Ok(RegisterOutcome::Registered));
    }
    let ends = async || {
        let tokens = store.initial_tokens(PageRequest::default()).await.unwrap().items;
        let ends = tokens
            .iter()
            .rev()
            .map(|token| (token.id.as_u128(), token.expires_at));
        ends.collect::<Vec<_>>()
    };
    let (used_up, expired) = ((1, Some(at(10))), (2, Some(at(20))));
    let (unlimited, not_used_up) = ((3, None), (4, None));
    for (time, left) in [
        (1010, vec![used_up, expired, unlimited, not_used_up]),
        (1011, vec![expired, unlimited, not_used_up]),
        (1020, vec![expired, unlimited, not_used_up]),
        (1021, vec![unlimited, not_used_up]),
        (YEAR, vec![unlimited, not_used_up]),
    ] {
        store.sweep(at(time), RETAIN, 100).await.unwrap();
        assert_eq!(ends().await, left, "{time}");
    }
}

/// A client, and a grant that nobody ended. One event a batch, which stands and falls with it.
pub(crate) async fn what_nobody_ended_is_told_by_its_number_when_it_goes(opened: Opened) {
    let scene = Scene::new(opened).await;
    let store = &scene.store;
    let pending = scene.approved().await.grant.id;
    let expired = scene.active().await;
    for _ in 0..3 {
        let once = RedeemCode {
            refresh: None,
            ..redemption(&scene.approved().await, at(0))
        };
        store.redeem_code(once).await.unwrap();
    }
    let ended = GrantFilter::one(scene.active().await);
    let ended = store.revoke_grants(ended, EndReason::RevokedByUser, at(1)).await;
    assert_eq!(ended, Ok(1));
    let told = async || {
        let events = events(store).await.into_iter();
        let of_sweeps =
            events.filter(|event| event.actor == ActorKind::System && event.detail.contains_key("kind"));
        let mut told: Vec<_> = of_sweeps
            .map(|event| (event.action.as_str().to_owned(), json!(event.detail)))
            .collect();
        told.sort_by_key(|(action, detail)| (action.clone(), detail.to_string()));
        told
    };
    let of = |action: &str, detail| (action.to_owned(), detail);

    // The id of the first event is taken: what it would tell of stays.
    let taken = origin(Actor::System, YEAR);
    let acting = store.acting(taken.clone());
    acting.create_user(person("taken@example.com")).await.unwrap();
    let swept = store.acting(taken).sweep(at(YEAR), RETAIN, 2).await;
    assert_eq!(swept.map(|swept| swept.total()), Err(StoreError::Conflict));
    assert!(store.grant(pending).await.unwrap().is_some());
    assert_eq!(store.grant(expired).await.unwrap(), None);
    let first = [
        of("grant.expired", json!({"kind": "expired_grants", "grants": 1})),
        of(
            "grant.expired",
            json!({"kind": "grants_without_refresh", "grants": 2}),
        ),
    ];
    assert_eq!(told().await, first);

    let sweep = async || {
        let acting = store.acting(origin(Actor::System, YEAR));
        acting.sweep(at(YEAR), RETAIN, 2).await.unwrap();
    };
    sweep().await;
    assert_eq!(store.grant(pending).await.unwrap(), None);
    assert_eq!(store.client(APP).await.unwrap(), None);
    let [one, two] = first;
    let all = [
        of("client.expired", json!({"kind": "unused_clients", "clients": 1})),
        one,
        of(
            "grant.expired",
            json!({"kind": "grants_without_refresh", "grants": 1}),
        ),
        of("grant.expired", json!({"kind": "pending_grants", "grants": 1})),
        two,
    ];
    assert_eq!(told().await, all);
    // What removes nothing tells nothing.
    sweep().await;
    sweep().await;
    assert_eq!(told().await, all);
}
