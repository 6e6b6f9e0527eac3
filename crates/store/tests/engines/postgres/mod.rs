//! PostgreSQL: the conformance suite, several nodes, and a server that dies.

mod cluster;
mod contention;
mod failover;
mod half_open;
mod hosts;
mod indexes;
mod limits;
mod moving;
mod nodes;
mod once;
mod operator;
mod outage;
mod partitions;
mod password;
mod pgbouncer;
mod pooler;
mod remembered;
mod round_trips;
mod silent_start;
mod spread;
mod template;
mod tls;
mod turns;
mod upgrade;
mod vacuum;

use std::sync::Arc;

use doorward_store::postgres::{PostgresOptions, PostgresStore};

use crate::conformance::scene::Opened;

pub(crate) async fn opened() -> Option<Opened> {
    let database = template::database().await?;
    let options = PostgresOptions {
        connections: 8,
        ..PostgresOptions::default()
    };
    let store = PostgresStore::open(&database.url(), &options).await.unwrap();
    Some(Opened {
        store: Arc::new(store),
        keep: Box::new(database),
    })
}

crate::conformance::conformance!(crate::postgres::opened);
