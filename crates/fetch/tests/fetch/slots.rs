//! Waiting for others to end: bounded, and no fault of the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use doorward_fetch::{FetchError, FetchPolicy, Fetcher, FormRequest, Limits};
use futures_util::future::{FutureExt as _, join_all};
use tokio::time::Instant;

use crate::support::{answer, clock, holding, json, on_loopback, requests, server};

fn with_one_slot(max_waiting_per_host: usize, max_wait: Duration) -> Fetcher {
    let policy = FetchPolicy {
        max_concurrent_per_host: 1,
        max_waiting_per_host,
        max_wait,
        ..on_loopback()
    };
    Fetcher::new(policy, Arc::new(clock())).unwrap()
}

fn within(milliseconds: u64) -> Limits {
    Limits {
        timeout: Duration::from_millis(milliseconds),
        ..Limits::default()
    }
}

async fn post(fetcher: &Fetcher, url: &str, limits: &Limits) -> Option<FetchError> {
    let form = FormRequest {
        url,
        body: "token=t",
        headers: &[],
    };
    fetcher.post_form(form, limits).await.err()
}

#[tokio::test]
async fn waiting_for_a_slot_costs_a_request_none_of_its_time() {
    // One has three seconds to spare, and three in a row take longer than one may.
    let server = server(json("{}").set_delay(Duration::from_secs(2))).await;
    let [documents, forms] = [(); 2].map(|()| with_one_slot(8, Duration::from_secs(20)));
    let urls: Vec<_> = (0..3)
        .map(|number| format!("{}/{number}", server.uri()))
        .collect();
    let limits = within(5_000);
    let (read, sent) = tokio::join!(
        join_all(urls.iter().map(|url| documents.get_json(url, &limits))),
        join_all(urls.iter().map(|url| post(&forms, url, &limits))),
    );
    assert!(read.iter().all(Result::is_ok), "{read:?}");
    assert_eq!(sent, [None, None, None]);
}

#[tokio::test]
async fn who_waits_too_long_is_told_so_and_the_server_is_not_blamed() {
    let (host, url) = holding().await;
    let (fetcher, limits) = (with_one_slot(8, Duration::from_millis(100)), within(60_000));
    let first = tokio::spawn({
        let (fetcher, url) = (fetcher.clone(), url.clone());
        async move { post(&fetcher, &url, &limits).await }
    });
    let (asked, _) = host.accept().await.unwrap();
    let others = join_all((0..2).map(|_| post(&fetcher, &url, &limits))).await;
    assert_eq!(others, [Some(FetchError::Busy), Some(FetchError::Busy)]);
    assert!(FetchError::Busy.is_transient());
    answer(asked, "token=t").await;
    assert_eq!(first.await.unwrap(), None);
    assert!(host.accept().now_or_never().is_none());
}

#[tokio::test]
async fn more_than_may_wait_are_turned_away_at_once() {
    let server = server(json("{}").set_delay(Duration::from_millis(600))).await;
    let fetcher = with_one_slot(1, Duration::from_secs(10));
    let url = format!("{}/introspect", server.uri());
    let limits = within(5_000);
    let timed = async || {
        let answer = post(&fetcher, &url, &limits).await;
        (answer, Instant::now())
    };
    let answers = join_all((0..20).map(|_| timed())).await;
    let (busy, answered): (Vec<_>, Vec<_>) = answers
        .into_iter()
        .partition(|(answer, _)| *answer == Some(FetchError::Busy));
    assert_eq!(busy.len(), 18);
    assert!(answered.iter().all(|(error, _)| error.is_none()), "{answered:?}");
    // Not measured: before anybody else was answered.
    let first = answered.iter().map(|(_, ended)| ended).min();
    assert!(busy.iter().all(|(_, ended)| Some(ended) < first));
    // Whoever has gone away has left no place taken.
    assert_eq!(post(&fetcher, &url, &limits).await, None);
}

/// A failure is remembered; that there was no room for the request is none.
#[tokio::test]
async fn a_document_that_was_not_asked_for_is_asked_for_next_time() {
    let server = server(json("{}").set_delay(Duration::from_millis(300))).await;
    let fetcher = with_one_slot(0, Duration::from_secs(1));
    let (first, second) = (format!("{}/1", server.uri()), format!("{}/2", server.uri()));
    let limits = within(5_000);
    let (one, two) = tokio::join!(
        fetcher.get_json(&first, &limits),
        fetcher.get_json(&second, &limits)
    );
    let outcomes = [one.err(), two.err()];
    assert!(
        outcomes.contains(&None) && outcomes.contains(&Some(FetchError::Busy)),
        "{outcomes:?}"
    );
    assert!(fetcher.get_json(&first, &limits).await.is_ok());
    assert!(fetcher.get_json(&second, &limits).await.is_ok());
}

/// What is known needs no admission, and a request that somebody else waits for is none of one's own.
#[tokio::test]
async fn a_request_that_is_not_admitted_is_not_made() {
    let server = server(json("{}")).await;
    let [known, other] = ["known", "other"].map(|name| format!("{}/{name}", server.uri()));
    let (all, limits) = (crate::support::fetcher(&clock()), Limits::default());
    let none = all.admitting(|| Err(FetchError::NotAdmitted));
    assert!(all.get_json(&known, &limits).await.is_ok());
    assert!(none.get_json(&known, &limits).await.is_ok());
    let refused = none.get_json(&other, &limits).await.unwrap_err();
    assert!(refused == FetchError::NotAdmitted && refused.is_transient());
    assert_eq!(none.get_json_fresh(&known, &limits).await.unwrap_err(), refused);
    assert_eq!(post(&none, &other, &limits).await, Some(refused));
    assert_eq!(requests(&server).await, 1);
    // Nothing was learnt of it.
    assert!(all.get_json(&other, &limits).await.is_ok());
}

#[tokio::test]
async fn what_admission_gave_is_held_until_the_request_is_over_also_when_nobody_waits() {
    let host = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/silent", host.local_addr().unwrap());
    let held = Arc::new(());
    let given = Arc::clone(&held);
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let fetcher = crate::support::fetcher(&clock()).admitting(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(Arc::clone(&given)))
    });
    let limits = within(60_000);
    let waiting = tokio::spawn({
        let (fetcher, url) = (fetcher.clone(), url.clone());
        async move { fetcher.get_json(&url, &limits).await }
    });
    let (silent, _) = host.accept().await.unwrap();
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    assert_eq!(Arc::strong_count(&held), 3, "the request goes on");
    // Whoever comes meanwhile joins it.
    let joined = tokio::spawn(async move { fetcher.get_json(&url, &limits).await });
    drop((silent, host));
    assert!(joined.await.unwrap().is_err());
    assert_eq!((Arc::strong_count(&held), asked.load(Ordering::Relaxed)), (1, 1));
}

#[tokio::test]
async fn all_hosts_together_have_so_many_requests() {
    let ((slow, of_slow), (other, of_other)) = (holding().await, holding().await);
    let policy = FetchPolicy {
        max_concurrent: 1,
        max_wait: Duration::from_millis(100),
        ..on_loopback()
    };
    let (fetcher, limits) = (Fetcher::new(policy, Arc::new(clock())).unwrap(), within(60_000));
    let first = tokio::spawn({
        let fetcher = fetcher.clone();
        async move { post(&fetcher, &of_slow, &limits).await }
    });
    let (asked, _) = slow.accept().await.unwrap();
    assert_eq!(post(&fetcher, &of_other, &limits).await, Some(FetchError::Busy));
    assert!(other.accept().now_or_never().is_none());
    answer(asked, "token=t").await;
    assert_eq!(first.await.unwrap(), None);
}
