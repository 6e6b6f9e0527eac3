//! A turn is had by one node at a time, and lost by one that says nothing any more.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use doorward_store::postgres::{PostgresOptions, PostgresStore};
use doorward_store::{Actor, Origin, Store, StoreError, Turn};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::template::database;
use crate::conformance::scene::{at, fresh, resource};

const LEASE: Duration = Duration::from_secs(2);

async fn node(url: &str) -> PostgresStore {
    node_with(url, LEASE).await
}

async fn node_with(url: &str, turn_lease: Duration) -> PostgresStore {
    let options = PostgresOptions {
        turn_lease,
        ..PostgresOptions::default()
    };
    PostgresStore::open(url, &options).await.unwrap()
}

fn operator() -> Origin {
    Origin {
        event: Uuid::from_u128(u128::from(fresh()) << 32),
        at: at(0),
        actor: Actor::AdminKey("test".to_owned()),
        request_id: None,
        address: None,
    }
}

/// Renames a resource, as one who has this turn.
async fn rename(node: &dyn Store, turn: &Turn, name: &str) -> Result<(), StoreError> {
    let mut changed = resource("files", "https://files.example/mcp");
    name.clone_into(&mut changed.display_name);
    node.acting_in_turn(turn, operator())
        .update_resource(changed)
        .await
}

async fn name(node: &dyn Store) -> String {
    node.resource("files").await.unwrap().unwrap().display_name
}

/// A process that stands still (SIGSTOP): its system answers for it, and it does nothing.
struct Still {
    go_on: mpsc::Sender<()>,
    process: std::thread::JoinHandle<Result<(), StoreError>>,
}

/// Takes the turn and stands still; when it goes on, it finishes what it had begun.
fn stand_still(url: &str) -> Still {
    let (url, (go_on, stop), (has, had)) = (url.to_owned(), mpsc::channel(), mpsc::channel());
    let process = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let node = node(&url).await;
            let turn = node.turn("admin").await.unwrap();
            has.send(()).unwrap();
            // Nothing of this runtime runs meanwhile.
            stop.recv().unwrap();
            rename(&node, &turn, "late").await
        })
    });
    had.recv().unwrap();
    Still { go_on, process }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_that_stands_still_loses_its_turn_and_changes_nothing_more() {
    let Some(database) = database().await else { return };
    let other = node(&database.url()).await;
    let files = resource("files", "https://files.example/mcp");
    other.create_resource(files).await.unwrap();
    let still = tokio::task::spawn_blocking({
        let url = database.url();
        move || stand_still(&url)
    });
    let still = still.await.unwrap();
    assert!(other.try_turn("admin").await.unwrap().is_none());
    let begun = Instant::now();
    let turn = other.turn("admin").await.unwrap();
    // The lease, and what a busy machine takes.
    let waited = begun.elapsed();
    assert!(waited < LEASE + Duration::from_secs(3), "{waited:?}");
    rename(&other, &turn, "in time").await.unwrap();
    still.go_on.send(()).unwrap();
    let late = tokio::task::spawn_blocking(|| still.process.join().unwrap()).await;
    assert!(
        matches!(late.unwrap(), Err(StoreError::Unavailable(why)) if why.contains("another one had its turn"))
    );
    assert_eq!(name(&other).await, "in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_that_works_for_long_keeps_its_turn() {
    let Some(database) = database().await else { return };
    // Long enough for a machine that is busy with other things.
    let lease = LEASE * 3;
    let node = node_with(&database.url(), lease).await;
    let other = node_with(&database.url(), lease).await;
    let files = resource("files", "https://files.example/mcp");
    node.create_resource(files).await.unwrap();
    let held = [
        node.turn("admin").await.unwrap(),
        node.try_turn("job").await.unwrap().unwrap(),
    ];
    // The limit is the server's, which has no other clock.
    for round in 0..4 {
        sleep(lease / 2).await;
        assert!(other.try_turn("admin").await.unwrap().is_none());
        assert!(other.try_turn("job").await.unwrap().is_none());
        let name = format!("round {round}");
        rename(&node, &held[0], &name).await.unwrap();
    }
    assert_eq!(name(&other).await, "round 3");
    drop(held);
    let turn = other.turn("admin").await.unwrap();
    rename(&other, &turn, "after").await.unwrap();
}

async fn stranger(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// What was begun in a turn is finished before the next one begins.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_change_that_was_begun_in_time_is_seen_by_the_next_one() {
    let Some(database) = database().await else { return };
    // It ends when the test ends it.
    let lease = Duration::from_mins(1);
    let here = Arc::new(node_with(&database.url(), lease).await);
    let there = Arc::new(node_with(&database.url(), lease).await);
    let files = resource("files", "https://files.example/mcp");
    here.create_resource(files).await.unwrap();
    let turn = here.turn("admin").await.unwrap();
    let locker = stranger(&database.url()).await;
    // Within a transaction the list of the others would stay as it is.
    let watcher = stranger(&database.url()).await;
    // Its change waits for a row, past the end of its turn.
    locker
        .batch_execute("BEGIN; SELECT 1 FROM resource FOR UPDATE")
        .await
        .unwrap();
    let change = tokio::spawn({
        let (here, turn) = (Arc::clone(&here), Arc::clone(&turn));
        async move { rename(&*here, &turn, "begun").await }
    });
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while watcher.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        assert!(!change.is_finished(), "it did not wait");
        tokio::task::yield_now().await;
    }
    let end_turn = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
        WHERE datname = current_database() AND state = 'idle in transaction' AND query NOT LIKE '%FOR UPDATE%'";
    watcher.batch_execute(end_turn).await.unwrap();
    let next = tokio::spawn(async move {
        let turn = there.turn("admin").await.unwrap();
        let seen = name(&*there).await;
        drop(turn);
        seen
    });
    let both = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'";
    while watcher.query_one(both, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        assert!(!next.is_finished(), "it did not wait");
        tokio::task::yield_now().await;
    }
    locker.batch_execute("COMMIT").await.unwrap();
    assert_eq!(change.await.unwrap(), Ok(()));
    assert_eq!(next.await.unwrap(), "begun");
    // What it begins now comes too late.
    let late = rename(&*here, &turn, "late").await;
    assert!(matches!(late, Err(StoreError::Unavailable(why)) if why.contains("another one had its turn")));
}

/// With two connections: one for the turn, one for what is done in it.
#[tokio::test]
async fn turns_leave_a_connection_for_what_is_done_in_them() {
    let Some(database) = database().await else { return };
    let options = PostgresOptions {
        connections: 2,
        ..PostgresOptions::default()
    };
    let node = Arc::new(PostgresStore::open(&database.url(), &options).await.unwrap());
    let files = resource("files", "https://files.example/mcp");
    node.create_resource(files).await.unwrap();
    let turn = node.turn("admin").await.unwrap();
    assert!(node.try_turn("job").await.unwrap().is_none());
    let next = tokio::spawn({
        let node = Arc::clone(&node);
        async move { node.turn("job").await }
    });
    rename(&*node, &turn, "in turn").await.unwrap();
    assert!(!next.is_finished());
    drop(turn);
    let job = next.await.unwrap().unwrap();
    rename(&*node, &job, "afterwards").await.unwrap();
}

#[tokio::test]
async fn nothing_is_changed_in_a_turn_of_something_else() {
    let (Some(database), Some(elsewhere)) = (database().await, database().await) else {
        return;
    };
    let node = node(&database.url()).await;
    let stranger = node_with(&elsewhere.url(), LEASE).await;
    let files = resource("files", "https://files.example/mcp");
    node.create_resource(files).await.unwrap();
    let name_before = name(&node).await;
    for turn in [stranger.turn("admin").await.unwrap(), Arc::new(()) as Turn] {
        assert!(rename(&node, &turn, "changed").await.is_err());
        assert_eq!(name(&node).await, name_before);
    }
}
