//! A server that takes connections and says nothing, when a node starts.

use std::time::Duration;

use doorward_store::StoreError;
use doorward_store::postgres::{PostgresOptions, PostgresStore};
use tokio::net::TcpListener;

#[tokio::test]
async fn a_start_against_a_silent_server_says_what_to_look_at() {
    // Whoever connects waits in its queue.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://ada:geheim@{}/doorward", silent.local_addr().unwrap());
    let options = PostgresOptions {
        connect_timeout: Duration::from_millis(100),
        ..PostgresOptions::default()
    };
    let Err(StoreError::Unavailable(why)) = PostgresStore::open(&url, &options).await else {
        panic!("it was not refused");
    };
    let expected = format!(
        "the PostgreSQL server cannot be reached at {}: no answer in time; is it running, and are host and port of storage.url right?",
        silent.local_addr().unwrap()
    );
    assert!(why.starts_with(&expected), "{why}");
}
