use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use doorward_store::SpendOutcome::UsedBefore;
use doorward_store::{
    Actor, ActorKind, AuditAction, AuditEntry, AuditEvent, AuditFilter, Change, ClientSource, Origin,
    PageRequest, RedeemOutcome, Store, StoreError, TrustedIssuerKind, User,
};
use serde_json::json;
use uuid::Uuid;

use super::scene::{
    APP, Opened, RESOURCE, Scene, at, at_once, client, digest, fresh, person, redemption, resource, session,
};
use super::{changes, id_jag, spent, trusted_issuers};

/// A fresh origin, at a second of the test.
pub(crate) fn origin(actor: Actor, second: i64) -> Origin {
    let seconds = u64::try_from(at(second).0).unwrap();
    Origin {
        event: Uuid::new_v7(uuid::Timestamp::from_unix_time(seconds, fresh(), 0, 0)),
        at: at(second),
        actor,
        request_id: Some("request-1".into()),
        address: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7))),
    }
}

pub(crate) fn operator() -> Actor {
    Actor::AdminKey("first start".to_owned())
}

/// The store in an operator's hands.
pub(super) fn acting(store: &Arc<dyn Store>) -> Box<dyn Store> {
    store.acting(origin(operator(), 0))
}

pub(super) fn all() -> AuditFilter {
    AuditFilter {
        longest_token: Duration::from_hours(24),
        ..AuditFilter::default()
    }
}

pub(super) fn page(limit: u32) -> PageRequest {
    PageRequest { after: None, limit }
}

pub(super) async fn lines(store: &Arc<dyn Store>, filter: AuditFilter) -> Vec<AuditEntry> {
    store.audit_entries(filter, page(200)).await.unwrap().items
}

/// The events alone.
pub(super) async fn events(store: &Arc<dyn Store>) -> Vec<AuditEvent> {
    let lines = lines(store, all()).await.into_iter();
    let events = lines.filter_map(|line| match line {
        AuditEntry::Event(event) => Some(*event),
        AuditEntry::Issued(_) => None,
    });
    events.collect()
}

async fn actions(store: &Arc<dyn Store>) -> Vec<String> {
    events(store)
        .await
        .iter()
        .map(|event| event.action.as_str().to_owned())
        .collect()
}

pub(crate) async fn a_change_is_told_with_who_made_it(opened: Opened) {
    let store = opened.store;
    let by = origin(operator(), 7);
    store
        .acting(by.clone())
        .create_resource(resource("files", RESOURCE))
        .await
        .unwrap();
    let expected = AuditEvent {
        id: by.event,
        at: at(7),
        action: AuditAction::ResourceCreated.into(),
        refusal: None,
        actor: ActorKind::AdminKey.into(),
        actor_id: Some("first start".to_owned()),
        client_id: None,
        grant: None,
        subject: None,
        resource: Some(RESOURCE.to_owned()),
        target: Some("files".to_owned()),
        request_id: Some("request-1".to_owned()),
        address: Some("192.0.2.7".to_owned()),
        detail: serde_json::Map::new(),
    };
    assert_eq!(events(&store).await, std::slice::from_ref(&expected));
    assert_eq!(store.audit_event(by.event).await.unwrap(), Some(expected));
    assert_eq!(store.audit_event(Uuid::nil()).await.unwrap(), None);
    // In nobody's hands nothing is told.
    store.delete_resource("files", at(8)).await.unwrap();
    assert_eq!(events(&store).await.len(), 1);
}

/// The change and its event stand and fall together, whichever of them fails.
pub(crate) async fn what_is_undone_leaves_no_event_and_no_change(opened: Opened) {
    let store = opened.store;
    acting(&store)
        .create_resource(resource("files", RESOURCE))
        .await
        .unwrap();
    let taken = acting(&store).create_resource(resource("files", RESOURCE)).await;
    assert_eq!(taken, Err(StoreError::Conflict));
    let missing = acting(&store)
        .update_client(client("nobody", ClientSource::Admin))
        .await;
    assert_eq!(missing, Err(StoreError::NotFound));
    assert_eq!(actions(&store).await, ["resource.created"]);
    // The event's id is taken: the change is undone with it.
    let by = origin(operator(), 0);
    store
        .acting(by.clone())
        .create_user(person("a@example.com"))
        .await
        .unwrap();
    let other = person("b@example.com");
    let undone = store.acting(by.clone()).create_user(other.clone()).await;
    assert_eq!(undone, Err(StoreError::Conflict));
    assert_eq!(store.user(other.id).await.unwrap(), None);
    assert_eq!(events(&store).await.len(), 2);
    // Through one handle each has an id of its own.
    let hands = store.acting(origin(operator(), 0));
    for email in ["c@example.com", "d@example.com", "e@example.com"] {
        hands.create_user(person(email)).await.unwrap();
    }
    assert_eq!(events(&store).await.len(), 5);
}

pub(crate) async fn of_fifty_who_redeem_a_code_forty_nine_are_told_as_refused(opened: Opened) {
    let scene = Scene::new(opened).await;
    let approval = scene.approved().await;
    let outcomes = at_once(50, |_| {
        let store = Arc::clone(&scene.store);
        let redemption = redemption(&approval, at(1));
        async move {
            let by = origin(Actor::PublicClient(APP.to_owned()), 1);
            store.acting(by).redeem_code(redemption).await.unwrap()
        }
    })
    .await;
    let redeemed = |outcome: &&RedeemOutcome| matches!(outcome, RedeemOutcome::Redeemed(_));
    assert_eq!(outcomes.iter().filter(redeemed).count(), 1);
    let lines = lines(&scene.store, all()).await;
    let tokens = lines.iter().filter(|line| matches!(line, AuditEntry::Issued(_)));
    assert_eq!(tokens.count(), 1);
    let events = events(&scene.store).await;
    assert_eq!(events.len(), 49);
    for event in events {
        assert_eq!(event.action, AuditAction::CodeReplayed);
        assert_eq!(event.refusal.as_deref(), Some("used_before"));
        assert_eq!(event.grant, Some(approval.grant.id));
        assert_eq!(event.actor, ActorKind::PublicClient);
        assert_eq!(event.client_id.as_deref(), Some(APP));
    }
}

pub(crate) async fn of_fifty_who_spend_a_thing_forty_nine_are_told_as_refused(opened: Opened) {
    let store = opened.store;
    at_once(50, |_| {
        let store = Arc::clone(&store);
        let spend = [spent_once()];
        async move {
            let by = origin(Actor::Client(APP.to_owned()), 1);
            store.acting(by).spend(&spend).await.unwrap()
        }
    })
    .await;
    let events = events(&store).await;
    assert_eq!(events.len(), 49);
    assert!(
        events
            .iter()
            .all(|event| event.action == AuditAction::AssertionReplayed)
    );
}

fn spent_once() -> doorward_store::Spend {
    doorward_store::Spend {
        digest: digest(77, 1),
        made_at: at(0),
        until: at(60),
    }
}

pub(crate) async fn a_stranger_who_is_refused_costs_no_row(opened: Opened) {
    let scene = Scene::new(opened).await;
    let spend = [spent::one(60)];
    scene.store.spend(&spend).await.unwrap();
    for actor in [
        Actor::Anyone,
        Actor::PublicClient(APP.to_owned()),
        Actor::SelfRegisteredClient(APP.to_owned()),
    ] {
        let by = scene.store.acting(origin(actor, 0));
        assert_eq!(by.spend(&spend).await, Ok(UsedBefore(0)));
        // Neither does what is not there.
        assert_eq!(by.delete_initial_token(Uuid::nil()).await, Ok(false));
        by.end_session(&digest(99, 1), at(0)).await.unwrap();
    }
    assert_eq!(events(&scene.store).await, []);
}

pub(crate) async fn a_repeated_registration_is_told_once(opened: Opened) {
    let store = opened.store;
    let registered = client(APP, ClientSource::Dynamic);
    at_once(50, |_| {
        let (store, registered) = (Arc::clone(&store), registered.clone());
        async move {
            let by = store.acting(origin(Actor::Anyone, 0));
            by.register_client(registered).await.unwrap();
        }
    })
    .await;
    assert_eq!(actions(&store).await, ["client.registered"]);
}

/// Whoever has another one's registration access token can lock it out by a registration that says nothing new.
pub(crate) async fn a_renewed_registration_is_told(opened: Opened) {
    let store = opened.store;
    let mut own = client("dynamic", ClientSource::Dynamic);
    own.registration_token = Some(digest(6, 1));
    store.create_client(own.clone()).await.unwrap();
    for token in 2..5 {
        own.registration_token = Some(digest(6, token));
        own.updated_at = at(token.into());
        let by = acting(&store);
        by.update_registration(own.clone(), &digest(6, token - 1), at(0))
            .await
            .unwrap();
    }
    assert_eq!(store.client("dynamic").await.unwrap(), Some(own.clone()));
    let changed = |event: &AuditEvent| event.detail["changed"].clone();
    let told: Vec<_> = events(&store).await.iter().map(changed).collect();
    assert_eq!(told, vec![json!(["registration_token"]); 3]);
    let version = async || changes::version(&*store, Change::Clients).await;
    let before = version().await;
    r#"{"client_name":"B"}"#.clone_into(&mut own.metadata);
    acting(&store)
        .update_registration(own, &digest(6, 4), at(9))
        .await
        .unwrap();
    assert_eq!(actions(&store).await, ["client.updated"; 4]);
    assert_ne!(version().await, before);
}

pub(crate) async fn what_two_do_at_once_is_told_once(opened: Opened) {
    let scene = Scene::new(opened).await;
    let approval = scene.approved().await;
    let redeemed = redemption(&approval, at(1));
    scene.store.redeem_code(redeemed.clone()).await.unwrap();
    at_once(50, |_| {
        let (store, jti) = (Arc::clone(&scene.store), redeemed.issuance.jti.clone());
        async move { assert_eq!(acting(&store).revoke_issuance(&jti, at(2)).await, Ok(true)) }
    })
    .await;
    at_once(50, |_| {
        let store = Arc::clone(&scene.store);
        async move { acting(&store).delete_client(APP, at(3)).await.unwrap() }
    })
    .await;
    let mut told = actions(&scene.store).await;
    told.sort();
    assert_eq!(told, ["client.deleted", "token.revoked"]);
}

pub(crate) async fn a_replaced_session_is_told_to_have_ended(opened: Opened) {
    let store = opened.store;
    let (grace, ada) = (person("grace@example.com"), person("ada@example.com"));
    for user in [&grace, &ada] {
        store.create_user(user.clone()).await.unwrap();
    }
    let (before, after) = (session(grace.id), session(ada.id));
    let by = acting(&store);
    by.create_session(before.clone(), None).await.unwrap();
    by.create_session(after.clone(), Some(before.id)).await.unwrap();
    // The one before is gone by now.
    let third = session(ada.id);
    by.create_session(third, Some(before.id)).await.unwrap();
    let mut told: Vec<_> = events(&store)
        .await
        .into_iter()
        .map(|event| (event.action.as_str().to_owned(), event.subject.unwrap()))
        .collect();
    told.sort();
    let of = |user: &User| user.id.0.to_string();
    let mut expected = vec![
        ("session.ended".to_owned(), of(&grace)),
        ("session.started".to_owned(), of(&grace)),
        ("session.started".to_owned(), of(&ada)),
        ("session.started".to_owned(), of(&ada)),
    ];
    expected.sort();
    assert_eq!(told, expected);
}

/// Never its value.
pub(crate) async fn what_changed_is_named(opened: Opened) {
    let store = opened.store;
    let mut issuer = trusted_issuers::issuer("idp", TrustedIssuerKind::IdentityProvider);
    r#"{"jwks_uri":"https://idp.example/a","provision":false}"#.clone_into(&mut issuer.terms);
    store.create_trusted_issuer(issuer.clone()).await.unwrap();
    let mut audience = id_jag::audience("chat", "https://chat.example");
    r#"{"lifetime":60}"#.clone_into(&mut audience.terms);
    store.create_assertion_audience(audience.clone()).await.unwrap();

    r#"{"jwks_uri":"https://idp.example/b","provision":false,"rules":[]}"#.clone_into(&mut issuer.terms);
    issuer.disabled = true;
    acting(&store).update_trusted_issuer(issuer).await.unwrap();
    r#"{"lifetime":90}"#.clone_into(&mut audience.terms);
    acting(&store).update_assertion_audience(audience).await.unwrap();
    let mut told: Vec<_> = events(&store)
        .await
        .into_iter()
        .map(|event| (event.action.as_str().to_owned(), event.detail["changed"].clone()))
        .collect();
    told.sort_by(|one, other| one.0.cmp(&other.0));
    let expected = [
        ("assertion_audience.updated".to_owned(), json!(["lifetime"])),
        (
            "trusted_issuer.disabled".to_owned(),
            json!(["jwks_uri", "rules", "disabled"]),
        ),
    ];
    assert_eq!(told, expected);
}

pub(crate) async fn grants_that_end_by_the_way_are_counted(opened: Opened) {
    let scene = Scene::new(opened).await;
    let by = acting(&scene.store);
    let count = async |action| {
        let filter = AuditFilter {
            action: Some(action),
            ..all()
        };
        match lines(&scene.store, filter).await.as_slice() {
            [AuditEntry::Event(event)] => event.detail.get("grants_ended").cloned(),
            other => panic!("{other:?}"),
        }
    };
    scene.active().await;
    scene.active().await;
    let mut files = resource("files", RESOURCE);
    files.display_name.push('!');
    by.update_resource(files.clone()).await.unwrap();
    assert_eq!(count(AuditAction::ResourceUpdated).await, None);
    let user = User {
        disabled: true,
        ..scene.user.clone()
    };
    by.update_user(user.clone(), at(1)).await.unwrap();
    assert_eq!(count(AuditAction::UserDisabled).await, Some(json!(2)));
    by.delete_user(user.id, at(2)).await.unwrap();
    assert_eq!(count(AuditAction::UserDeleted).await, Some(json!(0)));
}
