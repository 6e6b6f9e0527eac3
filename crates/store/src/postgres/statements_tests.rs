//! Every statement against an empty migrated database: names, types, and the way to the rows.

use deadpool_postgres::ClientWrapper;

use super::statements::Sql;
use super::template;
use super::{
    PostgresOptions, PostgresStore, approvals, asserted, assertion_audiences, audit, clients, codes,
    consents, devices, ending, exchange, grants, id_jag, issuances, keys, own, partitions, refresh,
    registration, resources, revocations, served, sessions, spent, sweep, throttle, trusted_issuers, turn,
    users, work,
};

pub(super) fn all() -> impl Iterator<Item = &'static Sql> {
    [
        approvals::STATEMENTS,
        asserted::STATEMENTS,
        assertion_audiences::STATEMENTS,
        audit::STATEMENTS,
        clients::STATEMENTS,
        codes::STATEMENTS,
        consents::STATEMENTS,
        exchange::STATEMENTS,
        devices::STATEMENTS,
        ending::STATEMENTS,
        grants::STATEMENTS,
        id_jag::STATEMENTS,
        issuances::STATEMENTS,
        keys::STATEMENTS,
        own::STATEMENTS,
        partitions::STATEMENTS,
        refresh::STATEMENTS,
        registration::STATEMENTS,
        resources::STATEMENTS,
        revocations::STATEMENTS,
        sessions::STATEMENTS,
        served::STATEMENTS,
        spent::STATEMENTS,
        sweep::STATEMENTS,
        throttle::STATEMENTS,
        trusted_issuers::STATEMENTS,
        turn::STATEMENTS,
        users::STATEMENTS,
        work::STATEMENTS,
    ]
    .into_iter()
    .flatten()
}

/// The plan of a statement for unknown values, in the lines of this kind of `EXPLAIN`.
pub(super) async fn plan(db: &ClientWrapper, sql: &Sql, explain: &str) -> Vec<String> {
    let parameters = db.prepare(sql.text()).await.unwrap().params().len();
    let nulls = vec!["NULL"; parameters].join(", ");
    let call = if parameters == 0 {
        String::new()
    } else {
        format!("({nulls})")
    };
    db.batch_execute(&format!("PREPARE planned AS {}", sql.text()))
        .await
        .unwrap();
    let lines = lines(db, &format!("{explain} EXECUTE planned{call}")).await;
    db.batch_execute("DEALLOCATE planned").await.unwrap();
    lines
}

/// The first column of what a query answers.
pub(super) async fn lines(db: &ClientWrapper, query: &str) -> Vec<String> {
    let rows = db.simple_query(query).await.unwrap();
    rows.iter()
        .filter_map(|row| match row {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
        .collect()
}

pub(super) fn has_plan(sql: &Sql) -> bool {
    !sql.text().starts_with("LOCK")
}

/// A store on a new database, and what has to live as long as it.
pub(super) async fn opened() -> Option<(PostgresStore, super::cluster::Database)> {
    let database = template::database().await?;
    let store = PostgresStore::open(&database.url(), &PostgresOptions::default())
        .await
        .unwrap();
    Some((store, database))
}

#[tokio::test]
async fn every_statement_prepares_and_finds_its_rows_by_an_index() {
    let Some((store, _database)) = opened().await else {
        return;
    };
    let db = store.pool.get().await.unwrap();
    // A planner that reads whole tables only when it has to.
    db.batch_execute("SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan")
        .await
        .unwrap();
    for sql in all() {
        if let Err(error) = db.prepare(sql.text()).await {
            panic!("{}: {:?}", sql.name, error.as_db_error());
        }
    }
    for sql in all().filter(|sql| has_plan(sql) && !sql.scans) {
        let scans: Vec<_> = plan(&db, sql, "EXPLAIN (COSTS OFF)")
            .await
            .into_iter()
            .filter(|line| line.contains("Seq Scan"))
            .collect();
        assert_eq!(scans, Vec::<String>::new(), "{}", sql.name);
    }
}
