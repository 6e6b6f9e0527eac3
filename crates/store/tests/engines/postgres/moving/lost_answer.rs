//! The answer to the commit is lost: what has happened is found out.

use doorward_store::StoreError;
use doorward_store::moving::{Route, Watch, carry_out};
use doorward_store::postgres::PostgresOptions;

use super::super::cluster::{Cluster, execute};
use super::super::operator::ask;
use super::{contents, kept};

/// The server has committed, and waits for a standby; then its connection is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_commit_whose_answer_is_lost_is_found_to_have_happened() {
    let Some(mut cluster) = Cluster::make() else {
        return;
    };
    let waits = "synchronous_standby_names = 'nobody'\nsynchronous_commit = local\n";
    cluster.configure("postgresql.conf", waits);
    cluster.run();
    let admin = cluster.url("postgres");
    execute(&admin, "CREATE DATABASE doorward").await;
    execute(&admin, "ALTER DATABASE doorward SET synchronous_commit = on").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("doorward.db");
    contents::fill(&file, 3).await;
    let before = contents::of_sqlite(&file);
    let to = cluster.url("doorward");
    let route = Route {
        from: file.to_str().unwrap(),
        to: &to,
        options: &PostgresOptions::default(),
    };
    let mut cut = None;
    let cluster = std::sync::Arc::new(cluster);
    let watch = Watch {
        tell: &mut |_| {},
        at_the_end: &mut || {
            let cluster = std::sync::Arc::clone(&cluster);
            cut = Some(std::thread::spawn(move || {
                let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
                (0..5_000).any(|_| ask(&cluster, "postgres", end) != "0")
            }));
        },
    };
    let moved = carry_out::<StoreError>(route, kept(), |_| Ok(()), watch)
        .await
        .unwrap();
    assert!(cut.unwrap().join().unwrap(), "the answer was not lost");
    assert_eq!(moved.kept, Ok(folder.path().join("doorward.db.moved-1")));
    assert_eq!(contents::of_postgres(&to).await, before);
}
