use super::*;

const FIRST: Migration = Migration {
    version: 1,
    name: "0001_first",
    sql: "CREATE TABLE a (x INTEGER) STRICT;",
};
const SECOND: Migration = Migration {
    version: 2,
    name: "0002_second",
    sql: "CREATE TABLE b (x INTEGER) STRICT;",
};
const EDITED: Migration = Migration {
    version: 1,
    name: "0001_first",
    sql: "CREATE TABLE a (y INTEGER) STRICT;",
};
const BROKEN: Migration = Migration {
    version: 2,
    name: "0002_broken",
    sql: "CREATE TABLE c (x INTEGER) STRICT; CREATE NONSENSE;",
};

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
fn the_embedded_migrations_are_numbered_without_gaps() {
    for (index, migration) in MIGRATIONS.iter().enumerate() {
        assert_eq!(migration.version, i64::try_from(index).unwrap() + 1);
        assert!(migration.name.starts_with(&format!("{:04}_", migration.version)));
    }
}
