//! A client on another machine: the code is shown instead of sent.

use doorward_store::ClientSource;
use http::StatusCode;

use crate::support::{Authorization, REDIRECT, TestApp, VERIFIER};

const LOOPBACK: &str = "http://127.0.0.1:3333/callback";

#[tokio::test]
async fn the_code_can_be_carried_to_a_client_that_the_browser_does_not_reach() {
    let app = TestApp::new().await;
    let client = app
        .add_client(ClientSource::Admin, &["http://127.0.0.1/callback"])
        .await;
    let browser = app.signed_in().await;
    let page = browser.open(&Authorization::new(&client, LOOPBACK).path()).await;
    assert!(page.text().contains("my application runs on another machine"));
    let shown = browser
        .submit(&page.form("/consent"), Some(("decision", "hand_over")))
        .await;
    assert_eq!(shown.status, StatusCode::OK, "{shown:?}");
    assert!(shown.location().is_none());
    assert_eq!(shown.header("cache-control"), "no-store");
    let text = shown.text();
    let callback = text
        .split_whitespace()
        .find(|word| word.starts_with(LOOPBACK))
        .unwrap();
    let callback = url::Url::parse(callback).unwrap();
    let value = |name: &str| {
        callback
            .query_pairs()
            .find(|(key, _)| key == name)
            .unwrap()
            .1
            .into_owned()
    };
    assert_eq!(value("state"), "xyz");
    assert_eq!(value("iss"), "http://localhost:9000");
    let code = value("code");
    assert!(shown.body.contains(&format!("value=\"{code}\"")));
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", &*client),
        ("code", &*code),
        ("code_verifier", VERIFIER),
    ];
    assert_eq!(app.token(&form).await.status, StatusCode::OK);
    // The next time it can be carried over again.
    let page = browser.open(&Authorization::new(&client, LOOPBACK).path()).await;
    assert!(page.body.contains("hand_over"), "{page:?}");
}

/// A client may register what a shell would take for the end of a word, and for another command.
#[tokio::test]
async fn no_command_is_made_of_what_a_shell_reads() {
    let app = TestApp::new().await;
    let browser = app.signed_in().await;
    let hostile = [
        "http://127.0.0.1/cb';id;x='",
        "http://127.0.0.1/cb?a&calc&",
        "http://127.0.0.1/$(id)",
    ];
    for (uri, is_command) in hostile
        .map(|uri| (uri, false))
        .into_iter()
        .chain([(LOOPBACK, true)])
    {
        let client = app.add_client(ClientSource::Dynamic, &[uri]).await;
        let page = browser.open(&Authorization::new(&client, uri).path()).await;
        let shown = browser
            .submit(&page.form("/consent"), Some(("decision", "hand_over")))
            .await;
        assert_eq!(shown.status, StatusCode::OK, "{shown:?}");
        assert_eq!(shown.text().contains("curl"), is_command, "{shown:?}");
        assert!(shown.text().contains("whoever gets this code"), "{shown:?}");
    }
}

/// A client in the web is always reached.
#[tokio::test]
async fn it_is_offered_for_loopback_only() {
    let app = TestApp::new().await;
    let client = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let browser = app.signed_in().await;
    let page = browser.open(&Authorization::new(&client, REDIRECT).path()).await;
    assert!(!page.body.contains("hand_over"));
    let reply = browser
        .submit(&page.form("/consent"), Some(("decision", "hand_over")))
        .await;
    assert!(reply.location().unwrap().starts_with(REDIRECT), "{reply:?}");
}
