//! Who may register, how often, and for how long it is remembered.

use std::collections::BTreeSet;
use std::sync::Arc;

use doorward_server::config::{DynamicRegistration, Span};
use http::StatusCode;
use serde_json::json;

use crate::asking::{assert_refused, native, post, register, with};
use crate::support::TestApp;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_storm_of_500_identical_registrations_is_one_client() {
    // Long enough for everybody to be answered, however slow the machine is.
    let patient = TestApp::with(|settings| settings.storage.connection_wait = Span::seconds(60));
    let app = Arc::new(patient.await);
    let storm: Vec<_> = (0..500)
        .map(|port| {
            let app = Arc::clone(&app);
            let body = with(
                "redirect_uris",
                json!([format!("http://127.0.0.1:{}/cb", 10_000 + port)]),
            );
            tokio::spawn(async move {
                register(&app, &body).await["client_id"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
        })
        .collect();
    let mut ids = BTreeSet::new();
    for registration in storm {
        ids.insert(registration.await.unwrap());
    }
    assert_eq!(ids.len(), 1);
    assert_eq!(app.number_of_clients().await, 1);
}

/// [DCR-021]
#[tokio::test]
async fn an_address_that_registers_ever_new_clients_is_slowed_down_but_can_register_again_what_is_there() {
    let app = TestApp::new().await;
    let mut created = 0;
    let limited = loop {
        let reply = post(&app, &with("client_name", json!(format!("Client {created}")))).await;
        if reply.status != StatusCode::CREATED {
            break reply;
        }
        created += 1;
        assert!(created < 1000, "no limit");
    };
    assert_eq!(limited.status, StatusCode::TOO_MANY_REQUESTS, "{limited:?}");
    assert_eq!(limited.header("retry-after"), "3");
    assert!(created >= 500);
    register(&app, &with("client_name", json!("Client 0"))).await;
    app.wait(3);
    register(&app, &with("client_name", json!("A new one"))).await;
}

/// [DCR-021] Registering again counts as a sign of life.
#[tokio::test]
async fn a_client_that_keeps_registering_is_not_removed_as_unused() {
    let app = TestApp::new().await;
    let month = std::time::Duration::from_hours(30 * 24);
    let client_id = register(&app, &native()).await["client_id"]
        .as_str()
        .unwrap()
        .to_owned();
    for _ in 0..3 {
        app.wait(20 * 86_400);
        register(&app, &native()).await;
        app.context
            .store
            .sweep(app.context.now(), month, 100)
            .await
            .unwrap();
        assert!(app.context.store.client(&client_id).await.unwrap().is_some());
    }
    app.wait(31 * 86_400);
    app.context
        .store
        .sweep(app.context.now(), month, 100)
        .await
        .unwrap();
    assert_eq!(app.context.store.client(&client_id).await.unwrap(), None);
    assert_eq!(register(&app, &native()).await["client_id"], client_id);
}

/// [DCR-020]
#[tokio::test]
async fn a_closed_server_registers_nobody_and_does_not_advertise_it() {
    let app = TestApp::with(|settings| settings.registration.dcr = DynamicRegistration::AdminOnly).await;
    let reply = post(&app, &native()).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN, "{reply:?}");
    assert_eq!(app.number_of_clients().await, 0);
    let metadata = app
        .browser()
        .get("/.well-known/oauth-authorization-server")
        .await
        .json();
    assert!(metadata.get("registration_endpoint").is_none());
}

#[tokio::test]
async fn approved_redirects_admit_their_clients_only() {
    let app = TestApp::with(|settings| {
        settings.registration.dcr = DynamicRegistration::ApprovedRedirects;
        settings.registration.approved_redirects = vec![
            "https://good.example/cb".to_owned(),
            "http://127.0.0.1/cb".to_owned(),
        ];
    })
    .await;
    register(&app, &with("redirect_uris", json!(["https://good.example/cb"]))).await;
    register(&app, &with("redirect_uris", json!(["http://127.0.0.1:4711/cb"]))).await;
    for uris in [
        json!(["https://good.example/cb/"]),
        json!(["https://good.example/cb", "https://evil.example/cb"]),
        json!(["http://127.0.0.1:4711/other"]),
        json!(["http://localhost:4711/cb"]),
    ] {
        assert_refused(&app, &with("redirect_uris", uris), "invalid_redirect_uri").await;
    }
}

#[tokio::test]
async fn a_disabled_client_cannot_come_back_by_registering_again() {
    let app = TestApp::new().await;
    let client_id = register(&app, &native()).await["client_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut stored = app.context.store.client(&client_id).await.unwrap().unwrap();
    stored.disabled = true;
    app.context.store.update_client(stored.clone()).await.unwrap();
    assert_refused(&app, &native(), "invalid_client_metadata").await;
    assert_eq!(app.context.store.client(&client_id).await.unwrap(), Some(stored));
}

#[tokio::test]
async fn browsers_on_other_origins_may_register() {
    let app = TestApp::new().await;
    let headers = [
        ("content-type", "application/json"),
        ("origin", "http://localhost:6274"),
    ];
    let reply = app
        .browser()
        .send("POST", "/oauth/register", &headers, native().to_string())
        .await;
    assert_eq!(
        (reply.status, reply.header("access-control-allow-origin")),
        (StatusCode::CREATED, "*")
    );
    assert_eq!(
        app.browser().get("/oauth/register").await.status,
        StatusCode::METHOD_NOT_ALLOWED
    );
}
