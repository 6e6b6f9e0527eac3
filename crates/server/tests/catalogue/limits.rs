//! RATE: how often anybody may guess, and what a restart forgets.

use doorward_server::AuthorizationServer;
use doorward_server::context::Parts;
use doorward_server::random::OsRandom;
use doorward_store::ClientSource;
use http::StatusCode;

use crate::connected::DEVICE_GRANT;
use crate::support::{Authorization, Browser, EMAIL, PASSWORD, REDIRECT, TestApp, VERIFIER};

/// RATE-007: whatever is guessed at the token endpoint, one address gets so many tries.
#[tokio::test]
async fn codes_and_tokens_of_every_kind_share_the_tries_of_an_address() {
    let app = TestApp::with(|settings| settings.rate_limit.token_address = "9/1m".parse().unwrap()).await;
    let client = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let mut answers = Vec::new();
    for number in 0..12 {
        let guess = format!("guess-{number}");
        let form = match number % 3 {
            0 => vec![
                ("grant_type", "authorization_code"),
                ("code", guess.as_str()),
                ("code_verifier", VERIFIER),
            ],
            1 => vec![("grant_type", "refresh_token"), ("refresh_token", guess.as_str())],
            _ => vec![("grant_type", DEVICE_GRANT), ("device_code", guess.as_str())],
        };
        let form = [vec![("client_id", client.as_str())], form].concat();
        answers.push(app.token(&form).await.status.as_u16());
    }
    assert_eq!(answers[..9], [400; 9]);
    assert_eq!(answers[9..], [429; 3]);
}

/// RATE-007: a `request_uri` and a registration access token are too long to be guessed, and every guess looks the same.
#[tokio::test]
async fn a_guessed_reference_is_a_refusal_like_any_other() {
    let app = TestApp::new().await;
    let client = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    for guess in ["x", "dwreq_AAAA", &"A".repeat(4000)] {
        let uri = format!("urn:ietf:params:oauth:request_uri:{guess}");
        let request = Authorization::of(&[("client_id", &client), ("request_uri", &uri)]);
        app.browser().get(&request.path()).await.assert_error_page();
        let management = format!("/oauth/register/{client}");
        let bearer = format!("Bearer {guess}");
        let headers = [("authorization", bearer.as_str())];
        let reply = app
            .browser()
            .send("GET", &management, &headers, String::new())
            .await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{reply:?}");
    }
}

/// RATE-009: wrong passwords are counted in the database.
#[tokio::test]
async fn a_restart_forgets_no_wrong_password() {
    let app = TestApp::new().await;
    let wrong = async |browser: &Browser| browser.sign_in("/login", EMAIL, "wrong").await.status;
    for _ in 0..5 {
        assert_eq!(wrong(&app.browser()).await, StatusCode::BAD_REQUEST);
    }
    assert_eq!(wrong(&app.browser()).await, StatusCode::TOO_MANY_REQUESTS);
    app.server.close().await.unwrap();
    let parts = Parts {
        clock: std::sync::Arc::new(app.clock.clone()),
        random: std::sync::Arc::new(OsRandom::default()),
    };
    let again = AuthorizationServer::open(app.context.settings.clone(), parts)
        .await
        .unwrap();
    let browser = Browser::new(again.routers().public);
    assert_eq!(wrong(&browser).await, StatusCode::TOO_MANY_REQUESTS);
    // And nobody is kept out for good: after the wait the right one opens.
    app.wait(15 * 60);
    let reply = browser.sign_in("/login", EMAIL, PASSWORD).await;
    assert!(!reply.status.is_client_error(), "{reply:?}");
    again.close().await.unwrap();
}
