//! What a service manager is told, and what can change while the server runs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;

use serde_json::Value;

use crate::secrets::{innermost_of_others, unreachable_client};
use crate::support::{ADMIN_KEY, MASTER_KEY, PATIENCE, Place, Server, cluster, eventually, http};

const STARTING: &str = "EXTEND_TIMEOUT_USEC=30000000\nSTATUS=starting";

/// The next thing that the program says.
fn said(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 512];
    let length = socket.recv(&mut buffer).unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

/// What the program says next, but for that it is still there, or still starts.
fn next(socket: &UnixDatagram) -> String {
    loop {
        let text = said(socket);
        if text != "WATCHDOG=1" && text != STARTING {
            return text.lines().next().unwrap().to_owned();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_is_told() {
    let place = Place::new();
    let path = place.folder().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let place = place
        .set("NOTIFY_SOCKET", path.to_str().unwrap())
        .set("WATCHDOG_USEC", "200000");
    let process = place.start(&["serve"], "");
    assert_eq!(next(&socket), "READY=1");
    // True as soon as it is said.
    let url = format!("http://127.0.0.1:{}/readyz", place.public);
    assert!(http().get(url).send().await.unwrap().status().is_success());
    for _ in 0..3 {
        assert_eq!(said(&socket), "WATCHDOG=1");
    }
    process.signal("HUP");
    assert_eq!(next(&socket), "RELOADING=1");
    assert_eq!(next(&socket), "READY=1");
    process.terminate();
    assert_eq!(next(&socket), "STOPPING=1");
    assert_eq!(process.finish().code, Some(0));
}

/// `systemctl status` shows it, and `systemctl reload` does not fail.
#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_is_told_that_a_configuration_cannot_be_used() {
    let place = Place::new();
    let path = place.folder().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let place = place.set("NOTIFY_SOCKET", path.to_str().unwrap());
    configure(&place, "");
    let process = place.start(&["serve", "--config", "doorward.toml"], "");
    let answering = || loop {
        let text = said(&socket);
        if let Some(status) = text.strip_prefix("READY=1\nSTATUS=") {
            return status.to_owned();
        }
    };
    assert_eq!(answering(), "answering");
    configure(&place, "nonsense");
    process.signal("HUP");
    assert_eq!(
        answering(),
        "answering; the configuration cannot be used, and nothing has changed"
    );
    configure(&place, "");
    process.signal("HUP");
    assert_eq!(answering(), "answering");
    process.terminate();
    assert_eq!(process.finish().code, Some(0));
}

/// Longer than a service manager waits without being asked: for a table that others use, or until load balancers have noticed.
#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_is_asked_to_wait_for_a_start_and_for_the_end() {
    let place = Place::new();
    let path = place.folder().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let place = place
        .set("NOTIFY_SOCKET", path.to_str().unwrap())
        .set("DOORWARD_SERVER_SHUTDOWN_DELAY", "1s");
    let process = place.start(&["serve"], "");
    assert_eq!(said(&socket), STARTING);
    assert_eq!(next(&socket), "READY=1");
    process.terminate();
    let stopping = said(&socket);
    assert!(stopping.ends_with("\nEXTEND_TIMEOUT_USEC=31000000"), "{stopping}");
    assert_eq!(process.finish().code, Some(0));
}

/// A node that waits for another one's change of the schema can be ended, and says what it waits for.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_waits_for_another_node_says_so_and_ends_when_it_is_told_to() {
    let Some(database) = cluster::empty_database().await else {
        return;
    };
    let (holder, connection) = tokio_postgres::connect(&database.url(), tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    holder
        .batch_execute("BEGIN; SELECT pg_advisory_xact_lock(1146573380)")
        .await
        .unwrap();
    let place = Place::new()
        .set("DOORWARD_KEYS_MASTER_KEY", MASTER_KEY)
        .set("DOORWARD_STORAGE_URL", &database.url());
    let process = place.start(&["serve"], "");
    eventually("it says that it waits", || async {
        process
            .stderr()
            .contains("waiting for another node")
            .then_some(())
    })
    .await;
    process.terminate();
    let finished = process.finish();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(
        finished.stderr.contains("stopped before it had started"),
        "{}",
        finished.stderr
    );
}

/// A name in the abstract namespace, and one that nobody listens to.
#[tokio::test]
async fn a_service_manager_that_is_not_there_is_no_hindrance() {
    for name in ["@doorward-nobody-listens", "/nowhere/notify", "nonsense"] {
        let place = Place::new().set("NOTIFY_SOCKET", name);
        assert_eq!(place.serve().await.stop().code, Some(0), "{name}");
    }
}

pub(crate) fn configure(place: &Place, text: &str) {
    fs::write(place.folder().join("doorward.toml"), text).unwrap();
}

async fn status(server: &Server) -> u16 {
    let token = format!("{}/oauth/token", server.public_url);
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", "x"),
        ("client_id", "y"),
    ];
    http()
        .post(token)
        .form(&form)
        .send()
        .await
        .unwrap()
        .status()
        .as_u16()
}

/// Asks to read the configuration again and waits until the program has; the lines that it wrote about it.
pub(crate) async fn reload(server: &Server, last: &str) -> String {
    let before = server.process.stderr().len();
    server.process.signal("HUP");
    eventually("the configuration is read again", || async {
        let written = server.process.stderr()[before..].to_owned();
        written.contains(last).then_some(written)
    })
    .await
}

#[tokio::test]
async fn limits_and_log_level_change_while_the_server_runs() {
    let place = Place::new();
    configure(&place, "[rate_limit]\ntoken_address = \"1/1h\"\n");
    let server = place.serve_with(&["serve", "--config", "doorward.toml"]).await;
    assert_eq!([status(&server).await, status(&server).await], [401, 429]);

    let text = "[rate_limit]\ntoken_address = \"off\"\n[tokens]\naccess_ttl = \"10m\"\n[observability]\nlog_level = \"debug\"\n";
    configure(&place, text);
    let told = reload(&server, "the configuration was read again").await;
    assert!(told.contains("\"key\":\"tokens.access_ttl\""), "{told}");
    let counts_now = "\"changed\":\"rate_limit.token_address observability.log_level\"";
    assert!(told.contains(counts_now), "{told}");
    assert_eq!(
        told.matches("takes effect at the next start").count(),
        1,
        "{told}"
    );
    assert_eq!([status(&server).await, status(&server).await], [401, 401]);
    unreachable_client(&server).await;
    eventually("debug lines", || async {
        server
            .process
            .stderr()
            .contains("\"level\":\"DEBUG\"")
            .then_some(())
    })
    .await;
    assert_eq!(
        innermost_of_others(&server.process.stderr()),
        Vec::<String>::new()
    );

    // What cannot be used changes nothing, and does not end the server.
    configure(
        &place,
        "[rate_limit]\ntoken_address = \"0\"\ntoken_adress = \"1/1h\"\n",
    );
    let told = reload(&server, "nothing has changed").await;
    assert!(told.contains("did you mean `token_address`?"), "{told}");
    assert_eq!([status(&server).await, status(&server).await], [401, 401]);
    assert_eq!(last_reload(&server).await, 0);
    // Nor does what the next start would refuse.
    configure(&place, "[keys]\nother_master_key_file = \"none.key\"\n");
    let told = reload(&server, "nothing has changed").await;
    assert!(told.contains("none.key"), "{told}");
    fs::remove_file(place.folder().join("doorward.toml")).unwrap();
    reload(&server, "cannot be used; nothing has changed").await;
    configure(
        &place,
        "[observability]\nlog_level = \"error\"\n[rate_limit]\ntoken_address = \"1/1h\"\n",
    );
    server.process.signal("HUP");
    eventually("the limit is back", || async {
        (status(&server).await == 429).then_some(())
    })
    .await;
    eventually("the reload is counted", || async {
        (last_reload(&server).await == 1).then_some(())
    })
    .await;
    assert_eq!(server.stop().code, Some(0));
}

/// Whether the configuration could be used when it was read last, as the metrics say.
async fn last_reload(server: &Server) -> u64 {
    let url = format!("{}/metrics", server.admin_url);
    let text = http().get(url).send().await.unwrap().text().await.unwrap();
    let name = "doorward_config_last_reload_successful ";
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap().parse().unwrap()
}

/// The settings of which the server says that they take effect at the next start.
async fn told(server: &Server) -> Vec<String> {
    let written = reload(server, "the configuration was read again").await;
    let lines = written.lines().filter(|line| line.contains("next start"));
    let key = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["key"].as_str().unwrap().to_owned()
    };
    lines.map(key).collect()
}

/// All secrets look alike where they are shown; another one is a change all the same.
#[tokio::test]
async fn another_secret_is_told_and_takes_effect_at_the_next_start() {
    let place = Place::new()
        .without("DOORWARD_ADMIN_BOOTSTRAP_KEY")
        .without("DOORWARD_KEYS_MASTER_KEY");
    let new_key = |file: &str| {
        let _ = fs::remove_file(place.folder().join(file));
        place.run(&["keys", "new-master", file]).success();
    };
    let write = |file: &str, text: &str| {
        let path = place.folder().join(file);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    new_key("master.key");
    new_key("other.key");
    let files = "[admin]\nbootstrap_key_file = \"bootstrap\"\n\
                 [keys]\nmaster_key_file = \"master.key\"\nother_master_key_file = \"other.key\"\n";
    configure(&place, files);
    write("bootstrap", ADMIN_KEY);
    let server = place.serve_with(&["serve", "--config", "doorward.toml"]).await;
    assert_eq!(told(&server).await, Vec::<String>::new());
    let other = ADMIN_KEY.to_uppercase();
    write("bootstrap", &other);
    assert_eq!(told(&server).await, ["admin.bootstrap_key"]);
    new_key("other.key");
    let both = ["admin.bootstrap_key", "keys.other_master_key_file"];
    assert_eq!(told(&server).await, both);
    write("bootstrap", ADMIN_KEY);
    fs::remove_file(place.folder().join("master.key")).unwrap();
    let files = ["keys.master_key_file", "keys.other_master_key_file"];
    assert_eq!(told(&server).await, files);
    new_key("master.key");
    assert_eq!(told(&server).await, files);
    let log = server.process.stderr();
    for secret in [ADMIN_KEY, &other] {
        assert!(!log.contains(secret), "{log}");
    }
    assert_eq!(server.stop().code, Some(0));
}

#[tokio::test]
async fn what_runs_by_itself_is_counted() {
    let place = Place::new();
    let server = place.serve().await;
    let url = format!("{}/metrics", server.admin_url);
    let text = eventually("jobs have run", || async {
        let text = http().get(&url).send().await.ok()?.text().await.ok()?;
        let never = |job: &str| format!("doorward_job_runs_total{{job=\"{job}\",outcome=\"ok\"}} 0\n");
        let ran = |job: &str| !text.contains(&never(job));
        (ran("keys") && ran("retention") && ran("refusals")).then_some(text)
    })
    .await;
    for line in [
        "doorward_rows_removed_total{kind=\"issuances\"} 0",
        "doorward_job_done_timestamp_seconds{job=\"retention\"}",
        "doorward_signing_key_age_seconds ",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}
