//! Tokens that are exchanged for others (RFC 8693).

use std::sync::Arc;
use std::time::Duration;

use doorward_store::{
    ClientSource, EndReason, ExchangeOutcome, ExchangeToken, GrantFilter, GrantState, Issuance, StoreError,
    TokenStanding, User,
};

use super::scene::{APP, Opened, Scene, at, at_once, client, issuance, resource, rotation, scopes};

const AGENT: &str = "agent";
const TARGET: &str = "https://search.example/mcp";

/// A person's token, and a client and a resource to exchange it with.
pub(crate) async fn token(scene: &Scene) -> Issuance {
    let store = &scene.store;
    store
        .create_client(client(AGENT, ClientSource::Admin))
        .await
        .unwrap();
    store.create_resource(resource("search", TARGET)).await.unwrap();
    let id = scene.active().await;
    let rotate = rotation(id, 1, at(1));
    let issuance = rotate.issuance.clone();
    store.rotate_refresh(rotate).await.unwrap();
    issuance
}

/// The exchange of a token, a second later.
pub(crate) fn of(parent: &Issuance) -> ExchangeToken {
    let now = parent.issued_at + Duration::from_secs(1);
    ExchangeToken {
        issuance: Issuance {
            client_id: AGENT.to_owned(),
            resource: TARGET.to_owned(),
            expires_at: parent.expires_at,
            parent: Some(parent.jti.clone()),
            ..issuance(parent.grant, now)
        },
        now,
    }
}

async fn exchanged(scene: &Scene, parent: &Issuance) -> Issuance {
    let exchange = of(parent);
    let outcome = scene.store.exchange_token(exchange.clone()).await;
    assert_eq!(outcome, Ok(ExchangeOutcome::Issued));
    exchange.issuance
}

async fn is_revoked(scene: &Scene, issuance: &Issuance) -> bool {
    let recorded = scene.store.issuance(&issuance.jti).await.unwrap().unwrap();
    recorded.revoked_at.is_some()
}

pub(crate) async fn an_exchanged_token_hangs_under_its_parent(opened: Opened) {
    let scene = Scene::new(opened).await;
    let parent = token(&scene).await;
    let child = exchanged(&scene, &parent).await;
    assert_eq!(
        scene.store.issuance(&child.jti).await.unwrap(),
        Some(child.clone())
    );
    let grandchild = exchanged(&scene, &child).await;
    assert_eq!(grandchild.parent, Some(child.jti));
}

pub(crate) async fn revoking_a_token_revokes_what_was_exchanged_from_it(opened: Opened) {
    let scene = Scene::new(opened).await;
    let parent = token(&scene).await;
    let (one, other) = (exchanged(&scene, &parent).await, exchanged(&scene, &parent).await);
    let below = exchanged(&scene, &one).await;
    assert_eq!(scene.store.revoke_issuance(&one.jti, at(5)).await, Ok(true));
    for (issuance, revoked) in [(&parent, false), (&one, true), (&other, false), (&below, true)] {
        assert_eq!(is_revoked(&scene, issuance).await, revoked, "{}", issuance.jti);
    }
    let refused = scene.store.exchange_token(of(&below)).await;
    assert_eq!(refused, Ok(ExchangeOutcome::SubjectGone));
}

pub(crate) async fn a_token_stands_on_its_record_and_its_grant(opened: Opened) {
    let scene = Scene::new(opened).await;
    let store = &scene.store;
    let parent = token(&scene).await;
    let child = exchanged(&scene, &parent).await;
    let standing = |revoked_at, state| {
        Ok(Some(TokenStanding {
            revoked_at,
            grant: parent.grant,
            // Also of a token that another client got in exchange.
            granted_to: APP.to_owned(),
            state,
        }))
    };
    for jti in [&parent.jti, &child.jti] {
        assert_eq!(
            store.token_standing(jti).await,
            standing(None, GrantState::Active)
        );
    }
    for unknown in ["nobody's", "", "\0", "jti\0", &parent.grant.0.to_string()] {
        assert_eq!(store.token_standing(unknown).await, Ok(None), "{unknown:?}");
    }

    assert_eq!(store.revoke_issuance(&child.jti, at(5)).await, Ok(true));
    assert_eq!(
        store.token_standing(&child.jti).await,
        standing(Some(at(5)), GrantState::Active)
    );
    assert_eq!(
        store.token_standing(&parent.jti).await,
        standing(None, GrantState::Active)
    );
    let revoked = store
        .revoke_grants(GrantFilter::one(parent.grant), EndReason::RevokedByUser, at(6))
        .await;
    assert_eq!(revoked, Ok(1));
    for (jti, revoked_at) in [(&parent.jti, None), (&child.jti, Some(at(5)))] {
        assert_eq!(
            store.token_standing(jti).await,
            standing(revoked_at, GrantState::Ended)
        );
    }
}

pub(crate) async fn of_a_revocation_that_answered_every_look_knows(opened: Opened) {
    let scene = Arc::new(Scene::new(opened).await);
    let parent = token(&scene).await;
    for _ in 0..10 {
        let one = exchanged(&scene, &parent).await;
        at_once(50, |_| {
            let (scene, one) = (Arc::clone(&scene), one.clone());
            async move {
                scene.store.revoke_issuance(&one.jti, at(5)).await.unwrap();
                let standing = scene.store.token_standing(&one.jti).await.unwrap().unwrap();
                assert_eq!(standing.revoked_at, Some(at(5)));
            }
        })
        .await;
    }
}

pub(crate) async fn after_a_revocation_answered_nothing_lives_below(opened: Opened) {
    let scene = Arc::new(Scene::new(opened).await);
    let parent = token(&scene).await;
    for _ in 0..10 {
        let one = exchanged(&scene, &parent).await;
        let answers = at_once(50, |caller| {
            let (scene, one) = (Arc::clone(&scene), one.clone());
            async move {
                if caller == 25 {
                    scene.store.revoke_issuance(&one.jti, at(5)).await.unwrap();
                    return None;
                }
                let exchange = of(&one);
                let outcome = scene.store.exchange_token(exchange.clone()).await.unwrap();
                (outcome == ExchangeOutcome::Issued).then_some(exchange.issuance)
            }
        })
        .await;
        for issuance in answers.iter().flatten() {
            assert!(is_revoked(&scene, issuance).await);
        }
    }
}

pub(crate) async fn what_the_subject_rests_on_is_checked_again(opened: Opened) {
    let scene = Scene::new(opened).await;
    let parent = token(&scene).await;
    let store = &scene.store;
    let refused = async |expected: ExchangeOutcome| {
        let exchange = of(&parent);
        assert_eq!(store.exchange_token(exchange.clone()).await, Ok(expected));
        assert_eq!(store.issuance(&exchange.issuance.jti).await.unwrap(), None);
    };
    let with = |client_id: &str, source, disabled| {
        let mut changed = client(client_id, source);
        changed.disabled = disabled;
        store.update_client(changed)
    };
    with(APP, ClientSource::Dynamic, true).await.unwrap();
    refused(ExchangeOutcome::SubjectGone).await;
    with(APP, ClientSource::Dynamic, false).await.unwrap();
    with(AGENT, ClientSource::Admin, true).await.unwrap();
    refused(ExchangeOutcome::ClientGone).await;
    with(AGENT, ClientSource::Admin, false).await.unwrap();
    exchanged(&scene, &parent).await;
    store.delete_resource("search", at(3)).await.unwrap();
    refused(ExchangeOutcome::ResourceGone).await;
    let disabled = User {
        disabled: true,
        ..scene.user.clone()
    };
    store.update_user(disabled, at(4)).await.unwrap();
    refused(ExchangeOutcome::SubjectGone).await;
}

pub(crate) async fn an_ended_or_expired_subject_cannot_be_exchanged(opened: Opened) {
    let scene = Scene::new(opened).await;
    let parent = token(&scene).await;
    let mut late = of(&parent);
    late.now = parent.expires_at;
    assert_eq!(
        scene.store.exchange_token(late).await,
        Ok(ExchangeOutcome::SubjectGone)
    );
    let mut unknown = of(&parent);
    unknown.issuance.parent = Some("nobody's".to_owned());
    assert_eq!(
        scene.store.exchange_token(unknown).await,
        Ok(ExchangeOutcome::SubjectGone)
    );
    let revoked = scene
        .store
        .revoke_grants(GrantFilter::one(parent.grant), EndReason::RevokedByUser, at(2))
        .await;
    assert_eq!(revoked, Ok(1));
    assert_eq!(
        scene.store.exchange_token(of(&parent)).await,
        Ok(ExchangeOutcome::SubjectGone)
    );
}

pub(crate) async fn a_token_that_would_grow_is_invalid(opened: Opened) {
    let scene = Scene::new(opened).await;
    let parent = token(&scene).await;
    let grown = |change: fn(&mut Issuance)| {
        let mut exchange = of(&parent);
        change(&mut exchange.issuance);
        exchange
    };
    for exchange in [
        grown(|issuance| issuance.expires_at = issuance.expires_at + Duration::from_secs(1)),
        grown(|issuance| "somebody".clone_into(&mut issuance.subject)),
        grown(|issuance| issuance.scopes = scopes("files:read files:write")),
        grown(|issuance| issuance.grant = doorward_store::GrantId(uuid::Uuid::from_u128(1))),
    ] {
        assert!(matches!(
            scene.store.exchange_token(exchange).await,
            Err(StoreError::Invalid(_))
        ));
    }
}
