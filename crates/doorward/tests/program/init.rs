//! `doorward init`, and that what it writes is what `serve` runs with.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::support::Place;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The value of a key in a file that `init` wrote.
fn setting(file: &str, key: &str) -> String {
    let line = file
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{key} = ")));
    line.unwrap_or_else(|| panic!("{key} is not set:\n{file}"))
        .trim_matches('"')
        .to_owned()
}

#[tokio::test]
async fn from_init_to_an_admin_command() {
    let place = Place::bare();
    let issuer = format!("http://localhost:{}", place.public);
    let said = place.run(&["init", "--issuer", &issuer]).success();
    insta::assert_snapshot!(said, @r"
    Wrote doorward.toml and data/master.key (mode 0600).
    Keep a copy of the master key apart from the database: without it nothing in there can be used.
    Next: doorward check-config --config doorward.toml, then doorward serve --config doorward.toml
    ");
    let (config, master) = (
        place.folder().join("doorward.toml"),
        place.folder().join("data/master.key"),
    );
    assert_eq!((mode(&config), mode(&master)), (0o600, 0o600));
    let text = fs::read_to_string(config).unwrap();
    let key = setting(&text, "bootstrap_key");

    let shown = place
        .run(&["check-config", "--config", "doorward.toml"])
        .success();
    assert!(shown.ends_with("The configuration is good.\n"), "{shown}");
    assert!(!shown.contains(&key), "{shown}");

    // The issuer is on loopback, so the server listens where it says; only the admin port is ours to choose.
    let admin = format!("127.0.0.1:{}", place.admin);
    let place = place
        .set("DOORWARD_SERVER_ISSUER", &issuer)
        .set("DOORWARD_ADMIN_ADDRESS", &admin)
        .set("DOORWARD_ADMIN_KEY", &key);
    let server = place.serve_with(&["serve", "--config", "doorward.toml"]).await;
    let healthcheck = place.run(&["healthcheck", "--url", &server.public_url]);
    assert_eq!(healthcheck.success(), "ready\n");
    assert_eq!(place.run(&["admin", "resource", "list"]).success(), "(none)\n");
    let stopped = server.stop();
    assert_eq!(stopped.code, Some(0), "{stopped:?}");
    // The key is in the file: none is made, none is printed.
    assert_eq!(stopped.stdout, "");
    let database = place.folder().join("data/doorward.db");
    assert_eq!(mode(&database), 0o600);
}

#[test]
fn init_overwrites_nothing() {
    let place = Place::bare();
    place.run(&["init"]).success();
    let files = || {
        ["doorward.toml", "data/master.key"]
            .map(|name| fs::read_to_string(place.folder().join(name)).unwrap())
    };
    let before = files();
    insta::assert_snapshot!(place.run(&["init"]).one_line_failure(), @"doorward.toml exists already; move it away or name another file");
    let again = place.run(&["init", "--config", "other.toml"]).one_line_failure();
    insta::assert_snapshot!(again, @"data/master.key exists already; move it away or name another file");
    assert_eq!(files(), before);
    assert!(!place.folder().join("other.toml").exists());
}

#[test]
fn init_with_one_file_for_both_says_that() {
    let place = Place::bare();
    for key in ["a.toml", "./a.toml"] {
        let both = ["init", "--config", "a.toml", "--master-key-file", key];
        insta::allow_duplicates! {
            insta::assert_snapshot!(place.run(&both).one_line_failure(), @"--config and --master-key-file name the same file; name two");
        }
    }
    assert!(!place.folder().join("a.toml").exists());
}

#[test]
fn init_with_an_issuer_that_cannot_be_leaves_nothing_behind() {
    let place = Place::bare();
    let refused = place
        .run(&["init", "--issuer", "http://public.example"])
        .one_line_failure();
    assert!(
        refused.starts_with(
            "--issuer http://public.example cannot be used: the issuer must begin with https://"
        ),
        "{refused}"
    );
    assert!(!place.folder().join("doorward.toml").exists() && !place.folder().join("data").exists());
}

#[test]
fn init_that_cannot_write_its_second_file_takes_the_first_back() {
    let place = Place::bare();
    fs::write(place.folder().join("file"), "").unwrap();
    let refused = place
        .run(&["init", "--config", "file/doorward.toml"])
        .one_line_failure();
    assert!(
        refused.starts_with("file/doorward.toml cannot be written: "),
        "{refused}"
    );
    assert!(!place.folder().join("data/master.key").exists());
    place.run(&["init"]).success();
}

#[test]
fn two_inits_share_no_secret() {
    let key = || {
        let place = Place::bare();
        place.run(&["init"]).success();
        let text = fs::read_to_string(place.folder().join("doorward.toml")).unwrap();
        (
            setting(&text, "bootstrap_key"),
            fs::read_to_string(place.folder().join("data/master.key")).unwrap(),
        )
    };
    let (first, second) = (key(), key());
    assert_ne!(first.0, second.0);
    assert_ne!(first.1, second.1);
}

#[test]
fn the_server_listens_where_a_loopback_issuer_says_and_behind_any_other() {
    for (issuer, address) in [
        ("http://localhost:9400", "127.0.0.1:9400"),
        ("http://127.0.0.1:9400/tenant1", "127.0.0.1:9400"),
        ("http://[::1]:9400", "[::1]:9400"),
        ("http://localhost", "127.0.0.1:80"),
        ("https://auth.example", "127.0.0.1:9000"),
        ("https://localhost:8443", "127.0.0.1:9000"),
    ] {
        let place = Place::bare();
        place.run(&["init", "--issuer", issuer]).success();
        let text = fs::read_to_string(place.folder().join("doorward.toml")).unwrap();
        assert_eq!(setting(&text, "issuer"), issuer);
        assert_eq!(setting(&text, "address"), address, "{issuer}");
        place
            .run(&["check-config", "--config", "doorward.toml"])
            .success();
    }
}
