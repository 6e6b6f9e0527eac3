//! Every statement against an empty migrated database: names, syntax, and the way to the rows.

use rusqlite::Connection;

use super::statements::Sql;
use super::{
    approvals, asserted, assertion_audiences, audit, clients, codes, consents, devices, ending, exchange,
    grants, id_jag, issuances, keys, migrations, own, refresh, registration, resources, revocations, served,
    sessions, spent, sweep, throttle, trusted_issuers, users, writer,
};

fn all() -> impl Iterator<Item = &'static Sql> {
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
        migrations::STATEMENTS,
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
        users::STATEMENTS,
        writer::STATEMENTS,
    ]
    .into_iter()
    .flatten()
}

fn database() -> Connection {
    let mut db = Connection::open_in_memory().unwrap();
    migrations::migrate(&mut db).unwrap();
    db
}

/// The lines of the query plan.
fn plan(db: &Connection, sql: &Sql) -> Vec<String> {
    let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {}", sql.text())).unwrap();
    let nulls = vec![rusqlite::types::Null; statement.parameter_count()];
    let plan = statement
        .query_map(rusqlite::params_from_iter(nulls), |row| {
            row.get::<_, String>("detail")
        })
        .unwrap();
    plan.collect::<rusqlite::Result<_>>().unwrap()
}

/// The lines of the query plan that read a whole table or sort.
fn walks(db: &Connection, sql: &Sql) -> Vec<String> {
    let bad = |line: &String| {
        (line.starts_with("SCAN") && line != "SCAN CONSTANT ROW") || line.contains("TEMP B-TREE")
    };
    plan(db, sql).into_iter().filter(bad).collect()
}

fn has_plan(sql: &Sql) -> bool {
    ["SELECT", "INSERT", "UPDATE", "DELETE"]
        .iter()
        .any(|word| sql.text().starts_with(word))
}

#[test]
fn every_statement_prepares() {
    let db = database();
    db.execute_batch("SAVEPOINT operation").unwrap();
    for sql in all() {
        if let Err(error) = db.prepare(sql.text()) {
            panic!("{}: {error}", sql.name);
        }
    }
}

#[test]
fn statements_find_their_rows_by_an_index() {
    let db = database();
    for sql in all().filter(|sql| has_plan(sql) && !sql.scans) {
        assert_eq!(walks(&db, sql), Vec::<String>::new(), "{}", sql.name);
    }
}

#[test]
fn only_statements_that_walk_are_marked_so() {
    let db = database();
    for sql in all().filter(|sql| sql.scans) {
        assert_ne!(
            walks(&db, sql),
            Vec::<String>::new(),
            "{} needs no mark",
            sql.name
        );
    }
}

/// A client may have very many grants.
#[test]
fn grants_of_a_client_that_wait_are_found_among_those_that_wait() {
    let db = database();
    let sql = all().find(|sql| sql.name == "END_PENDING_OF_CLIENT").unwrap();
    let plan = plan(&db, sql);
    assert!(
        plan.iter().any(|line| line.contains("grant_pending_client")),
        "{plan:?}"
    );
}
