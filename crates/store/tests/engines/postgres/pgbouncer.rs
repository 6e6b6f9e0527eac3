//! Behind `PgBouncer` in transaction mode, with the lines of the book: everything works as without it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use doorward_store::postgres::{PostgresOptions, PostgresStore};
use doorward_store::{RotateOutcome, Store, StoreError};

use super::cluster::Database;
use super::pooler::pooler;
use super::template;
use crate::conformance::scene::{Opened, Scene, at, at_once, rotation};

async fn pooled(database: &Database) -> Option<PostgresStore> {
    pooled_by(database, 8).await
}

async fn pooled_by(database: &Database, connections: usize) -> Option<PostgresStore> {
    let pooler = tokio::task::spawn_blocking(pooler).await.unwrap()?;
    let options = PostgresOptions {
        connections,
        transaction_pooler: true,
        ..PostgresOptions::default()
    };
    Some(
        PostgresStore::open(&pooler.url(&database.name), &options)
            .await
            .unwrap(),
    )
}

pub(crate) async fn opened() -> Option<Opened> {
    let database = template::database().await?;
    let store = pooled(&database).await?;
    Some(Opened {
        store: Arc::new(store),
        keep: Box::new(database),
    })
}

crate::conformance::conformance!(crate::postgres::pgbouncer::opened);

/// Without the setting, the start says which.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_the_setting_the_start_names_it() {
    let Some(database) = template::database().await else {
        return;
    };
    let Some(pooler) = tokio::task::spawn_blocking(pooler).await.unwrap() else {
        return;
    };
    let refused = PostgresStore::open(&pooler.url(&database.name), &PostgresOptions::default()).await;
    assert!(matches!(
        refused,
        Err(StoreError::Unusable(why)) if why.contains("set storage.transaction_pooler = true")
    ));
}

/// An empty database: the schema's steps pass the pooler too. And more callers than sessions share what there is.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_schema_is_made_through_a_pooler_and_nodes_share_its_sessions() {
    let Some(database) = super::cluster::empty_database().await else {
        return;
    };
    let Some(first) = pooled(&database).await else {
        return;
    };
    let store: Arc<dyn Store> = Arc::new(first);
    let second: Arc<dyn Store> = Arc::new(pooled(&database).await.unwrap());
    let scene = Scene::new(Opened {
        store,
        keep: Box::new(()),
    });
    let scene = Arc::new(scene.await);
    let rotated = at_once(100, |caller| {
        let (scene, second) = (Arc::clone(&scene), Arc::clone(&second));
        async move {
            let rotate = rotation(scene.active().await, 1, at(1));
            let node = if caller % 2 == 0 { &*second } else { &*scene.store };
            node.rotate_refresh(rotate).await.unwrap()
        }
    })
    .await;
    assert!(
        rotated
            .iter()
            .all(|outcome| matches!(outcome, RotateOutcome::Rotated { successor: 2, .. }))
    );
    // Nothing is left behind in the server's sessions: no name of a statement, no lock.
    let (client, connection) = tokio_postgres::connect(&database.url(), tokio_postgres::NoTls)
        .await
        .unwrap();
    let driver = tokio::spawn(connection);
    let left = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = \
                (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(client.query_one(left, &[]).await.unwrap().get::<_, i64>(0), 0);
    driver.abort();
    second.close().await.unwrap();
}

/// The server is up to date but for an index, says so, and works.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_index_of_a_new_version_needs_a_straight_way_to_the_server() {
    let Some(database) = super::indexes::without_the_index().await else {
        return;
    };
    let Some(store) = pooled(&database).await else {
        return;
    };
    store.ping().await.unwrap();
    let refused = store.make_indexes(&|_, _| {}).await;
    assert!(
        matches!(&refused, Err(StoreError::Unusable(why)) if why.contains("run `doorward migrate` once with a URL")),
        "{refused:?}"
    );
    let straight = PostgresStore::open(&database.url(), &PostgresOptions::default()).await;
    assert_eq!(straight.unwrap().make_indexes(&|_, _| {}).await, Ok(true));
    assert_eq!(store.make_indexes(&|_, _| {}).await, Ok(true));
}

/// [CRASH] Whoever goes away while the types of a statement are asked for leaves no transaction to the next one.
/// On one thread: what answers the first question cannot run before the question is abandoned.
#[tokio::test]
async fn what_follows_an_abandoned_operation_is_durable() {
    let Some(database) = template::database().await else {
        return;
    };
    let Some(store) = pooled_by(&database, 1).await else {
        return;
    };
    let scene = Scene::new(Opened {
        store: Arc::new(store),
        keep: Box::new(()),
    })
    .await;
    let (client, connection) = tokio_postgres::connect(&database.url(), tokio_postgres::NoTls)
        .await
        .unwrap();
    let driver = tokio::spawn(connection);
    let grant = scene.active().await;
    // From here on the types of its statements are known.
    let first = scene
        .store
        .rotate_refresh(rotation(grant, 1, at(1)))
        .await
        .unwrap();
    assert!(matches!(first, RotateOutcome::Rotated { .. }));
    {
        let abandoned = pin!(scene.store.audit_event(uuid::Uuid::nil()));
        assert!(
            abandoned
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
    }
    let rotate = rotation(grant, 2, at(2));
    let jti = rotate.issuance.jti.clone();
    let second = scene.store.rotate_refresh(rotate).await.unwrap();
    assert!(matches!(second, RotateOutcome::Rotated { .. }));
    let kept = "SELECT count(*) FROM issuance WHERE jti = $1";
    assert_eq!(client.query_one(kept, &[&jti]).await.unwrap().get::<_, i64>(0), 1);
    driver.abort();
}
