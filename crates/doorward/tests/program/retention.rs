//! What is past its use goes, on a database server as on the embedded database, whose own tests are those of the jobs.

use tokio_postgres::{NoTls, Row};

use crate::support::{MASTER_KEY, Place, Server, cluster, eventually, http};

/// More than two batches, and more than one.
const USED: u64 = 1201;
const EVENTS: u64 = 600;

/// How many rows of this kind the server says it has removed.
pub(crate) async fn removed(server: &Server, kind: &str) -> u64 {
    let page = http()
        .get(format!("{}/metrics", server.admin_url))
        .send()
        .await
        .unwrap();
    let text = page.text().await.unwrap();
    let name = format!("doorward_rows_removed_total{{kind=\"{kind}\"}} ");
    let number = text.lines().find_map(|line| line.strip_prefix(&name));
    number.map_or(0, |number| number.parse().unwrap())
}

pub(crate) async fn query(url: &str, sql: &str) -> Row {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let row = client.query_one(sql, &[]).await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
    row
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_past_its_use_is_removed_from_postgresql_to_the_last_row_and_counted() {
    let Some(database) = cluster::empty_database().await else {
        return;
    };
    let place = Place::new()
        .set("DOORWARD_KEYS_MASTER_KEY", MASTER_KEY)
        .set("DOORWARD_STORAGE_URL", &database.url());
    place.run(&["migrate"]).success();
    // Used up for an hour to come, and an event of now: these stay.
    let rows = format!(
        "INSERT INTO spent (digest, expires_at) SELECT sha256(n::text::bytea), 1000 FROM generate_series(1, {USED}) n; \
         INSERT INTO spent (digest, expires_at) SELECT sha256('kept'), extract(epoch FROM now())::bigint + 3600; \
         INSERT INTO audit_event (id, at, action, actor_kind, detail) \
         SELECT gen_random_uuid(), extract(epoch FROM now())::bigint - 91 * 86400, 'past', 'system', '{{}}' \
         FROM generate_series(1, {EVENTS}); \
         INSERT INTO audit_event (id, at, action, actor_kind, detail) \
         VALUES (gen_random_uuid(), extract(epoch FROM now())::bigint, 'kept', 'system', '{{}}')"
    );
    cluster::execute(&database.url(), &rows).await;
    let server = place.serve().await;
    // The first run begins with the server, and the kinds go one after the other: the last one is looked at.
    let all = || async { (removed(&server, "spent").await >= USED).then_some(()) };
    eventually("the rows to be removed", all).await;
    assert_eq!(removed(&server, "spent").await, USED);
    assert_eq!(removed(&server, "audit_events").await, EVENTS);
    let left = "SELECT (SELECT count(*) FROM spent WHERE digest = sha256('kept') OR expires_at = 1000), \
                (SELECT count(*) FROM audit_event WHERE action IN ('past', 'kept'))";
    let left = query(&database.url(), left).await;
    assert_eq!([left.get::<_, i64>(0), left.get(1)], [1, 1]);
    assert_eq!(server.stop().code, Some(0));
}
