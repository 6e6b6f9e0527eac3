//! Rows that were used up long ago: PostgreSQL's own work on the tables, and ours.

use std::sync::Arc;
use std::time::Duration;

use doorward_store::Store;
use doorward_store::postgres::{PostgresOptions, PostgresStore};

use super::cluster::{Cluster, execute};
use super::operator::ask;
use super::template::database;
use crate::conformance::scene::{Opened, Scene, at};

/// As many grants of programs as wanted, made from `made_at` on and used last at `used_at` (seconds after the start of the scene).
fn grants_without_refresh(first: u32, number: u32, made_at: i64, used_at: i64) -> String {
    format!(
        "INSERT INTO access_grant (id, user_id, subject, client_id, resource, scopes, state, created_at, authenticated_at, \
         methods, generation, generation_at, earlier, refresh_salt, last_used_at) \
         SELECT md5((n + {first})::text)::uuid, '00000000-0000-0000-0000-000000000000', 's' || (n + {first}), 'c', 'r', '', 'active', {made} + n / 100, \
         {made}, '[]', 0, {made}, '{{}}', decode(repeat('07', 16), 'hex'), {used} FROM generate_series(1, {number}) n",
        made = at(made_at).0,
        used = at(used_at).0,
    )
}

/// An autovacuum holds the table, and ends for whoever waits for it as long as PostgreSQL looks for deadlocks.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everything_ends_also_while_the_grants_are_vacuumed() {
    let Some(mut cluster) = Cluster::make() else {
        return;
    };
    let slow =
        "autovacuum_naptime = 1s\nautovacuum_vacuum_cost_delay = 100ms\nautovacuum_vacuum_cost_limit = 1\n";
    cluster.configure("postgresql.conf", slow);
    cluster.run();
    execute(&cluster.url("postgres"), "CREATE DATABASE doorward").await;
    let url = cluster.url("doorward");
    let store = PostgresStore::open(&url, &PostgresOptions::default())
        .await
        .unwrap();
    execute(&url, &grants_without_refresh(0, 20_000, 0, 0)).await;
    execute(&url, "UPDATE access_grant SET last_used_at = last_used_at + 1").await;
    let cluster = tokio::task::spawn_blocking(move || {
        let at_work = "SELECT count(*) FROM pg_stat_progress_vacuum WHERE relid = 'access_grant'::regclass";
        let is_at_work = (0..5_000).any(|_| ask(&cluster, "doorward", at_work) != "0");
        assert!(is_at_work, "nothing is vacuumed");
        cluster
    })
    .await
    .unwrap();
    let ended = store.end_everything(at(2)).await.unwrap();
    assert_eq!(ended.grants, 20_000);
    drop(cluster);
}

/// What is looked at in one go is bounded, whatever is in use.
#[tokio::test]
async fn grants_that_are_in_use_do_not_hide_those_that_are_not() {
    let Some(database) = database().await else {
        return;
    };
    let url = database.url();
    let store = PostgresStore::open(&url, &PostgresOptions::default())
        .await
        .unwrap();
    let opened = Opened {
        store: Arc::new(store),
        keep: Box::new(database),
    };
    let scene = Scene::new(opened).await;
    execute(&url, &grants_without_refresh(0, 20_100, 0, 50_000)).await;
    execute(&url, &grants_without_refresh(100_000, 10, 1_000, 1_000)).await;
    let removed = async |round: i64| {
        let swept = scene
            .store
            .sweep(at(60_000 + round), Duration::from_secs(40_000), 100)
            .await
            .unwrap();
        let mut of_programs = swept
            .kinds()
            .filter(|(kind, _)| *kind == "grants_without_refresh");
        of_programs.next().unwrap().1
    };
    assert_eq!([removed(0).await, removed(1).await, removed(2).await], [0, 10, 0]);
    // Round again, and later everything.
    let mut gone = 0;
    for round in 0..300 {
        gone += removed(100_000 + round).await;
    }
    assert_eq!(gone, 20_100);
}
