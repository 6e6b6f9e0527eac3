//! Everything ends, after the database was put back to an earlier state, or with the keys and secrets that were stolen.

use std::sync::Arc;

use doorward_store::SpendOutcome::{Spent, UsedBefore};
use doorward_store::{
    ApprovalOutcome, EndReason, Ended, GrantFilter, GrantState, InitialAccessToken, PageRequest,
    RedeemOutcome, RotateOutcome, SealedKind, SealedSecret, SecretsForgotten, Spend,
};
use serde_json::Value;
use uuid::Uuid;

use super::audit::{acting, events};
use super::devices::device;
use super::keys;
use super::scene::{APP, Opened, Scene, at, consent, digest, fresh};

fn token(uses_left: Option<u32>) -> InitialAccessToken {
    InitialAccessToken {
        id: Uuid::from_u128(u128::from(fresh())),
        digest: digest(7, fresh()),
        name: "token".to_owned(),
        uses_left,
        created_at: at(0),
        expires_at: None,
    }
}

pub(crate) async fn nothing_that_was_given_out_is_usable_any_more(opened: Opened) {
    let scene = Scene::new(opened).await;
    let active = scene.active().await;
    let mut approval = scene.approval();
    approval.consent = Some(consent("fingerprint-1", "files:read", "https://app.example/cb"));
    assert!(matches!(
        scene.approve(&approval).await,
        ApprovalOutcome::Approved(_)
    ));
    let waiting = device(digest(21, fresh()));
    scene.store.begin_device(waiting.clone()).await.unwrap();
    let (once, always) = (token(Some(1)), token(None));
    for token in [&once, &always] {
        scene.store.create_initial_token(token.clone()).await.unwrap();
    }
    let log = scene.store.revocations(0, 10).await.unwrap().log;

    let ended = scene.store.end_everything(at(10)).await.unwrap();
    let wanted = Ended {
        grants: 2,
        sessions: 1,
        devices: 1,
        consents: 1,
        initial_tokens: 1,
    };
    assert_eq!(ended, wanted);
    let grant = scene.grant(active).await;
    assert_eq!(
        (grant.state, grant.end_reason, grant.ended_at),
        (GrantState::Ended, Some(EndReason::RevokedByAdmin), Some(at(10)))
    );
    assert_eq!(scene.rotate(active, 1, at(11)).await, RotateOutcome::Ended);
    assert!(!matches!(
        scene.redeem(&approval, at(11)).await,
        RedeemOutcome::Redeemed(_)
    ));
    let idle = std::time::Duration::from_hours(1);
    assert_eq!(
        scene.store.session(&scene.session.id, idle, at(11)).await,
        Ok(None)
    );
    let found = scene.store.device_by_user_code(&waiting.user_code, at(1)).await;
    assert_eq!(found, Ok(None));
    assert_eq!(scene.consent().await, None);
    let left = scene.store.initial_tokens(PageRequest::default()).await.unwrap();
    assert_eq!(left.items, [always]);
    let after = scene.store.revocations(0, 10).await.unwrap();
    // Whoever followed the log reads it anew; a grant without a token is not in it.
    assert_ne!(after.log, log);
    assert_eq!(after.items.len(), 1);

    assert_eq!(scene.store.end_everything(at(12)).await, Ok(Ended::default()));
}

/// More than fit into one transaction.
pub(crate) async fn every_grant_ends_however_many_there_are(opened: Opened) {
    let scene = Scene::new(opened).await;
    for _ in 0..450 {
        let approval = scene.approval();
        assert!(matches!(
            scene.approve(&approval).await,
            ApprovalOutcome::Approved(_)
        ));
    }
    let ended = scene.store.end_everything(at(10)).await.unwrap();
    assert_eq!(ended.grants, 450);
}

/// Keys and secrets as a start makes them.
async fn with_secrets(scene: &Scene) {
    scene
        .store
        .add_signing_key(keys::key(1, at(0)), None)
        .await
        .unwrap();
    for name in ["root", "admin.bootstrap_key:x"] {
        scene.store.secret(name, SealedSecret(vec![1])).await.unwrap();
    }
}

async fn has_secrets(scene: &Scene) -> bool {
    let mut sealed = 0;
    for kind in SealedKind::ALL {
        sealed += scene.store.sealed(kind, "", 10).await.unwrap().len();
    }
    sealed > 0
}

pub(crate) async fn whoever_knows_the_old_secrets_has_nothing(opened: Opened) {
    let scene = Scene::new(opened).await;
    with_secrets(&scene).await;
    let active = scene.active().await;
    let approval = scene.approved().await;
    let admin_key = keys::admin_key(1);
    scene.store.add_admin_key(admin_key.clone(), false).await.unwrap();
    let log = scene.store.revocations(0, 10).await.unwrap().log;

    let forgotten = acting(&scene.store).forget_secrets(at(10)).await.unwrap();
    let ended = Ended {
        grants: 2,
        sessions: 1,
        ..Ended::default()
    };
    let wanted = SecretsForgotten {
        signing_keys: 1,
        server_secrets: 2,
        ended,
    };
    assert_eq!(forgotten, wanted);
    assert!(!has_secrets(&scene).await);
    assert_eq!(scene.rotate(active, 1, at(11)).await, RotateOutcome::Ended);
    assert!(!matches!(
        scene.redeem(&approval, at(11)).await,
        RedeemOutcome::Redeemed(_)
    ));
    assert_ne!(scene.store.revocations(0, 10).await.unwrap().log, log);
    let events = events(&scene.store).await;
    let told = events
        .iter()
        .find(|event| event.action.as_str() == "server_secret.replaced")
        .unwrap();
    let detail = |name: &str| told.detail.get(name).and_then(Value::as_u64);
    assert_eq!(detail("signing_keys"), Some(1));
    assert_eq!(detail("server_secrets"), Some(2));
    assert_eq!(detail("sessions_ended"), Some(1));
    // What does not hang on them stays; and others are made.
    assert_eq!(
        scene.store.admin_key(&admin_key.digest).await,
        Ok(Some(admin_key))
    );
    assert!(scene.store.client(APP).await.unwrap().is_some());
    let fresh = SealedSecret(vec![2]);
    assert_eq!(scene.store.secret("root", fresh.clone()).await, Ok(fresh));
    assert_eq!(
        scene
            .store
            .add_signing_key(keys::key(2, at(12)), None)
            .await
            .unwrap()
            .len(),
        1
    );
}

/// Stopped anywhere, as by `kill`; the same again does the rest.
pub(crate) async fn secrets_that_were_forgotten_by_half_are_forgotten_again(opened: Opened) {
    let scene = Scene::new(opened).await;
    with_secrets(&scene).await;
    for _ in 0..450 {
        scene.approved().await;
    }
    let store = Arc::clone(&scene.store);
    let stopped = tokio::spawn(async move { store.forget_secrets(at(10)).await });
    while has_secrets(&scene).await {
        tokio::task::yield_now().await;
    }
    stopped.abort();
    let done = stopped.await.map_or(0, |done| done.unwrap().ended.grants);
    let again = scene.store.forget_secrets(at(11)).await.unwrap();
    assert!(done + again.ended.grants <= 450, "{done} {again:?}");
    let live = GrantFilter {
        state: Some(GrantState::Pending),
        ..GrantFilter::default()
    };
    let live = scene.store.grants(live, PageRequest::default()).await.unwrap();
    assert_eq!(live.items, []);
    assert_eq!(
        scene.store.forget_secrets(at(12)).await,
        Ok(SecretsForgotten::default())
    );
}

pub(crate) async fn what_was_made_before_counts_as_used_up(opened: Opened) {
    let scene = Scene::new(opened).await;
    let made = |seconds: i64| Spend {
        digest: digest(9, fresh()),
        until: at(300),
        made_at: at(seconds),
    };
    scene.store.end_everything(at(10)).await.unwrap();
    for (seconds, counts) in [(-100, UsedBefore(0)), (10, UsedBefore(0)), (11, Spent)] {
        assert_eq!(scene.store.spend(&[made(seconds)]).await, Ok(counts), "{seconds}");
    }
    // All or none.
    let good = made(12);
    assert_eq!(scene.store.spend(&[good, made(1)]).await, Ok(UsedBefore(1)));
    assert_eq!(scene.store.spend(&[good]).await, Ok(Spent));
}
