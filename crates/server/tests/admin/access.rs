//! Who gets in, and what is not for operators alone.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::operator::operator;
use crate::support::{ADMIN_KEY, Browser, Engine};

/// ADMIN-001: every operation of the document.
#[tokio::test]
async fn nothing_answers_without_an_admin_key() {
    let operator = operator().await;
    let document = serde_json::to_value(doorward_server::admin_openapi()).unwrap();
    let mut asked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        let path = path
            .replace("{id}", "0197b0a0-0000-7000-8000-000000000000")
            .replace(['{', '}'], "");
        for method in operations.as_object().unwrap().keys() {
            for authorization in [
                "",
                "Bearer wrong",
                "Basic eDp5",
                &format!("Bearer {ADMIN_KEY}x"),
                &format!("Basic {ADMIN_KEY}"),
            ] {
                let headers: &[(&str, &str)] = if authorization.is_empty() {
                    &[]
                } else {
                    &[("authorization", authorization)]
                };
                let reply = operator
                    .admin
                    .send(&method.to_uppercase(), &path, headers, String::new())
                    .await;
                assert_eq!(
                    reply.status,
                    StatusCode::UNAUTHORIZED,
                    "{method} {path} {authorization}"
                );
                assert_eq!(reply.header("www-authenticate"), "Bearer realm=\"admin\"");
                asked += 1;
            }
        }
    }
    assert!(asked >= 100, "{asked}");
    assert_eq!(
        operator.admin.get("/admin/openapi.json").await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        operator.admin.get("/admin/nothing").await.status,
        StatusCode::UNAUTHORIZED
    );
    let twice = [
        ("authorization", &*format!("Bearer {ADMIN_KEY}")),
        ("authorization", "Bearer x"),
    ];
    assert_eq!(
        operator.admin.get_with("/admin/keys", &twice).await.status,
        StatusCode::UNAUTHORIZED
    );
}

/// Whoever can change the settings of a server can let themselves in by a key there: each that was not there before is told.
#[tokio::test]
async fn another_admin_key_by_setting_is_told_at_the_start() {
    use doorward_server::AuthorizationServer;
    use doorward_server::config::Settings;
    use doorward_server::context::Parts;
    use doorward_store::{AuditAction, AuditEntry, AuditFilter, PageRequest};
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::default();
    let _engine = Engine::for_a_test(&mut settings, folder.path()).await;
    let planted = "dwk_planted-planted-planted-planted-planted";
    let mut told = Vec::new();
    for key in [None, Some(ADMIN_KEY), Some(ADMIN_KEY), Some(planted), None] {
        settings.admin.bootstrap_key = key.map(Into::into);
        let server = AuthorizationServer::open(settings.clone(), Parts::system())
            .await
            .unwrap();
        let filter = AuditFilter {
            action: Some(AuditAction::ServerSecretCreated),
            ..AuditFilter::default()
        };
        let store = &server.context().store;
        let page = store.audit_entries(filter, PageRequest::default()).await.unwrap();
        let targets = page.items.iter().filter_map(|entry| match entry {
            AuditEntry::Event(event) => event.target.clone(),
            AuditEntry::Issued(_) => None,
        });
        told.push(
            targets
                .filter(|target| target.starts_with("admin.bootstrap_key:"))
                .count(),
        );
        assert!(!format!("{page:?}").contains(planted));
        server.close().await.unwrap();
    }
    assert_eq!(told, [0, 1, 1, 2, 2]);
}

/// The first start makes a key, shows it once, and keeps its digest.
#[tokio::test]
async fn the_first_start_makes_an_admin_key_and_the_second_does_not() {
    use doorward_server::AuthorizationServer;
    use doorward_server::config::Settings;
    use doorward_server::context::Parts;
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::default();
    let _engine = Engine::for_a_test(&mut settings, folder.path()).await;
    // A start that is given up before it shows a key has not made one.
    let given_up = AuthorizationServer::open(settings.clone(), Parts::system())
        .await
        .unwrap();
    given_up.close().await.unwrap();
    drop(given_up);
    let first = AuthorizationServer::open(settings.clone(), Parts::system())
        .await
        .unwrap();
    // One that could not be shown neither.
    let unseen = first.make_first_admin_key().await.unwrap().unwrap();
    first.take_back(&unseen).await.unwrap();
    let key = first.make_first_admin_key().await.unwrap().unwrap();
    assert_ne!(key.expose(), unseen.expose());
    assert!(first.make_first_admin_key().await.unwrap().is_none());
    assert!(!format!("{key:?}").contains(key.expose()));
    first.close().await.unwrap();

    let second = AuthorizationServer::open(settings, Parts::system())
        .await
        .unwrap();
    assert!(second.make_first_admin_key().await.unwrap().is_none());
    let admin = Browser::new(second.routers().admin);
    let authorization = format!("Bearer {}", key.expose());
    assert_eq!(
        admin
            .get_with("/admin/keys", &[("authorization", &authorization)])
            .await
            .status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn metrics_are_there_for_scraping() {
    let operator = operator().await;
    operator.app.browser().get("/.well-known/jwks.json").await;
    let metrics = operator.admin.get("/metrics").await;
    assert_eq!(metrics.status, StatusCode::OK);
    assert!(
        metrics.body.contains("/.well-known/jwks.json"),
        "{}",
        metrics.body
    );
    assert_eq!(
        operator.app.browser().get("/metrics").await.status,
        StatusCode::NOT_FOUND,
        "not for the public"
    );
}

/// As soon as it has asked, where there are several.
#[tokio::test]
async fn a_metric_says_whether_a_node_knows_what_others_change() {
    let operator = operator().await;
    let known = async || {
        let metrics = operator.admin.get("/metrics").await.body;
        metrics.contains("\ndoorward_changes_known 1\n")
    };
    let asking = async {
        while !known().await {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_mins(1), asking).await.unwrap();
}

#[tokio::test]
async fn keys_rotate_and_private_parts_stay_inside() {
    let operator = operator().await;
    let first = operator.get("/admin/keys").await["items"][0]["key_id"].clone();
    let rotated = operator.create("/admin/keys/rotate", Value::Null).await;
    let keys = operator.get("/admin/keys").await;
    assert_eq!(keys["items"][0]["key_id"], rotated["key_id"]);
    assert_eq!(
        (&keys["items"][1]["key_id"], &keys["items"][1]["state"]),
        (&first, &json!("active"))
    );
    let members: Vec<&String> = keys["items"][0].as_object().unwrap().keys().collect();
    assert_eq!(
        members,
        ["algorithm", "created_at", "key_id", "starts_at", "state"]
    );
}
