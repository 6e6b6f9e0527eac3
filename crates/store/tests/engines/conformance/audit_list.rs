//! The list of what was changed or refused, as it is read.

use std::net::IpAddr;

use doorward_store::{
    Actor, ActorKind, AuditAction, AuditEvent, AuditFilter, EndReason, GrantFilter, PageRequest, StoreError,
    Stored,
};
use uuid::Uuid;

use super::audit::{acting, all, events, lines, operator, origin, page};
use super::scene::{APP, Opened, RESOURCE, Scene, at, fresh, person, session};
use super::spent;

/// Events and tokens, in one list, whatever the size of the page.
pub(crate) async fn the_list_is_whole_and_in_order_page_by_page(opened: Opened) {
    let scene = Scene::new(opened).await;
    let grant = scene.active().await;
    for second in [3, 700, 701, 7300, 300_000] {
        let by = origin(Actor::Person(scene.user.id), second);
        scene
            .store
            .acting(by)
            .create_session(session(scene.user.id), None)
            .await
            .unwrap();
    }
    for second in [2, 700, 5000, 200_000, 300_000] {
        let generation = scene.grant(grant).await.generation;
        let outcome = scene.rotate(grant, generation, at(second)).await;
        assert!(matches!(outcome, doorward_store::RotateOutcome::Rotated { .. }));
    }
    let times: Vec<i64> = lines(&scene.store, all())
        .await
        .iter()
        .map(|line| line.at().0 - at(0).0)
        .collect();
    let whole = [300_000, 300_000, 200_000, 7300, 5000, 701, 700, 700, 3, 2, 0];
    assert_eq!(times, whole);
    for limit in 1..4 {
        let (mut request, mut seen) = (page(limit), Vec::new());
        loop {
            let page = scene.store.audit_entries(all(), request.clone()).await.unwrap();
            seen.extend(page.items);
            match page.next {
                Some(next) => request.after = Some(next),
                None => break,
            }
        }
        assert_eq!(seen, lines(&scene.store, all()).await, "{limit}");
    }
    let wrong = PageRequest {
        after: Some("no page".to_owned()),
        limit: 5,
    };
    let refused = scene.store.audit_entries(all(), wrong).await;
    assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
}

#[expect(clippy::too_many_lines, reason = "every filter once")]
pub(crate) async fn filters_choose_the_lines(opened: Opened) {
    let scene = Scene::new(opened).await;
    let grant = scene.active().await;
    let by = origin(Actor::Client("other".to_owned()), 5);
    let spend = [spent::one(60)];
    scene.store.spend(&spend).await.unwrap();
    scene.store.acting(by).spend(&spend).await.unwrap();
    let person = origin(Actor::Person(scene.user.id), 9);
    scene
        .store
        .acting(person)
        .revoke_grants(GrantFilter::one(grant), EndReason::RevokedByUser, at(9))
        .await
        .unwrap();
    let count = async |filter: AuditFilter| lines(&scene.store, filter).await.len();
    assert_eq!(count(all()).await, 3);
    let word = |action| AuditFilter {
        action: Some(action),
        ..all()
    };
    assert_eq!(count(word(AuditAction::GrantEnded)).await, 1);
    assert_eq!(count(word(AuditAction::TokenIssued)).await, 1);
    assert_eq!(count(word(AuditAction::TokenExchanged)).await, 0);
    assert_eq!(count(word(AuditAction::ClientCreated)).await, 0);
    assert_eq!(
        count(AuditFilter {
            done: Some(true),
            ..all()
        })
        .await,
        2
    );
    assert_eq!(
        count(AuditFilter {
            done: Some(false),
            ..all()
        })
        .await,
        1
    );
    assert_eq!(
        count(AuditFilter {
            actor: Some(ActorKind::Client),
            ..all()
        })
        .await,
        2
    );
    assert_eq!(
        count(AuditFilter {
            actor: Some(ActorKind::Person),
            ..all()
        })
        .await,
        1
    );
    let user = Some(scene.user.id.0.to_string());
    assert_eq!(
        count(AuditFilter {
            actor_id: user,
            ..all()
        })
        .await,
        1
    );
    assert_eq!(
        count(AuditFilter {
            client_id: Some(APP.to_owned()),
            ..all()
        })
        .await,
        2
    );
    assert_eq!(
        count(AuditFilter {
            client_id: Some("other".to_owned()),
            ..all()
        })
        .await,
        1
    );
    assert_eq!(
        count(AuditFilter {
            grant: Some(grant),
            ..all()
        })
        .await,
        2
    );
    assert_eq!(
        count(AuditFilter {
            subject: Some("subject".to_owned()),
            ..all()
        })
        .await,
        2
    );
    assert_eq!(
        count(AuditFilter {
            resource: Some(RESOURCE.to_owned()),
            ..all()
        })
        .await,
        2
    );
    assert_eq!(
        count(AuditFilter {
            request_id: Some("request-1".to_owned()),
            ..all()
        })
        .await,
        2
    );
    for (last, found) in [(7, 2), (8, 0)] {
        let address = Some(IpAddr::from([192, 0, 2, last]));
        assert_eq!(count(AuditFilter { address, ..all() }).await, found);
    }
    assert_eq!(
        count(AuditFilter {
            since: Some(at(5)),
            ..all()
        })
        .await,
        2
    );
    assert_eq!(
        count(AuditFilter {
            until: Some(at(5)),
            ..all()
        })
        .await,
        1
    );
    let between = AuditFilter {
        since: Some(at(1)),
        until: Some(at(9)),
        ..all()
    };
    assert_eq!(count(between).await, 1);
}

pub(crate) async fn events_are_forgotten_a_little_at_a_time(opened: Opened) {
    let store = opened.store;
    for second in 0..7 {
        let by = store.acting(origin(operator(), second));
        by.create_user(person(&format!("{second}@example.com")))
            .await
            .unwrap();
    }
    assert_eq!(store.forget_audit_events(at(5), 3).await, Ok(3));
    assert_eq!(store.forget_audit_events(at(5), 3).await, Ok(2));
    assert_eq!(store.forget_audit_events(at(5), 3).await, Ok(0));
    let left: Vec<i64> = events(&store)
        .await
        .iter()
        .map(|event| event.at.0 - at(0).0)
        .collect();
    assert_eq!(left, [6, 5]);
}

/// What is recorded after the fact is cut to a size, and may be recorded again after a lost answer by PostgreSQL alone.
pub(crate) async fn a_long_text_is_cut(opened: Opened) {
    let store = opened.store;
    let mut by = origin(operator(), 0);
    by.request_id = None;
    store
        .acting(by)
        .create_user(person("a@example.com"))
        .await
        .unwrap();
    let event = AuditEvent {
        id: Uuid::from_u128(u128::from(fresh())),
        action: AuditAction::RequestRefused.into(),
        refusal: Some("invalid_scope".to_owned()),
        target: Some("ü".repeat(5000)),
        client_id: Some("a\0b".to_owned()),
        ..events(&store).await.remove(0)
    };
    store.record(event.clone()).await.unwrap();
    let stored = store.audit_event(event.id).await.unwrap().unwrap();
    assert_eq!(stored.target.unwrap().len(), 2048);
    assert_eq!(stored.client_id.as_deref(), Some("a\u{fffd}b"));
}

/// Again after a lost answer: the list says once what happened once.
pub(crate) async fn an_event_that_is_recorded_twice_is_one_line(opened: Opened) {
    let store = opened.store;
    acting(&store).create_user(person("a@example.com")).await.unwrap();
    let event = AuditEvent {
        id: Uuid::from_u128(u128::from(fresh())),
        ..events(&store).await.remove(0)
    };
    for _ in 0..2 {
        store.record(event.clone()).await.unwrap();
    }
    assert_eq!(events(&store).await.len(), 2);
}

/// Written by a newer program: the page is whole, and says the word as it is.
pub(crate) async fn a_word_that_a_newer_program_wrote_is_read_as_text(opened: Opened) {
    let store = opened.store;
    acting(&store).create_user(person("a@example.com")).await.unwrap();
    let event = AuditEvent {
        id: Uuid::from_u128(u128::from(fresh())),
        action: Stored::Unknown("moon.landed".to_owned()),
        actor: Stored::Unknown("astronaut".to_owned()),
        ..events(&store).await.remove(0)
    };
    store.record(event.clone()).await.unwrap();
    assert_eq!(store.audit_event(event.id).await.unwrap(), Some(event.clone()));
    let all = events(&store).await;
    assert_eq!(all.len(), 2);
    assert!(all.contains(&event));
    assert_eq!(
        (event.action.as_str(), event.actor.as_str()),
        ("moon.landed", "astronaut")
    );
}
