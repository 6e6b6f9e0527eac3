use tokio::time::timeout;

use super::super::cluster;
use super::super::short_waits::within;
use super::*;
use crate::rules::schema::tests::{assert_honest, assert_nobody_waits};

const FIRST: Migration = Migration {
    version: 1,
    name: "0001_first",
    sql: "CREATE TABLE a (x BIGINT);",
    breaks_older: true,
    index: None,
};
const SECOND: Migration = Migration {
    version: 2,
    name: "0002_second",
    sql: "CREATE TABLE b (x BIGINT);",
    breaks_older: true,
    index: None,
};
const EDITED: Migration = Migration {
    version: 1,
    name: "0001_first",
    sql: "CREATE TABLE a (y BIGINT);",
    breaks_older: true,
    index: None,
};
const BROKEN: Migration = Migration {
    version: 2,
    name: "0002_broken",
    sql: "CREATE TABLE c (x BIGINT); CREATE NONSENSE;",
    breaks_older: true,
    index: None,
};

/// Keeps programs working that do not know it.
const KIND: Migration = Migration {
    version: 3,
    name: "0003_kind",
    sql: "CREATE TABLE d (x BIGINT);",
    breaks_older: false,
    index: None,
};
const LOCKING: Migration = Migration {
    version: 2,
    name: "0002_locking",
    sql: "ALTER TABLE a ADD COLUMN y BIGINT;",
    breaks_older: false,
    index: None,
};
const LOCKING_TOO: Migration = Migration {
    version: 3,
    name: "0003_locking_too",
    sql: "ALTER TABLE a ADD COLUMN z BIGINT;",
    breaks_older: false,
    index: None,
};
/// Steps whose text looks like breaking and which are not: name, and why.
const LOOKED_AT: &[(&str, &str)] = &[
    (
        "0002_grants_of_clients",
        "the index holds grants without a person, which older programs do not make",
    ),
    (
        "0005_trusted_issuers",
        "the index holds grants with an issuer, which older programs do not make",
    ),
    (
        "0009_growth",
        "the table that older programs name is the partitioned one, with the same columns; its rows stay",
    ),
    (
        "0012_registration_tokens",
        "the trigger is made anew, without a column that no program remembers",
    ),
];

/// Like an index on a large table.
const LONG: Migration = Migration {
    version: 1,
    name: "0001_long",
    sql: "SELECT pg_sleep(600);",
    breaks_older: false,
    index: None,
};

async fn with(db: &mut ClientWrapper, migrations: &[Migration]) -> Fallible<()> {
    apply(db, migrations, TRY_FOR).await
}

async fn connection(database: &cluster::Database) -> ClientWrapper {
    let (client, connection) = tokio_postgres::connect(&database.url(), tokio_postgres::NoTls)
        .await
        .unwrap();
    let task = tokio::spawn(async move { drop(connection.await) });
    ClientWrapper::new(client, task)
}

fn refusal(result: Fallible<()>) -> String {
    match result {
        Err(Fault::Refused(StoreError::Unusable(why))) => why,
        other => panic!("not refused: {other:?}"),
    }
}

async fn tables(db: &ClientWrapper) -> Vec<String> {
    let rows = db
        .query(
            "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1",
            &[],
        )
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn migrations_run_once_and_in_order() {
    let Some(database) = cluster::empty_database().await else {
        return;
    };
    let mut db = connection(&database).await;
    with(&mut db, &[FIRST]).await.unwrap();
    with(&mut db, &[FIRST]).await.unwrap();
    with(&mut db, &[FIRST, SECOND]).await.unwrap();
    assert_eq!(tables(&db).await, ["a", "b", "schema_migration"]);
}

#[tokio::test]
async fn edited_newer_and_missing_steps_are_refused() {
    let Some(database) = cluster::empty_database().await else {
        return;
    };
    let mut db = connection(&database).await;
    with(&mut db, &[FIRST]).await.unwrap();
    assert!(refusal(with(&mut db, &[EDITED]).await).contains("was edited"));
    with(&mut db, &[FIRST, SECOND]).await.unwrap();
    assert!(refusal(with(&mut db, &[FIRST]).await).contains("0002_second"));
    assert!(refusal(with(&mut db, &[SECOND]).await).contains("another way"));
}

#[tokio::test]
async fn a_failed_migration_leaves_nothing_behind() {
    let Some(database) = cluster::empty_database().await else {
        return;
    };
    let mut db = connection(&database).await;
    with(&mut db, &[FIRST]).await.unwrap();
    assert!(refusal(with(&mut db, &[FIRST, BROKEN]).await).contains("0002_broken"));
    assert_eq!(tables(&db).await, ["a", "schema_migration"]);
    with(&mut db, &[FIRST, SECOND]).await.unwrap();
}

#[tokio::test]
async fn another_programs_database_is_refused() {
    let Some(database) = cluster::empty_database().await else {
        return;
    };
    let mut db = connection(&database).await;
    db.batch_execute("CREATE TABLE precious (x BIGINT)")
        .await
        .unwrap();
    assert!(refusal(migrate(&mut db).await).contains("another program"));
    assert_eq!(tables(&db).await, ["precious"]);
}

#[test]
fn the_embedded_migrations_are_numbered_and_say_whether_they_break_older_programs() {
    assert_honest(MIGRATIONS, LOOKED_AT);
}

#[test]
fn no_step_since_the_first_sixteen_has_others_wait_while_it_reads_a_large_table() {
    assert_nobody_waits(MIGRATIONS, 16);
}

#[tokio::test]
async fn a_newer_step_that_keeps_older_programs_working_is_no_reason_to_refuse() {
    let Some(database) = cluster::empty_database().await else {
        return;
    };
    let mut db = connection(&database).await;
    with(&mut db, &[FIRST, SECOND, KIND]).await.unwrap();
    with(&mut db, &[FIRST, SECOND]).await.unwrap();
    assert!(refusal(with(&mut db, &[FIRST]).await).contains("0002_second"));
    assert_eq!(tables(&db).await, ["a", "b", "d", "schema_migration"]);
    with(&mut db, &[FIRST, SECOND, KIND]).await.unwrap();
}

/// Every version whose program is not shut out by a breaking step that came after it.
#[tokio::test]
async fn the_versions_before_can_start_again_after_an_upgrade() {
    let Some(database) = cluster::empty_database().await else {
        return;
    };
    let mut db = connection(&database).await;
    migrate(&mut db).await.unwrap();
    for have in 1..MIGRATIONS.len() {
        let breaks = MIGRATIONS[have..].iter().any(|step| step.breaks_older);
        assert_eq!(
            with(&mut db, &MIGRATIONS[..have]).await.is_err(),
            breaks,
            "{have}"
        );
    }
}

/// A database of the time before the journal said so: its steps promise nothing.
#[tokio::test]
async fn a_journal_without_promises_gets_the_column_and_promises_nothing() {
    let Some(database) = cluster::empty_database().await else {
        return;
    };
    let mut db = connection(&database).await;
    with(&mut db, &[FIRST, SECOND]).await.unwrap();
    db.batch_execute("ALTER TABLE schema_migration DROP COLUMN breaks_older")
        .await
        .unwrap();
    assert!(refusal(with(&mut db, &[FIRST]).await).contains("cannot work with"));
    with(&mut db, &[FIRST, SECOND, KIND]).await.unwrap();
    with(&mut db, &[FIRST, SECOND]).await.unwrap();
}

/// Whoever reads for long makes a step wait; the step makes others wait for `deadlock_timeout` and a quarter of a second
/// (1.25 s) at most, and comes again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_step_that_waits_for_a_table_lets_others_pass() {
    let Some(database) = cluster::empty_database().await else {
        return;
    };
    let mut db = connection(&database).await;
    with(&mut db, &[FIRST]).await.unwrap();
    let (reader, other) = (connection(&database).await, connection(&database).await);
    reader.batch_execute("BEGIN; SELECT * FROM a").await.unwrap();
    let step = tokio::spawn(async move { with(&mut db, &[FIRST, LOCKING]).await });
    let mut waited = Vec::new();
    for _ in 0..40 {
        let insert = other.batch_execute("INSERT INTO a VALUES (1)");
        let (inserted, passed) = within(Duration::from_mins(1), insert).await.unwrap();
        inserted.unwrap();
        waited.push(passed);
        sleep(Duration::from_millis(50)).await;
    }
    waited.sort_unstable();
    // One may meet a machine that stands still.
    assert!(waited[38] < Duration::from_secs(2), "{waited:?}");
    assert!(!step.is_finished(), "nothing was locked");
    reader.batch_execute("COMMIT").await.unwrap();
    step.await.unwrap().unwrap();

    let mut db = connection(&database).await;
    reader.batch_execute("BEGIN; SELECT * FROM a").await.unwrap();
    let gave_up = apply(&mut db, &[FIRST, LOCKING, LOCKING_TOO], Duration::ZERO).await;
    assert!(
        matches!(&gave_up, Err(Fault::Contended(why)) if why.contains("pg_stat_activity")),
        "{gave_up:?}"
    );
}

/// Whoever ends the program wants its work to end: the next start would wait for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_step_ends_soon_when_its_program_is_gone() {
    let Some(database) = cluster::empty_database().await else {
        return;
    };
    let (mut db, watch) = (connection(&database).await, connection(&database).await);
    let until_steps_at_work = async |wanted: i64| {
        let at_work = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
        while watch.query_one(at_work, &[]).await.unwrap().get::<_, i64>(0) != wanted {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let step = tokio::spawn(async move { with(&mut db, &[LONG]).await });
    until_steps_at_work(1).await;
    step.abort();
    timeout(Duration::from_mins(1), until_steps_at_work(0))
        .await
        .expect("the server goes on with a step of nobody");
}
