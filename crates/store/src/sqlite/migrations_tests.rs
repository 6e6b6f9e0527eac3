use super::*;
use crate::rules::schema::tests::assert_honest;

const FIRST: Migration = Migration {
    version: 1,
    name: "0001_first",
    sql: "CREATE TABLE a (x INTEGER) STRICT;",
    breaks_older: true,
    index: None,
};
const SECOND: Migration = Migration {
    version: 2,
    name: "0002_second",
    sql: "CREATE TABLE b (x INTEGER) STRICT;",
    breaks_older: true,
    index: None,
};
const EDITED: Migration = Migration {
    version: 1,
    name: "0001_first",
    sql: "CREATE TABLE a (y INTEGER) STRICT;",
    breaks_older: true,
    index: None,
};
const BROKEN: Migration = Migration {
    version: 2,
    name: "0002_broken",
    sql: "CREATE TABLE c (x INTEGER) STRICT; CREATE NONSENSE;",
    breaks_older: true,
    index: None,
};

/// Keeps programs working that do not know it.
const KIND: Migration = Migration {
    version: 3,
    name: "0003_kind",
    sql: "CREATE TABLE d (x INTEGER) STRICT;",
    breaks_older: false,
    index: None,
};
/// Steps whose text looks like breaking and which are not: name, and why.
const LOOKED_AT: &[(&str, &str)] = &[
    (
        "0003_grants_of_clients",
        "the index holds grants without a person, which older programs do not make",
    ),
    (
        "0006_trusted_issuers",
        "the index holds grants with an issuer, which older programs do not make",
    ),
    (
        "0012_registration_tokens",
        "the trigger is made anew, without a column that no program remembers",
    ),
];

fn database() -> Connection {
    Connection::open_in_memory().unwrap()
}

fn refusal(result: Result<()>) -> String {
    match result {
        Err(StoreError::Unusable(why)) => why,
        other => panic!("not refused: {other:?}"),
    }
}

fn tables(db: &Connection) -> Vec<String> {
    let mut statement = db
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        .unwrap();
    statement
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<rusqlite::Result<_>>()
        .unwrap()
}

#[test]
fn migrations_run_once_and_in_order() {
    let mut db = database();
    apply(&mut db, &[FIRST]).unwrap();
    apply(&mut db, &[FIRST]).unwrap();
    apply(&mut db, &[FIRST, SECOND]).unwrap();
    assert_eq!(tables(&db), ["a", "b", "schema_migration"]);
}

#[test]
fn an_edited_migration_is_refused() {
    let mut db = database();
    apply(&mut db, &[FIRST]).unwrap();
    assert!(refusal(apply(&mut db, &[EDITED])).contains("was edited"));
}

#[test]
fn a_newer_database_is_refused() {
    let mut db = database();
    apply(&mut db, &[FIRST, SECOND]).unwrap();
    assert!(refusal(apply(&mut db, &[FIRST])).contains("0002_second"));
}

#[test]
fn a_missing_migration_is_refused() {
    let mut db = database();
    apply(&mut db, &[SECOND]).unwrap();
    assert!(refusal(apply(&mut db, &[FIRST, SECOND])).contains("another way"));
}

#[test]
fn a_failed_migration_leaves_nothing_behind() {
    let mut db = database();
    apply(&mut db, &[FIRST]).unwrap();
    assert!(refusal(apply(&mut db, &[FIRST, BROKEN])).contains("0002_broken"));
    assert_eq!(tables(&db), ["a", "schema_migration"]);
    apply(&mut db, &[FIRST, SECOND]).unwrap();
}

#[test]
fn another_programs_database_is_refused() {
    let mut db = database();
    db.execute_batch("CREATE TABLE precious (x INTEGER)").unwrap();
    assert!(refusal(migrate(&mut db)).contains("another program"));
    assert_eq!(tables(&db), ["precious"]);
}

#[test]
fn line_ends_do_not_count_as_an_edit() {
    assert_eq!(checksum("a\r\nb"), checksum("a\nb"));
    assert_ne!(checksum("a\nb"), checksum("a\nc"));
}

#[test]
fn the_embedded_migrations_are_numbered_and_say_whether_they_break_older_programs() {
    assert_honest(MIGRATIONS, LOOKED_AT);
}

#[test]
fn a_newer_step_that_keeps_older_programs_working_is_no_reason_to_refuse() {
    let mut db = database();
    apply(&mut db, &[FIRST, SECOND, KIND]).unwrap();
    apply(&mut db, &[FIRST, SECOND]).unwrap();
    assert!(refusal(apply(&mut db, &[FIRST])).contains("0002_second"));
    assert_eq!(tables(&db), ["a", "b", "d", "schema_migration"]);
    apply(&mut db, &[FIRST, SECOND, KIND]).unwrap();
}

/// Every version whose program is not shut out by a breaking step that came after it.
#[test]
fn the_versions_before_can_start_again_after_an_upgrade() {
    let mut db = database();
    migrate(&mut db).unwrap();
    for have in 1..MIGRATIONS.len() {
        let breaks = MIGRATIONS[have..].iter().any(|step| step.breaks_older);
        assert_eq!(apply(&mut db, &MIGRATIONS[..have]).is_err(), breaks, "{have}");
    }
}

/// A database of the time before the journal said so: its steps promise nothing.
#[test]
fn a_journal_without_promises_gets_the_column_and_promises_nothing() {
    let mut db = database();
    migrate(&mut db).unwrap();
    db.execute_batch("ALTER TABLE schema_migration DROP COLUMN breaks_older")
        .unwrap();
    // Looking at it changes nothing.
    let schema = known(&db).unwrap();
    assert_eq!(
        (schema.last.as_str(), schema.steps_behind),
        (MIGRATIONS.last().unwrap().name, 0)
    );
    assert!(!has_breaks_older(&db).unwrap());
    assert!(refusal(apply(&mut db, &MIGRATIONS[..1])).contains("cannot work with"));
    migrate(&mut db).unwrap();
    assert!(has_breaks_older(&db).unwrap());
    assert!(journal(&db).unwrap().iter().all(|step| step.breaks_older));
}

/// Keys of a database from before they had times of their own.
#[test]
fn the_signing_key_that_signed_signs_on_and_the_one_before_has_stopped() {
    let mut db = database();
    apply(&mut db, &MIGRATIONS[..7]).unwrap();
    db.execute_batch(
        "INSERT INTO signing_key (key_id, algorithm, sealed_private_key, state, created_at, retired_at)
         VALUES ('first', 'ES256', x'01', 'previous', 100, 200), ('second', 'ES256', x'02', 'active', 200, NULL)",
    )
    .unwrap();
    migrate(&mut db).unwrap();
    let keys = crate::sqlite::keys::signing_keys(&db).unwrap();
    let now = doorward_oauth::time::UnixSeconds(300);
    assert_eq!(crate::signing_keys::signer(&keys, now).unwrap().key_id, "second");
    assert_eq!(
        crate::signing_keys::stops_at(&keys, 1),
        Some(doorward_oauth::time::UnixSeconds(200))
    );
}
