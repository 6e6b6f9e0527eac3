use super::super::{SqliteOptions, SqliteStore};
use super::*;
use crate::Store as _;

fn url(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}

/// Names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn replacing(end_grants: bool) -> Restore {
    Restore {
        replace: true,
        end_grants,
        origin: Origin {
            event: uuid::Uuid::nil(),
            at: crate::UnixSeconds(1_800_000_000),
            actor: crate::Actor::System,
            request_id: None,
            address: None,
        },
    }
}

/// [CRASH-004]
#[tokio::test]
async fn a_restore_that_was_killed_does_not_stand_in_the_way_of_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("doorward.db");
    let copy = folder.path().join("copy.db");
    let store = SqliteStore::open(&url(&path), &SqliteOptions::default()).unwrap();
    store.close().await.unwrap();
    drop(store);
    backup(&url(&path), &copy, |_| Ok(())).unwrap();
    let unfinished = beside(&path, ".restoring");
    fs::copy(&copy, &unfinished).unwrap();
    // As SQLite leaves them in the midst of a transaction: the copy is not what stands in the file alone.
    for suffix in ["-journal", "-wal", "-shm"] {
        fs::write(beside(&unfinished, suffix), [0xd9; 4096]).unwrap();
    }
    restore(&url(&path), &copy, replacing(true), |_| Ok(())).unwrap();
    let left = [
        "copy.db",
        "doorward.db",
        "doorward.db.lock",
        "doorward.db.replaced-1",
    ];
    assert_eq!(names(folder.path()), left);

    // One that fails leaves nothing either.
    let refused = restore(&url(&path), &copy, replacing(false), |_| {
        fs::write(beside(&unfinished, "-journal"), [0xd9; 4096]).unwrap();
        Err(unusable("another master key".to_owned()))
    });
    assert!(refused.is_err());
    assert_eq!(names(folder.path()), left);
}

#[test]
fn a_database_whose_place_could_not_be_taken_keeps_its_journal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("doorward.db");
    let journal = beside(&path, "-wal");
    // A journal that SQLite cannot open stays.
    fs::write(&path, "damaged".repeat(4096)).unwrap();
    fs::create_dir(&journal).unwrap();
    let failed = swap(&folder.path().join("nothing"), &path, REPLACED).unwrap_err();
    assert_eq!(failed.kind(), io::ErrorKind::NotFound);
    assert_eq!(names(folder.path()), ["doorward.db", "doorward.db-wal"]);

    let new = folder.path().join("new");
    fs::write(&new, "new").unwrap();
    assert_eq!(
        swap(&new, &path, REPLACED).unwrap(),
        Some(beside(&path, ".replaced-1"))
    );
    assert_eq!(
        names(folder.path()),
        [
            "doorward.db",
            "doorward.db.replaced-1",
            "doorward.db.replaced-1-wal"
        ]
    );
}
