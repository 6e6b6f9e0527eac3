//! Too many callers, a lock that somebody holds, callers that go away.

use std::sync::Arc;
use std::time::Duration;

use doorward_store::postgres::{PostgresOptions, PostgresStore};
use doorward_store::{ApprovalOutcome, RotateOutcome, Store as _, StoreError};
use tokio::task::JoinSet;
use tokio_postgres::{NoTls, connect};

use super::cluster::execute;
use super::nodes::nodes;
use crate::conformance::scene::{at, rotation};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn too_many_callers_are_busy_and_a_lock_is_not_waited_for_forever() {
    let Some(nodes) = nodes().await else { return };
    let id = nodes.scene.active().await;
    let options = PostgresOptions {
        connections: 1,
        queue: 1,
        wait: Duration::from_millis(100),
        statement_timeout: Duration::from_millis(800),
        retry_for: Duration::from_millis(300),
        ..PostgresOptions::default()
    };
    let store = Arc::new(PostgresStore::open(&nodes.url, &options).await.unwrap());
    let url = nodes.url.clone();
    let blocker = tokio::spawn(async move {
        execute(
            &url,
            "BEGIN; SELECT 1 FROM access_grant FOR UPDATE; SELECT pg_sleep(2); COMMIT",
        )
        .await;
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let waiting = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.rotate_refresh(rotation(id, 1, at(1))).await })
    };
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(store.grant(id).await, Err(StoreError::Busy));
    assert!(matches!(waiting.await.unwrap(), Err(StoreError::Unavailable(_))));
    blocker.await.unwrap();
    assert_eq!(nodes.scene.rotated(id, 1, at(2)).await, (2, false));
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
    let (client, connection) = connect(&nodes.url, NoTls).await.unwrap();
    tokio::spawn(connection);
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

/// A caller that goes away in the middle leaves no open transaction behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cancelled_operations_leave_nothing_open() {
    let Some(nodes) = nodes().await else { return };
    let options = PostgresOptions {
        connections: 2,
        ..PostgresOptions::default()
    };
    let store = Arc::new(PostgresStore::open(&nodes.url, &options).await.unwrap());
    for step in 0..200_u64 {
        let approval = nodes.scene.approval();
        let cut =
            tokio::time::timeout(Duration::from_micros(step * 40), store.approve(approval.clone())).await;
        let known = nodes.of(0).grant(approval.grant.id).await.unwrap().is_some();
        if let Ok(outcome) = cut {
            assert!(matches!(outcome, Ok(ApprovalOutcome::Approved(_))));
            assert!(known);
        }
    }
    store.ping().await.unwrap();
    let approval = nodes.scene.approval();
    assert!(matches!(
        store.approve(approval).await,
        Ok(ApprovalOutcome::Approved(_))
    ));
    store.close().await.unwrap();
    assert!(matches!(store.ping().await, Err(StoreError::Unavailable(_))));
}
