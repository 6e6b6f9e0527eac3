//! One empty migrated database, the template of all others.

use doorward_store::Store as _;
use doorward_store::postgres::{PostgresOptions, PostgresStore};
use tokio::sync::OnceCell;

use super::cluster::{Database, copy, execute, shared};

/// A migrated database without a row.
pub(crate) async fn database() -> Option<Database> {
    static TEMPLATE: OnceCell<()> = OnceCell::const_new();
    let cluster = tokio::task::spawn_blocking(shared).await.unwrap()?;
    TEMPLATE
        .get_or_init(|| async {
            execute(
                &cluster.url("postgres"),
                "CREATE DATABASE doorward TEMPLATE template0",
            )
            .await;
            let (url, options) = (cluster.url("doorward"), PostgresOptions::default());
            let store = PostgresStore::open(&url, &options).await.unwrap();
            store.close().await.unwrap();
        })
        .await;
    Some(copy(cluster, "doorward").await)
}
