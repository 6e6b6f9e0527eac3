//! Databases for the tests of one process, on a PostgreSQL server of its own.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

#[path = "server.rs"]
pub(crate) mod server;

pub(crate) use server::Cluster;

/// A database of a test, dropped with this value.
pub(crate) struct Database {
    pub(crate) name: String,
    pub(crate) cluster: &'static Cluster,
}

impl Database {
    pub(crate) fn url(&self) -> String {
        self.cluster.url(&self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (url, drop) = (
            self.cluster.url("postgres"),
            format!("DROP DATABASE {} WITH (FORCE)", self.name),
        );
        // A runtime of its own: this may run inside the test's.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(execute(&url, &drop));
        });
        dropped.join().unwrap();
    }
}

/// The process's server. Never dropped: its keeper ends it with the process.
pub(crate) fn shared() -> Option<&'static Cluster> {
    static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
    SHARED.get_or_init(Cluster::start).as_ref()
}

/// An empty database.
pub(crate) async fn empty_database() -> Option<Database> {
    let cluster = tokio::task::spawn_blocking(shared).await.unwrap()?;
    Some(copy(cluster, "template0").await)
}

/// A copy of one of the server's databases.
pub(crate) async fn copy(cluster: &'static Cluster, template: &str) -> Database {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let copy = format!("CREATE DATABASE {name} TEMPLATE {template}");
    execute(&cluster.url("postgres"), &copy).await;
    Database { name, cluster }
}

/// Runs a statement on a connection of its own.
pub(crate) async fn execute(url: &str, sql: &str) {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    if let Err(error) = client.batch_execute(sql).await {
        panic!("{sql}: {error:?}");
    }
    drop(client);
    drop(connection.await);
}
