//! A server of a newer version changes the schema only where it can open what is in the database.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use tokio::time::{sleep, timeout};

use crate::support::{Place, cluster, database_contents};

/// The schema steps of an engine but the last ones: the version before.
fn earlier_steps(engine: &str, without: usize) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../store/migrations")
        .join(engine);
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.truncate(files.len() - without);
    files
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect()
}

/// Refused by every command of this version that changes the schema, with each of the keys that do not open it.
async fn refused_without_its_key(place: Place, unchanged: impl AsyncFn() -> bool) -> Place {
    let refuse = async |place: &Place, sentence: &str| {
        let check: &[_] = &["check-config", "--database"];
        for command in [&["serve"][..], &["migrate"], &["end-grants", "--yes"], check] {
            let refused = place.run(command).failure();
            assert!(refused.contains(sentence), "{command:?}: {refused}");
            assert!(unchanged().await, "{command:?}: {sentence}");
        }
    };
    let place = place.set("DOORWARD_KEYS_MASTER_KEY_FILE", "nowhere.key");
    refuse(&place, "the master key file nowhere.key is missing").await;
    assert!(!place.folder().join("nowhere.key").exists());
    place.run(&["keys", "new-master", "another.key"]).success();
    let place = place.set("DOORWARD_KEYS_MASTER_KEY_FILE", "another.key");
    refuse(&place, "sealed under another master key; put the right one back").await;
    let place = place
        .set("DOORWARD_KEYS_MASTER_KEY_FILE", "nowhere.key")
        .set("DOORWARD_KEYS_OTHER_MASTER_KEY_FILE", "another.key");
    let refused = place.run(&["keys", "rotate-master"]).failure();
    assert!(refused.contains("nowhere.key is missing"), "{refused}");
    let place = place.set("DOORWARD_KEYS_MASTER_KEY_FILE", "another.key");
    let refused = place.run(&["keys", "rotate-master"]).failure();
    assert!(refused.contains("sealed under another master key"), "{refused}");
    assert!(unchanged().await, "{refused}");
    place.without("DOORWARD_KEYS_OTHER_MASTER_KEY_FILE")
}

fn last_step(database: &Path) -> i64 {
    let last = "SELECT max(version) FROM schema_migration";
    let db = Connection::open(database).unwrap();
    db.query_row(last, [], |row| row.get(0)).unwrap()
}

/// The database as the version before made it, with the keys of this one.
fn set_back(database: &Path) {
    let newer = database.with_extension("newer");
    fs::rename(database, &newer).unwrap();
    let db = Connection::open(database).unwrap();
    let attach = format!("ATTACH '{}' AS newer", newer.display());
    db.execute_batch(&attach).unwrap();
    for step in earlier_steps("sqlite", 1) {
        db.execute_batch(&step).unwrap();
    }
    let journal = "SELECT sql FROM newer.sqlite_schema WHERE name = 'schema_migration'";
    let journal: String = db.query_row(journal, [], |row| row.get(0)).unwrap();
    db.execute_batch(&journal).unwrap();
    let id: i32 = db
        .pragma_query_value(Some("newer"), "application_id", |row| row.get(0))
        .unwrap();
    db.pragma_update(Some("main"), "application_id", id).unwrap();
    db.execute_batch(
        "INSERT INTO schema_migration SELECT * FROM newer.schema_migration \
             WHERE version < (SELECT max(version) FROM newer.schema_migration); \
         INSERT INTO signing_key SELECT * FROM newer.signing_key; \
         INSERT INTO server_secret SELECT * FROM newer.server_secret; \
         DETACH newer",
    )
    .unwrap();
    fs::remove_file(newer).unwrap();
}

#[tokio::test]
async fn a_sqlite_database_without_its_key_is_not_migrated() {
    let place = Place::new();
    assert_eq!(place.serve().await.stop().code, Some(0));
    let database = place.folder().join("data/doorward.db");
    let newest = last_step(&database);
    set_back(&database);
    let before = fs::read(&database).unwrap();
    let unchanged = async || fs::read(&database).unwrap() == before && last_step(&database) == newest - 1;
    let place = refused_without_its_key(place, unchanged).await;
    let place = place.without("DOORWARD_KEYS_MASTER_KEY_FILE");
    let found = place.run(&["check-config", "--database"]).success();
    assert!(
        found.contains("adds 1 step), and the master key opens it"),
        "{found}"
    );
    assert!(unchanged().await);
    // A job that only does this may have no key at all.
    let key = database.with_file_name("master.key");
    fs::rename(&key, place.folder().join("elsewhere.key")).unwrap();
    place.run(&["migrate"]).success();
    assert_eq!(last_step(&database), newest);
    fs::rename(place.folder().join("elsewhere.key"), key).unwrap();
    assert_eq!(place.serve().await.stop().code, Some(0));
    assert_eq!(last_step(&database), newest);
}

/// The database as the version before made it, with the keys of this one: without the last step, and the index after it.
async fn set_back_postgres(url: &str) {
    cluster::execute(url, "ALTER SCHEMA public RENAME TO newer; CREATE SCHEMA public").await;
    for step in earlier_steps("postgres", 2) {
        cluster::execute(url, &step).await;
    }
    cluster::execute(
        url,
        "CREATE TABLE schema_migration (LIKE newer.schema_migration INCLUDING ALL); \
         INSERT INTO schema_migration SELECT * FROM newer.schema_migration \
             WHERE version < (SELECT max(version) - 1 FROM newer.schema_migration); \
         INSERT INTO signing_key OVERRIDING SYSTEM VALUE SELECT * FROM newer.signing_key; \
         INSERT INTO server_secret SELECT * FROM newer.server_secret; \
         DROP SCHEMA newer CASCADE",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_database_without_its_key_is_not_migrated() {
    let Some(database) = cluster::empty_database().await else {
        return;
    };
    let url = database.url();
    let place = Place::new().set("DOORWARD_KEYS_MASTER_KEY_FILE", "master.key");
    place.run(&["keys", "new-master", "master.key"]).success();
    let place = place.set("DOORWARD_STORAGE_URL", &url);
    assert_eq!(place.serve().await.stop().code, Some(0));
    let newest = database_contents(&url).await;
    set_back_postgres(&url).await;
    let before = database_contents(&url).await;
    let unchanged = async || database_contents(&url).await == before;
    let place = refused_without_its_key(place, unchanged).await;
    let place = place.set("DOORWARD_KEYS_MASTER_KEY_FILE", "master.key");
    let found = place.run(&["check-config", "--database"]).success();
    assert!(
        found.contains("adds 1 step, and 1 index while servers work), and the master key opens it"),
        "{found}"
    );
    assert!(unchanged().await);
    let journal = |contents: &[[String; 3]]| {
        let journal = contents.iter().find(|[table, ..]| table == "schema_migration");
        journal.unwrap().clone()
    };
    assert_ne!(journal(&before), journal(&newest));
    let server = place.serve().await;
    // It serves already.
    let index = async {
        while journal(&database_contents(&url).await) != journal(&newest) {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_mins(1), index).await.unwrap();
    assert_eq!(server.stop().code, Some(0));
}

/// Nothing sealed is left, so that there is nothing that a key would have to open.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_the_version_before_gets_new_secrets_without_its_key() {
    let place = served_once(Place::new()).await;
    let file = place.folder().join("data/doorward.db");
    let newest = last_step(&file);
    set_back(&file);
    let _place = new_secrets_without_the_key(place).await;
    assert_eq!(last_step(&file), newest);

    let Some(database) = cluster::empty_database().await else {
        return;
    };
    let url = database.url();
    let place = served_once(Place::new().set("DOORWARD_STORAGE_URL", &url)).await;
    let journal = async || {
        let contents = database_contents(&url).await;
        let journal = contents.iter().find(|[table, ..]| table == "schema_migration");
        journal.unwrap().clone()
    };
    let newest = journal().await;
    set_back_postgres(&url).await;
    let place = new_secrets_without_the_key(place).await;
    // It says so where the server before has not made the index yet.
    let migrated = place.run(&["migrate"]);
    assert_eq!(migrated.code, Some(0), "{migrated:?}");
    assert_eq!(journal().await, newest);
}

async fn served_once(place: Place) -> Place {
    let place = place.set("DOORWARD_KEYS_MASTER_KEY_FILE", "first.key");
    place.run(&["keys", "new-master", "first.key"]).success();
    assert_eq!(place.serve().await.stop().code, Some(0));
    place
}

async fn new_secrets_without_the_key(place: Place) -> Place {
    fs::remove_file(place.folder().join("first.key")).unwrap();
    let asked = place.run(&["keys", "new-secrets"]);
    assert!(asked.stdout.contains("1 signing keys, 0 grants"), "{asked:?}");
    let refused = place.run(&["migrate"]).failure();
    assert!(refused.contains("first.key is missing"), "{refused}");
    place.run(&["keys", "new-secrets", "--yes"]).success();
    place.run(&["keys", "new-master", "second.key"]).success();
    let place = place.set("DOORWARD_KEYS_MASTER_KEY_FILE", "second.key");
    assert_eq!(place.serve().await.stop().code, Some(0));
    place
}

/// A key that cannot be used: not even the tables are made.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_database_has_no_schema_before_its_key_is_known() {
    let malformed = |place: Place| {
        let file = place.folder().join("master.key");
        fs::write(&file, "no key").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        place.set("DOORWARD_KEYS_MASTER_KEY_FILE", "master.key")
    };
    let refuse = |place: &Place| {
        for command in ["serve", "migrate"] {
            let refused = place.run(&[command]).failure();
            assert!(refused.contains("32 bytes in unpadded base64url"), "{refused}");
        }
    };
    let place = malformed(Place::new());
    refuse(&place);
    assert!(!place.folder().join("data/doorward.db").exists());
    let Some(database) = cluster::empty_database().await else {
        return;
    };
    let place = malformed(Place::new().set("DOORWARD_STORAGE_URL", &database.url()));
    refuse(&place);
    assert_eq!(
        database_contents(&database.url()).await,
        Vec::<[String; 3]>::new()
    );
}
