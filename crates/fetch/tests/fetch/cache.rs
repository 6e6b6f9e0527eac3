//! What is remembered, and how many requests are made.

use std::time::Duration;

use crate::support::{answer, clock, fetcher, holding, json, requests, server};
use doorward_fetch::{FetchError, Limits};
use doorward_oauth::time::Clock;
use futures_util::future::{FutureExt as _, join_all};
use wiremock::matchers::{any, header, header_exists};
use wiremock::{Mock, MockServer, ResponseTemplate};

#[tokio::test]
async fn a_fresh_document_is_not_asked_for_again() {
    let server = server(json("{}").insert_header("cache-control", "max-age=3600")).await;
    let (clock, url) = (clock(), format!("{}/c.json", server.uri()));
    let fetcher = fetcher(&clock);
    let limits = Limits::default();
    let first = fetcher.get_json(&url, &limits).await.unwrap();
    assert_eq!(first.expires_at, first.fetched_at + Duration::from_hours(1));
    clock.advance(Duration::from_secs(3599));
    assert_eq!(fetcher.clone().get_json(&url, &limits).await.unwrap(), first);
    assert_eq!(requests(&server).await, 1);
    clock.advance(Duration::from_secs(1));
    fetcher.get_json(&url, &limits).await.unwrap();
    assert_eq!(requests(&server).await, 2);
}

/// A key set from which a key was withdrawn meanwhile must not count an hour longer.
#[tokio::test]
async fn a_document_that_was_fetched_before_the_clock_was_set_back_is_asked_for_again() {
    let server = server(json("{}").insert_header("cache-control", "max-age=600")).await;
    let (clock, url) = (clock(), format!("{}/c.json", server.uri()));
    let (fetcher, limits, right) = (fetcher(&clock), Limits::default(), clock.now());
    clock.advance(Duration::from_hours(1));
    fetcher.get_json(&url, &limits).await.unwrap();
    clock.set(right);
    let document = fetcher.get_json(&url, &limits).await.unwrap();
    assert_eq!(document.fetched_at, right);
    fetcher.get_json(&url, &limits).await.unwrap();
    assert_eq!(requests(&server).await, 2);
}

/// A server that answers from the second request on.
async fn refusing_once() -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(404))
        .up_to_n_times(1)
        .mount(&server)
        .await;
    Mock::given(any()).respond_with(json("{}")).mount(&server).await;
    server
}

#[tokio::test]
async fn a_failure_from_before_the_clock_was_set_back_is_forgotten() {
    let server = refusing_once().await;
    let (clock, url) = (clock(), format!("{}/c.json", server.uri()));
    let (fetcher, limits, right) = (fetcher(&clock), Limits::default(), clock.now());
    clock.advance(Duration::from_hours(1));
    let failed = fetcher.get_json(&url, &limits).await;
    assert_eq!(failed, Err(FetchError::Status(404)));
    clock.set(right);
    assert!(fetcher.get_json(&url, &limits).await.is_ok());
}

/// Somebody may look at the clock, and then at what another request has fetched a moment later.
#[tokio::test]
async fn a_clock_that_is_set_back_by_seconds_costs_no_request() {
    let server = server(json("{}")).await;
    let (clock, url) = (clock(), format!("{}/c.json", server.uri()));
    let (fetcher, limits, right) = (fetcher(&clock), Limits::default(), clock.now());
    clock.advance(Duration::from_secs(10));
    fetcher.get_json(&url, &limits).await.unwrap();
    clock.set(right);
    fetcher.get_json(&url, &limits).await.unwrap();
    assert_eq!(requests(&server).await, 1);
}

#[tokio::test]
async fn a_document_that_must_not_be_stored_is_asked_for_every_time() {
    let server = server(json("{}").insert_header("cache-control", "no-store")).await;
    let (fetcher, url) = (fetcher(&clock()), format!("{}/c.json", server.uri()));
    for expected in 1..=3 {
        fetcher.get_json(&url, &Limits::default()).await.unwrap();
        assert_eq!(requests(&server).await, expected);
    }
}

#[tokio::test]
async fn a_stale_document_is_revalidated_by_its_entity_tag() {
    let server = MockServer::start().await;
    Mock::given(header("if-none-match", "\"v1\""))
        .respond_with(ResponseTemplate::new(304).insert_header("cache-control", "max-age=600"))
        .with_priority(1)
        .mount(&server)
        .await;
    Mock::given(any())
        .respond_with(json(r#"{"v":1}"#).insert_header("etag", "\"v1\""))
        .mount(&server)
        .await;
    let (clock, url) = (clock(), format!("{}/c.json", server.uri()));
    let (fetcher, limits) = (fetcher(&clock), Limits::default());
    let first = fetcher.get_json(&url, &limits).await.unwrap();
    clock.advance(Duration::from_mins(5));
    let second = fetcher.get_json(&url, &limits).await.unwrap();
    assert_eq!(second.body, first.body);
    assert_eq!(second.expires_at, first.fetched_at + Duration::from_mins(15));
    assert_eq!(requests(&server).await, 2);
    let third = fetcher.get_json_fresh(&url, &limits).await.unwrap();
    assert_eq!(
        (third.body.clone(), requests(&server).await),
        (first.body.clone(), 3)
    );
}

/// RFC 9111 §5.2.1.4: a shared cache must not answer who wants to know how things are now.
#[tokio::test]
async fn whoever_asks_afresh_is_answered_by_no_cache_on_the_way() {
    let server = MockServer::start().await;
    Mock::given(header("cache-control", "no-cache"))
        .respond_with(json(r#"{"v":2}"#))
        .with_priority(1)
        .mount(&server)
        .await;
    Mock::given(any())
        .respond_with(json(r#"{"v":1}"#))
        .mount(&server)
        .await;
    let (fetcher, url) = (fetcher(&clock()), format!("{}/c.json", server.uri()));
    let cached = fetcher.get_json(&url, &Limits::default()).await.unwrap();
    assert_eq!(&cached.body[..], br#"{"v":1}"#);
    let fresh = fetcher.get_json_fresh(&url, &Limits::default()).await.unwrap();
    assert_eq!(&fresh.body[..], br#"{"v":2}"#);
}

#[tokio::test]
async fn a_failure_is_remembered_for_a_few_seconds_only() {
    let server = refusing_once().await;
    let (clock, url) = (clock(), format!("{}/c.json", server.uri()));
    let (fetcher, limits) = (fetcher(&clock), Limits::default());
    for _ in 0..3 {
        assert_eq!(
            fetcher.get_json(&url, &limits).await,
            Err(FetchError::Status(404))
        );
        clock.advance(Duration::from_secs(3));
    }
    assert_eq!(requests(&server).await, 1);
    clock.advance(Duration::from_secs(1));
    assert!(fetcher.get_json(&url, &limits).await.is_ok());
}

#[tokio::test]
async fn an_outage_keeps_the_entity_tag_and_an_answer_drops_the_document() {
    let server = MockServer::start().await;
    let (clock, url) = (clock(), format!("{}/c.json", server.uri()));
    let (fetcher, limits) = (fetcher(&clock), Limits::default());
    Mock::given(any())
        .respond_with(json("{}").insert_header("etag", "\"v1\""))
        .up_to_n_times(1)
        .mount(&server)
        .await;
    fetcher.get_json(&url, &limits).await.unwrap();
    Mock::given(any())
        .respond_with(ResponseTemplate::new(503))
        .up_to_n_times(1)
        .mount(&server)
        .await;
    assert_eq!(
        fetcher.get_json_fresh(&url, &limits).await,
        Err(FetchError::Status(503))
    );
    assert!(
        fetcher.get_json(&url, &limits).await.is_ok(),
        "still fresh: an outage of the server is not ours"
    );
    clock.advance(Duration::from_mins(5));
    Mock::given(header_exists("if-none-match"))
        .respond_with(ResponseTemplate::new(410))
        .mount(&server)
        .await;
    assert_eq!(
        fetcher.get_json(&url, &limits).await,
        Err(FetchError::Status(410))
    );
    assert_eq!(requests(&server).await, 3);
}

#[tokio::test]
async fn a_useless_document_is_kept_no_longer_than_a_failure() {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(json("[]"))
        .up_to_n_times(1)
        .mount(&server)
        .await;
    Mock::given(any()).respond_with(json("{}")).mount(&server).await;
    let (clock, url) = (clock(), format!("{}/c.json", server.uri()));
    let (fetcher, limits) = (fetcher(&clock), Limits::default());
    fetcher.get_json(&url, &limits).await.unwrap();
    fetcher.distrust(&url, &limits);
    assert_eq!(fetcher.get_json(&url, &limits).await.unwrap().body, "[]");
    clock.advance(Duration::from_secs(10));
    assert_eq!(fetcher.get_json(&url, &limits).await.unwrap().body, "{}");
}

#[tokio::test]
async fn with_a_pause_a_server_is_not_asked_again_at_once_whatever_it_says_and_whoever_goes_away() {
    let no_store = json("{}").insert_header("cache-control", "no-store");
    let server = server(no_store.set_delay(Duration::from_millis(200))).await;
    let (clock, url) = (clock(), format!("{}/c.json", server.uri()));
    let fetcher = fetcher(&clock);
    let limits = Limits {
        pause: Duration::from_secs(10),
        ..Limits::default()
    };
    let gone = tokio::time::timeout(Duration::from_millis(1), fetcher.get_json(&url, &limits)).await;
    assert!(gone.is_err());
    let first = fetcher.get_json(&url, &limits).await.unwrap();
    clock.advance(Duration::from_secs(9));
    fetcher.distrust(&url, &limits);
    assert_eq!(
        fetcher.get_json(&url, &limits).await.unwrap().fetched_at,
        first.fetched_at
    );
    assert_eq!(requests(&server).await, 1);
    clock.advance(Duration::from_secs(1));
    fetcher.get_json(&url, &limits).await.unwrap();
    assert_eq!(requests(&server).await, 2);
    fetcher.get_json(&url, &Limits::default()).await.unwrap();
    assert_eq!(
        requests(&server).await,
        3,
        "others do not take what must not be stored"
    );
    fetcher.get_json(&url, &limits).await.unwrap();
    assert_eq!(requests(&server).await, 3, "nor do they end the pause");
}

#[tokio::test]
async fn fifty_callers_make_one_request() {
    let server = server(json("{}").set_delay(Duration::from_millis(100))).await;
    let (fetcher, url) = (fetcher(&clock()), format!("{}/c.json", server.uri()));
    let limits = Limits::default();
    let answers = join_all((0..50).map(|_| fetcher.get_json(&url, &limits))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(requests(&server).await, 1);
    join_all((0..50).map(|_| fetcher.get_json_fresh(&url, &limits))).await;
    assert_eq!(requests(&server).await, 2);
}

#[tokio::test]
async fn fifty_callers_share_a_failure() {
    let server = server(ResponseTemplate::new(500).set_delay(Duration::from_millis(100))).await;
    let (fetcher, url) = (fetcher(&clock()), format!("{}/c.json", server.uri()));
    let limits = Limits::default();
    let answers = join_all((0..50).map(|_| fetcher.get_json(&url, &limits))).await;
    assert!(
        answers
            .iter()
            .all(|answer| *answer == Err(FetchError::Status(500)))
    );
    assert_eq!(requests(&server).await, 1);
}

#[tokio::test]
async fn a_caller_who_goes_away_does_not_end_the_request_for_the_others() {
    let (host, url) = holding().await;
    let (fetcher, limits) = (fetcher(&clock()), Limits::default());
    let gone = tokio::spawn({
        let (fetcher, url) = (fetcher.clone(), url.clone());
        async move { fetcher.get_json(&url, &limits).await }
    });
    let (asked, _) = host.accept().await.unwrap();
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    // The first request alone is answered.
    let (document, ()) = tokio::join!(fetcher.get_json(&url, &limits), answer(asked, "\r\n\r\n"));
    assert!(document.is_ok(), "{document:?}");
    assert!(host.accept().now_or_never().is_none());
}
