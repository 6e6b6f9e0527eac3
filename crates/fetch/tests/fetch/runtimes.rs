//! A fetcher that is used in more than one runtime, one after the other.

use std::future::pending;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use doorward_fetch::{Fetcher, Limits};
use tokio::runtime::{Builder, Runtime};
use wiremock::MockServer;

use crate::support::{clock, fetcher, json, server};

/// More than any machine needs.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server in a runtime that stays.
fn outside() -> (Runtime, MockServer) {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(server(json("{}")));
    (runtime, server)
}

/// A runtime with a task that holds on to its thread until the runtime is closing, and fetches then.
fn fetching_at_the_end(fetcher: &Fetcher, url: &str) -> Runtime {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (fetcher, url) = (fetcher.clone(), url.to_owned());
    let (tell, told) = mpsc::channel();
    runtime.spawn(async move {
        tell.send(()).unwrap();
        // A runtime that is closing ends new tasks at once.
        loop {
            let task = tokio::spawn(pending::<()>());
            if task.is_finished() {
                break;
            }
            task.abort();
            thread::yield_now();
        }
        let _ = fetcher.get_json(&url, &Limits::default()).await;
    });
    told.recv().unwrap();
    runtime
}

#[test]
fn a_fetch_that_begins_while_its_runtime_closes_holds_nobody_up() {
    let (outside, server) = outside();
    let (fetcher, url) = (fetcher(&clock()), format!("{}/c.json", server.uri()));
    for round in 0..5 {
        let runtime = fetching_at_the_end(&fetcher, &url);
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            drop(runtime);
            tell.send(()).unwrap();
        });
        assert_eq!(told.recv_timeout(PATIENCE), Ok(()), "round {round}");
    }
    // And the others are none the wiser.
    let document = outside.block_on(fetcher.get_json(&url, &Limits::default()));
    assert!(document.is_ok(), "{document:?}");
}
