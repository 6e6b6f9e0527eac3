//! `doorward backup`, `doorward restore` and `doorward keys`.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;

use serde_json::Value;

use crate::support::{Browser, Client, Place, Server, Tokens, eventually, http};

async fn published(server: &Server) -> Value {
    let url = format!("{}/.well-known/jwks.json", server.issuer);
    http().get(url).send().await.unwrap().json().await.unwrap()
}

fn people(place: &Place) -> usize {
    let list = place.run(&["admin", "user", "list", "--json"]).json();
    list["items"].as_array().unwrap().len()
}

fn add_person(place: &Place, email: &str) {
    let create = ["admin", "user", "create", "--email", email];
    place
        .run_with_input(&create, "a tall ship and a star\n")
        .success();
}

fn extension(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// Names of the files in a folder, but for what programs wrote to their output.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !["out", "err"].contains(&extension(name)))
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_running_server_is_copied_and_the_copy_takes_its_place() {
    let place = Place::new();
    let server = place.serve().await;
    place.populate();
    let keys = published(&server).await;
    let told = place.run(&["backup", "copy.db"]).success();
    assert!(
        told.starts_with("Wrote copy.db (") && told.contains("the master key opens it"),
        "{told}"
    );
    let copy = place.folder().join("copy.db");
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    // What happens afterwards is not in it.
    add_person(&place, "late@example.com");
    assert_eq!(people(&place), 2);

    let refused = place.run(&["restore", "copy.db", "--replace"]).one_line_failure();
    assert!(refused.contains("another process uses"), "{refused}");
    assert_eq!(server.stop().code, Some(0));
    let refused = place.run(&["restore", "copy.db"]).one_line_failure();
    assert!(refused.contains("exists already; --replace"), "{refused}");

    let told = place.run(&["restore", "copy.db", "--replace"]).success();
    assert!(told.contains("doorward.db.replaced-1"), "{told}");
    let server = place.serve().await;
    assert_eq!(people(&place), 1);
    assert_eq!(published(&server).await, keys);
    assert_eq!(server.stop().code, Some(0));

    // And back: what was replaced is a whole database.
    let data = place.folder().join("data");
    assert_eq!(
        names(&data),
        [
            "doorward.db",
            "doorward.db.lock",
            "doorward.db.replaced-1",
            "master.key"
        ]
    );
    place
        .run(&["restore", "data/doorward.db.replaced-1", "--replace"])
        .success();
    let _server = place.serve().await;
    assert_eq!(people(&place), 2);
}

/// [CRASH-004]
#[tokio::test(flavor = "multi_thread")]
async fn copies_of_a_busy_server_are_whole() {
    let place = Place::new().set("DOORWARD_RATE_LIMIT_TOKEN_ACCOUNT", "off");
    let server = place.serve().await;
    place.populate();
    let client = Client::register(&server, "Busy").await;
    let callback = Browser::new().approve(&client.authorization_url()).await;
    let code = callback
        .query_pairs()
        .find(|(name, _)| name == "code")
        .unwrap()
        .1
        .into_owned();
    let mut tokens = Tokens::of(client.redeem(&code).await.unwrap());
    let load = tokio::spawn(async move {
        while let Ok(answer) = client.refresh(&tokens.refresh).await {
            tokens = Tokens::of(answer);
        }
    });
    for number in 0..5 {
        let answered = server.process.stderr().matches("/oauth/token").count();
        let file = format!("copy-{number}.db");
        place.run(&["backup", &file]).success();
        eventually("the server goes on", || async {
            (server.process.stderr().matches("/oauth/token").count() > answered).then_some(())
        })
        .await;
    }
    // Killed in the midst of it, at any moment: the file is whole or not there.
    for number in 0..8 {
        let file = format!("killed-{number}.db");
        let mut process = place.start(&["backup", &file], "");
        std::thread::sleep(std::time::Duration::from_millis(5 * number));
        process.kill();
    }
    assert_eq!(server.stop().code, Some(0));
    load.await.unwrap();
    for name in names(place.folder())
        .iter()
        .filter(|name| extension(name) == "db")
    {
        let other = Place::new().set("DOORWARD_KEYS_MASTER_KEY_FILE", &text(&place, "data/master.key"));
        other.run(&["restore", &text(&place, name)]).success();
        let _server = other.serve().await;
        assert_eq!(people(&other), 1, "{name}");
    }
}

fn text(place: &Place, name: &str) -> String {
    place.folder().join(name).to_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_cannot_be_copied_or_restored_is_said_and_nothing_is_changed() {
    let place = Place::new();
    // There is nothing yet.
    let refused = place.run(&["backup", "copy.db"]).one_line_failure();
    assert!(
        refused.contains("there is no database at /") && refused.contains("/data/doorward.db"),
        "{refused}"
    );
    assert!(names(place.folder()).is_empty());
    assert_eq!(place.serve().await.stop().code, Some(0));
    place.run(&["backup", "copy.db"]).success();
    let refused = place.run(&["backup", "copy.db"]).one_line_failure();
    assert!(refused.contains("copy.db exists already"), "{refused}");
    let refused = place.run(&["backup", "no/such/folder.db"]).one_line_failure();
    assert!(
        refused.contains("no/such/folder.db") && refused.contains("No such file"),
        "{refused}"
    );

    let good = fs::read(place.folder().join("copy.db")).unwrap();
    let mut damaged = good.clone();
    let middle = damaged.len() / 2;
    for byte in &mut damaged[middle..middle + 4096] {
        *byte = 0x55;
    }
    let write = |name: &str, bytes: &[u8]| fs::write(place.folder().join(name), bytes).unwrap();
    write("damaged.db", &damaged);
    write("short.db", &good[..good.len() / 3]);
    write(
        "text.db",
        b"this is no database, however long it may be: not even a header that SQLite would know, at all",
    );
    write("empty.db", b"");
    write("journal.db", &good);
    write("journal.db-wal", b"something");
    let before = names(&place.folder().join("data"));
    let database = fs::read(place.folder().join("data/doorward.db")).unwrap();
    for (file, reason) in [
        ("damaged.db", "damaged.db cannot be used"),
        ("short.db", "short.db cannot be used"),
        ("text.db", "file is not a database"),
        ("empty.db", "it is empty"),
        ("journal.db", "make one with `doorward backup`"),
        ("missing.db", "there is no file missing.db"),
    ] {
        let refused = place.run(&["restore", file, "--replace"]).one_line_failure();
        assert!(refused.contains(reason), "{file}: {refused}");
    }
    // A copy that the master key does not open is of no use.
    place.run(&["keys", "new-master", "other.key"]).success();
    let other = Place::new()
        .set(
            "DOORWARD_STORAGE_URL",
            &format!("sqlite://{}", text(&place, "data/doorward.db")),
        )
        .set("DOORWARD_KEYS_MASTER_KEY_FILE", &text(&place, "other.key"));
    for arguments in [
        &["restore", &text(&place, "copy.db"), "--replace"][..],
        &["backup", "copy.db"],
    ] {
        let refused = other.run(arguments).one_line_failure();
        assert!(refused.contains("sealed under another master key"), "{refused}");
    }
    assert!(names(other.folder()).is_empty());
    assert_eq!(names(&place.folder().join("data")), before);
    assert_eq!(
        fs::read(place.folder().join("data/doorward.db")).unwrap(),
        database
    );

    let postgres = Place::new()
        .set(
            "DOORWARD_STORAGE_URL",
            "postgres://ada:s3cr3t@127.0.0.1:1/doorward",
        )
        .set("DOORWARD_KEYS_MASTER_KEY_FILE", &text(&place, "other.key"));
    for arguments in [&["restore", "x.db"], &["backup", "x.db"]] {
        let refused = postgres.run(arguments).one_line_failure();
        assert!(
            refused.contains("pg_dump") && !refused.contains("s3cr3t"),
            "{refused}"
        );
    }
}

/// Whoever is not the server's user: somebody without rights, or root without the right to read what is another one's.
const SOMEBODY: u32 = 65_534;

/// A script that runs the program with these arguments as one who has no right to `file`.
fn without_right_to(file: &Path, arguments: &str) -> String {
    if chown(file, Some(SOMEBODY), Some(SOMEBODY)).is_ok() {
        return format!("exec setpriv --bounding-set=-dac_override,-dac_read_search -- \"$0\" {arguments}");
    }
    fs::set_permissions(file, fs::Permissions::from_mode(0o000)).unwrap();
    format!("exec \"$0\" {arguments}")
}

#[tokio::test]
async fn a_file_that_is_another_ones_is_said_with_whose_it_is() {
    let place = Place::new();
    assert_eq!(place.serve().await.stop().code, Some(0));
    place.run(&["backup", "copy.db"]).success();
    for (file, arguments) in [
        ("copy.db", "restore copy.db --replace"),
        ("data/doorward.db", "backup other.db"),
        ("data/doorward.db", "serve"),
        ("data/doorward.db", "migrate"),
    ] {
        let script = without_right_to(&place.folder().join(file), arguments);
        let refused = place.start_in_shell(&script).finish().one_line_failure();
        let owner = fs::metadata(place.folder().join(file)).unwrap().uid();
        let expected = format!(
            "{file} cannot be read: Permission denied (os error 13); it belongs to user {owner} (mode 0"
        );
        assert!(
            refused.contains(&expected) && refused.contains("`chown`"),
            "{arguments}: {refused}"
        );
    }
    place.run(&["backup", "data"]).one_line_failure();
    let refused = place.run(&["restore", "data", "--replace"]).one_line_failure();
    assert_eq!(refused, "data is not a file");
}

/// An administrator who makes the database, or puts a copy in its place, leaves one that the server can open.
#[tokio::test]
async fn what_is_made_in_the_servers_folder_belongs_to_the_server() {
    let place = Place::new();
    let data = place.folder().join("data");
    fs::create_dir(&data).unwrap();
    // Only root can; otherwise all is the same user's.
    let _ = chown(&data, Some(SOMEBODY), Some(SOMEBODY));
    let belongs = |files: &[&str]| {
        for file in files {
            let (found, folder) = (
                fs::metadata(data.join(file)).unwrap(),
                fs::metadata(&data).unwrap(),
            );
            assert_eq!((found.uid(), found.gid()), (folder.uid(), folder.gid()), "{file}");
            assert_eq!(found.mode() & 0o7777, 0o600, "{file}");
        }
    };
    place.run(&["migrate"]).success();
    assert_eq!(place.serve().await.stop().code, Some(0));
    belongs(&["doorward.db", "doorward.db.lock"]);
    place.run(&["backup", "copy.db"]).success();
    place.run(&["restore", "copy.db", "--replace"]).success();
    belongs(&["doorward.db", "doorward.db.replaced-1", "doorward.db.lock"]);
    fs::remove_file(data.join("doorward.db")).unwrap();
    place.run(&["restore", "copy.db"]).success();
    belongs(&["doorward.db"]);
}

#[tokio::test]
async fn a_copy_for_which_there_is_no_room_is_not_the_databases_fault() {
    let place = Place::new();
    assert_eq!(place.serve().await.stop().code, Some(0));
    let script = "trap '' XFSZ; ulimit -f 200; exec \"$0\" backup copy.db";
    let refused = place.start_in_shell(script).finish().one_line_failure();
    assert!(
        refused.starts_with("the copy (") && refused.contains("cannot be written"),
        "{refused}"
    );
    assert!(!place.folder().join("copy.db").exists());
}

/// [KEY-008]
#[tokio::test]
async fn the_master_key_is_changed_and_everything_still_works() {
    let place = Place::new();
    let server = place.serve().await;
    place.populate();
    let keys = published(&server).await;
    place.run(&["admin", "key", "rotate"]).success();
    assert_eq!(server.stop().code, Some(0));
    let refused = place.run(&["keys", "rotate-master"]).one_line_failure();
    assert!(refused.contains("keys.other_master_key_file"), "{refused}");

    place.run(&["keys", "new-master", "new.key"]).success();
    let refused = place.run(&["keys", "new-master", "new.key"]).one_line_failure();
    assert_eq!(
        refused,
        "new.key exists already; move it away or name another file"
    );
    let place = place
        .set("DOORWARD_KEYS_MASTER_KEY_FILE", "new.key")
        .set("DOORWARD_KEYS_OTHER_MASTER_KEY_FILE", "data/master.key");
    // A copy from before, for the command that needs no server.
    std::fs::copy(
        place.folder().join("data/doorward.db"),
        place.folder().join("before.db"),
    )
    .unwrap();
    // A server that holds both does it by itself.
    let server = place.serve().await;
    eventually("everything is sealed under the new key", || async {
        let log = server.process.stderr();
        let line = log
            .lines()
            .find(|line| line.contains("everything is sealed under"))?;
        assert!(line.contains("\"changed\":4"), "{line}");
        Some(())
    })
    .await;
    let metrics = http().get(format!("{}/metrics", server.admin_url));
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    assert!(
        metrics.contains("doorward_job_runs_total{job=\"master_key\",outcome=\"ok\"} 1"),
        "{metrics}"
    );
    let refused = place.run(&["keys", "rotate-master"]).one_line_failure();
    assert!(refused.contains("another process uses"), "{refused}");
    assert_eq!(server.stop().code, Some(0));
    let told = place.run(&["keys", "rotate-master"]).success();
    assert!(told.contains("0 of 4"), "{told}");

    place.run(&["restore", "before.db", "--replace"]).success();
    let told = place.run(&["keys", "rotate-master"]).success();
    assert!(
        told.starts_with("Everything is sealed under the master key now: 4 of 4"),
        "{told}"
    );
    let told = place.run(&["keys", "rotate-master"]).success();
    assert!(told.contains("0 of 4"), "{told}");
    let place = place.without("DOORWARD_KEYS_OTHER_MASTER_KEY_FILE");
    let server = place.serve().await;
    let after = published(&server).await;
    assert_eq!(after["keys"][0], keys["keys"][0]);
    Browser::new()
        .approve(&Client::register(&server, "App").await.authorization_url())
        .await;
    assert_eq!(server.stop().code, Some(0));
    let place = place.set("DOORWARD_KEYS_MASTER_KEY_FILE", "data/master.key");
    let refused = place.run(&["serve"]).stderr;
    assert!(refused.contains("sealed under another master key"), "{refused}");
}
