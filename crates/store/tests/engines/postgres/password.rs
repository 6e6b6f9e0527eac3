//! A server that asks for passwords (SCRAM).

use doorward_store::postgres::{PostgresOptions, PostgresStore};
use doorward_store::{Store as _, StoreError};

use super::cluster::{Cluster, execute};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_wrong_password_is_refused_with_the_fix_and_without_the_password() {
    let Some(mut cluster) = tokio::task::spawn_blocking(Cluster::make).await.unwrap() else {
        return;
    };
    let rules = "local all doorward trust\nlocal all all scram-sha-256\n";
    std::fs::write(cluster.directory.join("data/pg_hba.conf"), rules).unwrap();
    let cluster = tokio::task::spawn_blocking(move || {
        cluster.run();
        cluster
    })
    .await
    .unwrap();
    let postgres = cluster.url("postgres");
    execute(&postgres, "CREATE ROLE ada LOGIN PASSWORD 'richtig'").await;
    execute(&postgres, "CREATE DATABASE doorward OWNER ada").await;
    let open = async |login: &str| {
        let url = cluster.url("doorward").replace("doorward@", &format!("{login}@"));
        PostgresStore::open(&url, &PostgresOptions::default()).await
    };
    let refused = async |login: &str| match open(login).await {
        Err(StoreError::Unusable(why)) => why,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("{login} was not refused"),
    };
    let store = open("ada:richtig").await.unwrap();
    store.ping().await.unwrap();
    store.close().await.unwrap();
    let why = refused("ada:geheim").await;
    assert_eq!(
        why,
        "the PostgreSQL server refused: password authentication failed for user \"ada\" (28P01); check user and password in the URL"
    );
    let why = refused("ada").await;
    assert!(
        why.ends_with("write the password into the URL: postgres://USER:PASSWORD@…"),
        "{why}"
    );
    tokio::task::spawn_blocking(move || drop(cluster)).await.unwrap();
}
