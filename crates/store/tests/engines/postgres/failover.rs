//! The server is succeeded by a standby that has not got everything, behind a pooler that lets nobody see it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use doorward_store::postgres::{PostgresOptions, PostgresStore};
use doorward_store::{Change, ClientSource, Store};
use tokio::time::{sleep, timeout};

use super::cluster::{Cluster, execute};
use super::operator::ask;
use super::pooler::Pooler;
use crate::conformance::changes::version;
use crate::conformance::scene::{APP, client};

const NAME: &str = "doorward";

/// A standby that has what the server has now, and gets no more.
fn lagging_standby(primary: &mut Cluster) -> Option<Cluster> {
    let mut standby = Cluster::make()?;
    let data = standby.directory.join("data");
    std::fs::remove_dir_all(&data).unwrap();
    stop(primary);
    let mut copy = Command::new("cp");
    copy.arg("-a").arg(primary.directory.join("data")).arg(&data);
    assert!(copy.status().unwrap().success());
    primary.run();
    let socket = format!("unix_socket_directories = '{}'\n", standby.directory.display());
    standby.configure("postgresql.conf", &socket);
    standby.configure("standby.signal", "");
    standby.run();
    Some(standby)
}

/// Ends the server, if it still runs, and keeps its data.
pub(super) fn stop(cluster: &mut Cluster) {
    let restart = cluster.directory.join("restart");
    std::fs::write(&restart, "").unwrap();
    let mut keeper = cluster.keeper.take().unwrap();
    drop(keeper.stdin.take());
    keeper.wait().unwrap();
    std::fs::remove_file(restart).unwrap();
}

/// Lets the address lead to this server.
fn lead(address: &Path, server: &Cluster) {
    let fresh = address.with_extension("new");
    std::os::unix::fs::symlink(&server.directory, &fresh).unwrap();
    std::fs::rename(fresh, address).unwrap();
}

async fn open(server: &Cluster) -> PostgresStore {
    PostgresStore::open(&server.url(NAME), &PostgresOptions::default())
        .await
        .unwrap()
}

async fn change(store: &PostgresStore, metadata: &str) {
    let mut app = store.client(APP).await.unwrap().unwrap();
    metadata.clone_into(&mut app.metadata);
    store.update_client(app).await.unwrap();
}

/// Both have changed as much since the standby was cut off, and not the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_forgets_what_it_kept_when_another_server_counts_the_same() {
    let Some(mut primary) = Cluster::start() else {
        return;
    };
    execute(&primary.url("postgres"), &format!("CREATE DATABASE {NAME}")).await;
    let first = open(&primary).await;
    first
        .create_client(client(APP, ClientSource::Admin))
        .await
        .unwrap();
    first.close().await.unwrap();
    let Some(standby) = lagging_standby(&mut primary) else {
        return;
    };
    let first = open(&primary).await;
    change(&first, r#"{"client_name":"Lost"}"#).await;
    first.close().await.unwrap();

    let address = standby.directory.join("address");
    lead(&address, &primary);
    let Some(pooler) = Pooler::start(&standby, &address) else {
        return;
    };
    let options = PostgresOptions {
        transaction_pooler: true,
        ..PostgresOptions::default()
    };
    let node = PostgresStore::open(&pooler.url(NAME), &options).await.unwrap();
    let before = version(&node, Change::Clients).await;

    assert_eq!(ask(&standby, "postgres", "SELECT pg_promote()"), "t");
    let second = open(&standby).await;
    change(&second, r#"{"client_name":"Kept"}"#).await;
    let counts = "SELECT count FROM change_count ORDER BY id";
    assert_eq!(ask(&primary, NAME, counts), ask(&standby, NAME, counts));
    lead(&address, &standby);
    drop(primary);
    let noticed = async {
        while version(&node, Change::Clients).await == before {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(30), noticed).await.unwrap();
    node.close().await.unwrap();
    second.close().await.unwrap();
}
