use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use doorward_store::{
    Actor, ActorKind, AuditAction, AuditEntry, AuditEvent, AuditFilter, Change, ClientSecret, ClientSource,
    Digest, EndReason, GrantFilter, InitialAccessToken, Origin, PageRequest, RedeemOutcome, Reseal, Sealed,
    SealedKind, SealedSecret, Store, StoreError, Stored, TrustedIssuerKind, UserId,
};
use uuid::Uuid;

use super::scene::{
    APP, Opened, RESOURCE, Scene, at, at_once, client, digest, fresh, person, redemption, resource, rotation,
    session,
};
use super::{changes, devices, id_jag, keys, spent, trusted_issuers};

/// A fresh origin, at a second of the test.
fn origin(actor: Actor, second: i64) -> Origin {
    let seconds = u64::try_from(at(second).0).unwrap();
    Origin {
        event: Uuid::new_v7(uuid::Timestamp::from_unix_time(seconds, fresh(), 0, 0)),
        at: at(second),
        actor,
        request_id: Some("request-1".into()),
        address: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7))),
    }
}

fn operator() -> Actor {
    Actor::AdminKey("first start".to_owned())
}

/// The store in an operator's hands.
fn acting(store: &Arc<dyn Store>) -> Box<dyn Store> {
    store.acting(origin(operator(), 0))
}

fn all() -> AuditFilter {
    AuditFilter {
        longest_token: Duration::from_hours(24),
        ..AuditFilter::default()
    }
}

fn page(limit: u32) -> PageRequest {
    PageRequest { after: None, limit }
}

async fn lines(store: &Arc<dyn Store>, filter: AuditFilter) -> Vec<AuditEntry> {
    store.audit_entries(filter, page(200)).await.unwrap().items
}

/// The events alone.
async fn events(store: &Arc<dyn Store>) -> Vec<AuditEvent> {
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
            store.acting(by).spend(&spend, at(1)).await.unwrap()
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
    scene.store.spend(&spend, at(0)).await.unwrap();
    for actor in [
        Actor::Anyone,
        Actor::PublicClient(APP.to_owned()),
        Actor::SelfRegisteredClient(APP.to_owned()),
    ] {
        let by = scene.store.acting(origin(actor, 0));
        assert_eq!(by.spend(&spend, at(0)).await, Ok(false));
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
    scene.store.spend(&spend, at(5)).await.unwrap();
    scene.store.acting(by).spend(&spend, at(5)).await.unwrap();
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
    assert_eq!(stored.target.unwrap().len(), 1024);
    assert_eq!(stored.client_id.as_deref(), Some("a\u{fffd}b"));
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

/// A client that reads its registration gets another token for it (RFC 7592 §2.1): nothing that anybody keeps in memory,
/// and no line of the list.
pub(crate) async fn a_rotated_registration_token_is_no_change(opened: Opened) {
    let store = opened.store;
    let mut own = client("dynamic", ClientSource::Dynamic);
    own.registration_token = Some(digest(6, 1));
    store.create_client(own.clone()).await.unwrap();
    let version = async || changes::version(&*store, Change::Clients).await;
    let before = version().await;
    for token in 2..5 {
        own.registration_token = Some(digest(6, token));
        own.updated_at = at(token.into());
        let by = acting(&store);
        by.update_registration(own.clone(), &digest(6, token - 1), at(0))
            .await
            .unwrap();
    }
    assert_eq!(store.client("dynamic").await.unwrap(), Some(own.clone()));
    assert_eq!(events(&store).await, []);
    assert_eq!(version().await, before);
    r#"{"client_name":"B"}"#.clone_into(&mut own.metadata);
    acting(&store)
        .update_registration(own, &digest(6, 4), at(9))
        .await
        .unwrap();
    assert_eq!(actions(&store).await, ["client.updated"]);
    assert_ne!(version().await, before);
}

/// Operations that read.
const READS: &[&str] = &[
    "resource",
    "resources",
    "client",
    "clients",
    "initial_tokens",
    "user",
    "user_by_email",
    "users",
    "session",
    "trusted_issuer",
    "trusted_issuer_by_url",
    "trusted_issuers",
    "linked_subject",
    "linked_subjects",
    "assertion_audience",
    "assertion_audience_by_url",
    "assertion_audiences",
    "consent",
    "code",
    "device_by_user_code",
    "grant",
    "grants",
    "issuance",
    "revocations",
    "signing_keys",
    "sealed",
    "find_secret",
    "admin_key",
    "audit_entries",
    "audit_event",
    "turn",
    "try_turn",
    "ping",
    "close",
];

/// Operations that write and tell nothing, and why.
const SILENT: &[(&str, &str)] = &[
    (
        "begin_login",
        "a count of attempts; what was refused is told by who knows the account",
    ),
    ("clear_login", "a count of attempts"),
    ("begin_device", "a question; what a person answers is told"),
    ("poll_device", "a count of questions"),
    ("issue_own", "the token's record tells it"),
    ("issue_asserted", "the token's record tells it"),
    ("exchange_token", "the token's record tells it"),
    ("issue_id_jag", "the assertion's record tells it"),
    ("record", "tells"),
    ("forget_audit_events", "what was told long ago"),
    ("forget_revocations", "what expired long ago"),
    ("sweep", "what expired long ago"),
    ("keep_partitions", "what expired long ago"),
];

/// What is not told in a walk through everything was forgotten: a new operation has to be in one of the lists.
#[expect(clippy::too_many_lines, reason = "every operation once")]
pub(crate) async fn every_operation_that_changes_something_is_told(opened: Opened) {
    let mut told: BTreeSet<&str> = BTreeSet::new();
    let scene = Scene::new(opened).await;
    let store = Arc::clone(&scene.store);
    let mut expected = 0;
    let mut seen: BTreeSet<Uuid> = BTreeSet::new();
    macro_rules! tells {
        ($operation:ident($($argument:expr),*) => $action:literal) => {{
            let outcome = acting(&store).$operation($($argument),*).await.unwrap();
            told.insert(stringify!($operation));
            expected += 1;
            let events = events(&store).await;
            assert_eq!(events.len(), expected, "{}", stringify!($operation));
            let newest = events.iter().find(|event| seen.insert(event.id)).unwrap();
            assert_eq!(newest.action.as_str(), $action);
            outcome
        }};
    }
    tells!(create_resource(resource("a", "https://a.example/mcp")) => "resource.created");
    tells!(update_resource(resource("a", "https://b.example/mcp")) => "resource.updated");
    tells!(delete_resource("a", at(0)) => "resource.deleted");

    let mut own = client("own", ClientSource::Admin);
    tells!(create_client(own.clone()) => "client.created");
    own.secrets = vec![ClientSecret {
        digest: digest(5, 1),
        expires_at: None,
    }];
    tells!(update_client(own.clone()) => "client.secrets_changed");
    own.disabled = true;
    tells!(update_client(own.clone()) => "client.disabled");
    own.disabled = false;
    tells!(update_client(own.clone()) => "client.enabled");
    own.resource_server = Some("files".to_owned());
    tells!(update_client(own.clone()) => "client.updated");
    tells!(delete_client("own", at(0)) => "client.deleted");
    let mut dynamic = client("dynamic", ClientSource::Dynamic);
    dynamic.registration_token = Some(digest(6, 1));
    tells!(register_client(dynamic.clone()) => "client.registered");
    r#"{"client_name":"B"}"#.clone_into(&mut dynamic.metadata);
    tells!(update_registration(dynamic.clone(), &digest(6, 1), at(0)) => "client.updated");
    let initial = initial_token(8);
    tells!(create_initial_token(initial.clone()) => "initial_token.created");
    let with_token = client("with-token", ClientSource::Dynamic);
    tells!(register_with_token(with_token, &initial.digest, at(0)) => "client.registered");
    tells!(delete_initial_token(initial.id) => "initial_token.deleted");

    let mut grace = person("grace@example.com");
    tells!(create_user(grace.clone()) => "user.created");
    grace.password_hash = Some("$argon2id$other".to_owned());
    tells!(update_user(grace.clone(), at(0)) => "user.password_changed");
    let signed_in = session(grace.id);
    tells!(create_session(signed_in.clone(), None) => "session.started");
    tells!(end_session(&signed_in.id, at(0)) => "session.ended");
    "Grace".clone_into(&mut grace.name);
    tells!(update_user(grace.clone(), at(0)) => "user.updated");
    grace.disabled = true;
    tells!(update_user(grace.clone(), at(0)) => "user.disabled");
    grace.disabled = false;
    tells!(update_user(grace.clone(), at(0)) => "user.enabled");

    let mut idp = trusted_issuers::issuer("idp", TrustedIssuerKind::IdentityProvider);
    tells!(create_trusted_issuer(idp.clone()) => "trusted_issuer.created");
    tells!(link_subject(trusted_issuers::link("them", grace.id), None) => "trusted_issuer.subject_linked");
    tells!(unlink_subject("idp", "them", at(0)) => "trusted_issuer.subject_unlinked");
    tells!(update_trusted_issuer(idp.clone()) => "trusted_issuer.updated");
    idp.disabled = true;
    tells!(update_trusted_issuer(idp) => "trusted_issuer.disabled");
    tells!(delete_trusted_issuer("idp", at(0)) => "trusted_issuer.deleted");
    tells!(delete_user(grace.id, at(0)) => "user.deleted");
    let mut audience = id_jag::audience("chat", "https://chat.example");
    tells!(create_assertion_audience(audience.clone()) => "assertion_audience.created");
    audience.disabled = true;
    tells!(update_assertion_audience(audience) => "assertion_audience.disabled");
    tells!(delete_assertion_audience("chat") => "assertion_audience.deleted");

    let approval = scene.approval();
    tells!(approve(approval.clone()) => "grant.approved");
    tells!(burn_code(&approval.code.digest, at(0)) => "code.burned");
    let replayed = scene.approved().await;
    scene.redeem(&replayed, at(0)).await;
    tells!(redeem_code(redemption(&replayed, at(1))) => "code.replayed");
    let grant = scene.active().await;
    for generation in 1..4 {
        scene.rotate(grant, generation, at(1)).await;
    }
    tells!(rotate_refresh(rotation(grant, 1, at(5000))) => "refresh_token.reused");
    let token = scene.approved().await;
    let redeemed = redemption(&token, at(0));
    scene.store.redeem_code(redeemed.clone()).await.unwrap();
    tells!(revoke_issuance(&redeemed.issuance.jti, at(2)) => "token.revoked");
    tells!(revoke_grants(GrantFilter::one(token.grant.id), EndReason::RevokedByAdmin, at(2)) => "grant.ended");
    let device = devices::device(digest(21, fresh()));
    store.begin_device(device.clone()).await.unwrap();
    tells!(deny_device(&device.digest, at(0)) => "device.denied");
    let spend = [spent::one(60)];
    store.spend(&spend, at(0)).await.unwrap();
    tells!(spend(&spend, at(0)) => "assertion.replayed");

    tells!(add_signing_key(keys::key(1, at(0)), None) => "signing_key.created");
    tells!(replace_signing_key(None, keys::key(2, at(1)), at(1)) => "signing_key.rotated");
    tells!(replace_signing_key(Some("key-2"), keys::key(3, at(2)), at(2)) => "signing_key.revoked");
    tells!(delete_signing_keys(at(100)) => "signing_key.deleted");
    tells!(secret("root", SealedSecret(vec![1])) => "server_secret.created");
    let sealed = Sealed {
        kind: SealedKind::ServerSecret,
        name: "root".to_owned(),
        bytes: vec![1],
    };
    let reseal = Reseal {
        before: sealed,
        after: vec![2],
    };
    tells!(reseal(vec![reseal]) => "master_key.changed");
    tells!(add_admin_key(keys::admin_key(1), false) => "admin_key.created");

    tells!(end_everything(at(9)) => "grant.all_ended");

    let known = READS.iter().copied().chain(SILENT.iter().map(|(name, _)| *name));
    let known: BTreeSet<&str> = known.chain(told).collect();
    assert_eq!(operations(), known);
    // What has changed nothing tells nothing.
    acting(&store)
        .burn_code(&approval.code.digest, at(0))
        .await
        .unwrap();
    acting(&store)
        .secret("root", SealedSecret(vec![9]))
        .await
        .unwrap();
    acting(&store)
        .add_admin_key(keys::admin_key(2), true)
        .await
        .unwrap();
    acting(&store)
        .revoke_issuance(&redeemed.issuance.jti, at(3))
        .await
        .unwrap();
    acting(&store).revoke_issuance("unknown", at(3)).await.unwrap();
    acting(&store).delete_client("nobody", at(3)).await.unwrap();
    acting(&store)
        .delete_user(UserId(Uuid::nil()), at(3))
        .await
        .unwrap();
    assert_eq!(events(&store).await.len(), expected);
}

fn initial_token(number: u32) -> InitialAccessToken {
    let digest: Digest = digest(30, number);
    InitialAccessToken {
        id: Uuid::from_u128(u128::from(fresh())),
        digest,
        name: "for the team".to_owned(),
        uses_left: None,
        created_at: at(0),
        expires_at: None,
    }
}

/// The names of all operations of the trait.
fn operations() -> BTreeSet<&'static str> {
    let source = include_str!("../../../src/lib.rs");
    let names = source
        .lines()
        .filter_map(|line| line.strip_prefix("    async fn "));
    names.map(|line| line.split('(').next().unwrap()).collect()
}
