//! What the planner does with every statement when the tables have grown: it reads by an index, and sorts nothing whose
//! length grows with what is stored.

use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use serde_json::Value;

use super::PostgresStore;
use super::statements::Sql;
use super::statements_tests::{self, all, has_plan, opened};
use crate::{Partitioned, Store as _, UnixSeconds};

/// How many times as many rows there are as are enough. `DOORWARD_TEST_PLANS=200` makes ten million grants, and takes long.
const TIMES: &str = "DOORWARD_TEST_PLANS";

/// Enough that no table fits into a few pages. A hundred grants a client, ten a person, and a thousand a resource.
const GROWN: &str = "
    SET statement_timeout = 0;
    INSERT INTO resource (slug, uri, display_name, scopes, created_at, updated_at)
        SELECT 'r' || i, 'https://r' || i, 'R', '[]', i, i FROM generate_series(1, 2000 * :times) i;
    INSERT INTO client (client_id, source, metadata, secrets, fingerprint, disabled, created_at, updated_at)
        SELECT 'c' || i, 'dynamic', repeat('m', 300), '[]', 'f', FALSE, i, i FROM generate_series(1, 5000 * :times) i;
    INSERT INTO person (id, email, email_key, name, disabled, created_at, updated_at)
        SELECT md5('p' || i)::uuid, 'e' || i, 'e' || i, 'Ada', FALSE, i, i FROM generate_series(1, 5000 * :times) i;
    INSERT INTO session (id, user_id, authenticated_at, methods, last_seen_at, expires_at)
        SELECT sha256(('s' || i)::bytea), md5('p' || i)::uuid, i, '[]', i, i FROM generate_series(1, 5000 * :times) i;
    INSERT INTO login_throttle (key_digest, attempts, last_at, forget_at)
        SELECT sha256(('t' || i)::bytea), 1, i, i FROM generate_series(1, 5000 * :times) i;
    INSERT INTO spent (digest, expires_at) SELECT sha256(('x' || i)::bytea), i FROM generate_series(1, 5000 * :times) i;
    INSERT INTO consent (user_id, client_id, resource, scopes, fingerprint, redirect_uris, granted_at)
        SELECT md5('p' || 1 + i % (5000 * :times))::uuid, 'c' || 1 + i % (500 * :times), 'https://r' || 1 + i % (50 * :times), 's', 'f', '[]', i
        FROM generate_series(1, 50000 * :times) i ON CONFLICT DO NOTHING;
    INSERT INTO access_grant (id, user_id, subject, client_id, resource, scopes, state, end_reason, ended_at, created_at,
        authenticated_at, methods, generation, generation_at, earlier, refresh_salt, refresh_expires_at, last_used_at, trusted_issuer)
        SELECT lpad(to_hex(i), 32, '0')::uuid,
            CASE WHEN i % 20 = 0 THEN '00000000-0000-0000-0000-000000000000' ELSE md5('p' || 1 + i % (5000 * :times)) END::uuid,
            'p' || i, 'c' || 1 + i % (500 * :times), 'https://r' || 1 + i % (50 * :times), 's',
            (ARRAY['pending', 'ended', 'active', 'active', 'active', 'active'])[1 + i % 6],
            CASE WHEN i % 6 = 1 THEN 'expired' END, CASE WHEN i % 6 = 1 THEN i END, i, i, '[]', 1, i, '{}',
            decode(left(md5(i::text), 32), 'hex'), CASE WHEN i % 10 > 0 THEN i END, i,
            CASE WHEN i % 30 = 0 THEN 'i' || i % (900 * :times) END
        FROM generate_series(1, 50000 * :times) i;
    INSERT INTO grant_further (grant_id, resource)
        SELECT lpad(to_hex(i), 32, '0')::uuid, 'https://r' || 1 + 50 * :times + i % (50 * :times) FROM generate_series(1, 20000 * :times) i;
    INSERT INTO code (digest, request_id, grant_id, session_id, client_id, redirect_uri, code_challenge, stay_connected,
        expires_at, redeemed_at)
        SELECT sha256(('d' || i)::bytea), sha256(('q' || i)::bytea), lpad(to_hex(i), 32, '0')::uuid,
            sha256(('s' || 1 + i % (5000 * :times))::bytea), 'c' || 1 + i % (500 * :times), 'u', 'x', TRUE, i, CASE WHEN i % 9 > 0 THEN i END
        FROM generate_series(1, 50000 * :times) i;
    INSERT INTO issuance (jti, grant_id, client_id, subject, resource, scopes, issued_at, expires_at, parent)
        SELECT lpad(to_hex(((1799900000 + i * 30 / :times)::bigint * 1000) >> 16), 8, '0') || '-'
                || lpad(to_hex(((1799900000 + i * 30 / :times)::bigint * 1000) & 65535), 4, '0') || '-7' || left(md5(i::text), 20),
            lpad(to_hex(i), 32, '0')::uuid, 'c' || 1 + i % (500 * :times), 'p', 'https://r', 's', i, 1799900000 + i * 30 / :times,
            CASE WHEN i % 10 = 0 THEN 'parent' || i END
        FROM generate_series(1, 50000 * :times) i;
    INSERT INTO device_authorization (digest, user_code, client_id, resources, scopes, fingerprint, address, wait, denied,
        created_at, expires_at)
        SELECT sha256(('d' || i)::bytea), sha256(('u' || i)::bytea), 'c' || 1 + i % (500 * :times), '[]', 's', 'f', 'a', 5, FALSE, i, i
        FROM generate_series(1, 5000 * :times) i;
    INSERT INTO trusted_issuer (slug, kind, issuer, terms, disabled, created_at, updated_at)
        SELECT 'i' || i, 'identity_provider', 'https://i' || i, '{}', FALSE, i, i FROM generate_series(1, 2000 * :times) i;
    INSERT INTO linked_subject (trusted_issuer, subject, user_id, created_at)
        SELECT 'i' || 1 + i % (900 * :times), 's' || i, md5('p' || i)::uuid, i FROM generate_series(1, 5000 * :times) i;
    INSERT INTO assertion_audience (slug, issuer, terms, disabled, created_at, updated_at)
        SELECT 'a' || i, 'https://a' || i, '{}', FALSE, i, i FROM generate_series(1, 2000 * :times) i;
    INSERT INTO initial_access_token (id, digest, name, created_at, expires_at)
        SELECT md5('t' || i)::uuid, sha256(('t' || i)::bytea), 't', i, i FROM generate_series(1, 2000 * :times) i;
    INSERT INTO admin_key (digest, name, created_at)
        SELECT sha256(('a' || i)::bytea), 'a', i FROM generate_series(1, 2000 * :times) i;
    INSERT INTO audit_event (id, at, action, actor_kind, client_id, grant_id, subject, request_id, detail)
        SELECT md5('v' || i)::uuid, i, 'token.revoked', 'system', 'c' || 1 + i % (5000 * :times), md5('g' || i)::uuid,
            'p' || 1 + i % (5000 * :times), 'q' || i, '{}'
        FROM generate_series(1, 50000 * :times) i;
    INSERT INTO transaction_mark (made_at, id) SELECT i, md5('m' || i)::uuid FROM generate_series(1, 20000 * :times) i;
    INSERT INTO revocation (jti, revoked_at) SELECT 'j' || i, i FROM generate_series(1, 20000 * :times) i;
    ANALYZE;
";
/// Tables that stay small whatever is stored, and one-row tables.
const SMALL: &[&str] = &[
    "signing_key",
    "server_secret",
    "heartbeat",
    "revocation_log",
    "served",
    "schema_migration",
    "change_count",
    "pg_class",
    "pg_inherits",
    "pg_attribute",
];

/// What is wrong with a plan, from its root down.
fn faults(node: &Value, found: &mut Vec<String>) {
    let text = |name: &str| node[name].as_str().unwrap_or_default();
    let rows = node["Plan Rows"].as_f64().unwrap_or_default();
    let kind = text("Node Type");
    match kind {
        "Seq Scan" if !SMALL.contains(&text("Relation Name")) => {
            found.push(format!("reads all of {}", text("Relation Name")));
        }
        // A page's rows, or a device's: not what grows.
        "Sort" | "Incremental Sort" if rows > 2000.0 => found.push(format!("sorts {rows} rows")),
        "Hash" if rows > 2000.0 => found.push(format!("puts {rows} rows into a hash table")),
        _ => {}
    }
    for child in node["Plans"].as_array().into_iter().flatten() {
        faults(child, found);
    }
}

async fn plan(db: &ClientWrapper, sql: &Sql) -> Value {
    root(&statements_tests::plan(db, sql, "EXPLAIN (FORMAT JSON)").await)
}

async fn explain(db: &ClientWrapper, sql: &str) -> Value {
    root(&statements_tests::lines(db, sql).await)
}

/// The root of a plan that was asked for as JSON.
fn root(lines: &[String]) -> Value {
    let plans: Value = serde_json::from_str(&lines.concat()).unwrap();
    plans[0]["Plan"].clone()
}

/// A store with partitions and many rows, and what has to live as long as it.
async fn grown() -> Option<(PostgresStore, super::cluster::Database)> {
    let (store, database) = opened().await?;
    let month = Duration::from_hours(30 * 24);
    store
        .keep_partitions(Partitioned::Issuances, UnixSeconds(1_800_000_000), month)
        .await
        .unwrap();
    let db = store.pool.get().await.unwrap();
    let times = std::env::var(TIMES).unwrap_or_else(|_| "1".to_owned());
    db.batch_execute(&GROWN.replace(":times", &times)).await.unwrap();
    drop(db);
    Some((store, database))
}

/// With the settings of the server as they are; plans are for unknown values, as the program has them made.
#[tokio::test]
async fn statements_find_their_rows_by_an_index_in_tables_that_have_grown() {
    let Some((store, _database)) = grown().await else {
        return;
    };
    let db = store.pool.get().await.unwrap();
    let mut all_found = Vec::new();
    for sql in all().filter(|sql| has_plan(sql) && !sql.scans) {
        let mut found = Vec::new();
        faults(&plan(&db, sql).await, &mut found);
        all_found.extend(found.into_iter().map(|fault| format!("{} {fault}", sql.name)));
    }
    assert_eq!(all_found, Vec::<String>::new());
}

/// A plan is kept until the tables were analysed, which is a minute away at best: the first grants choose it for many.
#[tokio::test]
async fn a_rotation_goes_to_its_grant_also_when_it_was_planned_with_a_few_of_them() {
    let Some((store, _database)) = opened().await else {
        return;
    };
    let db = store.pool.get().await.unwrap();
    let rotation = all().find(|sql| sql.name == "ROTATE_AT_ONCE").unwrap();
    for grants in [0, 1, 8, 50] {
        let some = format!(
            "INSERT INTO access_grant (id, user_id, subject, client_id, resource, scopes, state, created_at, authenticated_at, \
             methods, generation, generation_at, earlier, refresh_salt, refresh_expires_at, last_used_at) \
             SELECT gen_random_uuid(), gen_random_uuid(), 's', 'c', 'r', '[]', 'active', 1, 1, '[]', 1, 1, '{{}}', \
             decode(repeat('00', 16), 'hex'), 9, 1 FROM generate_series(1, {grants})"
        );
        db.batch_execute(&some).await.unwrap();
        let mut ways = Vec::new();
        visit(&plan(&db, rotation).await, &mut |node| {
            if node["Relation Name"] == "access_grant" && node["Node Type"] != "ModifyTable" {
                ways.push(format!("{} {}", node["Node Type"], node["Index Name"]));
            }
        });
        ways.sort();
        assert_eq!(
            ways,
            ["\"Index Scan\" \"access_grant_pkey\"", "\"Tid Scan\" null"],
            "{grants}"
        );
    }
}

#[tokio::test]
async fn a_plan_that_grows_with_the_tables_is_noticed() {
    let Some((store, _database)) = grown().await else {
        return;
    };
    let db = store.pool.get().await.unwrap();
    for (sql, fault) in [
        (
            "SELECT 1 FROM access_grant WHERE subject = $1",
            "reads all of access_grant",
        ),
        (
            "SELECT 1 FROM access_grant WHERE client_id > $1 ORDER BY created_at LIMIT 5",
            "sorts",
        ),
        (
            "SELECT count(*) FROM code c JOIN access_grant g ON g.id = c.grant_id WHERE c.client_id > $1",
            "into a hash table",
        ),
    ] {
        let mut found = Vec::new();
        faults(&plan(&db, &Sql::new("BAD", false, sql)).await, &mut found);
        assert!(
            found.iter().any(|found| found.contains(fault)),
            "{sql}: {found:?}"
        );
    }
}

/// However many there are, a page is read and no more.
#[tokio::test]
async fn a_page_of_grants_reads_one_page() {
    let Some((store, _database)) = grown().await else {
        return;
    };
    let db = store.pool.get().await.unwrap();
    for (name, key) in [
        ("PAGE", "NULL, NULL, NULL"),
        ("PAGE_OF_CLIENT", "NULL, 'c7', NULL"),
        ("PAGE_ON_RESOURCE", "NULL, NULL, 'https://r7'"),
        ("PAGE_ON_RESOURCE", "NULL, NULL, 'https://r57'"),
    ] {
        let sql = all().find(|sql| sql.name == name).unwrap();
        db.batch_execute(&format!("PREPARE page AS {}", sql.text()))
            .await
            .unwrap();
        let page = format!(
            "EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE page ({key}, NULL, 'ffffffff-ffff-ffff-ffff-ffffffffffff', 11)"
        );
        let root = explain(&db, &page).await;
        db.batch_execute("DEALLOCATE page").await.unwrap();
        // 11.0 since PostgreSQL 18, which tells the mean of all loops to two places.
        assert_eq!(root["Actual Rows"].as_f64(), Some(11.0), "{root:#}");
        let mut most = 0.0_f64;
        visit(&root, &mut |node| {
            let rows = node["Actual Rows"].as_f64().unwrap() * node["Actual Loops"].as_f64().unwrap();
            most = most.max(rows + node["Rows Removed by Filter"].as_f64().unwrap_or_default());
        });
        assert!(most < 40.0, "{name} reads {most} rows: {root:#}");
    }
}

/// A client may have very many grants.
#[tokio::test]
async fn grants_of_a_client_that_wait_are_found_among_those_that_wait() {
    let Some((store, _database)) = grown().await else {
        return;
    };
    let db = store.pool.get().await.unwrap();
    let sql = all().find(|sql| sql.name == "END_PENDING_OF_CLIENT").unwrap();
    let mut indexes = Vec::new();
    visit(&plan(&db, sql).await, &mut |node| {
        indexes.extend(node["Index Name"].as_str().map(str::to_owned));
    });
    assert_eq!(indexes, ["grant_pending_client"]);
}

fn visit(node: &Value, look: &mut impl FnMut(&Value)) {
    look(node);
    for child in node["Plans"].as_array().into_iter().flatten() {
        visit(child, look);
    }
}

/// One partition is looked into for a token, chosen when the statement runs.
#[tokio::test]
async fn a_token_is_looked_for_in_its_partition_alone() {
    let Some((store, _database)) = grown().await else {
        return;
    };
    let db = store.pool.get().await.unwrap();
    db.batch_execute("PREPARE token AS SELECT * FROM issuance WHERE jti = $1")
        .await
        .unwrap();
    let sql = "EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE token('01a318d5-9800-7000-8000-000000000000')";
    let root = explain(&db, sql).await;
    let partitions = root["Plans"].as_array().map_or(0, Vec::len);
    assert_eq!(
        (root["Node Type"].as_str(), partitions),
        (Some("Append"), 1),
        "{root:#}"
    );
    assert_eq!(root["Subplans Removed"], 3);
}
