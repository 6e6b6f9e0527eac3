//! Everything ends, after the database was put back to an earlier state.

use doorward_store::SpendOutcome::{Spent, UsedBefore};
use doorward_store::{
    ApprovalOutcome, EndReason, Ended, GrantState, InitialAccessToken, RedeemOutcome, RotateOutcome, Spend,
};
use uuid::Uuid;

use super::devices::device;
use super::scene::{Opened, Scene, at, consent, digest, fresh};

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
    assert_eq!(scene.store.initial_tokens().await, Ok(vec![always]));
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
