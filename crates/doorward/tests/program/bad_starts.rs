//! A start that cannot work says why and what to do, in one sentence, and changes nothing.

use std::fs;
use std::path::Path;

use rusqlite::Connection;

use crate::support::{ADMIN_KEY, Place, cluster, database_contents, http};

/// Every file below a folder with its content, but for what SQLite and the lock keep beside a database.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.display().to_string();
        if path.is_dir() {
            files.extend(contents(&path));
        } else if !["lock", "db-shm", "db-wal"].contains(&name.rsplit('.').next().unwrap_or_default()) {
            files.push((name, fs::read(&path).unwrap()));
        }
    }
    files.sort();
    files
}

/// Runs `serve` and `migrate`, which have to refuse with this sentence.
fn refuses(place: &Place, sentence: &str) {
    let data = place.folder().join("data");
    let before = contents(&data);
    for command in ["serve", "migrate"] {
        let refused = place.run(&[command]);
        assert_eq!(
            (refused.code, refused.stdout.as_str()),
            (Some(1), ""),
            "{refused:?}"
        );
        let errors: Vec<&str> = refused
            .stderr
            .lines()
            .filter(|line| !line.starts_with('{'))
            .collect();
        assert!(errors[0].starts_with("error: "), "{refused:?}");
        assert!(
            refused.stderr.contains(sentence),
            "`{sentence}` is not in {}",
            refused.stderr
        );
        for noise in ["panicked", "backtrace", "s3cr3t", "StoreError", "Some("] {
            assert!(!refused.stderr.contains(noise), "{refused:?}");
        }
    }
    let same = contents(&data) == before;
    assert!(same, "files have changed: {sentence}");
}

/// The same, of a PostgreSQL database, in which nothing changes either.
async fn refuses_database(place: &Place, url: &str, sentence: &str) {
    let before = database_contents(url).await;
    refuses(place, sentence);
    assert_eq!(database_contents(url).await, before, "{sentence}");
}

/// A place whose server ran once.
async fn used() -> Place {
    let place = Place::new();
    assert_eq!(place.serve().await.stop().code, Some(0));
    place
}

fn database(place: &Place) -> Connection {
    Connection::open(place.folder().join("data/doorward.db")).unwrap()
}

#[tokio::test]
async fn a_url_that_names_no_usable_database() {
    for (url, sentence) in [
        (
            "mysql://ada:s3cr3t@db.example/x",
            "expected `sqlite://` and a path, such as `sqlite://data/doorward.db`, or `postgres://user@host/database`",
        ),
        ("sqlite://", "expected `sqlite://` and a path"),
        (
            "sqlite://data/",
            "names no database file: write sqlite://path/to/file.db",
        ),
        ("sqlite://data/x.db?mode=ro", "parameters are not supported"),
        (
            "sqlite:///dev/null/x.db",
            "/dev/null/x.db cannot be used as the database",
        ),
        ("postgres://localhost:1/doorward", "names no user"),
        ("postgres://ada:s3cr3t@/doorward", "names no host"),
        ("postgres://ada:s3cr3t@127.0.0.1:x/doorward", "no PostgreSQL URL"),
        (
            "postgres://ada:s3cr3t@127.0.0.1:1/doorward",
            "is it running, and are host and port of storage.url right?",
        ),
        (
            "postgres://ada:s3cr3t@127.0.0.1:1/doorward?sslmode=verify-full&sslrootcert=missing.pem",
            "missing.pem",
        ),
    ] {
        let place = Place::new()
            .set("DOORWARD_STORAGE_URL", url)
            .set("DOORWARD_KEYS_MASTER_KEY_FILE", "master.key");
        refuses(&place, sentence);
        assert!(!place.folder().join("master.key").exists(), "{url}");
    }
    let place = Place::new().set("DOORWARD_STORAGE_URL", "postgres://ada@127.0.0.1:1/doorward");
    refuses(&place, "is needed with PostgreSQL");
}

#[tokio::test]
async fn a_database_file_that_cannot_be_used() {
    let restore = "`doorward restore`";
    let place = Place::new();
    fs::create_dir_all(place.folder().join("data/doorward.db")).unwrap();
    refuses(&place, "doorward.db is not a file");

    let place = Place::new();
    fs::create_dir(place.folder().join("data")).unwrap();
    fs::write(
        place.folder().join("data/doorward.db"),
        "no database, however long".repeat(400),
    )
    .unwrap();
    refuses(&place, "file is not a database");
    refuses(&place, restore);

    let place = used().await;
    let path = place.folder().join("data/doorward.db");
    let whole = fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    damaged[100..4096].fill(0x55);
    fs::write(&path, &damaged).unwrap();
    refuses(&place, "malformed");
    refuses(&place, restore);
    for length in [4096, whole.len() / 2 / 4096 * 4096, whole.len() / 2 + 100] {
        fs::write(&path, &whole[..length]).unwrap();
        refuses(&place, restore);
    }
    fs::remove_file(&path).unwrap();
    fs::write(place.folder().join("data/doorward.db-wal"), "commits").unwrap();
    refuses(&place, "is missing but its journal");
    fs::remove_file(place.folder().join("data/doorward.db-wal")).unwrap();
    // With its file back, it serves as before.
    fs::write(&path, &whole).unwrap();
    assert_eq!(place.serve().await.stop().code, Some(0));
}

/// The pages of a table and of its indexes, from which every look-up begins.
fn first_pages(place: &Place, table: &str) -> Vec<usize> {
    let db = database(place);
    let pages = "SELECT rootpage FROM sqlite_schema WHERE tbl_name = ?1 AND rootpage > 0";
    let mut statement = db.prepare(pages).unwrap();
    let pages = statement.query_map([table], |row| row.get::<_, u32>(0)).unwrap();
    pages
        .map(|page| usize::try_from(page.unwrap()).unwrap())
        .collect()
}

/// What cannot be read is found when it is needed.
#[tokio::test]
async fn a_page_in_the_middle_that_is_damaged_is_told_once_with_the_fix() {
    let place = used().await;
    let path = place.folder().join("data/doorward.db");
    let mut damaged = fs::read(&path).unwrap();
    for page in first_pages(&place, "person") {
        damaged[(page - 1) * 4096..page * 4096].fill(0x55);
    }
    fs::write(&path, damaged).unwrap();
    let server = place.serve().await;
    for _ in 0..3 {
        let users = format!("{}/admin/users", server.admin_url);
        let asked = http().get(users).bearer_auth(ADMIN_KEY).send().await.unwrap();
        assert_eq!(asked.status(), 503);
        let body = asked.text().await.unwrap();
        assert!(!body.contains("malformed") && !body.contains("restore"), "{body}");
    }
    let log = server.stop().stderr;
    let told: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("\"level\":\"ERROR\"") && !line.contains("\"status\":503"))
        .collect();
    assert_eq!(told.len(), 1, "{log}");
    assert!(
        told[0].contains("damaged") && told[0].contains("`doorward restore`"),
        "{log}"
    );
}

#[tokio::test]
async fn a_database_of_a_newer_version_or_of_another_program() {
    let place = used().await;
    let future = "INSERT INTO schema_migration (version, name, sha256) VALUES (9999, '9999_future', 'x')";
    database(&place).execute_batch(future).unwrap();
    refuses(
        &place,
        "schema step 9999_future, which this program does not know and cannot work with: run a newer version, or restore a backup from before the upgrade",
    );
    // One that keeps this version working is said in the log.
    database(&place)
        .execute_batch("UPDATE schema_migration SET breaks_older = 0 WHERE version = 9999")
        .unwrap();
    let stopped = place.serve().await.stop();
    assert_eq!(stopped.code, Some(0));
    assert!(stopped.stderr.contains("9999_future"), "{}", stopped.stderr);
    // Whoever went back reads that it is not this version's.
    let newer = "has a newer version's schema (9999_future), 1 step ahead of this program";
    for arguments in [["check-config", "--database"].as_slice(), &["migrate"]] {
        let said = place.run(arguments).success();
        assert!(said.contains(newer), "{said}");
    }
    place.run(&["backup", "newer.db"]).success();
    let restored = place.run(&["restore", "newer.db", "--replace"]).success();
    assert!(
        restored.contains("That is the schema of a newer version"),
        "{restored}"
    );
    database(&place)
        .execute_batch("DELETE FROM schema_migration WHERE version = 9999")
        .unwrap();
    assert_eq!(place.serve().await.stop().code, Some(0));

    let place = Place::new();
    fs::create_dir(place.folder().join("data")).unwrap();
    database(&place)
        .execute_batch("CREATE TABLE song (title TEXT)")
        .unwrap();
    refuses(&place, "a SQLite database of another program");
}

/// What is encrypted under the master key.
fn sealed(place: &Place) -> Vec<Vec<u8>> {
    let all = "SELECT sealed_private_key FROM signing_key UNION ALL SELECT sealed FROM server_secret";
    let db = database(place);
    let mut statement = db.prepare(all).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[tokio::test]
async fn a_master_key_that_is_missing_or_does_not_fit() {
    let place = used().await;
    let serve = |place: &Place, sentence: &str| {
        let before = sealed(place);
        let refused = place.run(&["serve"]).failure();
        assert!(refused.contains(sentence), "{refused}");
        assert_eq!(sealed(place), before, "{sentence}");
    };
    place.run(&["keys", "new-master", "another.key"]).success();
    let place = place.set("DOORWARD_KEYS_MASTER_KEY_FILE", "another.key");
    serve(&place, "sealed under another master key; put the right one back");
    let place = place.set("DOORWARD_KEYS_MASTER_KEY_FILE", "nowhere.key");
    serve(&place, "the master key file nowhere.key is missing");
    assert!(!place.folder().join("nowhere.key").exists());
    let place = place
        .without("DOORWARD_KEYS_MASTER_KEY_FILE")
        .set("DOORWARD_KEYS_OTHER_MASTER_KEY_FILE", "nowhere.key");
    serve(
        &place,
        "the other master key file nowhere.key is missing; put it back, correct keys.other_master_key_file, or take that setting away if no change of the master key is under way",
    );
    let place = place.set("DOORWARD_KEYS_OTHER_MASTER_KEY", "short");
    serve(
        &place,
        "set either `other_master_key` or `other_master_key_file`, not both",
    );
    let place = place.without("DOORWARD_KEYS_OTHER_MASTER_KEY_FILE");
    serve(
        &place,
        "keys.other_master_key is not 32 bytes in unpadded base64url (43 characters); `doorward keys new-master FILE` writes a key to a file",
    );
    let place = place.without("DOORWARD_KEYS_OTHER_MASTER_KEY");
    assert_eq!(place.serve().await.stop().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_server_that_refuses() {
    let Some(database) = cluster::empty_database().await else {
        return;
    };
    let url = database.url();
    let (server, name) = url.rsplit_once('/').unwrap();
    let place = |url: &str| {
        let place = Place::new().set("DOORWARD_KEYS_MASTER_KEY_FILE", "master.key");
        place.run(&["keys", "new-master", "master.key"]).success();
        place.set("DOORWARD_STORAGE_URL", url)
    };
    refuses(&place(&format!("{server}/nowhere")), "create the database first");
    let stranger = server.replace("doorward@", "nobody:s3cr3t@");
    refuses(
        &place(&format!("{stranger}/{name}")),
        "check user and password in the URL",
    );
    cluster::execute(&url, "CREATE TABLE song (title TEXT)").await;
    refuses_database(&place(&url), &url, "holds the tables of another program").await;
    cluster::execute(&url, "DROP TABLE song").await;

    let place = place(&url);
    assert_eq!(place.serve().await.stop().code, Some(0));
    let future = "INSERT INTO schema_migration (version, name, sha256) VALUES (9999, '9999_future', 'x')";
    cluster::execute(&url, future).await;
    refuses_database(
        &place,
        &url,
        "schema step 9999_future, which this program does not know and cannot work with: run a newer version",
    )
    .await;
    let kind = "UPDATE schema_migration SET breaks_older = false WHERE version = 9999";
    cluster::execute(&url, kind).await;
    assert_eq!(place.serve().await.stop().code, Some(0));
    cluster::execute(&url, "DELETE FROM schema_migration WHERE version = 9999").await;
    let before = database_contents(&url).await;
    let wrong = place.set("DOORWARD_KEYS_MASTER_KEY_FILE", "another.key");
    let refused = wrong.run(&["serve"]).one_line_failure();
    assert!(
        refused.contains("the master key file another.key is missing"),
        "{refused}"
    );
    wrong.run(&["keys", "new-master", "another.key"]).success();
    let refused = wrong.run(&["serve"]).one_line_failure();
    assert!(refused.contains("sealed under another master key"), "{refused}");
    assert_eq!(database_contents(&url).await, before);
    let right = wrong.set("DOORWARD_KEYS_MASTER_KEY_FILE", "master.key");
    assert_eq!(right.serve().await.stop().code, Some(0));
}
