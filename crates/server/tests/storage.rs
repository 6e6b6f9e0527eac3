//! `storage.url`: which engine it selects, and what a start that cannot work says. Nothing is changed by one.

#![cfg(test)]

mod support;

use doorward_server::config::Settings;
use doorward_server::context::Parts;
use doorward_server::{AuthorizationServer, StartError};
use support::{Engine, TestApp};

/// 32 bytes in base64url.
const MASTER_KEY: &str = "q7Xk2mVb9TzR4wLc8NfH3sYd6GjP1aEu0oiQZKBxM5s";

async fn refused(url: &str) -> String {
    let mut settings = Settings::default();
    settings.storage.url = url.into();
    settings.keys.master_key = Some(MASTER_KEY.into());
    match AuthorizationServer::open(settings, Parts::system()).await {
        Err(StartError::Store(error)) => error.to_string(),
        Err(other) => panic!("{url}: {other}"),
        Ok(_) => panic!("{url} was opened"),
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_used_is_named_with_the_fix() {
    let cases = [
        ("postgres://ada@", "names no host"),
        ("postgres://localhost:1/doorward", "names no user"),
        ("postgres://ada:secret@127.0.0.1:1/doorward", "cannot be reached"),
        (
            "postgresql://ada:secret@127.0.0.1:1/doorward?sslmode=allow",
            "use disable or require",
        ),
    ];
    for (url, expected) in cases {
        let told = refused(url).await;
        assert!(told.contains(expected), "{url}: {told}");
        assert!(!told.contains("secret"), "{told}");
    }
}

/// On PostgreSQL only: the user of the URL and the database are the server's to refuse.
#[tokio::test]
async fn a_server_that_refuses_is_told_with_the_fix() {
    if !Engine::is_postgres() {
        return;
    }
    let app = TestApp::new().await;
    let url = app.context.settings.storage.url.to_string();
    let (server, _) = url.rsplit_once('/').unwrap();
    let told = refused(&format!("{server}/nowhere")).await;
    assert!(told.contains("create the database first"), "{told}");
    let told = refused(&url.replace("doorward@", "nobody@")).await;
    assert!(told.contains("check user and password"), "{told}");
}

/// Two processes on one PostgreSQL database: what one does, the other knows.
#[tokio::test]
async fn nodes_share_the_database() {
    if !Engine::is_postgres() {
        return;
    }
    let app = TestApp::new().await;
    let parts = Parts {
        clock: app.context.clock.clone(),
        random: app.context.random.clone(),
    };
    let other = AuthorizationServer::open(app.context.settings.clone(), parts)
        .await
        .unwrap();
    let client = app
        .add_client(doorward_store::ClientSource::Admin, &[support::REDIRECT])
        .await;
    let request = support::Authorization::new(&client, support::REDIRECT);
    let reply = app.approve(&app.browser(), &request).await;
    let code = reply.param("code").unwrap();
    let elsewhere = support::Browser::new(other.routers().public);
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", &client),
        ("code", &code),
        ("code_verifier", support::VERIFIER),
    ];
    let reply = elsewhere.post_pairs("/oauth/token", &[], &form).await;
    assert_eq!(reply.status, http::StatusCode::OK, "{reply:?}");
}
