use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use rusqlite::Connection;
use tokio::task::JoinHandle;

use super::*;
use crate::log_of_tests::Log;
use crate::sqlite::{SqliteOptions, SqliteStore, keys, migrations};
use crate::{Actor, Origin, SealedSecret, Store as _, UnixSeconds};

fn store() -> Arc<SqliteStore> {
    Arc::new(SqliteStore::temporary().unwrap())
}

/// Keeps the writer busy until it is told to go on, so that what comes meanwhile lands in one batch.
struct Held {
    go_on: mpsc::Sender<()>,
    first: JoinHandle<Result<()>>,
}

impl Held {
    async fn hold(store: &Arc<SqliteStore>) -> Self {
        let (go_on, wait) = mpsc::channel::<()>();
        let (began, has_begun) = oneshot::channel();
        let mut began = Some(began);
        let first = submit(store, move |_| {
            began.take().unwrap().send(()).unwrap();
            wait.recv().unwrap();
            Ok(())
        });
        has_begun.await.unwrap();
        Self { go_on, first }
    }

    async fn go_on(self) {
        self.go_on.send(()).unwrap();
        self.first.await.unwrap().unwrap();
    }
}

fn submit<T: Send + 'static>(
    store: &Arc<SqliteStore>,
    work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
) -> JoinHandle<Result<T>> {
    let store = Arc::clone(store);
    tokio::spawn(async move { store.write(work).await })
}

fn put(db: &Connection, purpose: &str) -> Result<()> {
    keys::secret(db, purpose, &SealedSecret(vec![1])).map(drop)
}

/// A commit that was answered survives a loss of power: with a write-ahead log, `NORMAL` would not wait for the disk.
#[tokio::test]
async fn a_commit_waits_for_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("doorward.db").display());
    let store = SqliteStore::open(&url, &SqliteOptions::default()).unwrap();
    let synchronous = store.write(|db| Ok(db.pragma_query_value(None, "synchronous", |row| row.get(0))?));
    let full = 2_i64;
    assert_eq!(synchronous.await, Ok(full));
}

async fn has(store: &SqliteStore, purpose: &'static str) -> bool {
    store
        .read(move |db| keys::find_secret(db, purpose))
        .await
        .unwrap()
        .is_some()
}

/// Waits until so many operations are in the queue.
async fn until_waiting(writer: &Writer, count: usize) {
    while writer.queue.waiting() < count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn one_failed_operation_hurts_nobody_else_in_its_batch() {
    let store = store();
    let held = Held::hold(&store).await;
    let good = submit(&store, |db| put(db, "good"));
    let bad = submit(&store, |db| {
        put(db, "half")?;
        db.execute("INSERT INTO server_secret SELECT * FROM server_secret", [])?;
        Ok(())
    });
    let panicking = submit(&store, |db| -> Result<()> {
        put(db, "panicked")?;
        panic!("on purpose");
    });
    let last = submit(&store, |db| put(db, "last"));
    until_waiting(&store.writer, 4).await;
    held.go_on().await;
    assert_eq!(good.await.unwrap(), Ok(()));
    assert_eq!(bad.await.unwrap(), Err(StoreError::Conflict));
    assert!(matches!(panicking.await.unwrap(), Err(StoreError::Internal(_))));
    assert_eq!(last.await.unwrap(), Ok(()));
    assert!(has(&store, "good").await && has(&store, "last").await);
    assert!(!has(&store, "half").await && !has(&store, "panicked").await);
}

/// A writer whose thread has not started yet: everything that comes before lands in one batch.
fn unstarted() -> (Arc<Writer>, Connection) {
    let mut db = Connection::open_in_memory().unwrap();
    migrations::migrate(&mut db).unwrap();
    (Arc::new(Writer::new(1000)), db)
}

fn put_many(writer: &Arc<Writer>, count: usize) -> Vec<JoinHandle<Result<()>>> {
    let put_one = |number: usize| {
        let writer = Arc::clone(writer);
        tokio::spawn(async move { writer.run(move |db| put(db, &number.to_string())).await })
    };
    (0..count).map(put_one).collect()
}

#[tokio::test]
async fn operations_that_wait_together_share_one_commit() {
    let (writer, mut db) = unstarted();
    let commits = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&commits);
    let count = move || {
        counter.fetch_add(1, Ordering::SeqCst);
        false
    };
    db.commit_hook(Some(count)).unwrap();
    let waiting = put_many(&writer, 100);
    until_waiting(&writer, 100).await;
    let worker = writer
        .worker(db, None, 256, &Arc::new(Changes::of_one_process()))
        .unwrap();
    std::thread::spawn(|| worker.work());
    for answer in waiting {
        answer.await.unwrap().unwrap();
    }
    assert_eq!(commits.load(Ordering::SeqCst), 1);
    writer.close();
}

#[tokio::test]
async fn when_the_commit_fails_nobody_is_told_that_anything_happened() {
    let (writer, mut db) = unstarted();
    let broken = Arc::new(AtomicBool::new(true));
    let storage = Arc::clone(&broken);
    // SQLite turns the commit into a rollback.
    db.commit_hook(Some(move || storage.load(Ordering::SeqCst)))
        .unwrap();
    let waiting = put_many(&writer, 10);
    until_waiting(&writer, 10).await;
    let worker = writer
        .worker(db, None, 256, &Arc::new(Changes::of_one_process()))
        .unwrap();
    std::thread::spawn(|| worker.work());
    for answer in waiting {
        assert!(matches!(answer.await.unwrap(), Err(StoreError::Unavailable(_))));
    }
    broken.store(false, Ordering::SeqCst);
    assert_eq!(writer.run(|db| keys::find_secret(db, "1")).await, Ok(None));
    assert_eq!(writer.run(|db| put(db, "1")).await, Ok(()));
    assert!(
        writer
            .run(|db| keys::find_secret(db, "1"))
            .await
            .unwrap()
            .is_some()
    );
    writer.close();
}

#[tokio::test]
async fn storage_that_fails_is_told_of_once_and_when_it_works_again() {
    let (writer, mut db) = unstarted();
    let broken = Arc::new(AtomicBool::new(true));
    let storage = Arc::clone(&broken);
    db.commit_hook(Some(move || storage.load(Ordering::SeqCst)))
        .unwrap();
    let worker = writer
        .worker(db, None, 256, &Arc::new(Changes::of_one_process()))
        .unwrap();
    let log = Log::default();
    let told = log.clone();
    let thread = std::thread::spawn(move || tracing::subscriber::with_default(told, || worker.work()));
    for number in 0..10 {
        let answer = writer.run(move |db| put(db, &number.to_string())).await;
        assert!(matches!(answer, Err(StoreError::Unavailable(_))));
    }
    broken.store(false, Ordering::SeqCst);
    // Writes nothing.
    assert_eq!(writer.run(|db| keys::find_secret(db, "1")).await, Ok(None));
    assert_eq!(log.lines("INFO", "written again").len(), 0);
    for number in 0..3 {
        assert_eq!(writer.run(move |db| put(db, &number.to_string())).await, Ok(()));
    }
    writer.close();
    thread.join().unwrap();
    assert_eq!(log.lines("WARN", "").len(), 1);
    assert_eq!(log.lines("WARN", "not committed").len(), 1);
    assert_eq!(log.lines("INFO", "written again").len(), 1);
}

#[tokio::test]
async fn a_full_queue_is_busy_at_once() {
    let options = SqliteOptions {
        queue: 2,
        ..SqliteOptions::default()
    };
    let store = Arc::new(SqliteStore::open("sqlite::memory:", &options).unwrap());
    let held = Held::hold(&store).await;
    let waiting = [
        submit(&store, |db| put(db, "1")),
        submit(&store, |db| put(db, "2")),
    ];
    until_waiting(&store.writer, 2).await;
    assert_eq!(store.write(|db| put(db, "3")).await, Err(StoreError::Busy));
    held.go_on().await;
    for answer in waiting {
        answer.await.unwrap().unwrap();
    }
    assert_eq!(store.write(|db| put(db, "3")).await, Ok(()));
}

#[tokio::test]
async fn an_operation_that_nobody_waits_for_any_more_is_not_begun() {
    let store = store();
    let held = Held::hold(&store).await;
    let abandoned = submit(&store, |db| put(db, "abandoned"));
    until_waiting(&store.writer, 1).await;
    abandoned.abort();
    assert!(abandoned.await.unwrap_err().is_cancelled());
    held.go_on().await;
    store.write(|db| put(db, "next")).await.unwrap();
    assert!(!has(&store, "abandoned").await);
}

#[tokio::test]
async fn a_full_disk_loses_nothing_that_was_answered_and_is_over_when_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("doorward.db");
    let url = path.to_str().unwrap();
    let store = Arc::new(SqliteStore::open(url, &SqliteOptions::default()).unwrap());
    let pages = |limit: u32| {
        move |db: &Connection| Ok(db.pragma_update_and_check(None, "max_page_count", limit, |_| Ok(()))?)
    };
    // Past the limit, SQLite fails as on a full disk (SQLITE_FULL).
    store.write(pages(100)).await.unwrap();
    let writes = (0..300).map(|number| {
        let answer = submit(&store, move |db| {
            keys::secret(db, &format!("{number}"), &SealedSecret(vec![7; 3000]))
        });
        (number, answer)
    });
    let mut kept = Vec::new();
    for (number, answer) in writes.collect::<Vec<_>>() {
        match answer.await.unwrap() {
            Ok(_) => kept.push(number),
            Err(error) => assert!(error.is_temporary(), "{error}"),
        }
    }
    assert!(kept.len() < 100);
    assert!(matches!(
        store
            .write(|db| keys::secret(db, "more", &SealedSecret(vec![7; 900_000])))
            .await,
        Err(StoreError::Unavailable(_))
    ));
    store.write(pages(1_000_000)).await.unwrap();
    store.write(|db| put(db, "room")).await.unwrap();
    drop(store);
    let store = SqliteStore::open(url, &SqliteOptions::default()).unwrap();
    let stored: i64 = store
        .read(|db| Ok(db.query_row("SELECT count(*) FROM server_secret", [], |row| row.get(0))?))
        .await
        .unwrap();
    assert_eq!(
        stored,
        i64::try_from(kept.len()).unwrap() + 1,
        "what was not answered is not there either"
    );
    assert!(has(&store, "room").await);
}

/// Whoever began it may be gone meanwhile, and the next one must not read what was before.
#[tokio::test]
async fn a_turn_lasts_until_what_was_begun_in_it_is_committed() {
    let store = store();
    let first = Held::hold(&store).await;
    let turn = store.turn("admin").await.unwrap();
    let operator = store.acting_in_turn(
        &turn,
        Origin {
            event: uuid::Uuid::nil(),
            at: UnixSeconds(1),
            actor: Actor::System,
            request_id: None,
            address: None,
        },
    );
    let change = tokio::spawn(async move { operator.secret("in turn", SealedSecret(vec![1])).await });
    tokio::task::yield_now().await;
    let second = tokio::spawn({
        let store = Arc::clone(&store);
        async move { Held::hold(&store).await }
    });
    tokio::task::yield_now().await;
    first.go_on().await;
    // In the same transaction, in which the change was made before it.
    let second = second.await.unwrap();
    change.abort();
    change.await.unwrap_err();
    drop(turn);
    assert!(store.try_turn("admin").await.unwrap().is_none());
    second.go_on().await;
    assert!(store.try_turn("admin").await.unwrap().is_some());
    assert!(has(&store, "in turn").await);
}
