//! What cannot be moved is said, and both databases are as they were.

use std::time::Duration;

use doorward_store::moving::{Progress, Watch};
use doorward_store::{Store as _, StoreError};
use rusqlite::Connection;

use super::super::cluster::execute;
use super::{Places, carry_out, contents, kept, places_with_schema, refusal};

/// Nothing is in the new database, not even tables; and the old one is as it was.
async fn is_untouched(places: &Places, before: &contents::Contents) {
    assert_eq!(
        contents::of_postgres(&places.database.url()).await,
        contents::Contents::new()
    );
    assert_eq!(&contents::of_sqlite(&places.file()), before);
    let names: Vec<_> = std::fs::read_dir(places.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("mov"))
        .collect();
    assert!(names.is_empty(), "{names:?}");
    places.open_old().unwrap().ping().await.unwrap();
}

fn change(places: &Places, sql: &str) {
    Connection::open(places.file())
        .unwrap()
        .execute_batch(sql)
        .unwrap();
}

/// A sentence for each row that PostgreSQL does not take, after thousands that it took.
#[tokio::test]
async fn a_row_that_postgresql_cannot_hold_is_named_and_nothing_is_moved() {
    let Some(_) = Places::new().await else {
        return;
    };
    for (sql, sentences) in [
        (
            "INSERT INTO admin_key VALUES (zeroblob(32), 'a' || char(0) || 'b', 1)",
            [
                "PostgreSQL cannot hold name of the row of admin_key with digest 00000000",
                "a NUL character",
            ],
        ),
        (
            "UPDATE person SET name = CAST(x'ff' AS TEXT) WHERE email_key = 'a@7'",
            ["cannot hold name of the row of person with id ", "not UTF-8"],
        ),
        (
            "UPDATE access_grant SET earlier = x'00' WHERE subject = 's7'",
            ["cannot hold earlier of the row of access_grant", "another form"],
        ),
        // What fits into an index of SQLite alone.
        (
            "UPDATE resource SET uri = hex(randomblob(9000)) WHERE slug = 'slug-7'",
            [
                "PostgreSQL refused the row of resource with slug \"slug-7\": index row",
                "change or remove that row first",
            ],
        ),
        (
            "PRAGMA foreign_keys = OFF; DELETE FROM access_grant WHERE subject = 's7'",
            ["PostgreSQL refused a row of grant_further", "foreign key"],
        ),
    ] {
        let places = Places::new().await.unwrap();
        contents::fill(&places.file(), 2000).await;
        change(&places, sql);
        let before = contents::of_sqlite(&places.file());
        let refused = refusal(places.carry_out().await);
        for sentence in sentences.into_iter().chain(["nothing was moved"]) {
            assert!(refused.contains(sentence), "{refused}");
        }
        is_untouched(&places, &before).await;
    }
}

#[tokio::test]
async fn a_new_database_with_something_in_it_is_left_alone() {
    if Places::new().await.is_none() {
        return;
    }
    let places = places_with_schema().await;
    contents::fill(&places.file(), 3).await;
    let one = "INSERT INTO spent VALUES (decode(repeat('00', 32), 'hex'), 7)";
    execute(&places.database.url(), one).await;
    let before = contents::of_postgres(&places.database.url()).await;
    for refused in [refusal(places.look().await), refusal(places.carry_out().await)] {
        assert!(
            refused.contains("is not empty (there are rows in spent)"),
            "{refused}"
        );
    }
    assert_eq!(contents::of_postgres(&places.database.url()).await, before);
    assert_eq!(places.open_old().unwrap().close().await, Ok(()));

    let places = Places::new().await.unwrap();
    contents::fill(&places.file(), 3).await;
    execute(&places.database.url(), "CREATE TABLE precious (x BIGINT)").await;
    let refused = refusal(places.carry_out().await);
    assert!(refused.contains("another program"), "{refused}");
}

/// Whoever was stopped between the commit and the old file's new name.
#[tokio::test]
async fn what_has_arrived_already_is_said_to_have() {
    let Some(places) = Places::new().await else {
        return;
    };
    contents::fill(&places.file(), 3).await;
    places.carry_out().await.unwrap();
    std::fs::rename(places.kept_file(), places.file()).unwrap();
    let refused = refusal(places.carry_out().await);
    assert!(
        refused.contains("everything was moved into the new database already"),
        "{refused}"
    );
    let looked = refusal(places.look().await.map(|_| ()));
    assert_eq!(looked, refused);

    // Not when the old one was used since, or both as much: the new one lacks what was done in the old one.
    let greater = "UPDATE audit_event SET id = x'ffffffffffff7fffbfffffffffffffff' WHERE id = (SELECT max(id) FROM audit_event)";
    for used in [
        "DROP TRIGGER IF EXISTS audit_event_is_never_changed",
        greater,
        "DELETE FROM session",
    ] {
        change(&places, used);
        let refused = refusal(places.carry_out().await);
        let is_another = refused.contains("another state of this one")
            && refused.contains("drop and create the new database");
        assert_eq!(is_another, !used.starts_with("DROP"), "{used}: {refused}");
    }
}

#[tokio::test]
async fn a_database_in_use_or_of_another_schema_is_not_moved() {
    let Some(places) = Places::new().await else {
        return;
    };
    let refused = refusal(places.carry_out().await);
    assert!(refused.contains("there is no database at"), "{refused}");
    std::fs::write(places.file(), "").unwrap();
    let refused = refusal(places.carry_out().await);
    assert!(refused.contains("there is nothing to move"), "{refused}");

    let store = places.open_old().unwrap();
    let refused = refusal(places.carry_out().await);
    assert!(refused.contains("another process uses"), "{refused}");
    // To look is possible.
    places.look().await.unwrap();
    store.close().await.unwrap();
    drop(store);

    change(
        &places,
        "INSERT INTO schema_migration SELECT max(version) + 1, '9999_future', 'x', 0 FROM schema_migration",
    );
    let refused = refusal(places.carry_out().await);
    assert!(
        refused.contains("9999_future") && refused.contains("use the newer version"),
        "{refused}"
    );
    change(
        &places,
        "DELETE FROM schema_migration WHERE version >= (SELECT max(version) - 1 FROM schema_migration)",
    );
    let refused = refusal(places.carry_out().await);
    assert!(refused.contains("run `doorward migrate`"), "{refused}");
}

#[tokio::test]
async fn a_refused_key_moves_nothing() {
    let Some(places) = Places::new().await else {
        return;
    };
    contents::fill(&places.file(), 3).await;
    let before = contents::of_sqlite(&places.file());
    let (from, to) = (places.file(), places.database.url());
    let wrong = |sealed: &[doorward_store::Sealed]| {
        assert_eq!(sealed.len(), 6);
        Err(StoreError::NotFound)
    };
    let route = places.route(from.to_str().unwrap(), &to);
    let watch = Watch {
        tell: &mut |_| {},
        at_the_end: &mut || {},
    };
    let refused = carry_out(route, kept(), wrong, watch).await;
    assert_eq!(refused, Err(StoreError::NotFound));
    is_untouched(&places, &before).await;
}

/// As when somebody types Ctrl-C, at any moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_is_stopped_in_the_middle_leaves_nothing() {
    if Places::new().await.is_none() {
        return;
    }
    for (table, comparing) in [("client", false), ("audit_event", false), ("person", true)] {
        let places = std::sync::Arc::new(Places::new().await.unwrap());
        contents::fill(&places.file(), 500).await;
        let before = contents::of_sqlite(&places.file());
        let moving = {
            let places = std::sync::Arc::clone(&places);
            tokio::spawn(async move {
                let mut stop = |progress: Progress| {
                    assert!(
                        (progress.done.table, progress.comparing) != (table, comparing),
                        "stopped here"
                    );
                };
                places.carry_out_telling(&mut stop).await
            })
        };
        assert!(moving.await.unwrap_err().is_panic());
        let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
             AND backend_type = 'client backend'";
        let all_gone = async { while contents::one(&places.database.url(), others).await > 0 {} };
        tokio::time::timeout(Duration::from_mins(1), all_gone)
            .await
            .expect("a connection is left");
        is_untouched(&places, &before).await;
    }
}
