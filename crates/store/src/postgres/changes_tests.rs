//! What the log is told of a database that is away.

use std::sync::Arc;

use super::super::cluster::{Database, execute};
use super::super::{PostgresStore, template};
use super::*;
use crate::Store as _;
use crate::log_of_tests::Log;

/// Lets nobody in any more, and ends those who are.
async fn shut_out(database: &Database) {
    let name = &database.name;
    let sql = format!(
        "ALTER DATABASE {name} ALLOW_CONNECTIONS false; \
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    );
    for statement in sql.split("; ") {
        execute(&database.cluster.url("postgres"), statement).await;
    }
}

async fn let_in(database: &Database) {
    let sql = format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", database.name);
    execute(&database.cluster.url("postgres"), &sql).await;
}

async fn until(holds: impl Fn() -> bool) {
    timeout(Duration::from_mins(1), async {
        while !holds() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
}

async fn opened() -> Option<(PostgresStore, Database)> {
    let database = template::database().await?;
    let options = PostgresOptions {
        retry_for: Duration::from_millis(20),
        ..PostgresOptions::default()
    };
    Some((
        PostgresStore::open(&database.url(), &options).await.unwrap(),
        database,
    ))
}

#[tokio::test]
async fn a_node_that_hears_nothing_says_so_once_and_when_it_hears_again() {
    let log = Log::default();
    let _told = tracing::subscriber::set_default(log.clone());
    let Some((store, database)) = opened().await else {
        return;
    };
    until(|| store.changes().are_known()).await;
    let told = |level| log.lines(level, "what others change").len();
    assert_eq!((told("WARN"), told("INFO")), (0, 0));
    shut_out(&database).await;
    // One is the loss, the others are attempts.
    until(|| log.lines("DEBUG", "no connection that hears").len() >= 3).await;
    until(|| !store.changes().are_known()).await;
    assert_eq!((told("WARN"), told("INFO")), (1, 0));
    let_in(&database).await;
    until(|| store.changes().are_known()).await;
    assert_eq!((told("WARN"), told("INFO")), (1, 1));
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_told_of_once_and_when_it_answers_again() {
    let log = Log::default();
    let _told = tracing::subscriber::set_default(log.clone());
    let Some((store, database)) = opened().await else {
        return;
    };
    shut_out(&database).await;
    for _ in 0..5 {
        assert!(store.ping().await.is_err());
    }
    let lost = |level| log.lines(level, "connection to PostgreSQL has failed").len();
    assert_eq!(lost("WARN"), 1);
    assert!(lost("DEBUG") >= 4, "each attempt");
    let_in(&database).await;
    for _ in 0..3 {
        store.ping().await.unwrap();
    }
    assert_eq!(lost("WARN"), 1);
    assert_eq!(log.lines("INFO", "PostgreSQL answers again").len(), 1);
}

/// Not only after it was heard.
#[tokio::test]
async fn a_connection_that_never_came_is_told_of() {
    let log = Log::default();
    let _told = tracing::subscriber::set_default(log.clone());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    drop(taken);
    let url = format!("postgres://nobody@127.0.0.1:{port}/nothing?sslmode=disable");
    let options = PostgresOptions::default();
    let location = super::super::location::Location::parse(&url, &options).unwrap();
    let hosts = Hosts::of(&location.config, location.tls, options.connect_timeout);
    let changes = Arc::new(Changes::of_several());
    let listener = Listener::start(hosts, &options, Arc::clone(&changes));
    until(|| log.lines("DEBUG", "no connection that hears").len() >= 2).await;
    listener.stop();
    assert_eq!(log.lines("WARN", "what others change").len(), 1);
    assert!(!changes.are_known());
}
