//! Used proofs in PostgreSQL.

#[expect(clippy::panic, reason = "a test's helper")]
#[path = "../../../../store/tests/engines/postgres/cluster.rs"]
mod cluster;

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, Pool, Runtime};
use doorward_guard::{DpopPolicy, Insertion, PostgresReplayStore, ReplayStore, UnixSeconds, UsedProof};
use http::StatusCode;
use serde_json::json;
use tokio::sync::Barrier;

use super::Bound;
use crate::support::START;
use cluster::{Database, empty_database};

fn pool(database: &Database) -> Pool {
    let config = database.url().parse().unwrap();
    let manager = Manager::new(config, tokio_postgres::NoTls);
    Pool::builder(manager)
        .max_size(8)
        .runtime(Runtime::Tokio1)
        .build()
        .unwrap()
}

/// A process that serves the resource.
async fn process(database: &Database) -> Bound {
    let store = PostgresReplayStore::open(pool(database)).await.unwrap();
    Bound::with(DpopPolicy::Accept, |builder| {
        builder.dpop_replay_store(Arc::new(store))
    })
}

async fn rows(database: &Database) -> i64 {
    let client = pool(database).get().await.unwrap();
    let row = client
        .query_one("SELECT count(*) FROM doorward_used_proofs", &[])
        .await;
    row.unwrap().get(0)
}

/// DPOP-019, step 4.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_parallel_callers_at_two_processes_exactly_one_passes() {
    const CALLERS: usize = 50;
    let Some(database) = empty_database().await else {
        return;
    };
    // Both make the table, at the same time.
    let (one, other) = tokio::join!(process(&database), process(&database));
    other.world.server.publish_keys(&[&one.world.key]);
    let processes = [Arc::new(one), Arc::new(other)];
    let token = processes[0].token();
    for round in 1..=5 {
        let proof = processes[0].proof(&token);
        let start = Arc::new(Barrier::new(CALLERS));
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let process = Arc::clone(&processes[caller % 2]);
                let (token, proof, start) = (token.clone(), proof.clone(), Arc::clone(&start));
                tokio::spawn(async move {
                    start.wait().await;
                    process.ping(&token, &proof).await
                })
            })
            .collect();
        let mut passed = 0;
        for caller in callers {
            let answer = caller.await.unwrap();
            if answer.status == StatusCode::OK {
                passed += 1;
            } else {
                assert!(answer.is_bad_proof("invalid_dpop_proof"), "{}", answer.body);
            }
        }
        assert_eq!(passed, 1);
        assert_eq!(rows(&database).await, round);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_long_ended_is_cleared_away_a_few_at_a_time() {
    let Some(database) = empty_database().await else {
        return;
    };
    let client = process(&database).await;
    let now = client.world.now();
    let old = format!(
        "INSERT INTO doorward_used_proofs SELECT sha256(n::text::bytea), {} FROM generate_series(1, 10) n;
         INSERT INTO doorward_used_proofs SELECT sha256(n::text::bytea), {} FROM generate_series(11, 15) n",
        now - 4_000,
        now - 3_800,
    );
    cluster::execute(&database.url(), &old).await;
    let token = client.token();
    for left in [12, 9, 8, 9] {
        assert_eq!(
            client.ping(&token, &client.proof(&token)).await.status,
            StatusCode::OK
        );
        assert_eq!(
            rows(&database).await,
            left,
            "clocks may differ: what ended just now stays"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_clock_is_an_hour_ahead_removes_no_proof_that_counts_elsewhere() {
    let Some(database) = empty_database().await else {
        return;
    };
    let store = PostgresReplayStore::open(pool(&database)).await.unwrap();
    let now = UnixSeconds(START);
    let ahead = now + Duration::from_hours(1);
    let proof = UsedProof::new([1; 32], [0; 32], now + Duration::from_mins(1));
    assert_eq!(store.insert(proof, now).await, Ok(Insertion::New));
    let other = UsedProof::new([2; 32], [0; 32], ahead + Duration::from_mins(1));
    assert_eq!(store.insert(other, ahead).await, Ok(Insertion::New));
    assert_eq!(store.insert(proof, now).await, Ok(Insertion::Replayed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_in_trouble_is_503_and_nothing_passes() {
    let Some(database) = empty_database().await else {
        return;
    };
    let client = process(&database).await;
    let token = client.token();
    let proof = client.proof(&token);
    let rename = |from: &str, to: &str| format!("ALTER TABLE {from} RENAME TO {to}");
    cluster::execute(&database.url(), &rename("doorward_used_proofs", "away")).await;
    let answer = client.ping(&token, &proof).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(answer.json()["error"], json!("temporarily_unavailable"));
    assert_eq!(client.world.runs(), 0);
    cluster::execute(&database.url(), &rename("away", "doorward_used_proofs")).await;
    assert_eq!(client.ping(&token, &proof).await.status, StatusCode::OK);
}
