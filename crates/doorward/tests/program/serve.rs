//! `doorward serve`: first and later starts, and what it refuses to start with.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;
use tokio::time::Instant;

use crate::support::{PATIENCE, Place, Server, eventually, http};

/// The admin key that a first start printed.
fn printed_key(stdout: &str) -> Option<String> {
    let key = stdout.lines().find(|line| line.starts_with("dwk_"));
    key.map(str::to_owned)
}

#[tokio::test]
async fn the_first_start_prints_the_admin_key_and_the_second_does_not() {
    let place = Place::new().without("DOORWARD_ADMIN_BOOTSTRAP_KEY");
    let server = place.serve().await;
    let key = printed_key(&server.process.stdout()).expect("a key");
    let place = place.set("DOORWARD_ADMIN_KEY", &key);
    place.run(&["admin", "key", "list"]).success();
    let first = server.stop();
    assert_eq!(first.code, Some(0), "{first:?}");
    assert_eq!(first.stdout.matches(&key).count(), 1);
    assert!(!first.stderr.contains(&key), "the key is in the log");

    let server = place.serve().await;
    place.run(&["admin", "key", "list"]).success();
    let second = server.stop();
    assert_eq!((second.code, second.stdout.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn the_log_is_json_where_nobody_reads_it() {
    let place = Place::new();
    let server = place.serve().await;
    http()
        .get(format!("{}/.well-known/jwks.json?secret=x", server.issuer))
        .send()
        .await
        .unwrap();
    let stopped = server.stop();
    let lines: Vec<Value> = stopped
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        lines
            .iter()
            .all(|line| line["timestamp"].is_string() && line["level"].is_string())
    );
    let request = lines
        .iter()
        .find(|line| line["route"] == "/.well-known/jwks.json")
        .expect("a line");
    assert_eq!(
        (&request["status"], &request["method"]),
        (&200.into(), &"GET".into())
    );
    assert_eq!(request["request_id"].as_str().map(str::len), Some(16));
    assert!(!stopped.stderr.contains("secret=x"));
    assert!(lines.last().is_some_and(|line| line["message"] == "stopped"));

    let human = place
        .set("DOORWARD_OBSERVABILITY_LOG_FORMAT", "human")
        .serve()
        .await
        .stop();
    assert!(
        human.stderr.lines().all(|line| !line.starts_with('{')),
        "{}",
        human.stderr
    );
}

#[tokio::test]
async fn a_second_server_on_the_same_database_is_refused() {
    let place = Place::new();
    let server = place.serve().await;
    let other = Place::new();
    let database = format!("sqlite://{}", place.folder().join("data/doorward.db").display());
    let other = other.set("DOORWARD_STORAGE_URL", &database);
    for command in ["serve", "migrate"] {
        let refused = other.run(&[command]);
        let refused = refused.stderr.lines().last().unwrap().to_owned();
        assert!(
            refused.contains("another process uses ") && refused.contains("stop the other one"),
            "{command}: {refused}"
        );
    }
    // The first is none the worse for it.
    place.run(&["healthcheck", "--url", &server.public_url]).success();
    assert_eq!(server.stop().code, Some(0));
    assert!(
        other
            .run(&["migrate"])
            .stdout
            .ends_with("is at this version's schema.\n")
    );
}

/// Whoever is in the wrong folder sees it.
#[test]
fn migrate_says_which_database_it_was_and_whether_it_is_new() {
    let place = Place::new();
    let database = place.folder().canonicalize().unwrap().join("data/doorward.db");
    for state in ["was made new, with", "is at"] {
        assert_eq!(
            place.run(&["migrate"]).success(),
            format!("{} {state} this version's schema.\n", database.display())
        );
    }
}

#[tokio::test]
async fn a_taken_port_is_named_and_costs_nothing() {
    for (variable, setting) in [
        ("DOORWARD_SERVER_ADDRESS", "server.address"),
        ("DOORWARD_ADMIN_ADDRESS", "admin.address"),
    ] {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let place = Place::new().without("DOORWARD_ADMIN_BOOTSTRAP_KEY");
        let right = if setting == "server.address" {
            place.public
        } else {
            place.admin
        };
        let place = place.set(variable, &address);
        let refused = place.run(&["serve"]).one_line_failure();
        assert!(
            refused.starts_with(&format!(
                "cannot listen on {address} ({setting}): Address already in use"
            )),
            "{refused}"
        );
        // In particular, no admin key was made that nobody saw.
        assert!(!place.folder().join("data").exists());
        let place = place.set(variable, &format!("127.0.0.1:{right}"));
        let server = place.serve().await;
        assert!(printed_key(&server.process.stdout()).is_some());
    }
}

#[tokio::test]
async fn a_wrong_master_key_is_refused_and_no_key_is_made_anew() {
    let place = Place::new();
    let server = place.serve().await;
    let url = format!("{}/.well-known/jwks.json", server.issuer);
    let before = http().get(&url).send().await.unwrap().text().await.unwrap();
    assert_eq!(server.stop().code, Some(0));

    let wrong = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    let wrong_place = place.set("DOORWARD_KEYS_MASTER_KEY", wrong);
    let refused = wrong_place.run(&["serve"]).one_line_failure();
    insta::assert_snapshot!(refused, @"the database was sealed under another master key; put the right one back, or name the key of the copy that was restored, or the other key of a change of the master key that was not finished, as keys.other_master_key_file");
    let short = wrong_place.set("DOORWARD_KEYS_MASTER_KEY", &wrong[..42]);
    insta::assert_snapshot!(short.run(&["serve"]).one_line_failure(), @"keys.master_key is not 32 bytes in unpadded base64url (43 characters); `doorward keys new-master FILE` writes a key to a file");

    let place = short.without("DOORWARD_KEYS_MASTER_KEY");
    let _server = place.serve().await;
    let after = http().get(&url).send().await.unwrap().text().await.unwrap();
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_lost_master_key_is_refused_and_not_replaced() {
    let place = Place::new();
    assert_eq!(place.serve().await.stop().code, Some(0));
    let file = place.folder().join("data/master.key");
    let key = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    insta::assert_snapshot!(place.run(&["serve"]).one_line_failure(), @"the master key file data/master.key is missing, and what the database holds is sealed under its key; put it back, or correct the setting that names it");
    assert!(!file.exists());
    fs::write(&file, "").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    insta::assert_snapshot!(place.run(&["serve"]).one_line_failure(), @"the master key file data/master.key does not hold 32 bytes in unpadded base64url (43 characters); put the right file back, or correct keys.master_key_file");
    fs::write(&file, key).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(place.serve().await.stop().code, Some(0));
}

#[tokio::test]
async fn a_master_key_that_others_can_read_is_refused() {
    let place = Place::new();
    assert_eq!(place.serve().await.stop().code, Some(0));
    let file = place.folder().join("data/master.key");
    for mode in [0o640, 0o604, 0o622] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let refused = place.run(&["serve"]).one_line_failure();
        assert_eq!(
            refused,
            "the master key file data/master.key can be read by others; run `chmod 600 data/master.key` (0440 where a container is handed it)"
        );
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    assert_eq!(place.serve().await.stop().code, Some(0));
}

#[tokio::test]
async fn files_that_are_no_database_are_left_alone() {
    let place = Place::new();
    fs::create_dir(place.folder().join("data")).unwrap();
    let file = place.folder().join("data/doorward.db");
    fs::write(
        &file,
        "a diary, not a database, and long enough to be looked at as one".repeat(100),
    )
    .unwrap();
    let before = fs::read(&file).unwrap();
    let refused = place.run(&["serve"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let complaint = refused.stderr.lines().last().unwrap();
    assert!(
        complaint.starts_with("error: the database cannot be opened: "),
        "{complaint}"
    );
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[tokio::test]
async fn every_algorithm_on_offer_can_follow_another_and_every_key_stays_published() {
    let place = Place::new();
    let mut published = 0;
    for (algorithm, kty) in [("ES256", "EC"), ("EdDSA", "OKP"), ("RS256", "RSA")] {
        let server = place_with(&place, algorithm).await;
        let jwks = http()
            .get(format!("{}/.well-known/jwks.json", server.issuer))
            .send()
            .await
            .unwrap();
        let jwks: Value = jwks.json().await.unwrap();
        published += 1;
        let keys = jwks["keys"].as_array().unwrap();
        assert_eq!(keys.len(), published, "{jwks}");
        // The first key signs on until the new one is known everywhere.
        assert_eq!(keys[0]["alg"], "ES256", "{jwks}");
        let is_new = |key: &&Value| key["alg"] == algorithm && key["kty"] == kty;
        assert_eq!(keys.iter().filter(is_new).count(), 1, "{jwks}");
        assert_eq!(server.stop().code, Some(0));
    }
    for unsafe_one in ["HS256", "none", "ES384"] {
        let refused = Place::bare()
            .set("DOORWARD_KEYS_ALGORITHM", unsafe_one)
            .run(&["serve"])
            .failure();
        assert!(
            refused.contains("DOORWARD_KEYS_ALGORITHM: expected `ES256`"),
            "{refused}"
        );
    }
}

async fn place_with(place: &Place, algorithm: &str) -> Server {
    let file = format!("[keys]\nalgorithm = \"{algorithm}\"\n");
    fs::write(place.folder().join("doorward.toml"), file).unwrap();
    place.serve_with(&["serve", "--config", "doorward.toml"]).await
}

#[tokio::test]
async fn of_several_first_starts_at_once_one_serves_and_the_others_say_why_not() {
    let place = Place::new();
    let database = format!("sqlite://{}", place.folder().join("data/doorward.db").display());
    let places: Vec<_> = (0..4)
        .map(|_| Place::new().set("DOORWARD_STORAGE_URL", &database))
        .collect();
    let mut started: Vec<_> = places.iter().map(|place| place.start(&["serve"], "")).collect();
    let url = eventually("three have given up", || {
        let alive: Vec<usize> = (0..started.len())
            .filter(|index| started[*index].try_wait().is_none())
            .collect();
        let answer = (alive.len() == 1).then(|| places[alive[0]].issuer());
        async move { answer }
    })
    .await;
    let url = format!("{url}/.well-known/jwks.json");
    let http = http();
    let jwks: Value = eventually("one serves", || async {
        http.get(&url).send().await.ok()?.json().await.ok()
    })
    .await;
    assert_eq!(jwks["keys"].as_array().map(Vec::len), Some(1), "{jwks}");
    for mut process in started {
        if process.try_wait().is_some() {
            let refused = process.finish();
            assert_eq!(refused.code, Some(1), "{refused:?}");
            assert!(refused.stderr.contains("another process uses "), "{refused:?}");
        }
    }
}

/// CRASH-021
#[tokio::test]
async fn a_server_that_may_open_few_files_answers_beside_many_idle_connections() {
    let place = Place::new();
    let process = place.start_server_with_files(64);
    let server = Server::ready(process, &place.issuer(), place.public, place.admin).await;
    assert!(
        server
            .process
            .stderr()
            .contains("this process may open few files")
    );
    let address = server.public_url.strip_prefix("http://").unwrap();
    let request = format!("GET /livez HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let mut held = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
        held.push(stream);
    }
    place.populate();
    let answer = http().get(format!("{}/readyz", server.public_url)).send().await;
    assert!(answer.unwrap().status().is_success());
    drop(held);
    let stopped = server.stop();
    assert_eq!(stopped.code, Some(0));
    assert!(
        !stopped.stderr.contains("cannot accept a connection"),
        "{}",
        stopped.stderr
    );
}

/// What is refused before its endpoint has the headers for other origins, and nothing else of them: the next answer begins
/// where this one ends.
#[tokio::test]
async fn a_connection_goes_on_after_a_refusal_that_another_origin_may_read() {
    let server = Place::new().serve().await;
    let address = server.public_url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let refused = "POST /oauth/token HTTP/1.1\r\nHost: evil.example\r\nOrigin: https://app.example\r\nContent-Length: 0\r\n\r\n";
    let last = format!("GET /livez HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream
        .write_all(format!("{refused}{refused}{last}").as_bytes())
        .unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    let status = |answer: &str| answer.split_once(' ').unwrap().1[..3].to_owned();
    let answers: Vec<_> = answers.split("HTTP/1.1").skip(1).collect();
    let statuses: Vec<_> = answers.iter().map(|answer| status(answer)).collect();
    assert_eq!(statuses, ["421", "421", "200"], "{answers:#?}");
    for refused in &answers[..2] {
        let (headers, body) = refused.split_once("\r\n\r\n").unwrap();
        assert!(headers.contains("access-control-allow-origin: *"), "{headers}");
        assert!(
            headers.contains(&format!("content-length: {}", body.len())),
            "{refused}"
        );
        assert!(body.ends_with('}'), "{body}");
    }
}

/// Else it would take 75 seconds, longer than the test waits.
#[tokio::test]
async fn a_connection_may_be_idle_as_long_as_the_settings_say() {
    let place = Place::new().set("DOORWARD_SERVER_IDLE_TIMEOUT", "5s");
    let server = place.serve().await;
    let address = server.public_url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET /livez HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let asked = Instant::now();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let idle = asked.elapsed();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(idle.as_secs() >= 5, "{idle:?}");
    assert_eq!(server.stop().code, Some(0));
}

#[tokio::test]
async fn a_database_that_was_served_under_another_name_is_told_of_once() {
    let place = Place::new();
    assert_eq!(place.serve().await.stop().code, Some(0));
    let before = place.issuer();
    let place = place.set("DOORWARD_SERVER_ISSUER", "https://auth.example");
    let warning = "this database was served under another issuer's name before";
    let told = place.serve().await.stop();
    let line = told.stderr.lines().find(|line| line.contains(warning));
    assert!(line.is_some_and(|line| line.contains(&before)), "{}", told.stderr);
    let again = place.serve().await.stop();
    assert!(!again.stderr.contains(warning), "{}", again.stderr);
}
