//! Several servers in the URL, of which one takes connections and says nothing.

use std::time::Duration;

use doorward_store::postgres::{PostgresOptions, PostgresStore};
use doorward_store::{Change, ClientSource, Store as _};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

use super::cluster::Database;
use super::half_open::SilentProxy;
use super::template::database;
use crate::conformance::scene::{APP, client};

const LONG: Duration = Duration::from_mins(1);

fn url(ports: [u16; 2], database: &Database) -> String {
    let [one, other] = ports;
    format!(
        "postgres://doorward@127.0.0.1:{one},127.0.0.1:{other}/{}?target_session_attrs=read-write",
        database.name
    )
}

/// It is known what other nodes change: the connection that hears of it stands.
async fn hears(store: &PostgresStore) {
    while store.changes().version(Change::Clients).is_none() {
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_start_goes_past_a_silent_server_to_the_next() {
    let Some(database) = database().await else { return };
    // Whoever connects waits in its queue.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = SilentProxy::start(database.cluster.directory.join(".s.PGSQL.5432")).await;
    let url = url([silent.local_addr().unwrap().port(), proxy.port], &database);
    let store = PostgresStore::open(&url, &PostgresOptions::default())
        .await
        .unwrap();
    store.ping().await.unwrap();
    timeout(LONG, hears(&store)).await.unwrap();
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_running_node_goes_on_at_the_next_server() {
    let Some(database) = database().await else { return };
    let socket = database.cluster.directory.join(".s.PGSQL.5432");
    let (one, other) = (
        SilentProxy::start(socket.clone()).await,
        SilentProxy::start(socket).await,
    );
    let options = PostgresOptions {
        statement_timeout: Duration::from_millis(500),
        ..PostgresOptions::default()
    };
    let url = url([one.port, other.port], &database);
    let store = PostgresStore::open(&url, &options).await.unwrap();
    timeout(LONG, hears(&store)).await.unwrap();

    one.stay_silent();
    // Refused as long as it has not been noticed.
    let again = async {
        while store.ping().await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LONG, again).await.unwrap();
    for _ in 0..20 {
        store.ping().await.unwrap();
    }
    // And hears by the other one what changes.
    let before = store.changes().version(Change::Clients);
    let second = PostgresStore::open(&database.url(), &options).await.unwrap();
    second
        .create_client(client(APP, ClientSource::Dynamic))
        .await
        .unwrap();
    let heard = async {
        while [None, before].contains(&store.changes().version(Change::Clients)) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LONG, heard).await.unwrap();
    second.close().await.unwrap();
    store.close().await.unwrap();
}
