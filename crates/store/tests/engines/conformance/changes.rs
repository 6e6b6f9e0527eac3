//! What others may keep in memory: every change has another version before it is answered.

use std::time::Duration;

use doorward_store::{
    AssertionAudience, Change, ClientSource, EndReason, GrantFilter, STALE_AFTER, SigningKeyRecord, Store,
    TrustedIssuer, TrustedIssuerKind, Version,
};

use super::scene::{APP, Opened, Scene, at, client, issuance, resource, rotation};

/// The version of a kind, when the engine knows it: one that listens begins to a moment after it was opened.
pub(crate) async fn version(store: &dyn Store, change: Change) -> Version {
    for _ in 0..1000 {
        if let Some(version) = store.changes().version(change) {
            return version;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the engine never knows what changes");
}

/// Runs an operation, and asserts that it is a change of this kind when it answers.
macro_rules! changes {
    ($scene:expr, $change:ident, $operation:expr) => {{
        let store = &*$scene.store;
        let before = version(store, Change::$change).await;
        $operation.await.unwrap();
        let after = version(store, Change::$change).await;
        assert_ne!(before, after, stringify!($operation));
    }};
}

pub(crate) fn key(key_id: &str) -> SigningKeyRecord {
    SigningKeyRecord {
        key_id: key_id.to_owned(),
        algorithm: "ES256".to_owned(),
        sealed_private_key: vec![1],
        created_at: at(0),
        signs_from: at(0),
        revoked_at: None,
    }
}

pub(crate) async fn a_change_is_known_before_it_is_answered(opened: Opened) {
    let scene = Scene::new(opened).await;
    let store = &scene.store;

    let mut app = store.client(APP).await.unwrap().unwrap();
    app.disabled = true;
    changes!(scene, Clients, store.update_client(app));
    store
        .create_client(client("another", ClientSource::Admin))
        .await
        .unwrap();
    changes!(scene, Clients, store.delete_client("another", at(1)));

    let mut other = resource("other", "https://other.example/mcp");
    changes!(scene, Resources, store.create_resource(other.clone()));
    other.display_name.push('!');
    changes!(scene, Resources, store.update_resource(other));
    changes!(scene, Resources, store.delete_resource("other", at(1)));

    changes!(scene, SigningKeys, store.add_signing_key(key("first"), None));
    changes!(
        scene,
        SigningKeys,
        store.replace_signing_key(Some("first"), key("second"), at(1))
    );
    // Of what is done every minute and finds nothing to do, nobody is told: every guard would ask for the keys again.
    tokio::time::sleep(2 * STALE_AFTER).await;
    let before = version(&**store, Change::SigningKeys).await;
    assert_eq!(store.delete_signing_keys(at(0)).await.unwrap(), 0);
    assert_eq!(store.reseal(Vec::new()).await.unwrap(), 0);
    assert_eq!(version(&**store, Change::SigningKeys).await, before);

    let mut issuer = TrustedIssuer {
        slug: "idp".to_owned(),
        kind: TrustedIssuerKind::IdentityProvider,
        issuer: "https://idp.example".to_owned(),
        terms: "{}".to_owned(),
        disabled: false,
        created_at: at(0),
        updated_at: at(0),
    };
    changes!(scene, Policies, store.create_trusted_issuer(issuer.clone()));
    issuer.disabled = true;
    changes!(scene, Policies, store.update_trusted_issuer(issuer));
    changes!(scene, Policies, store.delete_trusted_issuer("idp", at(1)));
    let mut audience = AssertionAudience {
        slug: "there".to_owned(),
        issuer: "https://there.example".to_owned(),
        terms: "{}".to_owned(),
        disabled: false,
        created_at: at(0),
        updated_at: at(0),
    };
    changes!(scene, Policies, store.create_assertion_audience(audience.clone()));
    audience.disabled = true;
    changes!(scene, Policies, store.update_assertion_audience(audience));
    changes!(scene, Policies, store.delete_assertion_audience("there"));
}

pub(crate) async fn each_way_to_end_a_grant_is_a_change_of_the_log(opened: Opened) {
    let scene = Scene::new(opened).await;
    let store = &scene.store;
    let id = scene.active().await;
    let by_admin = EndReason::RevokedByAdmin;
    changes!(
        scene,
        Revocations,
        store.revoke_grants(GrantFilter::one(id), by_admin, at(1))
    );
    let id = scene.active().await;
    let mut token = issuance(id, at(1));
    let jti = token.jti.clone();
    let mut first = rotation(id, 1, at(1));
    std::mem::swap(&mut first.issuance, &mut token);
    store.rotate_refresh(first).await.unwrap();
    changes!(scene, Revocations, store.revoke_issuance(&jti, at(2)));
    // The second one reuses what the first used up.
    for (generation, now) in [(2, 3), (3, 4)] {
        store
            .rotate_refresh(rotation(id, generation, at(now)))
            .await
            .unwrap();
    }
    changes!(
        scene,
        Revocations,
        store.rotate_refresh(rotation(id, 1, at(1000)))
    );
    scene.active().await;
    let mut person = scene.user.clone();
    person.disabled = true;
    changes!(scene, Revocations, store.update_user(person, at(5)));
    // Another log, also where there is no grant to end.
    for now in [6, 7] {
        changes!(scene, Revocations, store.end_everything(at(now)));
    }
    changes!(scene, Revocations, store.forget_secrets(at(8)));
}
