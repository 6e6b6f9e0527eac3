//! Client credentials: the request, the cache, one request for many callers (row 50).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use doorward_guard::client::{ClientCredentialsRequest, ClientError, TokenType};
use serde_json::json;
use tokio::sync::{Barrier, Notify};
use wiremock::ResponseTemplate;

use crate::client::support::{Act, Script, Server, clock, form, own, scripted, text, token, value};

fn request(scopes: &[&str], resources: &[&str]) -> ClientCredentialsRequest {
    let request = ClientCredentialsRequest::new().scopes(scopes.iter().copied());
    resources
        .iter()
        .fold(request, |request, resource| request.resource(*resource))
}

#[tokio::test]
async fn row_50_scopes_are_joined_and_resources_repeated() {
    let server = Server::start().await;
    server.issues(&token("t", 300)).await;
    let asked = request(
        &["a", "", "b:c"],
        &["https://x.example", "", "https://y.example/z"],
    );
    let token = server.client().client_credentials(&asked).await.unwrap();
    assert_eq!(text(&token), "t");
    assert_eq!(token.token_type, TokenType::Bearer);
    let pairs = [
        ("grant_type", "client_credentials"),
        ("scope", "a b:c"),
        ("resource", "https://x.example"),
        ("resource", "https://y.example/z"),
    ];
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(form(&server.posts().await[0]), pairs);
}

#[tokio::test]
async fn without_scopes_and_resources_nothing_is_said_about_them() {
    let server = Server::start().await;
    server.issues(&token("t", 300)).await;
    own(&server.client()).await.unwrap();
    let form = form(&server.posts().await[0]);
    assert_eq!(form.len(), 1);
    assert_eq!(value(&form, "grant_type"), Some("client_credentials"));
}

#[tokio::test]
async fn row_50_a_token_is_kept_until_thirty_seconds_before_it_expires() {
    let server = Server::start().await;
    server.issues_anew(300).await;
    let client = server.client();
    assert_eq!(
        own(&client).await.unwrap().expires_in,
        Some(Duration::from_mins(5))
    );
    server.clock.advance(Duration::from_secs(269));
    let kept = own(&client).await.unwrap();
    assert_eq!(text(&kept), "t-1");
    // The time that is left, not the time that was told once.
    assert_eq!(kept.expires_in, Some(Duration::from_secs(31)));
    server.clock.advance(Duration::from_secs(1));
    assert_eq!(text(&own(&client).await.unwrap()), "t-2");
}

#[tokio::test]
async fn row_50_a_token_that_expires_at_once_is_never_kept() {
    for expires_in in [0, 1, 30] {
        let server = Server::start().await;
        server.issues_anew(expires_in).await;
        let client = server.client();
        assert_eq!(text(&own(&client).await.unwrap()), "t-1");
        assert_eq!(text(&own(&client).await.unwrap()), "t-2", "{expires_in}");
    }
}

#[tokio::test]
async fn a_token_without_a_lifetime_is_kept_for_a_short_time() {
    let server = Server::start().await;
    server
        .issues(&json!({"access_token": "t", "token_type": "Bearer"}))
        .await;
    let client = server.client();
    for (passed, requests) in [(0, 1), (269, 1), (1, 2)] {
        server.clock.advance(Duration::from_secs(passed));
        assert_eq!(own(&client).await.unwrap().expires_in, None);
        assert_eq!(server.hits("/token").await, requests, "{passed}");
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_make_a_token_last_longer() {
    let server = Server::start().await;
    server.issues_anew(300).await;
    let client = server.client();
    own(&client).await.unwrap();
    server.clock.set(doorward_guard::UnixSeconds(1_700_000_000));
    assert_eq!(text(&own(&client).await.unwrap()), "t-2");
}

#[tokio::test]
async fn row_50_tokens_for_other_scopes_and_resources_are_other_tokens() {
    let server = Server::start().await;
    server.issues_anew(300).await;
    let client = server.client();
    let mut texts = Vec::new();
    for asked in [
        request(&["a"], &[]),
        request(&["a", "b"], &[]),
        request(&["a"], &["https://x.example"]),
        request(&["a"], &["https://y.example"]),
        // As the second one.
        request(&["b", "a", "a"], &[]),
    ] {
        texts.push(text(&client.client_credentials(&asked).await.unwrap()).to_owned());
    }
    assert_eq!(texts, ["t-1", "t-2", "t-3", "t-4", "t-2"]);
}

#[tokio::test]
async fn row_50_the_token_that_was_not_used_for_longest_goes_first() {
    let server = Server::start().await;
    server.issues_anew(300).await;
    let client = server.builder().token_cache(2).build().unwrap();
    for (scope, expected) in [
        ("a", "t-1"),
        ("b", "t-2"),
        ("a", "t-1"),
        ("c", "t-3"),
        ("a", "t-1"),
        ("b", "t-4"),
    ] {
        let token = client.client_credentials(&request(&[scope], &[])).await.unwrap();
        assert_eq!(text(&token), expected, "{scope}");
    }
}

#[tokio::test]
async fn the_cache_can_be_turned_off() {
    let server = Server::start().await;
    server.issues_anew(300).await;
    let client = server.builder().token_cache(0).build().unwrap();
    own(&client).await.unwrap();
    assert_eq!(text(&own(&client).await.unwrap()), "t-2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_callers_make_one_request() {
    let (script, clock) = (Arc::new(Script::default()), clock());
    let (gate, start) = (Arc::new(Notify::new()), Arc::new(Barrier::new(51)));
    script.then(Act::Wait(gate.clone()));
    let client = scripted(&script, &clock);
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let (client, start) = (client.clone(), start.clone());
            tokio::spawn(async move {
                start.wait().await;
                own(&client).await
            })
        })
        .collect();
    start.wait().await;
    gate.notify_one();
    for caller in callers {
        assert_eq!(text(&caller.await.unwrap().unwrap()), "t");
    }
    assert_eq!((script.sent(), script.asked.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test]
async fn callers_share_a_failure_and_the_next_one_asks_again() {
    let server = Server::start().await;
    let refusal = ResponseTemplate::new(400).set_body_json(json!({"error": "invalid_scope"}));
    server.on("/token", refusal).await;
    let client = server.client();
    let outcomes = futures_util::future::join_all((0..10).map(|_| own(&client))).await;
    for outcome in outcomes {
        assert!(matches!(outcome, Err(ClientError::InvalidScope(_))));
    }
    assert_eq!(server.hits("/token").await, 1);
    assert!(own(&client).await.is_err());
    assert_eq!(server.hits("/token").await, 2);
}

/// The caller who began the request goes away; those who joined get their token.
#[tokio::test]
async fn a_caller_who_goes_away_does_not_end_the_request_for_the_others() {
    let (script, clock) = (Arc::new(Script::default()), clock());
    let gate = Arc::new(Notify::new());
    script.then(Act::Wait(gate.clone()));
    let client = scripted(&script, &clock);
    let (mut first, mut second) = (Box::pin(own(&client)), Box::pin(own(&client)));
    assert!(futures_util::poll!(&mut first).is_pending());
    assert!(futures_util::poll!(&mut second).is_pending());
    drop(first);
    gate.notify_one();
    assert_eq!(text(&second.await.unwrap()), "t");
    assert_eq!(script.sent(), 1);
}

#[tokio::test]
async fn when_all_callers_have_gone_away_the_next_one_begins_anew() {
    let (script, clock) = (Arc::new(Script::default()), clock());
    script.then(Act::Hang);
    let client = scripted(&script, &clock);
    let mut gone = Box::pin(own(&client));
    assert!(futures_util::poll!(&mut gone).is_pending());
    drop(gone);
    assert_eq!(text(&own(&client).await.unwrap()), "t");
    assert_eq!(script.sent(), 2);
}

#[tokio::test]
async fn a_panic_of_the_transport_reaches_every_caller_as_an_error() {
    let (script, clock) = (Arc::new(Script::default()), clock());
    script.then(Act::Panic);
    let client = scripted(&script, &clock);
    let outcomes = futures_util::future::join_all((0..3).map(|_| own(&client))).await;
    assert!(
        outcomes
            .iter()
            .all(|outcome| matches!(outcome, Err(ClientError::Transport(_))))
    );
    assert_eq!(script.sent(), 1);
    assert!(own(&client).await.is_ok());
}

#[tokio::test]
async fn answers_that_break_the_protocol_are_refused() {
    for body in [
        r#"{"access_token":"t","token_type":"Bearer","expires_in":-1}"#,
        r#"{"access_token":"t","token_type":"Bearer","expires_in":"300"}"#,
        r#"{"access_token":"t","token_type":"Bearer","expires_in":3.5}"#,
        r#"{"access_token":"t","access_token":"u","token_type":"Bearer"}"#,
        r#"{"token_type":"Bearer"}"#,
        r#"{"access_token":"t"}"#,
        "<html>",
        "",
    ] {
        let server = Server::start().await;
        server
            .on(
                "/token",
                ResponseTemplate::new(200).set_body_raw(body, "application/json"),
            )
            .await;
        let outcome = own(&server.client()).await;
        assert!(matches!(outcome, Err(ClientError::Protocol(_))), "{body}");
    }
}
