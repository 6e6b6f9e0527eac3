//! Issuers whose word counts, and whom they mean.

use std::sync::Arc;

use doorward_store::{
    LinkedSubject, PageRequest, StoreError, TrustedIssuer, TrustedIssuerKind, User, UserId,
};
use uuid::Uuid;

use super::scene::{Opened, Scene, at, at_once, person};

const IDP: &str = "https://idp.example";

pub(crate) fn issuer(slug: &str, kind: TrustedIssuerKind) -> TrustedIssuer {
    TrustedIssuer {
        slug: slug.to_owned(),
        kind,
        issuer: IDP.to_owned(),
        terms: r#"{"rules":[]}"#.to_owned(),
        disabled: false,
        created_at: at(0),
        updated_at: at(0),
    }
}

pub(super) fn link(subject: &str, user: UserId) -> LinkedSubject {
    LinkedSubject {
        trusted_issuer: "idp".to_owned(),
        subject: subject.to_owned(),
        user,
        created_at: at(0),
    }
}

pub(super) async fn scene(opened: Opened) -> Scene {
    let scene = Scene::new(opened).await;
    let store = &scene.store;
    let idp = issuer("idp", TrustedIssuerKind::IdentityProvider);
    store.create_trusted_issuer(idp).await.unwrap();
    let ci = issuer("ci", TrustedIssuerKind::Workload);
    store.create_trusted_issuer(ci).await.unwrap();
    scene
}

pub(crate) async fn an_issuer_reads_back_as_it_was_written(opened: Opened) {
    let scene = scene(opened).await;
    let store = &scene.store;
    let idp = issuer("idp", TrustedIssuerKind::IdentityProvider);
    let ci = issuer("ci", TrustedIssuerKind::Workload);
    assert_eq!(store.trusted_issuer("idp").await, Ok(Some(idp.clone())));
    assert_eq!(store.trusted_issuer("nobody").await, Ok(None));
    assert_eq!(store.trusted_issuers().await, Ok(vec![ci.clone(), idp.clone()]));
    for (kind, found) in [(TrustedIssuerKind::Workload, &ci), (idp.kind, &idp)] {
        assert_eq!(
            store.trusted_issuer_by_url(IDP, kind).await,
            Ok(Some(found.clone()))
        );
    }
    for other in [
        "https://idp.example/",
        "https://IDP.example",
        "http://idp.example",
        "",
        "\0",
    ] {
        assert_eq!(store.trusted_issuer_by_url(other, idp.kind).await, Ok(None));
    }
    let changed = TrustedIssuer {
        terms: r#"{"rules":[1]}"#.to_owned(),
        updated_at: at(9),
        ..idp
    };
    store.update_trusted_issuer(changed.clone()).await.unwrap();
    assert_eq!(store.trusted_issuer("idp").await, Ok(Some(changed)));
    let unknown = issuer("nobody", TrustedIssuerKind::Workload);
    assert_eq!(
        store.update_trusted_issuer(unknown).await,
        Err(StoreError::NotFound)
    );
}

pub(crate) async fn a_taken_slug_or_issuer_url_is_a_conflict(opened: Opened) {
    let scene = scene(opened).await;
    let mut same_slug = issuer("idp", TrustedIssuerKind::Workload);
    "https://other.example".clone_into(&mut same_slug.issuer);
    let same_url = issuer("another", TrustedIssuerKind::IdentityProvider);
    for taken in [same_slug, same_url] {
        let outcome = scene.store.create_trusted_issuer(taken).await;
        assert_eq!(outcome, Err(StoreError::Conflict));
    }
}

pub(crate) async fn a_subject_is_linked_to_one_person(opened: Opened) {
    let scene = scene(opened).await;
    let store = &scene.store;
    let linked = link("00u1", scene.user.id);
    store.link_subject(linked.clone(), None).await.unwrap();
    assert_eq!(
        store.linked_subject("idp", "00u1").await,
        Ok(Some(linked.clone()))
    );
    assert_eq!(
        store.linked_subject("ci", "00u1").await,
        Ok(None),
        "another issuer's subject"
    );
    assert_eq!(store.linked_subject("idp", "00U1").await, Ok(None));
    assert_eq!(store.link_subject(linked, None).await, Err(StoreError::Conflict));
    let unknown = link("00u2", UserId(Uuid::from_u128(77)));
    assert_eq!(store.link_subject(unknown, None).await, Err(StoreError::NotFound));
    let mut nowhere = link("00u2", scene.user.id);
    "nobody".clone_into(&mut nowhere.trusted_issuer);
    assert_eq!(store.link_subject(nowhere, None).await, Err(StoreError::NotFound));
    store
        .link_subject(link("00u2", scene.user.id), None)
        .await
        .unwrap();
    let one = PageRequest {
        after: None,
        limit: 1,
    };
    let first = store.linked_subjects("idp", one).await.unwrap();
    assert_eq!(first.items[0].subject, "00u1");
    let rest = PageRequest {
        after: first.next,
        limit: 1,
    };
    assert_eq!(
        store.linked_subjects("idp", rest).await.unwrap().items[0].subject,
        "00u2"
    );
    store.delete_user(scene.user.id, at(1)).await.unwrap();
    assert_eq!(store.linked_subject("idp", "00u1").await, Ok(None));
}

pub(crate) async fn a_person_is_added_with_the_link_or_not_at_all(opened: Opened) {
    let scene = Arc::new(scene(opened).await);
    let taken = person("ADA@example.com");
    let outcome = scene
        .store
        .link_subject(link("00u1", taken.id), Some(taken.clone()))
        .await;
    assert_eq!(outcome, Err(StoreError::Conflict));
    assert_eq!(scene.store.user(taken.id).await, Ok(None));
    let outcomes = at_once(50, |caller| {
        let scene = Arc::clone(&scene);
        async move {
            let person: User = person(&format!("{caller}@new.example"));
            scene
                .store
                .link_subject(link("00u1", person.id), Some(person))
                .await
        }
    })
    .await;
    assert_eq!(
        outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
        1,
        "{outcomes:?}"
    );
    let everybody = scene.store.users(PageRequest::default()).await.unwrap().items;
    assert_eq!(everybody.len(), 2, "the losers added nobody");
}
