//! Tokens on the word of a trusted issuer.

use std::sync::Arc;

use doorward_store::{
    AssertedOutcome, ClientSource, EndReason, Grant, GrantFilter, GrantId, GrantState, IssueAsserted,
    PageRequest, Spend, StoreError, TrustedIssuerKind, UserId,
};
use uuid::Uuid;

use super::audit::{events, operator, origin};
use super::many::{grants, told};
use super::scene::{
    APP, Opened, RESOURCE, Scene, at, at_once, client, fresh, issuance, person, resource, scopes,
};
use super::spent::one;
use super::trusted_issuers::{issuer, link, scene as issuers};

/// What the identity provider calls the person.
const SUBJECT: &str = "00u1";

/// The person is linked.
pub(crate) async fn scene(opened: Opened) -> Scene {
    let scene = issuers(opened).await;
    let linked = link(SUBJECT, scene.user.id);
    scene.store.link_subject(linked, None).await.unwrap();
    scene
}

/// A token of the person, by the client; or of a workload.
pub(crate) fn asserted(scene: &Scene, slug: &str, now: i64) -> IssueAsserted {
    let number = fresh();
    let time = uuid::Timestamp::from_unix_time(1_800_000_000 + u64::from(number), 0, 0, 0);
    let id = GrantId(Uuid::new_v7(time));
    let (user, subject, client_id) = match slug {
        "ci" => (
            UserId::NOBODY,
            "workload:ci:job".to_owned(),
            "workload:ci".to_owned(),
        ),
        _ => (scene.user.id, scene.user.id.0.to_string(), APP.to_owned()),
    };
    let mut issuance = issuance(id, at(now));
    issuance.subject.clone_from(&subject);
    issuance.client_id.clone_from(&client_id);
    IssueAsserted {
        grant: Grant {
            id,
            user,
            subject,
            client_id,
            resource: RESOURCE.to_owned(),
            scopes: scopes("files:read"),
            state: GrantState::Active,
            end_reason: None,
            ended_at: None,
            created_at: at(now),
            authenticated_at: at(now),
            methods: vec!["pwd".to_owned()],
            generation: 0,
            generation_at: at(now),
            refresh_salt: [0; 16],
            refresh_expires_at: None,
            last_used_at: at(now),
            dpop_jkt: None,
            more_resources: Vec::new(),
            trusted_issuer: Some(slug.to_owned()),
        },
        issuance,
        client: None,
        terms: issuer(slug, TrustedIssuerKind::Workload).terms,
        spends: Vec::new(),
        linked: (!user.is_nobody()).then(|| SUBJECT.to_owned()),
        made_at: at(now),
        now: at(now),
    }
}

async fn issued(scene: &Scene, issue: &IssueAsserted) -> GrantId {
    match scene.store.issue_asserted(issue.clone()).await.unwrap() {
        AssertedOutcome::Issued(id) => id,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn an_asserted_grant_is_used_again(opened: Opened) {
    let scene = scene(opened).await;
    for slug in ["idp", "ci"] {
        let first = asserted(&scene, slug, 0);
        let id = issued(&scene, &first).await;
        assert_eq!(scene.grant(id).await, first.grant);
        let mut later = asserted(&scene, slug, 5);
        later.grant.scopes = scopes("files:read files:write");
        later.grant.methods = vec!["otp".to_owned()];
        assert_eq!(issued(&scene, &later).await, id);
        let grant = scene.grant(id).await;
        assert_eq!(
            (grant.scopes, grant.methods),
            (later.grant.scopes, later.grant.methods)
        );
        assert_eq!(grant.authenticated_at, at(5));
        let recorded = scene.store.issuance(&later.issuance.jti).await.unwrap().unwrap();
        assert_eq!(recorded.grant, id);
    }
}

pub(crate) async fn fifty_first_tokens_on_one_word_share_one_grant(opened: Opened) {
    let scene = Arc::new(scene(opened).await);
    let ids = at_once(50, |_| {
        let scene = Arc::clone(&scene);
        async move { issued(&scene, &asserted(&scene, "idp", 0)).await }
    })
    .await;
    assert!(ids.iter().all(|id| *id == ids[0]));
}

pub(crate) async fn what_ended_is_not_had_again_by_an_older_word(opened: Opened) {
    let scene = scene(opened).await;
    for slug in ["idp", "ci"] {
        let id = issued(&scene, &asserted(&scene, slug, 0)).await;
        let one = GrantFilter::one(id);
        scene
            .store
            .revoke_grants(one, EndReason::RevokedByAdmin, at(10))
            .await
            .unwrap();
        let mut older = asserted(&scene, slug, 11);
        older.made_at = at(10);
        let outcome = scene.store.issue_asserted(older.clone()).await;
        assert_eq!(outcome, Ok(AssertedOutcome::EndedSince));
        assert_eq!(scene.store.issuance(&older.issuance.jti).await, Ok(None));
        let newer = asserted(&scene, slug, 11);
        assert_ne!(issued(&scene, &newer).await, id);
    }
}

/// Whoever ends it has a clock that is behind.
pub(crate) async fn a_grant_ends_no_earlier_than_it_was_used(opened: Opened) {
    let scene = scene(opened).await;
    let used = asserted(&scene, "idp", 100);
    let one = GrantFilter::one(issued(&scene, &used).await);
    let ended = scene
        .store
        .revoke_grants(one, EndReason::RevokedByAdmin, at(10))
        .await;
    assert_eq!(ended, Ok(1));
    let again = scene.store.issue_asserted(asserted(&scene, "idp", 100)).await;
    assert_eq!(again, Ok(AssertedOutcome::EndedSince));
    issued(&scene, &asserted(&scene, "idp", 101)).await;
}

pub(crate) async fn a_word_from_before_everything_was_ended_counts_no_more(opened: Opened) {
    let scene = scene(opened).await;
    scene.store.end_everything(at(10)).await.unwrap();
    for slug in ["idp", "ci"] {
        let older = scene.store.issue_asserted(asserted(&scene, slug, 10)).await;
        assert_eq!(older, Ok(AssertedOutcome::EndedSince));
        issued(&scene, &asserted(&scene, slug, 11)).await;
    }
}

pub(crate) async fn trust_that_ends_takes_its_grants_along(opened: Opened) {
    let scene = scene(opened).await;
    let store = &scene.store;
    let ended = async |id| {
        let grant = scene.grant(id).await;
        assert_eq!(grant.end_reason, Some(EndReason::TrustEnded), "{grant:?}");
    };
    let by_person = issued(&scene, &asserted(&scene, "idp", 0)).await;
    let by_job = issued(&scene, &asserted(&scene, "ci", 0)).await;
    let consented = scene.active().await;
    assert_eq!(store.unlink_subject("idp", SUBJECT, at(1)).await, Ok(true));
    assert_eq!(store.unlink_subject("idp", SUBJECT, at(1)).await, Ok(false));
    ended(by_person).await;
    assert_eq!(scene.state(by_job).await, GrantState::Active);
    store
        .link_subject(link(SUBJECT, scene.user.id), None)
        .await
        .unwrap();
    let again = issued(&scene, &asserted(&scene, "idp", 2)).await;
    let mut disabled = issuer("idp", TrustedIssuerKind::IdentityProvider);
    disabled.disabled = true;
    disabled.updated_at = at(3);
    store.update_trusted_issuer(disabled).await.unwrap();
    ended(again).await;
    let refused = store.issue_asserted(asserted(&scene, "idp", 4)).await;
    assert_eq!(refused, Ok(AssertedOutcome::IssuerGone));
    assert_eq!(store.delete_trusted_issuer("ci", at(5)).await, Ok(1));
    ended(by_job).await;
    let refused = store.issue_asserted(asserted(&scene, "ci", 6)).await;
    assert_eq!(refused, Ok(AssertedOutcome::IssuerGone));
    assert_eq!(
        scene.state(consented).await,
        GrantState::Active,
        "it rests on nobody's word"
    );
}

/// To disable one with many grants takes a while, and whoever asked for it may go away before the end.
pub(crate) async fn an_issuer_that_was_not_disabled_to_the_end_leaves_nothing_when_it_is_enabled(
    opened: Opened,
) {
    let scene = Arc::new(scene(opened).await);
    let store = &scene.store;
    let mut issuer = issuer("ci", TrustedIssuerKind::Workload);
    let alive = async || {
        let filter = GrantFilter {
            state: Some(GrantState::Active),
            ..GrantFilter::default()
        };
        store
            .grants(filter, PageRequest::default())
            .await
            .unwrap()
            .items
            .len()
    };
    let mut time = 0;
    // It may come to its end before it is seen.
    while alive().await == 0 {
        (issuer.disabled, issuer.updated_at) = (false, at(time));
        store.update_trusted_issuer(issuer.clone()).await.unwrap();
        issue_many(&scene, time).await;
        (issuer.disabled, issuer.updated_at) = (true, at(time + 1));
        let seen = async { while !store.trusted_issuer("ci").await.unwrap().unwrap().disabled {} };
        tokio::select! {
            biased;
            () = seen => {}
            done = store.update_trusted_issuer(issuer.clone()) => done.unwrap(),
        }
        // What was on its way is done before this.
        let name = format!("r{time}");
        let next = resource(&name, &format!("https://{name}.example/mcp"));
        store.create_resource(next).await.unwrap();
        time += 2;
    }
    (issuer.disabled, issuer.updated_at) = (false, at(time));
    store.update_trusted_issuer(issuer.clone()).await.unwrap();
    assert_eq!(alive().await, 0);
}

/// More than end in one transaction.
async fn issue_many(scene: &Arc<Scene>, time: i64) -> Vec<GrantId> {
    let mut all = Vec::new();
    // Not all at once: the last ones would wait for the others longer than anybody may, on a busy machine.
    for some in 0..10 {
        let ids = at_once(62, |number| {
            let scene = Arc::clone(scene);
            let mut issue = asserted(&scene, "ci", time);
            issue.grant.subject = format!("workload:ci:job-{some}-{number}");
            issue.issuance.subject.clone_from(&issue.grant.subject);
            async move { issued(&scene, &issue).await }
        });
        all.extend(ids.await);
    }
    all
}

/// More than end in one transaction, when it is disabled and when it is removed.
pub(crate) async fn trust_that_ends_takes_any_number_of_grants_along(opened: Opened) {
    let scene = Arc::new(scene(opened).await);
    let store = &scene.store;
    let first = issue_many(&scene, 0).await;
    let mut issuer = issuer("ci", TrustedIssuerKind::Workload);
    (issuer.disabled, issuer.updated_at) = (true, at(1));
    // Later than the tokens, which are in the list too.
    let hands = store.acting(origin(operator(), 9));
    hands.update_trusted_issuer(issuer.clone()).await.unwrap();
    assert_eq!(told(store).await, [grants(500), grants(120)]);
    (issuer.disabled, issuer.updated_at) = (false, at(2));
    store.update_trusted_issuer(issuer).await.unwrap();
    let second = issue_many(&scene, 3).await;
    assert_eq!(hands.delete_trusted_issuer("ci", at(4)).await, Ok(620));
    let deleted = ("trusted_issuer.deleted".to_owned(), 620);
    assert_eq!(told(store).await[2..], [grants(500), grants(120), deleted]);
    // Its word counted no more before the first of them ended.
    let actions = events(store).await;
    let actions: Vec<_> = actions.iter().rev().map(|event| event.action.as_str()).collect();
    assert_eq!(
        actions,
        [
            "trusted_issuer.disabled",
            "grant.ended",
            "grant.ended",
            "trusted_issuer.disabled",
            "grant.ended",
            "grant.ended",
            "trusted_issuer.deleted"
        ]
    );
    for id in first.into_iter().chain(second) {
        assert_eq!(scene.grant(id).await.end_reason, Some(EndReason::TrustEnded));
    }
}

pub(crate) async fn a_word_about_what_is_gone_gives_no_token(opened: Opened) {
    let scene = scene(opened).await;
    let store = &scene.store;
    let outcome = async |slug: &str| store.issue_asserted(asserted(&scene, slug, 9)).await.unwrap();
    let mut app = client(APP, ClientSource::Dynamic);
    app.disabled = true;
    store.update_client(app).await.unwrap();
    assert_eq!(outcome("idp").await, AssertedOutcome::ClientGone);
    store
        .update_client(client(APP, ClientSource::Dynamic))
        .await
        .unwrap();
    let mut person = scene.user.clone();
    person.disabled = true;
    store.update_user(person, at(1)).await.unwrap();
    assert_eq!(outcome("idp").await, AssertedOutcome::PersonGone);
    store.update_user(scene.user.clone(), at(1)).await.unwrap();
    store.delete_client(APP, at(1)).await.unwrap();
    assert_eq!(outcome("idp").await, AssertedOutcome::ClientGone);
    store
        .create_client(client(APP, ClientSource::Dynamic))
        .await
        .unwrap();
    store.delete_resource("files", at(2)).await.unwrap();
    assert_eq!(outcome("ci").await, AssertedOutcome::ResourceGone);
}

pub(crate) async fn a_word_that_was_taken_by_other_terms_gives_no_token(opened: Opened) {
    let scene = scene(opened).await;
    let (store, read_before) = (&scene.store, asserted(&scene, "ci", 0));
    let mut changed = issuer("ci", TrustedIssuerKind::Workload);
    changed.terms.insert_str(1, r#""single_use":true,"#);
    store.update_trusted_issuer(changed.clone()).await.unwrap();
    let refused = store.issue_asserted(read_before.clone()).await;
    assert_eq!(refused, Ok(AssertedOutcome::IssuerGone));
    let read_after = IssueAsserted {
        terms: changed.terms,
        ..read_before
    };
    issued(&scene, &read_after).await;
}

pub(crate) async fn a_word_about_who_is_unlinked_or_another_one_by_now_gives_no_token(opened: Opened) {
    let scene = scene(opened).await;
    let store = &scene.store;
    let outcome = async || store.issue_asserted(asserted(&scene, "idp", 2)).await.unwrap();
    assert_eq!(store.unlink_subject("idp", SUBJECT, at(1)).await, Ok(true));
    assert_eq!(outcome().await, AssertedOutcome::PersonGone);
    let other = person("grace@example.org");
    let linked = link(SUBJECT, other.id);
    store.link_subject(linked, Some(other)).await.unwrap();
    assert_eq!(outcome().await, AssertedOutcome::PersonGone);
}

pub(crate) async fn an_assertion_is_used_up_with_its_token_or_not_at_all(opened: Opened) {
    let scene = scene(opened).await;
    let store = &scene.store;
    let (word, proof) = (one(60), one(60));
    let shown = |slug: &str, spends: &[Spend]| IssueAsserted {
        spends: spends.to_vec(),
        ..asserted(&scene, slug, 0)
    };
    store.unlink_subject("idp", SUBJECT, at(-1)).await.unwrap();
    let refused = shown("idp", &[word, proof]);
    let outcome = store.issue_asserted(refused).await;
    assert_eq!(outcome, Ok(AssertedOutcome::PersonGone));
    issued(&scene, &shown("ci", &[word, proof])).await;
    let fresh = one(60);
    for (spends, place) in [([fresh, proof], 1), ([word, fresh], 0), ([fresh, fresh], 1)] {
        let again = shown("ci", &spends);
        let jti = again.issuance.jti.clone();
        let outcome = store.issue_asserted(again).await;
        assert_eq!(outcome, Ok(AssertedOutcome::UsedBefore(place)));
        assert_eq!(store.issuance(&jti).await, Ok(None));
    }
    issued(&scene, &shown("ci", &[fresh])).await;
}

pub(crate) async fn of_fifty_tokens_on_one_assertion_one_is_given(opened: Opened) {
    let scene = Arc::new(scene(opened).await);
    let word = one(60);
    let outcomes = at_once(50, |number| {
        let scene = Arc::clone(&scene);
        async move {
            let mut issue = asserted(&scene, "ci", 0);
            // Another workload's name keeps them from waiting for each other.
            issue.grant.subject = format!("workload:ci:job-{}", number % 2);
            issue.issuance.subject.clone_from(&issue.grant.subject);
            issue.spends = vec![one(60), word];
            scene.store.issue_asserted(issue).await
        }
    });
    let mut issued = 0;
    for outcome in outcomes.await {
        match outcome {
            Ok(AssertedOutcome::Issued(_)) => issued += 1,
            Ok(AssertedOutcome::UsedBefore(1)) | Err(StoreError::Busy) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(issued, 1);
}

pub(crate) async fn of_fifty_tokens_while_a_person_is_unlinked_none_counts(opened: Opened) {
    let scene = Arc::new(scene(opened).await);
    let outcomes = at_once(51, |number| {
        let scene = Arc::clone(&scene);
        async move {
            if number == 25 {
                let unlink = async || scene.store.unlink_subject("idp", SUBJECT, at(1)).await;
                while unlink().await == Err(StoreError::Busy) {}
                return None;
            }
            // On a machine that is busy somebody waits too long for the others.
            match scene.store.issue_asserted(asserted(&scene, "idp", 0)).await {
                Err(StoreError::Busy) => None,
                outcome => Some(outcome.unwrap()),
            }
        }
    });
    let outcomes = outcomes.await;
    assert_eq!(scene.store.linked_subject("idp", SUBJECT).await, Ok(None));
    for outcome in outcomes.into_iter().flatten() {
        match outcome {
            AssertedOutcome::Issued(grant) => assert_eq!(scene.state(grant).await, GrantState::Ended),
            refused => assert!(
                matches!(refused, AssertedOutcome::PersonGone | AssertedOutcome::EndedSince),
                "{refused:?}"
            ),
        }
    }
}

pub(crate) async fn a_snapshot_of_the_client_is_kept_with_its_first_token(opened: Opened) {
    let scene = Arc::new(scene(opened).await);
    let store = &scene.store;
    let shown = |name: &str| {
        let mut issue = asserted(&scene, "idp", 1);
        let mut snapshot = client("https://app.example/client.json", ClientSource::MetadataDocument);
        snapshot.metadata = format!(r#"{{"client_name":"{name}"}}"#);
        issue.grant.client_id.clone_from(&snapshot.client_id);
        issue.issuance.client_id.clone_from(&snapshot.client_id);
        issue.client = Some(snapshot);
        issue
    };
    let mut unknown = shown("App");
    unknown.client = None;
    let refused = store.issue_asserted(unknown).await;
    assert_eq!(refused, Ok(AssertedOutcome::ClientGone));
    let first = shown("App");
    let all = (0..50).map(|_| shown("App")).collect::<Vec<_>>();
    at_once(50, |caller| {
        let (scene, issue) = (Arc::clone(&scene), all[caller].clone());
        async move { issued(&scene, &issue).await }
    })
    .await;
    let id = first.grant.client_id.clone();
    assert_eq!(store.client(&id).await, Ok(first.client.clone()));
    let renamed = shown("Renamed");
    issued(&scene, &renamed).await;
    assert_eq!(store.client(&id).await, Ok(renamed.client.clone()));
    let mut disabled = renamed.client.unwrap();
    disabled.disabled = true;
    store.update_client(disabled).await.unwrap();
    let refused = store.issue_asserted(shown("App")).await;
    assert_eq!(refused, Ok(AssertedOutcome::ClientGone));
}

pub(crate) async fn an_incoherent_asserted_grant_is_invalid(opened: Opened) {
    let scene = scene(opened).await;
    let mut on_no_word = asserted(&scene, "idp", 0);
    on_no_word.grant.trusted_issuer = None;
    let mut pending = asserted(&scene, "idp", 0);
    pending.grant.state = GrantState::Pending;
    let mut of_another = asserted(&scene, "ci", 0);
    "somebody".clone_into(&mut of_another.issuance.subject);
    let mut of_nobody_known = asserted(&scene, "idp", 0);
    of_nobody_known.linked = None;
    let mut of_a_linked_workload = asserted(&scene, "ci", 0);
    of_a_linked_workload.linked = Some(SUBJECT.to_owned());
    for issue in [
        on_no_word,
        pending,
        of_another,
        of_nobody_known,
        of_a_linked_workload,
    ] {
        assert!(matches!(
            scene.store.issue_asserted(issue).await,
            Err(StoreError::Invalid(_))
        ));
    }
}
