use std::collections::HashSet;
use std::sync::Arc;

use doorward_store::signing_keys::signer;
use doorward_store::{
    AdminKey, AuditAction, CLOCK_ERROR, Reseal, SealedKind, SealedSecret, SigningKeyRecord, StoreError,
    Stored, UnixSeconds,
};
use serde_json::{Value, json};

use super::audit::{acting, events};
use super::scene::{Opened, at, at_once, digest};

/// Made at the beginning, and signs from then on or later.
pub(super) fn key(number: i64, signs_from: UnixSeconds) -> SigningKeyRecord {
    SigningKeyRecord {
        key_id: format!("key-{number}"),
        algorithm: "ES256".to_owned(),
        sealed_private_key: vec![0, 255, u8::try_from(number).unwrap()],
        created_at: at(0),
        signs_from,
        revoked_at: None,
    }
}

pub(super) fn admin_key(number: u32) -> AdminKey {
    AdminKey {
        digest: digest(4, number),
        name: format!("key {number}"),
        created_at: at(0),
    }
}

pub(crate) async fn a_signing_key_is_added_by_who_saw_the_newest(opened: Opened) {
    let store = opened.store;
    assert_eq!(store.signing_keys().await.unwrap(), []);
    let (first, second) = (key(1, at(0)), key(2, at(600)));
    assert_eq!(
        store.add_signing_key(first.clone(), None).await.unwrap(),
        std::slice::from_ref(&first)
    );
    // Somebody who has not seen it adds nothing, and sees it now.
    assert_eq!(
        store.add_signing_key(second.clone(), None).await.unwrap(),
        std::slice::from_ref(&first)
    );
    let both = store
        .add_signing_key(second.clone(), Some("key-1"))
        .await
        .unwrap();
    assert_eq!(both, [second.clone(), first]);
    assert_eq!(
        store.add_signing_key(second, Some("key-2")).await,
        Err(StoreError::Conflict)
    );
    assert_eq!(store.signing_keys().await.unwrap(), both);
}

pub(crate) async fn parallel_callers_agree_on_one_signing_key(opened: Opened) {
    let store = opened.store;
    for newest in [None, Some(0)] {
        let newest = match newest {
            None => None,
            Some(_) => Some(store.signing_keys().await.unwrap()[0].key_id.clone()),
        };
        let round = if newest.is_some() { 100 } else { 0 };
        let seen = at_once(50, |caller| {
            let (store, newest) = (Arc::clone(&store), newest.clone());
            let mine = key(round + i64::try_from(caller).unwrap(), at(round));
            async move { store.add_signing_key(mine, newest.as_deref()).await.unwrap() }
        })
        .await;
        assert!(seen.iter().all(|keys| keys == &seen[0]));
        assert_eq!(seen[0].len(), if newest.is_some() { 2 } else { 1 });
    }
}

pub(crate) async fn a_waiting_key_takes_the_place_of_a_revoked_one(opened: Opened) {
    let store = opened.store;
    store.add_signing_key(key(1, at(0)), None).await.unwrap();
    store
        .add_signing_key(key(2, at(600)), Some("key-1"))
        .await
        .unwrap();
    let keys = store
        .replace_signing_key(Some("key-1"), key(3, at(10)), at(10))
        .await
        .unwrap();
    let revoked = SigningKeyRecord {
        revoked_at: Some(at(10)),
        ..key(1, at(0))
    };
    assert_eq!(keys, [key(2, at(10)), revoked.clone()]);
    assert_eq!(signer(&keys, at(10)), Some(&keys[0]));
    // Again, and for a key that does not sign: nothing changes but that it is withdrawn.
    let again = store
        .replace_signing_key(Some("key-1"), key(4, at(20)), at(20))
        .await;
    assert_eq!(again.unwrap(), keys);
    // Without one that waits it is the spare one.
    let keys = store
        .replace_signing_key(Some("key-2"), key(5, at(30)), at(30))
        .await;
    let revoked_too = SigningKeyRecord {
        revoked_at: Some(at(30)),
        ..key(2, at(10))
    };
    assert_eq!(keys.unwrap(), [key(5, at(30)), revoked_too, revoked]);
    assert_eq!(
        store
            .replace_signing_key(Some("nobody"), key(6, at(40)), at(40))
            .await,
        Err(StoreError::NotFound)
    );
}

pub(crate) async fn who_follows_a_withdrawn_key_signs_at_once_on_nodes_whose_clock_is_behind(opened: Opened) {
    let store = opened.store;
    store.add_signing_key(key(1, at(0)), None).await.unwrap();
    store
        .add_signing_key(key(2, at(600)), Some("key-1"))
        .await
        .unwrap();
    let (here, ahead) = (at(1000), at(1000) + CLOCK_ERROR);
    let keys = store
        .replace_signing_key(Some("key-2"), key(3, ahead), ahead)
        .await
        .unwrap();
    assert_eq!(signer(&keys, here), Some(&key(3, ahead)));
    // Withdrawn in its turn by a node whose clock is right, whichever signs there.
    let keys = store
        .replace_signing_key(Some("key-3"), key(4, here), here)
        .await
        .unwrap();
    for now in [at(700), here, ahead] {
        assert_eq!(signer(&keys, now), Some(&key(4, here)));
    }
}

pub(crate) async fn a_key_that_waits_can_be_revoked_or_brought_forward(opened: Opened) {
    let store = opened.store;
    store.add_signing_key(key(1, at(0)), None).await.unwrap();
    store
        .add_signing_key(key(2, at(600)), Some("key-1"))
        .await
        .unwrap();
    let keys = store
        .replace_signing_key(Some("key-2"), key(9, at(10)), at(10))
        .await
        .unwrap();
    assert_eq!(keys.len(), 2);
    assert_eq!(signer(&keys, at(9999)), Some(&key(1, at(0))));
    store
        .add_signing_key(key(3, at(600)), Some("key-2"))
        .await
        .unwrap();
    let keys = store
        .replace_signing_key(None, key(9, at(20)), at(20))
        .await
        .unwrap();
    assert_eq!(keys[0], key(3, at(20)));
    let keys = store
        .replace_signing_key(None, key(9, at(30)), at(30))
        .await
        .unwrap();
    assert_eq!(keys[0], key(9, at(30)));
    assert_eq!(keys[1], key(3, at(20)));
}

pub(crate) async fn of_fifty_who_revoke_a_key_one_brings_its_successor(opened: Opened) {
    let store = opened.store;
    store.add_signing_key(key(1, at(0)), None).await.unwrap();
    let seen = at_once(50, |caller| {
        let store = Arc::clone(&store);
        let spare = key(100 + i64::try_from(caller).unwrap(), at(5));
        async move {
            store
                .replace_signing_key(Some("key-1"), spare, at(5))
                .await
                .unwrap()
        }
    })
    .await;
    assert!(seen.iter().all(|keys| keys.len() == 2 && keys == &seen[0]));
}

pub(crate) async fn who_signs_after_a_change_is_told_and_what_changes_nothing_is_not(opened: Opened) {
    let store = opened.store;
    store.add_signing_key(key(1, at(0)), None).await.unwrap();
    let told = async |revoked: Option<&str>, spare: i64, now: UnixSeconds| {
        let before: Vec<_> = events(&store).await.iter().map(|event| event.id).collect();
        let hands = acting(&store);
        hands
            .replace_signing_key(revoked, key(spare, now), now)
            .await
            .unwrap();
        let mut told = events(&store).await;
        told.retain(|event| !before.contains(&event.id));
        let told = told
            .into_iter()
            .map(|event| (event.action, event.target.unwrap(), Value::Object(event.detail)));
        told.collect::<Vec<_>>()
    };
    let one =
        |action: AuditAction, target: &str, detail| vec![(Stored::from(action), target.to_owned(), detail)];
    // A new one, and one that waited.
    let rotated = json!({"algorithm": "ES256", "created": "key-2"});
    let expected = one(AuditAction::SigningKeyRotated, "key-2", rotated);
    assert_eq!(told(None, 2, at(10)).await, expected);
    store
        .add_signing_key(key(3, at(600)), Some("key-2"))
        .await
        .unwrap();
    let rotated = json!({"algorithm": "ES256", "created": null});
    let expected = one(AuditAction::SigningKeyRotated, "key-3", rotated);
    assert_eq!(told(None, 9, at(20)).await, expected);
    // One that signs, one that does not, and again.
    let revoked = json!({"signs": "key-4", "created": "key-4"});
    let expected = one(AuditAction::SigningKeyRevoked, "key-3", revoked);
    assert_eq!(told(Some("key-3"), 4, at(30)).await, expected);
    let revoked = json!({"signs": "key-4", "created": null});
    let expected = one(AuditAction::SigningKeyRevoked, "key-1", revoked);
    assert_eq!(told(Some("key-1"), 9, at(40)).await, expected);
    assert!(told(Some("key-1"), 9, at(50)).await.is_empty());
    assert!(told(Some("key-3"), 9, at(50)).await.is_empty());
}

pub(crate) async fn keys_are_deleted_when_their_time_came(opened: Opened) {
    let store = opened.store;
    let mut newest = None;
    for number in 1..=3 {
        let key = key(number, at(number * 10));
        store
            .add_signing_key(key.clone(), newest.as_deref())
            .await
            .unwrap();
        newest = Some(key.key_id);
    }
    // Key 1 stopped at 20, key 2 at 30.
    assert_eq!(store.delete_signing_keys(at(20)).await, Ok(0));
    assert_eq!(store.delete_signing_keys(at(30)).await, Ok(1));
    assert_eq!(store.delete_signing_keys(at(9999)).await, Ok(1));
    assert_eq!(store.signing_keys().await.unwrap(), [key(3, at(30))]);
}

pub(crate) async fn what_is_sealed_is_listed_and_sealed_anew_once(opened: Opened) {
    let store = opened.store;
    let mut newest = None;
    for number in 1..=3 {
        let key = key(number, at(0));
        store
            .add_signing_key(key.clone(), newest.as_deref())
            .await
            .unwrap();
        newest = Some(key.key_id);
    }
    for purpose in ["b", "a"] {
        store.secret(purpose, SealedSecret(vec![7])).await.unwrap();
    }
    let keys = store.sealed(SealedKind::SigningKey, "", 2).await.unwrap();
    assert_eq!(
        keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(),
        ["key-1", "key-2"]
    );
    let rest = store.sealed(SealedKind::SigningKey, "key-2", 2).await.unwrap();
    assert_eq!(rest.len(), 1);
    let secrets = store.sealed(SealedKind::ServerSecret, "", 9).await.unwrap();
    assert_eq!(secrets[0].name, "a");
    let changes: Vec<Reseal> = keys
        .into_iter()
        .chain(secrets)
        .map(|before| Reseal {
            after: vec![9, 9],
            before,
        })
        .collect();
    assert_eq!(store.reseal(changes.clone()).await, Ok(4));
    // What another one has changed meanwhile stays as it is.
    assert_eq!(store.reseal(changes).await, Ok(0));
    let stored = store.signing_keys().await.unwrap();
    assert_eq!(stored[0], key(3, at(0)));
    assert_eq!(stored[1].sealed_private_key, [9, 9]);
    assert_eq!(
        store.find_secret("a").await.unwrap(),
        Some(SealedSecret(vec![9, 9]))
    );
}

pub(crate) async fn a_turn_is_had_by_one_at_a_time(opened: Opened) {
    let store = opened.store;
    let held = store.try_turn("job").await.unwrap();
    assert!(held.is_some());
    assert!(store.try_turn("job").await.unwrap().is_none());
    assert!(store.try_turn("another").await.unwrap().is_some());
    drop(held);
    let again = store.turn("job").await.unwrap();
    assert!(store.try_turn("job").await.unwrap().is_none());
    drop(again);
    drop(store.turn("job").await.unwrap());
}

pub(crate) async fn parallel_starts_agree_on_one_secret(opened: Opened) {
    let store = opened.store;
    assert_eq!(store.find_secret("seal").await.unwrap(), None);
    let seen = at_once(50, |caller| {
        let store = Arc::clone(&store);
        async move {
            store
                .secret("seal", SealedSecret(vec![u8::try_from(caller).unwrap()]))
                .await
                .unwrap()
        }
    })
    .await;
    assert!(seen.iter().all(|secret| *secret == seen[0]));
    assert_eq!(store.find_secret("seal").await.unwrap().as_ref(), Some(&seen[0]));
    assert_eq!(store.find_secret("other").await.unwrap(), None);
}

pub(crate) async fn only_the_first_admin_key_is_added_at_bootstrap(opened: Opened) {
    let store = opened.store;
    let added = at_once(50, |caller| {
        let store = Arc::clone(&store);
        async move {
            store
                .add_admin_key(admin_key(u32::try_from(caller).unwrap()), true)
                .await
                .unwrap()
        }
    })
    .await;
    assert_eq!(added.iter().filter(|added| **added).count(), 1);
    assert_eq!(store.add_admin_key(admin_key(1000), false).await, Ok(true));
    assert_eq!(
        store.add_admin_key(admin_key(1000), false).await,
        Err(StoreError::Conflict)
    );
    assert_eq!(
        store.admin_key(&digest(4, 1000)).await.unwrap(),
        Some(admin_key(1000))
    );
    assert_eq!(store.admin_key(&digest(4, 1001)).await.unwrap(), None);
}

pub(crate) async fn admin_keys_have_names_and_the_last_one_stays(opened: Opened) {
    let store = opened.store;
    let later = AdminKey {
        created_at: at(9),
        ..admin_key(2)
    };
    assert_eq!(store.add_admin_key(admin_key(1), false).await, Ok(true));
    assert_eq!(store.add_admin_key(later.clone(), false).await, Ok(true));
    let namesake = AdminKey {
        name: "key 1".to_owned(),
        ..admin_key(3)
    };
    assert_eq!(
        store.add_admin_key(namesake.clone(), false).await,
        Err(StoreError::Conflict)
    );
    let looks_alike = AdminKey {
        name: "Key 1".to_owned(),
        ..admin_key(3)
    };
    assert_eq!(
        store.add_admin_key(looks_alike, false).await,
        Err(StoreError::Conflict)
    );
    assert_eq!(store.admin_keys().await, Ok(vec![later.clone(), admin_key(1)]));

    assert_eq!(store.delete_admin_key(namesake.id(), false).await, Ok(false));
    assert_eq!(store.delete_admin_key(admin_key(1).id(), false).await, Ok(true));
    assert_eq!(store.admin_key(&admin_key(1).digest).await, Ok(None));
    assert_eq!(store.add_admin_key(namesake.clone(), false).await, Ok(true));
    assert_eq!(store.delete_admin_key(later.id(), false).await, Ok(true));
    assert_eq!(
        store.delete_admin_key(namesake.id(), false).await,
        Err(StoreError::Conflict)
    );
    assert_eq!(store.admin_keys().await, Ok(vec![namesake.clone()]));
    assert_eq!(store.delete_admin_key(namesake.id(), true).await, Ok(true));
    assert_eq!(store.admin_keys().await, Ok(vec![]));
}

pub(crate) async fn of_fifty_who_delete_each_others_admin_keys_one_stays(opened: Opened) {
    let store = opened.store;
    for number in 0..50 {
        store.add_admin_key(admin_key(number), false).await.unwrap();
    }
    let deleted = at_once(50, |caller| {
        let store = Arc::clone(&store);
        async move {
            let next = (u32::try_from(caller).unwrap() + 1) % 50;
            store.delete_admin_key(admin_key(next).id(), false).await
        }
    })
    .await;
    let refused: Vec<_> = deleted.iter().filter(|answer| **answer != Ok(true)).collect();
    assert_eq!(refused, [&Err(StoreError::Conflict)]);
    assert_eq!(store.admin_keys().await.unwrap().len(), 1);
}

pub(crate) async fn of_fifty_admin_keys_with_one_name_one_is_added(opened: Opened) {
    let store = opened.store;
    let added = at_once(50, |caller| {
        let store = Arc::clone(&store);
        let key = AdminKey {
            name: "ada".to_owned(),
            ..admin_key(u32::try_from(caller).unwrap())
        };
        async move { store.add_admin_key(key, false).await }
    })
    .await;
    assert_eq!(added.iter().filter(|answer| **answer == Ok(true)).count(), 1);
    let refused = added
        .iter()
        .filter(|answer| **answer == Err(StoreError::Conflict));
    assert_eq!(refused.count(), 49);
    assert_eq!(store.admin_keys().await.unwrap().len(), 1);
}

pub(crate) async fn another_issuers_name_is_noticed(opened: Opened) {
    let (store, one) = (opened.store, "https://one.example");
    let named = at_once(50, |number| {
        let store = Arc::clone(&store);
        async move {
            let name = format!("https://{number}.example");
            (store.serve_as(&name).await.unwrap(), name)
        }
    })
    .await;
    // Everybody but the first was told of another one, and nobody of the last.
    let told: HashSet<_> = named.iter().filter_map(|(before, _)| before.as_ref()).collect();
    assert_eq!(told.len(), 49);
    let last = named
        .iter()
        .map(|(_, name)| name)
        .find(|name| !told.contains(name));
    assert_eq!(store.serve_as(last.unwrap()).await, Ok(None));
    assert_eq!(store.serve_as(one).await.as_ref(), Ok(&last.cloned()));
    assert_eq!(store.serve_as(one).await, Ok(None));
}
