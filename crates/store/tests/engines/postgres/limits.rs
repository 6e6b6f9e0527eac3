//! Too many callers, a lock that somebody holds, callers that go away.

use std::sync::Arc;
use std::time::Duration;

use doorward_store::postgres::{PostgresOptions, PostgresStore};
use doorward_store::{ApprovalOutcome, Store as _, StoreError};

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
