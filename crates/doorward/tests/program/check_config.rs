//! `doorward check-config`: what `serve` would refuse, it refuses, and says everything at once.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::support::{Place, cluster, database_contents};

/// What is complained about a file and an environment.
fn complaint(file: &str, environment: &[(&str, &str)]) -> String {
    let place = Place::bare();
    let path = place.folder().join("doorward.toml");
    fs::write(&path, file).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    let place = environment
        .iter()
        .fold(place, |place, (name, value)| place.set(name, value));
    let checked = place
        .run(&["check-config", "--config", "doorward.toml"])
        .failure();
    // The server says the same, and touches nothing.
    assert_eq!(
        place.run(&["serve", "--config", "doorward.toml"]).failure(),
        checked
    );
    assert_eq!(
        place.run(&["migrate", "--config", "doorward.toml"]).failure(),
        checked
    );
    assert!(!place.folder().join("data").exists(), "something was made");
    checked
}

#[test]
fn every_problem_of_a_file_is_listed_with_its_place() {
    let file = "\
[server]
issuer = \"http://public.example\"
adress = \"127.0.0.1:1\"
[token]
access_ttl = \"5m\"
[tokens]
access_ttl = 5
code_ttl = \"1h\"
[admin]
bootstrap_key = \"${ADMIN_KEY}\"
[registration]
dcr = \"closed\"
cimd = \"yes\"
";
    insta::assert_snapshot!(complaint(file, &[]), @r#"
    the configuration is refused:
    doorward.toml:3:1: there is no key `adress` in `[server]`; did you mean `address`?
      |
    3 | adress = …
      | ^^^^^^
    doorward.toml:4:2: there is no section `token`; did you mean `tokens`?
      |
    4 | [token]
      |  ^^^^^
    doorward.toml:7:14: `tokens.access_ttl`: expected a length of time such as `90s`, `15m`, `12h` or `30d`, found an integer
      |
    7 | access_ttl = 5
      |              ^
    doorward.toml:10:17: `admin.bootstrap_key` holds `${…}`, which is not expanded here; set DOORWARD_ADMIN_BOOTSTRAP_KEY instead
       |
    10 | bootstrap_key = …
       |                 ^
    doorward.toml:12:7: `registration.dcr`: expected `open`, `approved_redirects`, `initial_access_token` or `admin_only`
       |
    12 | dcr = "closed"
       |       ^^^^^^^^
    doorward.toml:13:8: `registration.cimd`: expected `true` or `false`, found a string
       |
    13 | cimd = "yes"
       |        ^^^^^
    server.issuer: the issuer must begin with https:// (http:// is for localhost, 127.0.0.1 and [::1] only); write the public URL, such as `https://auth.example`
    tokens.code_ttl: is 1h; it must be between 5s and 10m
    "#);
}

#[test]
fn variables_are_held_to_the_same() {
    let problems = complaint(
        "",
        &[
            ("DOORWARD_SERVER_ISSUR", "http://localhost:9000"),
            ("DOORWARD_STORAGE_URL", "mysql://x"),
            ("DOORWARD_ADMIN_BOOTSTRAP_KEY", "${KEY}"),
            ("DOORWARD_TOKENS_ACCESS_TTL", "soon"),
            ("DOORWARD_SERVER_ADDRESS", "localhost"),
        ],
    );
    let problems: Vec<_> = problems.lines().collect();
    for expected in [
        "DOORWARD_SERVER_ISSUR: there is no such setting; did you mean `DOORWARD_SERVER_ISSUER`?",
        "DOORWARD_ADMIN_BOOTSTRAP_KEY: holds `${…}`, which is not expanded here; expand it where it is set",
        "DOORWARD_TOKENS_ACCESS_TTL: expected a length of time such as `90s`, `15m`, `12h` or `30d`",
        "storage.url: expected `sqlite://` and a path, such as `sqlite://data/doorward.db`",
    ] {
        assert!(
            problems.iter().any(|problem| problem.starts_with(expected)),
            "{expected}\n{problems:#?}"
        );
    }
    assert!(
        problems
            .iter()
            .any(|problem| problem.starts_with("DOORWARD_SERVER_ADDRESS: ")),
        "{problems:#?}"
    );
}

#[test]
fn an_issuer_that_cannot_be_is_refused_and_loopback_may_be_plain() {
    for issuer in [
        "https://h?x=1",
        "https://h/#f",
        "http://public.example",
        "ftp://h",
        "https://user:pw@h",
        "h.example",
        "https://",
        "https://h/",
        "http://localhost.example",
        "http://127.0.0.1.example",
        "http://10.0.0.1",
    ] {
        let problem = complaint("", &[("DOORWARD_SERVER_ISSUER", issuer)]);
        let lines: Vec<_> = problem.lines().collect();
        assert_eq!(lines[0], "the configuration is refused:");
        assert!(
            lines.len() == 2 && lines[1].starts_with("server.issuer: the issuer "),
            "{issuer}: {problem}"
        );
        assert!(
            lines[1].ends_with("write the public URL, such as `https://auth.example`"),
            "{issuer}: {problem}"
        );
    }
    for issuer in [
        "http://127.0.0.1:8000",
        "http://localhost:9000/tenant1",
        "http://[::1]:9000",
        "https://h",
        "https://h/tenant",
    ] {
        Place::bare()
            .set("DOORWARD_SERVER_ISSUER", issuer)
            .run(&["check-config"])
            .success();
    }
}

#[test]
fn weak_secrets_are_for_loopback_only() {
    let good = "dwk_jF3mXw81LrZtQvN6bYhKcP0sEoUaGi2dVkTnRy4uWxM";
    for (key, fault) in [
        ("changeme", "looks like a placeholder"),
        (
            "Please-CHANGE-ME-before-you-go-to-production",
            "looks like a placeholder",
        ),
        ("hunter2!", "is shorter than 32 characters"),
        (
            "0000000000000000000000000000000000000000000000000000000000000000",
            "has too few different characters",
        ),
    ] {
        let exposed = [
            ("DOORWARD_SERVER_ISSUER", "https://auth.example"),
            ("DOORWARD_ADMIN_BOOTSTRAP_KEY", key),
        ];
        let problem = complaint("", &exposed);
        assert!(
            problem.contains(&format!("admin.bootstrap_key: {fault}")),
            "{key}: {problem}"
        );
        assert!(!problem.contains(key), "{problem}");
        let listener = [
            ("DOORWARD_SERVER_ADDRESS", "0.0.0.0:9000"),
            ("DOORWARD_ADMIN_BOOTSTRAP_KEY", key),
        ];
        assert!(complaint("", &listener).contains(fault), "{key}");
        Place::bare()
            .set("DOORWARD_ADMIN_BOOTSTRAP_KEY", key)
            .run(&["check-config"])
            .success();
    }
    let place = Place::bare().set("DOORWARD_SERVER_ISSUER", "https://auth.example");
    place
        .set("DOORWARD_ADMIN_BOOTSTRAP_KEY", good)
        .run(&["check-config"])
        .success();
}

#[test]
fn what_is_in_force_is_shown_with_its_origin_and_without_secrets() {
    let place = Place::bare().set("DOORWARD_TOKENS_ACCESS_TTL", "90s").set(
        "DOORWARD_KEYS_MASTER_KEY",
        "c2VjcmV0LWJ5dGVzLW9mLXRoZS1tYXN0ZXIta2V5ISE",
    );
    let file = "[admin]\nbootstrap_key = \"dwk_bright-and-shiny\"\n[keys]\nalgorithm = \"EdDSA\"\n";
    let path = place.folder().join("doorward.toml");
    fs::write(&path, file).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let shown = place
        .run(&["check-config", "--config", "doorward.toml"])
        .success();
    let line = |name: &str| {
        let line = shown.lines().find(|line| line.split(' ').next() == Some(name));
        let words: Vec<_> = line
            .unwrap_or_else(|| panic!("no {name}: {shown}"))
            .split_whitespace()
            .skip(1)
            .collect();
        words.join(" ")
    };
    assert_eq!(line("tokens.access_ttl"), "\"90s\" (environment)");
    assert_eq!(line("keys.algorithm"), "\"EdDSA\" (file)");
    assert_eq!(line("admin.bootstrap_key"), "\"(set, not shown)\" (file)");
    assert_eq!(line("keys.master_key"), "\"(set, not shown)\" (environment)");
    assert_eq!(line("server.issuer"), "\"http://localhost:9000\" (default)");
    assert!(
        !shown.contains("bright-and-shiny") && !shown.contains("c2VjcmV0"),
        "{shown}"
    );
    // The variable names the file as well as the argument does.
    assert_eq!(
        place
            .set("DOORWARD_CONFIG", "doorward.toml")
            .run(&["check-config"])
            .success(),
        shown
    );
}

#[test]
fn secrets_that_others_can_read_are_told_of() {
    let place = Place::bare();
    let path = place.folder().join("doorward.toml");
    let check = |mode: u32| {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        place.run(&["check-config", "--config", "doorward.toml"])
    };
    let file = "[admin]\nbootstrap_key = \"dwk_bright-and-shiny\"\n[keys]\nalgorithm = \"EdDSA\"\n";
    fs::write(&path, file).unwrap();
    check(0o600).success();
    let open = check(0o644);
    assert_eq!(open.code, Some(0), "{open:?}");
    insta::assert_snapshot!(open.stderr, @"note: doorward.toml can be read by others and holds secrets (admin.bootstrap_key); run `chmod 600 doorward.toml`");
    // Without a secret it is anybody's to read.
    fs::write(&path, "[keys]\nalgorithm = \"EdDSA\"\n").unwrap();
    check(0o644).success();
}

#[test]
fn a_database_url_that_cannot_be_one_is_refused() {
    for (url, why) in [
        ("postgresql://127.0.0.1:1/doorward", "names no user"),
        ("postgres:///doorward", "names no host"),
        ("postgres://ada:pa@ss@127.0.0.1:1/doorward", "%40"),
        ("postgres://ada@127.0.0.1:1/doorward?sslmode=prefered", "sslmode"),
        ("postgres://ada@127.0.0.1:1/doorward?foo=bar", "foo"),
    ] {
        let problem = complaint(
            &format!("[storage]\nurl = \"{url}\"\n[keys]\nmaster_key_file = \"master.key\"\n"),
            &[],
        );
        assert!(problem.contains(why), "{url}: {problem}");
        assert!(
            !problem.contains("ss@"),
            "a part of the password is shown: {problem}"
        );
    }
}

/// The file of the master key itself is made at the first start.
#[test]
fn files_of_keys_that_cannot_be_used_are_refused() {
    let place = Place::bare();
    let check = |name: &str, file: &str| {
        let place = Place::bare().set(name, file);
        fs::write(place.folder().join("short.key"), "short").unwrap();
        fs::set_permissions(
            place.folder().join("short.key"),
            fs::Permissions::from_mode(0o600),
        )
        .unwrap();
        fs::create_dir(place.folder().join("folder.key")).unwrap();
        place.run(&["check-config"]).failure()
    };
    place.run(&["check-config"]).success();
    let (main, other) = (
        "DOORWARD_KEYS_MASTER_KEY_FILE",
        "DOORWARD_KEYS_OTHER_MASTER_KEY_FILE",
    );
    for (name, setting) in [
        (main, "keys.master_key_file"),
        (other, "keys.other_master_key_file"),
    ] {
        let malformed = check(name, "short.key");
        assert!(
            malformed.contains("short.key does not hold 32 bytes")
                && malformed.ends_with(&format!("or correct {setting}")),
            "{malformed}"
        );
    }
    // What Docker makes where the file of a bind mount is missing.
    for name in [main, other, "DOORWARD_ADMIN_BOOTSTRAP_KEY_FILE"] {
        let folder = check(name, "folder.key");
        assert!(
            folder.contains("folder.key") && folder.contains("is not a file") && !folder.contains("chmod"),
            "{folder}"
        );
    }
    let missing = check(other, "gone.key");
    assert!(
        missing.contains("the other master key file gone.key is missing")
            && missing.contains("correct keys.other_master_key_file")
            && !missing.contains("sealed under its key"),
        "{missing}"
    );
}

#[test]
fn a_file_that_is_not_there_is_named_once() {
    let refused = Place::bare()
        .run(&["check-config", "--config", "nope.toml"])
        .one_line_failure();
    insta::assert_snapshot!(refused, @"cannot read the configuration nope.toml (name the file with --config, or write one with `doorward init`): No such file or directory (os error 2)");
}

#[test]
fn a_file_that_is_no_toml_is_refused_where_it_breaks() {
    let problem = complaint("[server]\nissuer = http://localhost\n", &[]);
    assert!(
        problem.starts_with("the configuration is refused:\ndoorward.toml:2:"),
        "{problem}"
    );
}

#[test]
fn a_variable_that_is_not_utf8_is_named_and_those_of_others_do_not_matter() {
    let place = Place::bare();
    let check = |name: &str| {
        Command::new(env!("CARGO_BIN_EXE_doorward"))
            .arg("check-config")
            .current_dir(place.folder())
            .env_clear()
            .env(name, OsStr::from_bytes(b"\xff"))
            .output()
            .unwrap()
    };
    assert!(check("LC_STRANGE").status.success());
    let refused = check("DOORWARD_SERVER_ISSUER");
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("DOORWARD_SERVER_ISSUER is not UTF-8"), "{said}");
}

/// Only when it is asked for, and without a trace.
#[tokio::test]
async fn the_database_is_looked_at_and_nothing_is_made() {
    let place = Place::new().without("DOORWARD_KEYS_MASTER_KEY");
    let folder = place.folder().canonicalize().unwrap();
    let data = folder.join("data");
    let database = data.join("doorward.db");
    let look = || {
        let said = place.run(&["check-config", "--database"]).success();
        said.lines().last().unwrap().to_owned()
    };
    let nothing = format!("There is nothing in {} yet: ", database.display());
    let key = data.join("master.key");
    assert_eq!(
        look(),
        format!(
            "{nothing}the first start makes it, and a master key in {}.",
            key.display()
        )
    );
    assert!(!data.exists(), "something was made");

    let server = place.serve().await;
    let told = server.process.stderr();
    let made = format!(
        "\"message\":\"there was no database: made a new one\",\"path\":\"{}\"",
        database.display()
    );
    assert!(told.contains(&made), "{told}");
    // A server runs meanwhile.
    let ready = look();
    assert!(
        ready.starts_with(&format!("{} has this version's schema (", database.display()))
            && ready.ends_with("), and the master key opens it."),
        "{ready}"
    );
    assert_eq!(server.stop().code, Some(0));
    let before = fs::read(&database).unwrap();
    let listing = || {
        let entries = fs::read_dir(&data).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let files = listing();
    assert_eq!(look(), ready);
    assert_eq!(fs::read(&database).unwrap(), before);
    assert_eq!(listing(), files);

    fs::write(&database, "no database").unwrap();
    let refused = place.run(&["check-config", "--database"]).failure();
    assert!(
        refused.contains("restore a backup (`doorward restore`)"),
        "{refused}"
    );
    fs::remove_file(&key).unwrap();
    fs::write(&database, before).unwrap();
    let refused = place.run(&["check-config", "--database"]).failure();
    assert!(refused.contains("master.key is missing"), "{refused}");
    assert!(!key.exists());
    // Without being asked it is not looked at.
    place.run(&["check-config"]).success();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_database_that_is_new_stays_so_when_it_is_looked_at() {
    let Some(database) = cluster::empty_database().await else {
        return;
    };
    let place = Place::new()
        .set("DOORWARD_KEYS_MASTER_KEY_FILE", "master.key")
        .set("DOORWARD_STORAGE_URL", &database.url());
    let said = place.run(&["check-config", "--database"]).success();
    assert!(said.contains("There is nothing in postgres"), "{said}");
    assert!(!place.folder().join("master.key").exists());
    assert_eq!(
        database_contents(&database.url()).await,
        Vec::<[String; 3]>::new()
    );
    assert_eq!(place.serve().await.stop().code, Some(0));
    let said = place.run(&["check-config", "--database"]).success();
    assert!(said.contains(" has this version's schema ("), "{said}");
}
