//! From the issuer to its endpoints.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use doorward_guard::client::ClientError;
use doorward_oauth::time::Clock as _;
use serde_json::json;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::client::support::{Act, Script, Server, clock, own, scripted, text, token};

async fn bare() -> Server {
    Server {
        http: MockServer::start().await,
        clock: clock(),
    }
}

#[tokio::test]
async fn openid_discovery_is_tried_after_rfc_8414() {
    let server = bare().await;
    let issuer = server.issuer();
    Mock::given(method("GET"))
        .and(path("/.well-known/openid-configuration"))
        .respond_with(
            ResponseTemplate::new(200)
                .set_body_json(json!({"issuer": issuer, "token_endpoint": format!("{issuer}/token")})),
        )
        .mount(&server.http)
        .await;
    server.issues(&token("t", 300)).await;
    assert_eq!(text(&own(&server.client()).await.unwrap()), "t");
    assert_eq!(server.hits("/.well-known/oauth-authorization-server").await, 1);
}

#[tokio::test]
async fn an_endpoint_that_is_missing_is_told_when_it_is_needed() {
    let server = bare().await;
    let issuer = server.issuer();
    server
        .metadata(&json!({
            "issuer": issuer,
            "token_endpoint": format!("{issuer}/token"),
            "revocation_endpoint": "http://as.example/revoke",
        }))
        .await;
    server.issues(&token("t", 300)).await;
    let client = server.client();
    own(&client).await.unwrap();
    let missing = client.introspect("x").await.unwrap_err();
    assert!(matches!(
        missing,
        ClientError::NoEndpoint("introspection_endpoint")
    ));
    // Plain http away from loopback is as good as none.
    let unsafe_one = client.revoke("x").await.unwrap_err();
    assert!(
        unsafe_one.to_string().contains("revocation_endpoint"),
        "{unsafe_one}"
    );
}

#[tokio::test]
async fn metadata_of_another_issuer_is_refused() {
    let server = bare().await;
    let issuer = server.issuer();
    let token_endpoint = format!("{issuer}/token");
    server
        .metadata(&json!({"issuer": format!("{issuer}/"), "token_endpoint": token_endpoint}))
        .await;
    let error = own(&server.client()).await.unwrap_err();
    assert!(
        matches!(&error, ClientError::Metadata(text) if text.contains(&format!("names \"{issuer}/\""))),
        "{error:?}"
    );
    assert!(server.posts().await.is_empty());
}

#[tokio::test]
async fn metadata_is_kept_for_a_while_and_through_outages() {
    let (script, clock) = (Arc::new(Script::default()), clock());
    let client = scripted(&script, &clock);
    let asked = || script.asked.load(Ordering::SeqCst);
    client.introspect("x").await.unwrap();
    clock.advance(Duration::from_secs(299));
    client.introspect("x").await.unwrap();
    assert_eq!(asked(), 1);
    clock.advance(Duration::from_secs(1));
    client.introspect("x").await.unwrap();
    assert_eq!(asked(), 2);

    *script.metadata_down.lock().unwrap() = true;
    clock.advance(Duration::from_mins(5));
    for _ in 0..20 {
        client.introspect("x").await.unwrap();
    }
    // Both places, once.
    assert_eq!(asked(), 4);
    clock.advance(Duration::from_hours(24));
    assert!(matches!(
        client.introspect("x").await,
        Err(ClientError::Metadata(_))
    ));
    *script.metadata_down.lock().unwrap() = false;
    assert!(matches!(
        client.introspect("x").await,
        Err(ClientError::Metadata(_))
    ));
    clock.advance(Duration::from_secs(5));
    client.introspect("x").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn metadata_from_before_a_clock_was_set_back_lasts_no_longer_for_it() {
    let (script, clock) = (Arc::new(Script::default()), clock());
    let client = scripted(&script, &clock);
    let asked = || script.asked.load(Ordering::SeqCst);
    let right = clock.now();
    clock.advance(Duration::from_hours(1));
    client.introspect("x").await.unwrap();
    clock.set(right);
    tokio::time::advance(Duration::from_secs(299)).await;
    client.introspect("x").await.unwrap();
    assert_eq!(asked(), 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    client.introspect("x").await.unwrap();
    assert_eq!(asked(), 2);
}

/// Time of tokio, which stands still until nobody has anything else to do.
#[tokio::test(start_paused = true)]
async fn a_transport_that_hangs_ends_in_time() {
    let (script, clock) = (Arc::new(Script::default()), clock());
    let client = scripted(&script, &clock);
    *script.metadata_hangs.lock().unwrap() = true;
    let outcomes = futures_util::future::join_all((0..3).map(|_| client.introspect("x"))).await;
    assert!(
        outcomes
            .iter()
            .all(|outcome| matches!(outcome, Err(ClientError::Metadata(_))))
    );
    *script.metadata_hangs.lock().unwrap() = false;
    clock.advance(Duration::from_secs(5));
    script.then(Act::Hang);
    let error = client.introspect("x").await.unwrap_err();
    assert!(
        matches!(&error, ClientError::Transport(failure) if failure.is_outage()),
        "{error:?}"
    );
    client.introspect("x").await.unwrap();
}

/// As one that was copied into another process by a fork, or that a caller keeps and never looks after.
#[tokio::test(start_paused = true)]
async fn a_question_that_nobody_looks_after_holds_nobody_up_for_long() {
    let (script, clock) = (Arc::new(Script::default()), clock());
    let client = scripted(&script, &clock);
    *script.metadata_hangs.lock().unwrap() = true;
    let mut forgotten = Box::pin(client.introspect("x"));
    assert!(futures_util::poll!(&mut forgotten).is_pending());
    *script.metadata_hangs.lock().unwrap() = false;
    let waiting = tokio::time::timeout(Duration::from_secs(16), client.introspect("x")).await;
    assert!(
        matches!(waiting, Ok(Err(ClientError::Metadata(_)))),
        "{waiting:?}"
    );
    let next = tokio::time::timeout(Duration::from_secs(1), client.introspect("x")).await;
    assert!(matches!(next, Ok(Err(ClientError::Metadata(_)))), "{next:?}");
    drop(forgotten);
    clock.advance(Duration::from_secs(5));
    client.introspect("x").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn behind_a_question_that_nobody_looks_after_what_was_known_counts() {
    let (script, clock) = (Arc::new(Script::default()), clock());
    let client = scripted(&script, &clock);
    client.introspect("x").await.unwrap();
    clock.advance(Duration::from_hours(2));
    *script.metadata_hangs.lock().unwrap() = true;
    let mut forgotten = Box::pin(client.introspect("x"));
    assert!(futures_util::poll!(&mut forgotten).is_pending());
    let waiting = tokio::time::timeout(Duration::from_secs(16), client.introspect("x")).await;
    assert!(matches!(waiting, Ok(Ok(_))), "{waiting:?}");
}
