use doorward_oauth::time::UnixSeconds;
use doorward_store::sqlite::{SqliteOptions, SqliteStore};
use doorward_store::{ResourcePolicy, ResourceScope};

use super::*;

struct House {
    store: Arc<dyn Store>,
    resources: Resources,
}

async fn house(uris: &[&str]) -> House {
    let store: Arc<dyn Store> =
        Arc::new(SqliteStore::open("sqlite::memory:", &SqliteOptions::default()).unwrap());
    for (number, uri) in uris.iter().enumerate() {
        store
            .create_resource(resource(&format!("r{number}"), uri))
            .await
            .unwrap();
    }
    let resources = Resources::new(Arc::clone(&store));
    House { store, resources }
}

fn resource(slug: &str, uri: &str) -> Resource {
    let scope = |name: &str, default| ResourceScope {
        name: name.into(),
        description: String::new(),
        upstream: None,
        default,
    };
    Resource {
        slug: slug.to_owned(),
        uri: uri.to_owned(),
        display_name: slug.to_owned(),
        scopes: vec![scope("read", true), scope("write", false), scope("list", true)],
        policy: ResourcePolicy::default(),
        created_at: UnixSeconds(1),
        updated_at: UnixSeconds(1),
    }
}

async fn resolved(house: &House, requested: &[&str]) -> Result<String, ErrorCode> {
    house
        .resources
        .resolve(requested)
        .await
        .map(|resource| resource.slug.clone())
        .map_err(|error| error.code)
}

#[tokio::test]
async fn without_a_resource_the_only_one_is_meant() {
    assert_eq!(
        resolved(&house(&["https://a.example/mcp"]).await, &[]).await,
        Ok("r0".to_owned())
    );
    assert_eq!(
        resolved(&house(&[]).await, &[]).await,
        Err(ErrorCode::InvalidTarget)
    );
    let two = house(&["https://a.example/mcp", "https://b.example/mcp"]).await;
    assert_eq!(resolved(&two, &[]).await, Err(ErrorCode::InvalidTarget));
}

#[tokio::test]
async fn a_resource_is_found_by_its_uri() {
    let house = house(&["https://a.example/mcp", "https://b.example"]).await;
    assert_eq!(
        resolved(&house, &["https://a.example/mcp"]).await,
        Ok("r0".to_owned())
    );
    assert_eq!(
        resolved(&house, &["https://A.example:443/mcp"]).await,
        Ok("r0".to_owned())
    );
    assert_eq!(
        resolved(&house, &["https://b.example/"]).await,
        Ok("r1".to_owned())
    );
    for unknown in [
        "",
        "https://a.example",
        "https://a.example/mcp/",
        "https://a.example/mcp?x",
        "https://c.example/mcp",
        "r0",
        "https://a.example/MCP",
    ] {
        assert_eq!(
            resolved(&house, &[unknown]).await,
            Err(ErrorCode::InvalidTarget),
            "{unknown}"
        );
    }
}

#[tokio::test]
async fn several_resources_are_refused_and_one_said_twice_is_one() {
    let house = house(&["https://a.example/mcp", "https://b.example"]).await;
    assert_eq!(
        resolved(&house, &["https://a.example/mcp", "https://b.example"]).await,
        Err(ErrorCode::InvalidTarget)
    );
    assert_eq!(
        resolved(&house, &["https://a.example/mcp", "https://evil.example"]).await,
        Err(ErrorCode::InvalidTarget)
    );
    assert_eq!(
        resolved(&house, &["https://b.example", "https://b.example/"]).await,
        Ok("r1".to_owned())
    );
}

#[tokio::test]
async fn a_change_is_seen_at_once() {
    let house = house(&["https://a.example/mcp"]).await;
    let before = house.resources.all().await.unwrap();
    assert_eq!(before.len(), 1);
    assert!(
        Arc::ptr_eq(&before, &house.resources.all().await.unwrap()),
        "kept in memory"
    );
    let another = resource("another", "https://b.example/mcp");
    house.store.create_resource(another).await.unwrap();
    assert_eq!(house.resources.all().await.unwrap().len(), 2);
    house
        .store
        .delete_resource("another", UnixSeconds(1))
        .await
        .unwrap();
    assert_eq!(house.resources.all().await.unwrap().len(), 1);
    assert_eq!(house.resources.by_slug("another").await.unwrap(), None);
    assert!(house.resources.by_slug("r0").await.unwrap().is_some());
}

#[tokio::test]
async fn scopes_that_a_resource_lost_are_gone() {
    let house = house(&["https://a.example/mcp"]).await;
    let granted = ScopeSet::parse("write gone offline_access read").unwrap();
    let still = house
        .resources
        .still_defined("https://a.example/mcp", &granted)
        .await
        .unwrap();
    assert_eq!(still.to_string(), "write offline_access read");
    assert!(
        house
            .resources
            .still_defined("https://gone.example", &granted)
            .await
            .unwrap()
            .is_empty()
    );
}

fn selected(requested: Option<&str>) -> Result<String, ErrorCode> {
    select_scopes(&resource("r", "https://a.example"), requested)
        .map(|scopes| scopes.to_string())
        .map_err(|error| error.code)
}

#[test]
fn without_a_scope_the_defaults_are_meant() {
    assert_eq!(selected(None).unwrap(), "read list");
    assert_eq!(selected(Some("")).unwrap(), "read list");
}

#[test]
fn unknown_scopes_are_dropped_until_nothing_is_left() {
    assert_eq!(selected(Some("write unknown read")).unwrap(), "write read");
    assert_eq!(selected(Some("unknown")), Err(ErrorCode::InvalidScope));
    assert_eq!(
        selected(Some("unknown openid offline_access")),
        Err(ErrorCode::InvalidScope)
    );
    assert_eq!(selected(Some("READ")), Err(ErrorCode::InvalidScope));
    assert_eq!(selected(Some("read\u{1}")), Err(ErrorCode::InvalidScope));
    assert_eq!(selected(Some("*")), Err(ErrorCode::InvalidScope));
}

#[test]
fn what_clients_add_by_habit_asks_for_nothing() {
    assert_eq!(
        selected(Some("offline_access")).unwrap(),
        "read list offline_access"
    );
    assert_eq!(selected(Some("openid profile email")).unwrap(), "read list");
    assert_eq!(
        selected(Some("openid write offline_access")).unwrap(),
        "write offline_access"
    );
    for name in ["claudeai", "default", "claudeai offline_access"] {
        let got = selected(Some(name)).unwrap();
        assert!(got.starts_with("read list"), "{name}: {got}");
    }
    assert_eq!(
        selected(Some("Default")),
        Err(ErrorCode::InvalidScope),
        "no other spelling is known"
    );
}

#[test]
fn a_scope_of_the_resource_with_a_habitual_name_is_one_like_others() {
    let mut own = resource("r", "https://a.example/mcp");
    for name in ["default", "email"] {
        let scope = ResourceScope {
            name: name.into(),
            default: false,
            ..own.scopes[0].clone()
        };
        own.scopes.push(scope);
    }
    for name in ["default", "email"] {
        assert_eq!(select_scopes(&own, Some(name)).unwrap().to_string(), name);
    }
}
