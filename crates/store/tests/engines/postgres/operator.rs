//! Somebody else with a connection of their own.

use tokio_postgres::{NoTls, SimpleQueryMessage};

use super::cluster::Cluster;

/// What a query answers, the first column of each row on a line of its own.
pub(super) fn ask(cluster: &Cluster, database: &str, query: &str) -> String {
    let (url, query) = (cluster.url(database), query.to_owned());
    // A runtime of its own: this may run inside the test's.
    let asked = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
            tokio::spawn(connection);
            client.simple_query(&query).await.unwrap()
        })
    });
    let messages = asked.join().unwrap();
    let rows: Vec<_> = messages.iter().filter_map(first_column).collect();
    rows.join("\n")
}

fn first_column(message: &SimpleQueryMessage) -> Option<&str> {
    match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    }
}
