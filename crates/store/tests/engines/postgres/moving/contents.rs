//! Rows in every table, and what is in both databases, read without the engines.

use std::collections::BTreeMap;
use std::path::Path;

use doorward_store::Store as _;
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use tokio_postgres::NoTls;
use tokio_postgres::types::Type;

/// The tables with their rows, each as text, in order.
pub(super) type Contents = BTreeMap<String, Vec<String>>;

/// `numbers`: 1 to `?`. A UUID of version 7 of a second is `printf('%012x', …)` and more.
const ROWS: &str = "
    INSERT INTO resource SELECT 'slug-' || n, 'https://r.example/ünï/' || n, 'a \"name\" 😀', '[]', n, -n, '{\"a\":1}' FROM numbers;
    INSERT INTO client SELECT 'client-' || n, 'dynamic', '{\"client_name\":\"ä\\u0000\"}', '[]', hex(randomblob(8)),
        iif(n % 2, 'slug-1', NULL), n % 2, n, n, iif(n % 3, randomblob(32), NULL) FROM numbers;
    INSERT INTO person SELECT randomblob(16), 'A@' || n, 'a@' || n, '', iif(n % 2, '$argon2id$', NULL), n % 2, n, n FROM numbers;
    INSERT INTO trusted_issuer SELECT 'issuer-' || n, 'workload', 'https://i.example/' || n, '{}', n % 2, n, n FROM numbers;
    INSERT INTO assertion_audience SELECT 'audience-' || n, 'https://a.example/' || n, '{}', n % 2, n, n FROM numbers;
    INSERT INTO signing_key (key_id, algorithm, sealed_private_key, created_at, signs_from, revoked_at)
        SELECT 'key-' || n, 'ES256', randomblob(n % 50), n, n, iif(n % 2, n, NULL) FROM numbers;
    INSERT INTO server_secret SELECT 'purpose-' || n, randomblob(40) FROM numbers;
    INSERT INTO admin_key SELECT randomblob(32), 'key ' || n, n FROM numbers;
    INSERT INTO initial_access_token SELECT randomblob(16), randomblob(32), 'token', iif(n % 2, n, NULL), n, iif(n % 3, n, NULL) FROM numbers;
    INSERT INTO login_throttle SELECT randomblob(32), n, n, n FROM numbers;
    INSERT INTO spent SELECT randomblob(32), random() FROM numbers;
    INSERT INTO session SELECT randomblob(32), id, created_at, '[\"pwd\"]', 9223372036854775807, -9223372036854775807 - 1 FROM person;
    INSERT INTO consent SELECT id, 'client-' || created_at, 'https://r.example/', 'a b', 'f', '[]', created_at FROM person;
    INSERT INTO access_grant (id, user_id, subject, client_id, resource, scopes, state, end_reason, ended_at, created_at,
            authenticated_at, methods, generation, generation_at, earlier, refresh_salt, refresh_expires_at, last_used_at,
            dpop_jkt, more_resources, trusted_issuer)
        SELECT randomblob(16), randomblob(16), 's' || n, 'client-' || n, 'https://r.example/', 'a', iif(n % 3 = 0, 'ended', 'active'),
            iif(n % 3 = 0, 'expired', NULL), iif(n % 3 = 0, n, NULL), n, n, '[]', n % 20, n, iif(n % 17, randomblob(8 * (n % 17)), zeroblob(0)), randomblob(16),
            iif(n % 2, n, NULL), n, iif(n % 5, NULL, 'jkt'), '[]', iif(n % 7, NULL, 'issuer-' || n) FROM numbers;
    INSERT INTO grant_further SELECT id, 'https://further.example/' || created_at FROM access_grant;
    INSERT INTO code SELECT randomblob(32), randomblob(32), id, randomblob(32), client_id, 'http://127.0.0.1/', 'challenge',
        created_at % 2, created_at, iif(created_at % 2, 7, NULL), iif(created_at % 3, NULL, 'jkt') FROM access_grant;
    INSERT INTO device_authorization SELECT randomblob(32), randomblob(32), 'client-' || n, '[]', 'a', 'f', '::1', n,
        iif(n % 2, n, NULL), n % 2, n, n FROM numbers;
    INSERT INTO linked_subject SELECT 'issuer-1', 'subject ' || created_at, id, created_at FROM person;
    INSERT INTO issuance SELECT printf('%08x-%04x-7%03x-8%03x-%012x', (1800000000 - n * 3600) * 1000 / 65536,
            (1800000000 - n * 3600) * 1000 % 65536, n, n, abs(random() % 1000000000)),
        randomblob(16), 'client-' || n, 's', 'https://r.example/', 'a', 1800000000 - n * 3600, 1800000300 - n * 3600,
        iif(n % 2, n, NULL), iif(n % 3, NULL, 'parent') FROM numbers;
    INSERT INTO audit_event SELECT randomblob(16), 1800000000 - n * 86400, 'client.created', iif(n % 2, 'why', NULL), 'system',
        iif(n % 2, 'actor', NULL), iif(n % 3, 'client-' || n, NULL), iif(n % 4, randomblob(16), NULL), iif(n % 5, 's', NULL),
        iif(n % 6, 'r', NULL), iif(n % 7, 't', NULL), iif(n % 8, 'id', NULL), iif(n % 9, '::1', NULL), '{}' FROM numbers;
    INSERT INTO revocation (grant_id, jti, client_id, revoked_at)
        SELECT iif(n % 3 = 0, randomblob(16), NULL), iif(n % 3 = 1, 'jti', NULL), iif(n % 3 = 2, 'client', NULL), n FROM numbers;
    INSERT INTO served VALUES (1, 'https://auth.example');
    UPDATE heartbeat SET beats = 17;
    UPDATE revocation_log SET forgotten = 3, ended_before = 4;
";

/// Makes a database with so many rows in the tables that can have many.
pub(super) async fn fill(file: &Path, rows: u32) {
    super::open_file(file).unwrap().close().await.unwrap();
    let db = Connection::open(file).unwrap();
    let numbers = format!(
        "PRAGMA foreign_keys = ON; CREATE TEMP TABLE numbers AS \
         WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < {rows}) SELECT n FROM up;"
    );
    db.execute_batch(&numbers).unwrap();
    db.execute_batch(ROWS).unwrap();
}

pub(super) fn of_sqlite(file: &Path) -> Contents {
    let db = Connection::open(file).unwrap();
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'schema_migration'";
    let mut statement = db.prepare(tables).unwrap();
    let tables = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    tables
        .map(|table| {
            let table = table.unwrap();
            let mut columns = db
                .prepare("SELECT name FROM pragma_table_info(?1) ORDER BY 1")
                .unwrap();
            let columns = columns
                .query_map([&table], |row| row.get::<_, String>(0))
                .unwrap();
            let columns: Vec<_> = columns.map(Result::unwrap).collect();
            let mut statement = db
                .prepare(&format!("SELECT {} FROM {table}", columns.join(", ")))
                .unwrap();
            let rows = statement.query_map([], |row| {
                let values = columns.iter().enumerate();
                let values: Vec<_> = values
                    .map(|(index, column)| format!("{column}={}", shown(row.get_ref(index).unwrap())))
                    .collect();
                Ok(values.join(" "))
            });
            let mut rows: Vec<_> = rows.unwrap().map(Result::unwrap).collect();
            rows.sort();
            (table, rows)
        })
        .collect()
}

fn shown(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        ValueRef::Blob(bytes) => hex(bytes),
        ValueRef::Real(_) => panic!("there are no such columns"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold("x".to_owned(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// Partitions are parts of their table; what the engine alone needs is left out: its timeline behind the name of the log too.
pub(super) async fn of_postgres(url: &str) -> Contents {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let tables = "SELECT relname::text, (SELECT string_agg(attname, ', ' ORDER BY attname COLLATE \"C\") FROM pg_attribute \
         WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) FROM pg_class c \
         WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition \
         AND relname NOT IN ('schema_migration', 'transaction_mark')";
    let mut contents = Contents::new();
    for table in client.query(tables, &[]).await.unwrap() {
        let (name, columns): (String, String) = (table.get(0), table.get(1));
        let rows = client
            .query(&format!("SELECT {columns} FROM {name}"), &[])
            .await
            .unwrap();
        let mut rows: Vec<_> = rows.iter().map(row).collect();
        rows.sort();
        contents.insert(name, rows);
    }
    drop(client);
    drop(connection.await);
    contents
}

fn row(row: &tokio_postgres::Row) -> String {
    let columns = row.columns().iter().enumerate();
    let values: Vec<_> = columns
        .map(|(index, column)| {
            let value = match *column.type_() {
                Type::INT8 => row.get::<_, Option<i64>>(index).map(|number| number.to_string()),
                Type::BOOL => row
                    .get::<_, Option<bool>>(index)
                    .map(|flag| u8::from(flag).to_string()),
                Type::TEXT => row.get::<_, Option<&str>>(index).map(|text| {
                    let name = text.strip_suffix("@00000001");
                    name.unwrap_or(text).to_owned()
                }),
                Type::BYTEA => row.get::<_, Option<&[u8]>>(index).map(hex),
                Type::UUID => row
                    .get::<_, Option<uuid::Uuid>>(index)
                    .map(|id| hex(id.as_bytes())),
                Type::INT8_ARRAY => row.get::<_, Option<Vec<i64>>>(index).map(|numbers| {
                    let bytes: Vec<_> = numbers.into_iter().flat_map(i64::to_be_bytes).collect();
                    hex(&bytes)
                }),
                ref other => panic!("{other} in {}", column.name()),
            };
            format!("{}={}", column.name(), value.unwrap_or_else(|| "NULL".to_owned()))
        })
        .collect();
    values.join(" ")
}

/// The only number of a query.
pub(super) async fn one(url: &str, query: &str) -> i64 {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let one = client.query_one(query, &[]).await.unwrap().get(0);
    drop(client);
    drop(connection.await);
    one
}
