//! Texts that PostgreSQL cannot store: every engine says that they are not there.

use doorward_store::{AuditFilter, EndReason, GrantFilter, PageRequest};

use super::audit::{acting, all, lines, page};
use super::scene::{Opened, at};
use super::trusted_issuers::scene;

const NUL: &str = "\0";

pub(crate) async fn grants_with_a_nul_are_not_there(opened: Opened) {
    let scene = scene(opened).await;
    let grant = scene.active().await;
    let nul = || Some(NUL.to_owned());
    let of_client = GrantFilter {
        client_id: nul(),
        ..GrantFilter::default()
    };
    let on_resource = GrantFilter {
        resource: nul(),
        ..GrantFilter::default()
    };
    let of_person = GrantFilter {
        user: Some(scene.user.id),
        ..of_client.clone()
    };
    for filter in [of_client, on_resource, of_person] {
        let first = PageRequest {
            after: None,
            limit: 5,
        };
        let found = scene.store.grants(filter.clone(), first).await.unwrap();
        assert_eq!((found.items, found.next), (Vec::new(), None));
        let by = acting(&scene.store);
        let ended = by.revoke_grants(filter, EndReason::RevokedByAdmin, at(1)).await;
        assert_eq!(ended, Ok(0));
    }
    assert!(scene.grant(grant).await.ended_at.is_none());
}

pub(crate) async fn audit_entries_with_a_nul_are_not_there(opened: Opened) {
    let scene = scene(opened).await;
    scene.active().await;
    assert!(!lines(&scene.store, all()).await.is_empty());
    let filters: [fn(&mut AuditFilter) -> &mut Option<String>; 5] = [
        |filter| &mut filter.actor_id,
        |filter| &mut filter.client_id,
        |filter| &mut filter.subject,
        |filter| &mut filter.resource,
        |filter| &mut filter.request_id,
    ];
    for member in filters {
        let mut filter = all();
        *member(&mut filter) = Some(NUL.to_owned());
        let found = scene.store.audit_entries(filter, page(5)).await.unwrap();
        assert_eq!((found.items, found.next), (Vec::new(), None));
    }
}

pub(crate) async fn what_has_a_nul_in_its_name_cannot_be_removed(opened: Opened) {
    let scene = scene(opened).await;
    let by = acting(&scene.store);
    assert_eq!(by.delete_assertion_audience(NUL).await, Ok(false));
    for (slug, subject) in [(NUL, "00u1"), ("idp", NUL), (NUL, NUL)] {
        assert_eq!(by.linked_subject(slug, subject).await, Ok(None));
        assert_eq!(by.unlink_subject(slug, subject, at(1)).await, Ok(false));
    }
    let first = PageRequest {
        after: None,
        limit: 5,
    };
    assert!(by.linked_subjects(NUL, first).await.unwrap().items.is_empty());
}
