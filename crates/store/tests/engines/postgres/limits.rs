//! Too many callers, a lock that somebody holds, callers that go away.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use doorward_store::postgres::{PostgresOptions, PostgresStore};
use doorward_store::{ApprovalOutcome, GrantId, GrantState, RotateOutcome, Store as _, StoreError};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls, connect};
use uuid::Uuid;

use super::nodes::{Nodes, nodes};
use crate::conformance::scene::{at, rotation};

/// A connection of a stranger to the database of the nodes.
async fn stranger(nodes: &Nodes) -> Client {
    let (client, connection) = connect(&nodes.url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// How many of the database's connections are so.
async fn connections(watcher: &Client, so: &str) -> i64 {
    let count = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND {so}");
    watcher.query_one(&count, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn too_many_callers_are_busy_and_a_lock_is_not_waited_for_forever() {
    let Some(nodes) = nodes().await else { return };
    let id = nodes.scene.active().await;
    let options = PostgresOptions {
        connections: 1,
        queue: 1,
        wait: Duration::from_millis(100),
        statement_timeout: Duration::from_secs(3),
        retry_for: Duration::from_millis(300),
        ..PostgresOptions::default()
    };
    let store = Arc::new(PostgresStore::open(&nodes.url, &options).await.unwrap());
    // Within the blocker's transaction the list of connections would stay as it is.
    let (blocker, watcher) = (stranger(&nodes).await, stranger(&nodes).await);
    blocker
        .batch_execute("BEGIN; SELECT 1 FROM access_grant FOR UPDATE")
        .await
        .unwrap();
    let waiting = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.rotate_refresh(rotation(id, 1, at(1))).await })
    };
    while connections(&watcher, "wait_event_type = 'Lock'").await == 0 {
        assert!(!waiting.is_finished(), "it did not wait");
    }
    assert_eq!(store.grant(id).await, Err(StoreError::Busy));
    assert!(matches!(waiting.await.unwrap(), Err(StoreError::Unavailable(_))));
    blocker.batch_execute("COMMIT").await.unwrap();
    assert_eq!(nodes.scene.rotated(id, 1, at(2)).await, (2, false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_grant_that_is_being_written_ends_with_everything() {
    let Some(nodes) = nodes().await else { return };
    let (old, new) = (nodes.scene.active().await, GrantId(Uuid::from_u128(1)));
    let (writer, watcher) = (stranger(&nodes).await, stranger(&nodes).await);
    let write = format!(
        "BEGIN; INSERT INTO access_grant SELECT (jsonb_populate_record(g, jsonb_build_object('id', '{}'))).* \
         FROM access_grant g WHERE id = '{}'",
        new.0, old.0
    );
    writer.batch_execute(&write).await.unwrap();
    let store = Arc::clone(&nodes.scene.store);
    let ending = tokio::spawn(async move { store.end_everything(at(5)).await });
    // It lets others pass, and tries again.
    for waits in [1, 0, 1] {
        while connections(&watcher, "wait_event_type = 'Lock'").await != waits {
            assert!(!ending.is_finished(), "it did not wait");
        }
    }
    writer.batch_execute("COMMIT").await.unwrap();
    assert_eq!(ending.await.unwrap().unwrap().grants, 2);
    assert_eq!(nodes.scene.state(new).await, GrantState::Ended);
}

/// Whoever waits for a lock waits alone, also when others came at the same moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_grant_that_somebody_holds_keeps_no_other_waiting() {
    let Some(nodes) = nodes().await else { return };
    let held = nodes.scene.active().await;
    let mut grants = Vec::new();
    for _ in 0..99 {
        grants.push(nodes.scene.active().await);
    }
    let client = stranger(&nodes).await;
    client.batch_execute("BEGIN").await.unwrap();
    let lock = "SELECT 1 FROM access_grant WHERE id = $1 FOR UPDATE";
    client.query_one(lock, &[&held.0]).await.unwrap();
    grants.insert(50, held);

    let node = nodes.of(0);
    let mut rotations = JoinSet::new();
    for grant in grants {
        let node = Arc::clone(&node);
        rotations.spawn(async move { (grant, node.rotate_refresh(rotation(grant, 1, at(10))).await) });
    }
    for _ in 0..99 {
        let (grant, outcome) = rotations.join_next().await.unwrap().unwrap();
        assert_ne!(grant, held);
        assert!(
            matches!(outcome, Ok(RotateOutcome::Rotated { successor: 2, .. })),
            "{outcome:?}"
        );
    }
    client.batch_execute("COMMIT").await.unwrap();
    let (grant, outcome) = rotations.join_next().await.unwrap().unwrap();
    assert_eq!(grant, held);
    assert!(
        matches!(outcome, Ok(RotateOutcome::Rotated { successor: 2, .. })),
        "{outcome:?}"
    );
}

/// The answer, or `None` when whoever asked went away because there was none after so many looks.
async fn unless_it_goes_away<T>(looks: usize, asked: impl Future<Output = T>) -> Option<T> {
    let (mut asked, mut left) = (pin!(asked), looks);
    poll_fn(|context| match asked.as_mut().poll(context) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending if left <= 1 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

/// No transaction waits for what comes next.
async fn nothing_open(watcher: &Client) {
    let ended = async { while connections(watcher, "state LIKE 'idle in transaction%'").await > 0 {} };
    let ended = timeout(Duration::from_secs(20), ended).await;
    assert!(ended.is_ok(), "a transaction stays open");
}

/// A caller that goes away in the middle leaves no open transaction behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cancelled_operations_leave_nothing_open() {
    let Some(nodes) = nodes().await else { return };
    let options = PostgresOptions {
        connections: 2,
        // The server itself would end a transaction that is left open after twice as long.
        statement_timeout: Duration::from_mins(1),
        ..PostgresOptions::default()
    };
    let store = Arc::new(PostgresStore::open(&nodes.url, &options).await.unwrap());
    let watcher = stranger(&nodes).await;
    let (mut undone, mut done, mut answered) = (0, 0, 0);
    for step in 0..200 {
        let approval = nodes.scene.approval();
        let cut = unless_it_goes_away(1 + step % 20, store.approve(approval.clone())).await;
        nothing_open(&watcher).await;
        let known = nodes.of(0).grant(approval.grant.id).await.unwrap().is_some();
        match (cut, known) {
            (None, false) => undone += 1,
            (None, true) => done += 1,
            (Some(Ok(ApprovalOutcome::Approved(_))), true) => answered += 1,
            other => panic!("{other:?}"),
        }
    }
    // They went away at every moment: before the end, after it and before the answer, and with the answer.
    let all = [undone, done, answered];
    assert!(all.iter().all(|count| *count > 0), "{all:?}");
    store.ping().await.unwrap();
    let approval = nodes.scene.approval();
    assert!(matches!(
        store.approve(approval).await,
        Ok(ApprovalOutcome::Approved(_))
    ));
    store.close().await.unwrap();
    assert!(matches!(store.ping().await, Err(StoreError::Unavailable(_))));
}
