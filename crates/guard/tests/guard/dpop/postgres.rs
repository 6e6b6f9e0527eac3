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
    pool_as("doorward", database)
}

fn pool_as(role: &str, database: &Database) -> Pool {
    let mut config: tokio_postgres::Config = database.url().parse().unwrap();
    config.user(role);
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

/// The role of a program that may use the database, and make nothing in it.
async fn role_of_few_rights(database: &Database) -> String {
    let role = format!("server_of_{}", database.name);
    let make = format!("CREATE ROLE {role} LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    cluster::execute(&database.url(), &make).await;
    role
}

/// What the how-to page gives to whoever makes the table.
fn sql_of_the_page(role: &str) -> String {
    let page = include_str!("../../../../../docs/src/how-to/dpop.md");
    let (_, rest) = page.split_once("```sql\n").unwrap();
    let (sql, _) = rest.split_once("```").unwrap();
    sql.replace("mcp_server", role)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_make_nothing_uses_the_table_that_another_made() {
    let Some(database) = empty_database().await else {
        return;
    };
    let role = role_of_few_rights(&database).await;
    let refused = PostgresReplayStore::open(pool_as(&role, &database)).await;
    let sentence = refused.unwrap_err().to_string();
    assert!(
        sentence.contains("is not there and cannot be made") && sentence.contains("permission denied"),
        "{sentence}"
    );

    cluster::execute(&database.url(), &sql_of_the_page(&role)).await;
    let store = PostgresReplayStore::open(pool_as(&role, &database))
        .await
        .unwrap();
    let now = UnixSeconds(START);
    for second in 0..5 {
        let proof = UsedProof::new([second; 32], [0; 32], now + Duration::from_mins(1));
        // The later ones clear the first ones away.
        let now = now + Duration::from_hours(2 * u64::from(second));
        assert_eq!(store.insert(proof, now).await, Ok(Insertion::New));
        assert_eq!(store.insert(proof, now).await, Ok(Insertion::Replayed));
    }
    assert_eq!(rows(&database).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_cannot_be_used_is_told_at_the_start() {
    let Some(database) = empty_database().await else {
        return;
    };
    let role = role_of_few_rights(&database).await;
    let mistakes = [
        format!(
            "{} REVOKE DELETE ON doorward_used_proofs FROM {role}",
            sql_of_the_page(&role)
        ),
        format!(
            "{} REVOKE UPDATE ON doorward_used_proofs FROM {role}",
            sql_of_the_page(&role)
        ),
        // Without the key every proof would be new.
        sql_of_the_page(&role).replace("PRIMARY KEY", "NOT NULL"),
        sql_of_the_page(&role).replace("ends_at", "until"),
    ];
    for mistake in mistakes {
        cluster::execute(&database.url(), &mistake).await;
        let refused = PostgresReplayStore::open(pool_as(&role, &database)).await;
        let sentence = refused.unwrap_err().to_string();
        assert!(
            sentence.contains("the role needs SELECT, INSERT, UPDATE and DELETE"),
            "{sentence}"
        );
        cluster::execute(&database.url(), "DROP TABLE doorward_used_proofs").await;
    }
    cluster::execute(&database.url(), &sql_of_the_page(&role)).await;
    let reads_only = format!("ALTER ROLE {role} SET default_transaction_read_only = on");
    cluster::execute(&database.url(), &reads_only).await;
    let refused = PostgresReplayStore::open(pool_as(&role, &database)).await;
    let sentence = refused.unwrap_err().to_string();
    assert!(
        sentence.contains("the server has to take writes") && sentence.contains("read-only transaction"),
        "{sentence}"
    );
}

/// Nor does it keep others waiting: a database that failed over without a word would do that for minutes.
#[tokio::test]
async fn a_connection_that_does_not_answer_is_nobody_elses() {
    let Some(database) = empty_database().await else {
        return;
    };
    let pool = pool(&database);
    let store = PostgresReplayStore::open(pool.clone()).await.unwrap();
    let other = self::pool(&database).get().await.unwrap();
    let lock = "BEGIN; LOCK TABLE doorward_used_proofs";
    other.batch_execute(lock).await.unwrap();
    let now = UnixSeconds(START);
    let proof = UsedProof::new([1; 32], [0; 32], now + Duration::from_mins(1));
    assert!(store.insert(proof, now).await.is_err());
    assert_eq!(pool.status().available, 0);
    other.batch_execute("COMMIT").await.unwrap();
    // The machine may be busy.
    while store.insert(proof, now).await.is_err() {}
    assert_eq!(store.insert(proof, now).await, Ok(Insertion::Replayed));
}
