use std::path::Path;
use std::thread::JoinHandle;

use super::*;

/// A database on a disk, whose writer is the test itself.
struct Scene {
    log: Log,
    db: Connection,
    beside: Option<JoinHandle<()>>,
    _directory: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("doorward.db");
        let mut db = open(&path);
        crate::sqlite::prepare_writer(&db).unwrap();
        db.execute_batch("CREATE TABLE filler (id INTEGER PRIMARY KEY, bytes BLOB)")
            .unwrap();
        let (log, checkpointer) = sides(
            &mut db,
            open(&path),
            Arc::new(File::open(&path).unwrap()),
            &Arc::default(),
            Duration::from_secs(5),
        )
        .unwrap();
        Self {
            log,
            db,
            beside: Some(std::thread::spawn(|| checkpointer.work())),
            _directory: directory,
        }
    }

    /// Appends about so many pages to the log in one transaction; how many are in it then.
    fn append(&self, pages: usize) -> usize {
        let bytes = i64::try_from(pages * 4096).unwrap();
        self.db
            .execute("INSERT OR REPLACE INTO filler VALUES (1, zeroblob(?1))", [bytes])
            .unwrap();
        self.log.pages.load(Ordering::Relaxed)
    }

    fn until_the_writer_may_move(&self) {
        let soon = tokio::time::Instant::now() + Duration::from_mins(1);
        while !self.log.shared.writer_may_move.load(Ordering::Relaxed) {
            assert!(
                tokio::time::Instant::now() < soon,
                "the other thread does nothing"
            );
            std::thread::yield_now();
        }
    }

    /// From now on nobody beside the writer moves anything; who asks for it is heard here.
    fn without_the_other(&mut self) -> Receiver<()> {
        let (ask, asked) = sync_channel(1);
        self.log.ask = ask;
        asked
    }

    fn reader(&self) -> Connection {
        let reader = open(Path::new(self.db.path().unwrap()));
        reader
            .execute_batch("BEGIN; SELECT count(*) FROM filler")
            .unwrap();
        reader
    }

    fn end(mut self) {
        drop(self.log);
        self.beside.take().unwrap().join().unwrap();
    }
}

fn open(path: &Path) -> Connection {
    Connection::open(path).unwrap()
}

#[test]
fn a_long_log_is_moved_beside_the_writer_and_begins_anew() {
    let mut scene = Scene::new();
    for _ in 0..3 {
        let shared = Arc::clone(&scene.log.shared);
        let not_yet = shared.turn.lock().unwrap();
        assert!(scene.append(LONG + 10) > LONG);
        scene.log.look_after(&scene.db);
        // The writer goes on meanwhile.
        assert!(scene.append(1) > LONG);
        scene.log.look_after(&scene.db);
        drop(not_yet);
        scene.until_the_writer_may_move();
        scene.log.look_after(&scene.db);
        let pages = scene.append(1);
        assert!(pages < 20, "{pages} pages");
        scene.log.look_after(&scene.db);
    }
    scene.end();
}

#[test]
fn a_short_log_stays_where_it_is() {
    let mut scene = Scene::new();
    let asked = scene.without_the_other();
    let before = scene.append(LONG / 2);
    scene.log.look_after(&scene.db);
    assert!(asked.try_recv().is_err());
    assert!(scene.append(1) > before);
    scene.end();
}

#[test]
fn what_somebody_still_reads_is_moved_later() {
    let mut scene = Scene::new();
    scene.append(10);
    let reader = scene.reader();
    scene.append(LONG);
    scene.log.look_after(&scene.db);
    scene.until_the_writer_may_move();
    scene.log.look_after(&scene.db);
    assert!(scene.append(1) > LONG, "the reader's pages are still in the log");
    scene.log.look_after(&scene.db);
    drop(reader);
    // Asked again when the log has grown.
    scene.append(MORE);
    scene.log.look_after(&scene.db);
    scene.until_the_writer_may_move();
    scene.log.look_after(&scene.db);
    assert!(scene.append(1) < 20);
    scene.end();
}

#[test]
fn a_log_that_grows_faster_than_it_is_moved_makes_the_writer_wait() {
    let mut scene = Scene::new();
    let asked = scene.without_the_other();
    let grows_to = |scene: &mut Scene, pages| {
        scene.log.pages.store(pages, Ordering::Relaxed);
        scene.log.look_after(&scene.db);
    };
    scene.append(100);
    grows_to(&mut scene, TOO_LONG);
    assert!(scene.append(1) < 20);
    scene.log.look_after(&scene.db);

    // It waits no second time for somebody who goes on reading, until the log has grown.
    scene.append(100);
    let reader = scene.reader();
    scene.append(100);
    grows_to(&mut scene, TOO_LONG);
    drop(reader);
    grows_to(&mut scene, TOO_LONG + 1);
    assert!(scene.append(1) > 200);
    grows_to(&mut scene, TOO_LONG + LONG);
    assert!(scene.append(1) < 20);
    drop(asked);
    scene.end();
}

#[test]
fn after_a_disk_that_failed_nothing_is_moved_and_the_next_start_has_everything() {
    let mut scene = Scene::new();
    let path = std::path::PathBuf::from(scene.db.path().unwrap());
    let journal = path.with_extension("db-wal");
    scene.append(100);
    scene.log.shared.fail(&std::io::Error::other("on purpose"));
    assert!(matches!(scene.log.check(), Err(StoreError::Unavailable(_))));
    scene.log.pages.store(TOO_LONG, Ordering::Relaxed);
    scene.log.look_after(&scene.db);
    assert!(scene.append(1) > 100);
    scene.log.close(&scene.db);
    let Scene {
        log,
        db,
        beside,
        _directory,
    } = scene;
    drop(log);
    beside.unwrap().join().unwrap();
    drop(db);
    assert!(journal.metadata().unwrap().len() > 100 * 4096);
    let rows: i64 = open(&path)
        .query_row("SELECT length(bytes) FROM filler", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 4096);
}
