//! Rows that are past their use, for the job that removes them while its node dies.

use std::time::Duration;

use anyhow::ensure;
use rusqlite::Connection;
use tokio::time::{Instant, sleep};

use crate::clock::true_time;
use crate::site::Site;

/// A node looks once a minute, and its look may come to nothing when others use a table that is to be dropped.
const GONE: Duration = Duration::from_secs(150);

/// The name of a partition whose days are over, as the server gives it.
const PARTITION: &str = "issuance_20240101_20240108";

/// What is inserted, and how it is told from the rest.
const KINDS: [(&str, &str); 6] = [
    ("spent", "expires_at = 1000"),
    ("audit_event", "action = 'past'"),
    ("code", "client_id = 'past'"),
    ("access_grant", "client_id = 'past'"),
    ("client", "client_id LIKE 'past-%'"),
    ("issuance", "client_id = 'past'"),
];

/// Many batches of what was used, and more than one of the rest. The log stays as the node left it.
const ON_SQLITE: &str = "
    PRAGMA wal_autocheckpoint = 0;
    BEGIN IMMEDIATE;
    CREATE TEMP TABLE number AS WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 5000) SELECT n FROM counted;
    INSERT INTO spent (digest, expires_at) SELECT randomblob(32), 1000 FROM number;
    INSERT INTO audit_event (id, at, action, actor_kind, detail) SELECT randomblob(16), 1000, 'past', 'system', '{}' FROM number WHERE n <= 600;
    INSERT INTO access_grant (id, user_id, subject, client_id, resource, scopes, state, end_reason, ended_at, created_at, authenticated_at,
        methods, generation, generation_at, earlier, refresh_salt, last_used_at)
    SELECT randomblob(16), randomblob(16), 'past', 'past', 'https://past.example.com', '[]', 'ended', 'revoked', 1000, 1000, 1000,
        '[]', 0, 1000, x'', randomblob(16), 1000 FROM number WHERE n <= 600;
    INSERT OR IGNORE INTO code (digest, request_id, grant_id, session_id, client_id, redirect_uri, code_challenge, stay_connected, expires_at)
    SELECT randomblob(32), randomblob(32), id, x'00', 'past', '', '', 0, 1000 FROM access_grant WHERE client_id = 'past';
    INSERT INTO client (client_id, source, metadata, secrets, fingerprint, disabled, created_at, updated_at)
    SELECT 'past-' || hex(randomblob(8)), 'dynamic', '{}', '[]', '', 0, 1000, 1000 FROM number WHERE n <= 600;
    INSERT INTO issuance (jti, grant_id, client_id, subject, resource, scopes, issued_at, expires_at)
    SELECT 'past-' || hex(randomblob(8)), x'00', 'past', 'past', '', '[]', 1000, 1000 FROM number WHERE n <= 600;
    COMMIT;";

/// The same; and a partition, besides what is in the default one. No node drops it between its making and its filling: what is
/// inserted would be in the default one, and keep the next one from being made.
const ON_POSTGRES: [&str; 6] = [
    "INSERT INTO spent (digest, expires_at) SELECT sha256(gen_random_uuid()::text::bytea), 1000 FROM generate_series(1, 5000)",
    "INSERT INTO audit_event (id, at, action, actor_kind, detail)
     SELECT gen_random_uuid(), 1000, 'past', 'system', '{}' FROM generate_series(1, 600)",
    "WITH ended AS (
        INSERT INTO access_grant (id, user_id, subject, client_id, resource, scopes, state, end_reason, ended_at, created_at, authenticated_at,
            methods, generation, generation_at, earlier, refresh_salt, last_used_at)
        SELECT gen_random_uuid(), gen_random_uuid(), 'past', 'past', 'https://past.example.com', '[]', 'ended', 'revoked', 1000, 1000, 1000,
            '[]', 0, 1000, '{}', substring(sha256(gen_random_uuid()::text::bytea) FOR 16), 1000 FROM generate_series(1, 600) RETURNING id)
     INSERT INTO code (digest, request_id, grant_id, session_id, client_id, redirect_uri, code_challenge, stay_connected, expires_at)
     SELECT sha256(id::text::bytea), sha256(('request ' || id)::bytea), id, '\\x00', 'past', '', '', false, 1000 FROM ended",
    "INSERT INTO client (client_id, source, metadata, secrets, fingerprint, disabled, created_at, updated_at)
     SELECT 'past-' || gen_random_uuid(), 'dynamic', '{}', '[]', '', false, 1000, 1000 FROM generate_series(1, 600)",
    "INSERT INTO issuance (jti, grant_id, client_id, subject, resource, scopes, issued_at, expires_at)
     SELECT 'past-' || gen_random_uuid(), gen_random_uuid(), 'past', 'past', '', '[]', 1000, 1000 FROM generate_series(1, 600)",
    "BEGIN;
     LOCK TABLE ONLY issuance IN SHARE UPDATE EXCLUSIVE MODE;
     CREATE TABLE IF NOT EXISTS issuance_20240101_20240108 PARTITION OF issuance FOR VALUES FROM ('018cc251-f400') TO ('018ce65e-7800');
     INSERT INTO issuance (jti, grant_id, client_id, subject, resource, scopes, issued_at, expires_at)
     SELECT '018cc300-0000-7000-8000' || right(gen_random_uuid()::text, 13), gen_random_uuid(), 'past', 'past', '', '[]', 1000, 1000
     FROM generate_series(1, 600);
     COMMIT",
];

/// More of them, beside nodes that run.
pub(super) async fn insert(site: &Site) -> anyhow::Result<()> {
    let Some(database) = &site.database else {
        return Ok(beside_the_node(site)?.execute_batch(ON_SQLITE)?);
    };
    let operator = database.connect().await?;
    for statement in ON_POSTGRES {
        operator.batch_execute(statement).await?;
    }
    Ok(())
}

/// All of them go, without anybody's doing.
pub(super) async fn is_gone(site: &Site) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let left = left(site).await?;
        if left.is_empty() {
            return Ok(());
        }
        ensure!(
            began.elapsed() < GONE,
            "what is past its use is still there after {} s: {left:?}",
            GONE.as_secs()
        );
        sleep(Duration::from_millis(200)).await;
    }
}

/// Waits until a node has removed what is past its use whose clock is an hour ahead. Others would not remove this: things are
/// kept for an hour after their use.
pub(super) async fn is_removed_by_a_fast_clock(site: &Site) -> anyhow::Result<()> {
    let half_an_hour_ago = true_time() - 1800;
    let which = format!("expires_at = {half_an_hour_ago}");
    let digest = "'an assertion of half an hour ago'";
    match &site.database {
        None => {
            let insert = format!("INSERT INTO spent VALUES (CAST({digest} AS BLOB), {half_an_hour_ago})");
            beside_the_node(site)?.execute_batch(&insert)?;
        }
        Some(database) => {
            let insert = format!("INSERT INTO spent VALUES ({digest}, {half_an_hour_ago})");
            database.connect().await?.batch_execute(&insert).await?;
        }
    }
    let began = Instant::now();
    while number(site, "spent", &which).await? > 0 {
        ensure!(
            began.elapsed() < GONE,
            "no node with a fast clock removes anything in {} s",
            GONE.as_secs()
        );
        sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// What is there, and how many.
async fn left(site: &Site) -> anyhow::Result<Vec<(&'static str, i64)>> {
    let mut left = Vec::new();
    for (table, which) in KINDS {
        left.push((table, number(site, table, which).await?));
    }
    if site.database.is_some() {
        let partition = format!("relname = '{PARTITION}'");
        left.push((PARTITION, number(site, "pg_class", &partition).await?));
    }
    left.retain(|(_, number)| *number > 0);
    Ok(left)
}

/// How many rows of a table are of a kind.
async fn number(site: &Site, table: &str, which: &str) -> anyhow::Result<i64> {
    let count = format!("SELECT count(*) FROM {table} WHERE {which}");
    Ok(match &site.database {
        Some(database) => database.connect().await?.query_one(&count, &[]).await?.get(0),
        None => beside_the_node(site)?.query_row(&count, (), |row| row.get(0))?,
    })
}

fn beside_the_node(site: &Site) -> anyhow::Result<Connection> {
    let operator = Connection::open(site.sqlite_file())?;
    operator.busy_timeout(Duration::from_secs(10))?;
    Ok(operator)
}
