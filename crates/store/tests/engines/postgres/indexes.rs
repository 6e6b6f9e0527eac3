//! An index that a new version adds to a table that is in use: whoever writes to it does not wait.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use doorward_store::postgres::{PostgresOptions, PostgresStore};
use doorward_store::{IndexWork, RotateOutcome, Schema, Store, StoreError};
use tokio::time::{sleep, timeout};
use tokio_postgres::Client;

use super::cluster::{Database, execute};
use super::template;
use crate::conformance::scene::{Opened, Scene, at, rotation};

const INDEX: &str = "grant_pending_client";
const STEP: &str = "0016_pending_grants_of_clients";

/// As a version before left it.
pub(super) async fn without_the_index() -> Option<Database> {
    let database = template::database().await?;
    let before = format!("DROP INDEX {INDEX}; DELETE FROM schema_migration WHERE name = '{STEP}'");
    execute(&database.url(), &before).await;
    Some(database)
}

/// A node whose statements fail when they have to wait for a table.
async fn node(database: &Database) -> PostgresStore {
    let url = format!("{}?options=-c%20lock_timeout%3D1s", database.url());
    PostgresStore::open(&url, &PostgresOptions::default())
        .await
        .unwrap()
}

async fn connection(database: &Database) -> Client {
    let (client, connection) = tokio_postgres::connect(&database.url(), tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client
}

async fn schema(database: &Database) -> Schema {
    let look = PostgresStore::look(&database.url(), &PostgresOptions::default()).await;
    look.unwrap().unwrap().schema
}

/// Whether the index is valid; `None`: there is none.
async fn validity(db: &Client) -> Option<bool> {
    let sql = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1::text)";
    let found = db.query_opt(sql, &[&INDEX]).await.unwrap();
    found.map(|row| row.get(0))
}

/// Has written to the grants, and is not done: an index waits for it.
async fn busy_writer(database: &Database) -> Client {
    let writer = connection(database).await;
    let write = "BEGIN; UPDATE access_grant SET generation = generation WHERE FALSE";
    writer.batch_execute(write).await.unwrap();
    writer
}

/// Until so many sessions make an index, and wait for the writer.
async fn until_waiting(db: &Client, wanted: i64) {
    let waiting = "SELECT count(*) FROM pg_stat_progress_create_index \
                   WHERE datname = current_database() AND phase = 'waiting for writers before build'";
    let waits = async {
        while db.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) != wanted {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_mins(1), waits).await.unwrap();
}

type News = Arc<Mutex<Vec<IndexWork>>>;

/// But for how far it is, which may or may not be told.
fn take(news: &News) -> Vec<IndexWork> {
    let mut told = std::mem::take(&mut *news.lock().unwrap());
    told.retain(|work| !matches!(work, IndexWork::At { .. }));
    told
}

async fn make(store: &dyn Store, news: &News) -> Result<bool, StoreError> {
    let tell = |step: &str, work| {
        assert_eq!(step, STEP);
        news.lock().unwrap().push(work);
    };
    store.make_indexes(&tell).await
}

fn make_meanwhile(store: &Arc<dyn Store>, news: &News) -> tokio::task::JoinHandle<Result<bool, StoreError>> {
    let (store, news) = (Arc::clone(store), Arc::clone(news));
    tokio::spawn(async move { make(store.as_ref(), &news).await })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_do_not_wait_while_an_index_is_made() {
    let Some(database) = without_the_index().await else {
        return;
    };
    let db = connection(&database).await;
    let store: Arc<dyn Store> = Arc::new(node(&database).await);
    // Open already, and the index is still to come.
    let found = schema(&database).await;
    assert_eq!((found.steps_behind, found.indexes_behind), (1, 1));
    assert_eq!(validity(&db).await, None);
    let opened = Opened {
        store: Arc::clone(&store),
        keep: Box::new(()),
    };
    let scene = Scene::new(opened).await;

    let writer = busy_writer(&database).await;
    let news = News::default();
    let making = make_meanwhile(&store, &news);
    until_waiting(&db, 1).await;
    // In the index that is not there yet, too.
    for _ in 0..5 {
        let rotated = store
            .rotate_refresh(rotation(scene.active().await, 1, at(2)))
            .await;
        assert!(
            matches!(rotated, Ok(RotateOutcome::Rotated { .. })),
            "{rotated:?}"
        );
    }
    // Another one of this version starts meanwhile.
    node(&database).await.ping().await.unwrap();
    assert!(!making.is_finished());
    assert_eq!(schema(&database).await.indexes_behind, 1);

    writer.batch_execute("COMMIT").await.unwrap();
    assert_eq!(making.await.unwrap(), Ok(true));
    assert_eq!(take(&news), [IndexWork::Begun, IndexWork::Made]);
    assert_eq!(validity(&db).await, Some(true));
    let done = schema(&database).await;
    assert_eq!((done.last.as_str(), done.steps_behind), (STEP, 0));
}

/// The program is killed, and what it left is not what the next one takes for an index.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_killed_node_left_of_an_index_is_replaced_by_the_next_one() {
    let Some(database) = without_the_index().await else {
        return;
    };
    let db = connection(&database).await;
    let first: Arc<dyn Store> = Arc::new(node(&database).await);
    let writer = busy_writer(&database).await;
    let news = News::default();
    let making = make_meanwhile(&first, &news);
    until_waiting(&db, 1).await;
    making.abort();
    until_waiting(&db, 0).await;
    writer.batch_execute("COMMIT").await.unwrap();
    assert_eq!(validity(&db).await, Some(false));
    assert_eq!(schema(&database).await.indexes_behind, 1);
    take(&news);

    let second = node(&database).await;
    // The session of the one that was killed may be ending still.
    while !make(&second, &news).await.unwrap() {
        assert_eq!(take(&news), [IndexWork::Elsewhere]);
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(
        take(&news),
        [IndexWork::Leftover, IndexWork::Begun, IndexWork::Made]
    );
    assert_eq!(validity(&db).await, Some(true));
    assert_eq!(schema(&database).await.steps_behind, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_start_at_once_make_an_index_once() {
    let Some(database) = without_the_index().await else {
        return;
    };
    let db = connection(&database).await;
    let (first, second): (Arc<dyn Store>, _) = (Arc::new(node(&database).await), node(&database).await);
    let writer = busy_writer(&database).await;
    let (news, others) = (News::default(), News::default());
    let making = make_meanwhile(&first, &news);
    until_waiting(&db, 1).await;
    assert_eq!(make(&second, &others).await, Ok(false));
    assert_eq!(take(&others), [IndexWork::Elsewhere]);
    writer.batch_execute("COMMIT").await.unwrap();
    assert_eq!(making.await.unwrap(), Ok(true));
    assert_eq!(take(&news), [IndexWork::Begun, IndexWork::Made]);
    assert_eq!(make(&second, &others).await, Ok(true));
    assert_eq!(take(&others), []);
}

/// It was made, and the answer was lost.
#[tokio::test]
async fn an_index_that_is_there_is_written_down() {
    let Some(database) = template::database().await else {
        return;
    };
    let forget = format!("DELETE FROM schema_migration WHERE name = '{STEP}'");
    execute(&database.url(), &forget).await;
    let news = News::default();
    assert_eq!(make(&node(&database).await, &news).await, Ok(true));
    assert_eq!(take(&news), [IndexWork::Made]);
    assert_eq!(schema(&database).await.steps_behind, 0);
}

/// A statement that takes longer than any other may.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_index_may_take_longer_than_a_statement() {
    let Some(database) = without_the_index().await else {
        return;
    };
    let options = PostgresOptions {
        statement_timeout: Duration::from_secs(2),
        ..PostgresOptions::default()
    };
    let store = PostgresStore::open(&database.url(), &options).await.unwrap();
    let (db, writer) = (connection(&database).await, busy_writer(&database).await);
    let (store, news): (Arc<dyn Store>, _) = (Arc::new(store), News::default());
    let making = make_meanwhile(&store, &news);
    until_waiting(&db, 1).await;
    // By the clock of the server, which would have ended it.
    db.execute("SELECT pg_sleep(3)", &[]).await.unwrap();
    writer.batch_execute("COMMIT").await.unwrap();
    assert_eq!(making.await.unwrap(), Ok(true));
}
