use doorward_store::{Client, ClientSource, EndReason, StoreError};

use super::audit::{acting, events};
use super::scene::{APP, Opened, RESOURCE, Scene, at, client, consent, resource};

pub(crate) async fn a_resource_reads_back_as_it_was_written(opened: Opened) {
    let store = opened.store;
    let (files, mail) = (
        resource("files", RESOURCE),
        resource("mail", "https://mail.example/"),
    );
    store.create_resource(mail.clone()).await.unwrap();
    store.create_resource(files.clone()).await.unwrap();
    assert_eq!(store.resource("files").await.unwrap(), Some(files.clone()));
    assert_eq!(store.resource("Files").await.unwrap(), None);
    assert_eq!(store.resources().await.unwrap(), [files.clone(), mail]);

    let mut renamed = files;
    "All files".clone_into(&mut renamed.display_name);
    renamed.scopes.clear();
    renamed.policy.dpop_bound_access_tokens_required = true;
    renamed.policy.exchange_clients = vec![APP.to_owned(), "https://agent.example/\u{e9}".to_owned()];
    store.update_resource(renamed.clone()).await.unwrap();
    assert_eq!(store.resource("files").await.unwrap(), Some(renamed));
}

pub(crate) async fn a_taken_slug_or_uri_is_a_conflict(opened: Opened) {
    let store = opened.store;
    store.create_resource(resource("files", RESOURCE)).await.unwrap();
    let same_slug = store
        .create_resource(resource("files", "https://other.example/"))
        .await;
    assert_eq!(same_slug, Err(StoreError::Conflict));
    let same_uri = store.create_resource(resource("other", RESOURCE)).await;
    assert_eq!(same_uri, Err(StoreError::Conflict));
    assert_eq!(store.resources().await.unwrap().len(), 1);
}

pub(crate) async fn an_unknown_resource_cannot_be_updated(opened: Opened) {
    assert_eq!(
        opened.store.update_resource(resource("files", RESOURCE)).await,
        Err(StoreError::NotFound)
    );
    assert_eq!(opened.store.delete_resource("files", at(0)).await, Ok(0));
}

pub(crate) async fn deleting_a_resource_ends_its_grants_and_forgets_consents(opened: Opened) {
    let scene = Scene::new(opened).await;
    let active = scene.active().await;
    let mut approval = scene.approval();
    approval.consent = Some(consent("fingerprint-1", "files:read", "https://app.example/cb"));
    scene.approve(&approval).await;

    assert_eq!(scene.store.delete_resource("files", at(9)).await, Ok(2));
    for id in [active, approval.grant.id] {
        let grant = scene.grant(id).await;
        assert_eq!(
            (grant.end_reason, grant.ended_at),
            (Some(EndReason::ResourceDeleted), Some(at(9)))
        );
    }
    assert_eq!(scene.consent().await, None);
    assert_eq!(scene.store.resource("files").await.unwrap(), None);
    assert_eq!(
        scene
            .store
            .client(APP)
            .await
            .unwrap()
            .map(|client| client.disabled),
        Some(false)
    );
}

pub(crate) async fn clients_that_only_introspect_go_with_their_resource(opened: Opened) {
    let scene = Scene::new(opened).await;
    let server = |client_id: &str, resource: &str, grant_types: &str| Client {
        metadata: format!(r#"{{"client_name":"Guard","grant_types":{grant_types}}}"#),
        resource_server: Some(resource.to_owned()),
        ..client(client_id, ClientSource::Admin)
    };
    let other = server("other", "mail", "[]");
    let also_a_client = server("both", "files", r#"["authorization_code"]"#);
    for client in [
        server("guard", "files", "[]"),
        server("second-guard", "files", "[]"),
        other.clone(),
        also_a_client.clone(),
    ] {
        scene.store.create_client(client).await.unwrap();
    }
    let introspection = doorward_store::Change::Clients;
    let before = scene.store.changes().version(introspection);
    acting(&scene.store)
        .delete_resource("files", at(9))
        .await
        .unwrap();
    assert_ne!(scene.store.changes().version(introspection), before);
    for gone in ["guard", "second-guard"] {
        assert_eq!(scene.store.client(gone).await, Ok(None));
    }
    let stays = Client {
        resource_server: None,
        ..also_a_client
    };
    assert_eq!(scene.store.client("both").await, Ok(Some(stays)));
    assert_eq!(scene.store.client("other").await, Ok(Some(other)));

    let told = events(&scene.store).await.into_iter();
    let told = told.map(|event| (event.action.as_str().to_owned(), event.client_id));
    let mut told: Vec<_> = told.collect();
    told.sort();
    let of = |action: &str, client: Option<&str>| (action.to_owned(), client.map(str::to_owned));
    let expected = [
        of("client.deleted", Some("guard")),
        of("client.deleted", Some("second-guard")),
        of("client.updated", Some("both")),
        of("resource.deleted", None),
    ];
    assert_eq!(told, expected);
}

pub(crate) async fn a_changed_uri_ends_the_grants_on_the_old_one(opened: Opened) {
    let scene = Scene::new(opened).await;
    let grant = scene.active().await;
    scene
        .store
        .update_resource(resource("files", "https://moved.example/mcp"))
        .await
        .unwrap();
    assert_eq!(
        scene.grant(grant).await.end_reason,
        Some(EndReason::ResourceDeleted)
    );
}
