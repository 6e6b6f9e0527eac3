use std::sync::Arc;

use doorward_store::{AdminKey, SealedSecret, SigningKeyRecord, SigningKeyState, StoreError};

use super::scene::{Opened, at, at_once, digest};

fn key(number: i64) -> SigningKeyRecord {
    SigningKeyRecord {
        key_id: format!("key-{number}"),
        algorithm: "ES256".to_owned(),
        sealed_private_key: vec![0, 255, 7],
        state: SigningKeyState::Active,
        created_at: at(number),
        retired_at: None,
    }
}

fn admin_key(number: u32) -> AdminKey {
    AdminKey {
        digest: digest(4, number),
        name: format!("key {number}"),
        created_at: at(0),
    }
}

pub(crate) async fn a_new_signing_key_retires_the_one_before(opened: Opened) {
    let store = opened.store;
    assert_eq!(store.signing_keys().await.unwrap(), []);
    assert_eq!(
        store.add_signing_key(key(1), true, at(1)).await.unwrap(),
        [key(1)]
    );
    assert_eq!(
        store.add_signing_key(key(2), true, at(2)).await.unwrap(),
        [key(1)]
    );
    let retired = SigningKeyRecord {
        state: SigningKeyState::Previous,
        retired_at: Some(at(3)),
        ..key(1)
    };
    assert_eq!(
        store.add_signing_key(key(3), false, at(3)).await.unwrap(),
        [key(3), retired.clone()]
    );
    assert_eq!(store.signing_keys().await.unwrap(), [key(3), retired]);
    assert_eq!(
        store.add_signing_key(key(3), false, at(4)).await,
        Err(StoreError::Conflict)
    );
    assert_eq!(store.signing_keys().await.unwrap()[0], key(3));
}

pub(crate) async fn parallel_starts_agree_on_one_signing_key(opened: Opened) {
    let store = opened.store;
    let seen = at_once(50, |caller| {
        let store = Arc::clone(&store);
        async move {
            store
                .add_signing_key(key(i64::try_from(caller).unwrap()), true, at(0))
                .await
                .unwrap()
        }
    })
    .await;
    assert!(seen.iter().all(|keys| keys.len() == 1 && keys == &seen[0]));
}

pub(crate) async fn retired_keys_are_deleted_when_their_time_came(opened: Opened) {
    let store = opened.store;
    for number in 1..=3 {
        store
            .add_signing_key(key(number), false, at(number * 10))
            .await
            .unwrap();
    }
    // Key 1 retired at 20, key 2 at 30.
    assert_eq!(store.delete_signing_keys(at(20)).await, Ok(0));
    assert_eq!(store.delete_signing_keys(at(30)).await, Ok(1));
    assert_eq!(store.delete_signing_keys(at(9999)).await, Ok(1));
    assert_eq!(store.signing_keys().await.unwrap(), [key(3)]);
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
