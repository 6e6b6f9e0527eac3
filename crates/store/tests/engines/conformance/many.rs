//! More grants than end in one transaction.

use std::sync::Arc;

use doorward_store::{
    ClientSource, EndReason, GrantFilter, GrantState, PageRequest, Resource, Store, StoreError,
};

use super::audit::{acting, events};
use super::scene::{APP, Opened, RESOURCE, Scene, at, at_once, client, consent, resource};

const MANY: usize = 620;
/// As many of them are made at a time.
const TOGETHER: usize = 62;
const SECOND: &str = "https://mail.example/mcp";

async fn two_resources(opened: Opened) -> Arc<Scene> {
    let scene = Arc::new(Scene::new(opened).await);
    scene
        .store
        .create_resource(resource("mail", SECOND))
        .await
        .unwrap();
    scene
}

/// Grants on the resource of the scene and on the second one.
async fn scene(opened: Opened) -> Arc<Scene> {
    let scene = two_resources(opened).await;
    // Not all at once: the last ones would wait for the others longer than anybody may, on a busy machine.
    for _ in 0..MANY / TOGETHER {
        at_once(TOGETHER, |_| {
            let scene = Arc::clone(&scene);
            async move {
                let mut approval = scene.approval();
                approval.grant.more_resources = vec![SECOND.to_owned()];
                scene.approve(&approval).await;
            }
        })
        .await;
    }
    scene
}

/// At most a page of them.
async fn alive(scene: &Scene) -> usize {
    let filter = GrantFilter {
        state: Some(GrantState::Pending),
        ..GrantFilter::default()
    };
    let page = PageRequest {
        after: None,
        limit: 200,
    };
    scene.store.grants(filter, page).await.unwrap().items.len()
}

/// How many each event says that it ended, the first event first.
pub(super) async fn told(store: &Arc<dyn Store>) -> Vec<(String, u64)> {
    let mut told: Vec<_> = events(store)
        .await
        .iter()
        .filter_map(|event| {
            Some((
                event.action.as_str().to_owned(),
                event.detail.get("grants_ended")?.as_u64()?,
            ))
        })
        .collect();
    told.reverse();
    told
}

async fn end_some_at_a_time(opened: Opened, filter: GrantFilter) {
    let scene = scene(opened).await;
    let reason = EndReason::RevokedByAdmin;
    let ended = acting(&scene.store)
        .revoke_grants(filter.clone(), reason, at(1))
        .await;
    assert_eq!(ended, Ok(MANY as u64));
    assert_eq!(alive(&scene).await, 0);
    assert_eq!(told(&scene.store).await, [grants(500), grants(120)]);
    let again = scene.store.revoke_grants(filter, reason, at(2)).await;
    assert_eq!(again, Ok(0));
}

pub(super) fn grants(ended: u64) -> (String, u64) {
    ("grant.ended".to_owned(), ended)
}

pub(crate) async fn all_grants_end_some_at_a_time(opened: Opened) {
    end_some_at_a_time(opened, GrantFilter::default()).await;
}

pub(crate) async fn the_grants_of_a_client_end_some_at_a_time(opened: Opened) {
    let of_client = GrantFilter {
        client_id: Some(APP.to_owned()),
        ..GrantFilter::default()
    };
    end_some_at_a_time(opened, of_client).await;
}

pub(crate) async fn the_grants_on_a_resource_end_some_at_a_time(opened: Opened) {
    let on_resource = GrantFilter {
        resource: Some(RESOURCE.to_owned()),
        state: Some(GrantState::Pending),
        ..GrantFilter::default()
    };
    end_some_at_a_time(opened, on_resource).await;
}

pub(crate) async fn the_grants_on_a_further_resource_end_some_at_a_time(opened: Opened) {
    let on_second = GrantFilter {
        resource: Some(SECOND.to_owned()),
        ..GrantFilter::default()
    };
    end_some_at_a_time(opened, on_second).await;
}

pub(crate) async fn a_client_takes_any_number_of_grants_along(opened: Opened) {
    let scene = scene(opened).await;
    let ended = acting(&scene.store).delete_client(APP, at(1)).await;
    assert_eq!(ended, Ok(MANY as u64));
    assert_eq!(alive(&scene).await, 0);
    let client = ("client.deleted".to_owned(), MANY as u64);
    assert_eq!(told(&scene.store).await, [grants(500), grants(120), client]);
    // The newest first: before the first of them ended it could do nothing any more.
    let actions = events(&scene.store).await;
    assert_eq!(actions.last().unwrap().action.as_str(), "client.disabled");
}

pub(crate) async fn a_resource_takes_any_number_of_grants_along(opened: Opened) {
    let scene = scene(opened).await;
    let ended = acting(&scene.store).delete_resource("mail", at(1)).await;
    assert_eq!(ended, Ok(MANY as u64));
    assert_eq!(alive(&scene).await, 0);
    let resource = ("resource.deleted".to_owned(), MANY as u64);
    assert_eq!(told(&scene.store).await, [grants(500), grants(120), resource]);
}

pub(crate) async fn a_resource_that_moves_ends_its_grants_unless_it_cannot(opened: Opened) {
    let scene = scene(opened).await;
    let taken = Resource {
        uri: RESOURCE.to_owned(),
        ..resource("mail", SECOND)
    };
    assert_eq!(
        scene.store.update_resource(taken).await,
        Err(StoreError::Conflict)
    );
    assert_eq!(alive(&scene).await, 200);
    let moved = Resource {
        uri: "https://post.example/mcp".to_owned(),
        ..resource("mail", SECOND)
    };
    scene.store.update_resource(moved).await.unwrap();
    assert_eq!(alive(&scene).await, 0);
}

/// What the person allowed: each of these clients on each of these resources. The grants have ended.
async fn consents(scene: &Arc<Scene>, clients: Vec<String>, resources: Vec<String>) {
    let pairs = clients
        .iter()
        .flat_map(|client| {
            resources
                .iter()
                .map(move |resource| (client.clone(), resource.clone()))
        })
        .collect::<Vec<_>>();
    for some in pairs.chunks(TOGETHER) {
        at_once(some.len(), |place| {
            let (scene, (client, resource)) = (Arc::clone(scene), some[place].clone());
            async move {
                let mut approval = scene.approval_of(&client, &resource);
                approval.consent = Some(consent("fingerprint-1", "files:read", "http://127.0.0.1:5000/cb"));
                scene.approve(&approval).await;
            }
        })
        .await;
    }
    let ended = scene
        .store
        .revoke_grants(GrantFilter::default(), EndReason::Expired, at(1))
        .await;
    assert_eq!(ended, Ok(pairs.len() as u64));
}

pub(crate) async fn a_client_takes_any_number_of_consents_along(opened: Opened) {
    let scene = Arc::new(Scene::new(opened).await);
    let uri = |number| format!("https://files{number}.example/mcp");
    for number in 0..MANY {
        let other = resource(&format!("files{number}"), &uri(number));
        scene.store.create_resource(other).await.unwrap();
    }
    scene
        .store
        .create_client(client("other", ClientSource::Dynamic))
        .await
        .unwrap();
    consents(&scene, vec![APP.to_owned()], (0..MANY).map(uri).collect()).await;
    consents(&scene, vec!["other".to_owned()], vec![uri(0)]).await;

    assert_eq!(scene.store.delete_client(APP, at(2)).await, Ok(0));
    for number in 0..MANY {
        let allowed = scene.store.consent(scene.user.id, APP, &uri(number)).await;
        assert_eq!(allowed, Ok(None), "{number}");
    }
    let of_another = scene.store.consent(scene.user.id, "other", &uri(0)).await;
    assert!(of_another.unwrap().is_some());
}

pub(crate) async fn a_resource_takes_any_number_of_consents_along(opened: Opened) {
    let scene = two_resources(opened).await;
    let id = |number| format!("client-{number}");
    for number in 0..MANY {
        let other = client(&id(number), ClientSource::Dynamic);
        scene.store.create_client(other).await.unwrap();
    }
    consents(&scene, (0..MANY).map(id).collect(), vec![SECOND.to_owned()]).await;
    consents(&scene, vec![id(0)], vec![RESOURCE.to_owned()]).await;

    assert_eq!(scene.store.delete_resource("mail", at(2)).await, Ok(0));
    for number in 0..MANY {
        let allowed = scene.store.consent(scene.user.id, &id(number), SECOND).await;
        assert_eq!(allowed, Ok(None), "{number}");
    }
    let on_another = scene.store.consent(scene.user.id, &id(0), RESOURCE).await;
    assert!(on_another.unwrap().is_some());
}
