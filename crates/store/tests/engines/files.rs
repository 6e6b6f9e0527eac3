//! The embedded engine and its file: locks, modes, faults, restarts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use doorward_store::sqlite::{SqliteOptions, SqliteStore};
use doorward_store::{ClientFilter, ClientSource, PageRequest, RotateOutcome, Store, StoreError};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::conformance::scene::{Opened, Scene, at, at_once, client, rotation};

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data").join("doorward.db");
    (directory, path)
}

fn open(path: &Path) -> Result<SqliteStore, StoreError> {
    let options = SqliteOptions {
        busy_timeout: Duration::from_millis(50),
        ..SqliteOptions::default()
    };
    SqliteStore::open(&format!("sqlite://{}", path.display()), &options)
}

fn refusal(path: &Path) -> String {
    match open(path).map(drop) {
        Err(StoreError::Unusable(why)) => why,
        other => panic!("not refused: {other:?}"),
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn directory_and_files_are_private() {
    let (_directory, path) = place();
    let store = open(&path).unwrap();
    store.ping().await.unwrap();
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    for entry in fs::read_dir(path.parent().unwrap()).unwrap() {
        let entry = entry.unwrap().path();
        assert_eq!(mode(&entry), 0o600, "{}", entry.display());
    }
}

#[tokio::test]
async fn a_database_that_others_can_read_is_made_private() {
    let (_directory, path) = place();
    open(&path).unwrap().close().await.unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let _store = open(&path).unwrap();
    assert_eq!(mode(&path), 0o600);
}

#[tokio::test]
async fn a_second_opener_is_refused_until_the_first_has_closed() {
    let (directory, path) = place();
    let store = open(&path).unwrap();
    assert!(refusal(&path).contains("another process uses"));
    let link = directory.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(refusal(&link).contains("another process uses"));
    store.close().await.unwrap();
    assert!(matches!(store.ping().await, Err(StoreError::Unavailable(_))));
    open(&path).unwrap().ping().await.unwrap();
}

#[tokio::test]
async fn everything_is_there_after_a_restart_and_one_file_is_left() {
    let (_directory, path) = place();
    let store = Arc::new(open(&path).unwrap());
    let scene = Scene::new(Opened {
        store: Arc::clone(&store) as Arc<dyn Store>,
        keep: Box::new(()),
    })
    .await;
    let grant = scene.active().await;
    scene.rotated(grant, 1, at(10)).await;
    scene.rotated(grant, 2, at(20)).await;
    store.close().await.unwrap();
    drop((scene, store));
    assert!(!path.with_extension("db-wal").exists());

    let store = open(&path).unwrap();
    assert_eq!(store.grant(grant).await.unwrap().unwrap().generation, 3);
    // What tells a retry from a reuse is there too.
    let retry = store.rotate_refresh(rotation(grant, 1, at(130))).await.unwrap();
    assert!(matches!(
        retry,
        RotateOutcome::Rotated {
            successor: 2,
            retry: true,
            ..
        }
    ));
    let reuse = store.rotate_refresh(rotation(grant, 1, at(131))).await.unwrap();
    assert_eq!(reuse, RotateOutcome::Reused);
}

#[test]
fn what_is_no_doorward_database_is_refused_and_left_alone() {
    let (_directory, path) = place();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(
        &path,
        "a precious text file, longer than the sixteen bytes of a header",
    )
    .unwrap();
    assert!(refusal(&path).contains("cannot be used as the database"));
    assert!(fs::read_to_string(&path).unwrap().starts_with("a precious"));

    fs::remove_file(&path).unwrap();
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE precious (x INTEGER)")
        .unwrap();
    assert!(refusal(&path).contains("another program"));

    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(refusal(&path).contains("not a file"));
}

#[test]
fn a_journal_without_its_database_is_not_buried_under_a_new_one() {
    let (_directory, path) = place();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path.with_extension("db-wal"), "what was committed last").unwrap();
    assert!(refusal(&path).contains("is missing"));
    assert!(!path.exists());
}

#[test]
fn an_edited_schema_journal_is_refused() {
    let (_directory, path) = place();
    drop(open(&path).unwrap());
    Connection::open(&path)
        .unwrap()
        .execute_batch("UPDATE schema_migration SET sha256 = 'x'")
        .unwrap();
    assert!(refusal(&path).contains("was edited"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_locked_by_another_process_is_unavailable_and_comes_back() {
    let (_directory, path) = place();
    let options = SqliteOptions {
        busy_timeout: Duration::from_millis(500),
        batch: 2,
        ..SqliteOptions::default()
    };
    let store = SqliteStore::open(path.to_str().unwrap(), &options).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let started = tokio::time::Instant::now();
    let store = Arc::new(store);
    let answers = at_once(100, |caller| {
        let store = Arc::clone(&store);
        async move {
            store
                .create_client(client(&format!("client-{caller}"), ClientSource::Admin))
                .await
        }
    })
    .await;
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer, Err(StoreError::Unavailable(_))))
    );
    assert!(
        started.elapsed() < Duration::from_secs(8),
        "everybody in line was made to wait again"
    );
    // Readers do not care.
    assert_eq!(
        store
            .clients(ClientFilter::default(), PageRequest::default())
            .await
            .unwrap()
            .items
            .len(),
        0
    );
    other.execute_batch("ROLLBACK").unwrap();
    store
        .create_client(client("later", ClientSource::Admin))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_removed_database_answers_nothing_more() {
    let (_directory, path) = place();
    let store = open(&path).unwrap();
    store.ping().await.unwrap();
    fs::remove_file(&path).unwrap();
    let lost = store.create_client(client("lost", ClientSource::Admin)).await;
    assert!(matches!(lost, Err(StoreError::Unavailable(_))));
    assert!(store.ping().await.is_err());
}
