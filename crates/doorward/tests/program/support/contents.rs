//! What is in a PostgreSQL database.

/// The tables of the program.
const TABLES: &str = "SELECT c.oid::regclass::text, (SELECT string_agg(concat_ws(' ', attname, format_type(atttypid, atttypmod), \
     attnotnull), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) \
     FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1";

/// Every table, with its columns and its rows.
pub async fn database_contents(url: &str) -> Vec<[String; 3]> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut contents = Vec::new();
    for table in client.query(TABLES, &[]).await.unwrap() {
        let (name, columns): (String, Option<String>) = (table.get(0), table.get(1));
        let rows =
            format!("SELECT coalesce(string_agg(t::text, chr(10) ORDER BY t::text), '') FROM {name} AS t");
        let rows = client.query_one(&rows, &[]).await.unwrap().get(0);
        contents.push([name, columns.unwrap_or_default(), rows]);
    }
    drop(client);
    drop(connection.await);
    contents
}
