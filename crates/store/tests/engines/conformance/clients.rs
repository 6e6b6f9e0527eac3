use std::sync::Arc;

use doorward_store::{ClientFilter, ClientSecret, ClientSource, EndReason, PageRequest, StoreError};

use super::scene::{APP, Opened, Scene, at, at_once, client, consent, digest};

/// How often it is written down that a client registered again, in seconds.
const DAY: i64 = 86_400;

pub(crate) async fn a_client_reads_back_as_it_was_written(opened: Opened) {
    let store = opened.store;
    let mut written = client("dws_1", ClientSource::Admin);
    let secret = |number, expires_at| ClientSecret {
        digest: digest(9, number),
        expires_at,
    };
    written.secrets = vec![secret(1, None), secret(2, Some(at(60)))];
    written.resource_server = Some("files".to_owned());
    store.create_client(written.clone()).await.unwrap();
    assert_eq!(store.client("dws_1").await.unwrap(), Some(written.clone()));
    assert_eq!(store.client("DWS_1").await.unwrap(), None);

    written.disabled = true;
    written.secrets.pop();
    store.update_client(written.clone()).await.unwrap();
    assert_eq!(store.client("dws_1").await.unwrap(), Some(written.clone()));

    "dws_2".clone_into(&mut written.client_id);
    assert_eq!(store.update_client(written).await, Err(StoreError::NotFound));
}

pub(crate) async fn a_taken_client_id_is_a_conflict(opened: Opened) {
    let store = opened.store;
    store
        .create_client(client("one", ClientSource::Admin))
        .await
        .unwrap();
    assert_eq!(
        store.create_client(client("one", ClientSource::Dynamic)).await,
        Err(StoreError::Conflict)
    );
    assert_eq!(
        store.client("one").await.unwrap().unwrap().source,
        ClientSource::Admin
    );
}

pub(crate) async fn registering_again_keeps_the_stored_client(opened: Opened) {
    let store = opened.store;
    let mut first = client("dwc_1", ClientSource::Dynamic);
    first.disabled = true;
    assert_eq!(store.register_client(first.clone()).await.unwrap(), first);
    let mut again = client("dwc_1", ClientSource::Dynamic);
    again.created_at = at(500);
    assert_eq!(store.register_client(again.clone()).await.unwrap(), first);
    again.updated_at = at(DAY - 1);
    assert_eq!(store.register_client(again.clone()).await.unwrap(), first);
    again.updated_at = at(DAY);
    let seen = doorward_store::Client {
        updated_at: at(DAY),
        ..first
    };
    assert_eq!(store.register_client(again.clone()).await.unwrap(), seen);
    again.updated_at = at(1);
    assert_eq!(store.register_client(again).await.unwrap(), seen);
    assert_eq!(store.client("dwc_1").await.unwrap(), Some(seen));
}

pub(crate) async fn five_hundred_parallel_registrations_store_one_row(opened: Opened) {
    let store = opened.store;
    let registered = at_once(500, |caller| {
        let store = Arc::clone(&store);
        async move {
            let mut mine = client("dwc_storm", ClientSource::Dynamic);
            mine.created_at = at(i64::try_from(caller).unwrap());
            store.register_client(mine).await.unwrap()
        }
    })
    .await;
    let stored = store.client("dwc_storm").await.unwrap().unwrap();
    assert!(registered.iter().all(|client| *client == stored));
    assert_eq!(
        store
            .clients(ClientFilter::default(), PageRequest::default())
            .await
            .unwrap()
            .items
            .len(),
        1
    );
}

pub(crate) async fn clients_come_in_pages_by_id(opened: Opened) {
    let store = opened.store;
    for number in [3, 1, 5, 2, 4] {
        store
            .create_client(client(&format!("client-{number}"), ClientSource::Admin))
            .await
            .unwrap();
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = store
            .clients(ClientFilter::default(), PageRequest { after, limit: 2 })
            .await
            .unwrap();
        assert!(page.items.len() <= 2);
        seen.extend(page.items.into_iter().map(|client| client.client_id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["client-1", "client-2", "client-3", "client-4", "client-5"]);
    let exact = store
        .clients(
            ClientFilter::default(),
            PageRequest {
                after: None,
                limit: 5,
            },
        )
        .await
        .unwrap();
    assert_eq!(exact.next, None);
}

pub(crate) async fn filters_choose_the_clients_of_a_page(opened: Opened) {
    let store = opened.store;
    let document = "https://desk.example/client.json";
    for (client_id, name, source, disabled) in [
        (
            "dwp_1",
            r#"{"client_name":"Desk Top"}"#,
            ClientSource::Admin,
            false,
        ),
        ("dwp_2", r#"{"client_name":"Robot"}"#, ClientSource::Admin, true),
        (
            "dwc_1",
            r#"{"client_name":"my desktop, \"quoted\" 100%"}"#,
            ClientSource::Dynamic,
            false,
        ),
        (
            "dwc_2",
            r#"{"jwks":{"keys":[{"kid":"a\u0000b"}]}}"#,
            ClientSource::Dynamic,
            false,
        ),
        (
            document,
            r#"{"client_name":"Été"}"#,
            ClientSource::MetadataDocument,
            false,
        ),
    ] {
        let mut client = client(client_id, source);
        client.metadata = name.to_owned();
        client.disabled = disabled;
        store.create_client(client).await.unwrap();
    }
    let search = |text: &str| ClientFilter {
        search: Some(text.to_owned()),
        ..ClientFilter::default()
    };
    let of = |source| ClientFilter {
        source: Some(source),
        ..ClientFilter::default()
    };
    let disabled = |disabled| ClientFilter {
        disabled: Some(disabled),
        ..ClientFilter::default()
    };
    let desktops_of_operators = ClientFilter {
        source: Some(ClientSource::Admin),
        disabled: Some(false),
        ..search("DESK")
    };
    for (filter, expected) in [
        (
            ClientFilter::default(),
            &["dwc_1", "dwc_2", "dwp_1", "dwp_2", document][..],
        ),
        (search("desk"), &["dwc_1", "dwp_1", document]),
        (search("desktop"), &["dwc_1"]),
        (search("Été"), &[document]),
        (search("été"), &[document]),
        (search("DWC_"), &["dwc_1", "dwc_2"]),
        (search("\"quoted\" 100%"), &["dwc_1"]),
        (search("%"), &["dwc_1"]),
        (search("_9"), &[]),
        (search("\0"), &[]),
        (of(ClientSource::Dynamic), &["dwc_1", "dwc_2"]),
        (of(ClientSource::MetadataDocument), &[document]),
        (disabled(true), &["dwp_2"]),
        (desktops_of_operators, &["dwp_1"]),
    ] {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = store
                .clients(filter.clone(), PageRequest { after, limit: 2 })
                .await
                .unwrap();
            found.extend(page.items.into_iter().map(|client| client.client_id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, expected, "{filter:?}");
    }
}

pub(crate) async fn deleting_a_client_ends_its_grants(opened: Opened) {
    let scene = Scene::new(opened).await;
    let active = scene.active().await;
    let mut approval = scene.approval();
    approval.consent = Some(consent("fingerprint-1", "files:read", "https://app.example/cb"));
    scene.approve(&approval).await;
    assert_eq!(scene.store.delete_client(APP, at(7)).await, Ok(2));
    for id in [active, approval.grant.id] {
        assert_eq!(scene.grant(id).await.end_reason, Some(EndReason::ClientDeleted));
    }
    assert_eq!(scene.consent().await, None);
    assert_eq!(scene.store.client(APP).await.unwrap(), None);
    assert_eq!(scene.store.delete_client(APP, at(8)).await, Ok(0));
}
