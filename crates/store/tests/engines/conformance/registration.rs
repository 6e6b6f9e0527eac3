use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use doorward_store::{
    Client, ClientSecret, ClientSource, EndReason, GrantState, InitialAccessToken, PageRequest,
    RegisterOutcome, StoreError,
};
use uuid::Uuid;

use super::scene::{APP, Opened, Scene, at, at_once, client, digest, fresh};

fn token(uses_left: Option<u32>) -> InitialAccessToken {
    let number = fresh();
    InitialAccessToken {
        id: Uuid::from_u128(number.into()),
        digest: digest(30, number),
        name: "A team".to_owned(),
        uses_left,
        created_at: at(0),
        expires_at: Some(at(100)),
    }
}

pub(crate) async fn an_initial_token_reads_back_and_can_be_removed(opened: Opened) {
    let store = &*opened.store;
    let (one, any) = (
        token(Some(1)),
        InitialAccessToken {
            created_at: at(1),
            expires_at: None,
            ..token(None)
        },
    );
    store.create_initial_token(one.clone()).await.unwrap();
    store.create_initial_token(any.clone()).await.unwrap();
    let all = store.initial_tokens(PageRequest::default()).await.unwrap();
    assert_eq!(all.items, [any.clone(), one.clone()]);
    assert_eq!(store.initial_token(one.id).await, Ok(Some(one.clone())));
    assert_eq!(store.delete_initial_token(one.id).await, Ok(true));
    assert_eq!(store.delete_initial_token(one.id).await, Ok(false));
    assert_eq!(store.initial_token(one.id).await, Ok(None));
    let left = store.initial_tokens(PageRequest::default()).await.unwrap();
    assert_eq!((left.items, left.next), (vec![any], None));
}

/// Of one second, too.
pub(crate) async fn initial_tokens_come_in_pages_newest_first(opened: Opened) {
    let store = &*opened.store;
    let tokens: Vec<_> = (0..5).map(|_| token(None)).collect();
    for place in [2, 0, 4, 1, 3] {
        store.create_initial_token(tokens[place].clone()).await.unwrap();
    }
    let (mut seen, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = store
            .initial_tokens(PageRequest { after, limit: 2 })
            .await
            .unwrap();
        seen.extend(page.items);
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let newest_first: Vec<_> = tokens.into_iter().rev().collect();
    assert_eq!((seen, pages), (newest_first, 3));
}

/// DCR-020
pub(crate) async fn a_token_for_one_use_registers_one_client_whoever_races(opened: Opened) {
    let store = opened.store;
    let token = token(Some(1));
    store.create_initial_token(token.clone()).await.unwrap();
    let answers = at_once(50, |number| {
        let store = Arc::clone(&store);
        let client = client(&format!("raced-{number}"), ClientSource::Dynamic);
        async move {
            store
                .register_with_token(client, &token.digest, at(1))
                .await
                .unwrap()
        }
    })
    .await;
    let registered = answers
        .iter()
        .filter(|answer| **answer == RegisterOutcome::Registered);
    assert_eq!(registered.count(), 1);
    let all = store
        .clients(
            doorward_store::ClientFilter::default(),
            doorward_store::PageRequest::default(),
        )
        .await
        .unwrap();
    assert_eq!(all.items.len(), 1);
}

pub(crate) async fn an_expired_or_unknown_token_registers_nobody(opened: Opened) {
    let store = opened.store;
    let token = token(None);
    store.create_initial_token(token.clone()).await.unwrap();
    for (name, token, second, expected) in [
        ("unknown", digest(31, fresh()), 1, RegisterOutcome::TokenRefused),
        ("expired", token.digest, 100, RegisterOutcome::TokenRefused),
        ("one", token.digest, 1, RegisterOutcome::Registered),
        ("two", token.digest, 99, RegisterOutcome::Registered),
    ] {
        let client = client(name, ClientSource::Dynamic);
        let outcome = store.register_with_token(client, &token, at(second)).await;
        assert_eq!(outcome, Ok(expected), "{name}");
        let registered = store.client(name).await.unwrap().is_some();
        assert_eq!(registered, expected == RegisterOutcome::Registered, "{name}");
    }
}

async fn managed(scene: &Scene) -> Client {
    let mut client = scene.store.client(APP).await.unwrap().unwrap();
    client.registration_token = Some(digest(32, 1));
    scene.store.update_client(client.clone()).await.unwrap();
    client
}

/// DCR-027
pub(crate) async fn a_client_that_changes_its_registration_loses_its_unredeemed_codes(opened: Opened) {
    let scene = Scene::new(opened).await;
    let client = managed(&scene).await;
    let (active, pending) = (scene.active().await, scene.approved().await.grant.id);
    let renamed = Client {
        fingerprint: "fingerprint-2".to_owned(),
        ..client.clone()
    };
    let presented = digest(32, 1);
    let same = scene.store.update_registration(client, &presented, at(1)).await;
    assert_eq!(same, Ok(()));
    assert_eq!(scene.state(pending).await, GrantState::Pending);
    let other = scene.store.update_registration(renamed, &presented, at(1)).await;
    assert_eq!(other, Ok(()));
    assert_eq!(
        scene.grant(pending).await.end_reason,
        Some(EndReason::ClientChanged)
    );
    assert_eq!(scene.state(active).await, GrantState::Active);
}

/// The operator had read the client before.
pub(crate) async fn an_operator_undoes_nothing_that_a_client_changed_itself(opened: Opened) {
    let scene = Scene::new(opened).await;
    let read = managed(&scene).await;
    let changed = Client {
        metadata: r#"{"client_name":"Other"}"#.to_owned(),
        fingerprint: "fingerprint-2".to_owned(),
        registration_token: Some(digest(32, 2)),
        secrets: vec![ClientSecret {
            digest: digest(33, 1),
            expires_at: None,
        }],
        ..read.clone()
    };
    let updated = scene
        .store
        .update_registration(changed.clone(), &digest(32, 1), at(1))
        .await;
    assert_eq!(updated, Ok(()));
    let disabled = Client {
        disabled: true,
        updated_at: at(2),
        ..read
    };
    scene.store.update_client(disabled).await.unwrap();
    let now = scene.store.client(APP).await.unwrap().unwrap();
    let expected = Client {
        disabled: true,
        updated_at: at(2),
        ..changed
    };
    assert_eq!(now, expected);
}

pub(crate) async fn a_client_that_an_operator_changes_loses_its_unredeemed_codes(opened: Opened) {
    let scene = Scene::new(opened).await;
    let (active, pending) = (scene.active().await, scene.approved().await.grant.id);
    let mut client = scene.store.client(APP).await.unwrap().unwrap();
    for (fingerprint, state) in [
        ("fingerprint-1", GrantState::Pending),
        ("fingerprint-2", GrantState::Ended),
    ] {
        fingerprint.clone_into(&mut client.fingerprint);
        scene.store.update_client(client.clone()).await.unwrap();
        assert_eq!(scene.state(pending).await, state, "{fingerprint}");
    }
    assert_eq!(scene.state(active).await, GrantState::Active);
}

pub(crate) async fn a_token_that_was_replaced_changes_nothing(opened: Opened) {
    let scene = Scene::new(opened).await;
    let client = managed(&scene).await;
    let update = |client: Client, token| {
        let store = Arc::clone(&scene.store);
        async move { store.update_registration(client, &token, at(1)).await }
    };
    let replaced = Client {
        registration_token: Some(digest(32, 2)),
        ..client.clone()
    };
    assert_eq!(update(replaced.clone(), digest(32, 1)).await, Ok(()));
    assert_eq!(
        update(client.clone(), digest(32, 1)).await,
        Err(StoreError::Conflict)
    );
    assert_eq!(scene.store.client(APP).await.unwrap(), Some(replaced.clone()));
    let unknown = Client {
        client_id: "nobody".to_owned(),
        ..client
    };
    assert_eq!(update(unknown, digest(32, 1)).await, Err(StoreError::NotFound));
    // What an operator changed after the client was read stays.
    let secret = |number| ClientSecret {
        digest: digest(33, number),
        expires_at: None,
    };
    let replaced = Client {
        secrets: vec![secret(1)],
        ..replaced
    };
    assert_eq!(update(replaced.clone(), digest(32, 2)).await, Ok(()));
    let rotated = Client {
        secrets: vec![secret(2), secret(1)],
        resource_server: Some("files".to_owned()),
        ..replaced.clone()
    };
    scene.store.update_client(rotated.clone()).await.unwrap();
    let stale = Client {
        secrets: vec![secret(1)],
        registration_token: Some(digest(32, 3)),
        ..replaced.clone()
    };
    assert_eq!(update(stale.clone(), digest(32, 2)).await, Ok(()));
    let expected = Client {
        registration_token: Some(digest(32, 3)),
        ..rotated
    };
    assert_eq!(scene.store.client(APP).await.unwrap(), Some(expected.clone()));
    let without = Client {
        secrets: Vec::new(),
        ..stale
    };
    assert_eq!(update(without, digest(32, 3)).await, Ok(()));
    let kept = scene.store.client(APP).await.unwrap().unwrap();
    assert_eq!(
        (kept.secrets, kept.resource_server),
        (Vec::new(), expected.resource_server)
    );
    // DCR-025: a disabled client does not enable itself.
    let disabled = Client {
        disabled: true,
        ..replaced.clone()
    };
    scene.store.update_client(disabled).await.unwrap();
    assert_eq!(update(replaced, digest(32, 2)).await, Err(StoreError::Conflict));
}

pub(crate) async fn one_change_at_a_time_holds_over_all_callers(opened: Opened) {
    static INSIDE: AtomicU32 = AtomicU32::new(0);
    let store = opened.store;
    at_once(12, |_| {
        let store = Arc::clone(&store);
        async move {
            let turn = store.turn("test").await.unwrap();
            assert_eq!(INSIDE.fetch_add(1, Ordering::SeqCst) % 100, 0);
            store.ping().await.unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
            INSIDE.fetch_sub(1, Ordering::SeqCst);
            drop(turn);
        }
    })
    .await;
}
