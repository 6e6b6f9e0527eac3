//! What a service manager is told, and what can change while the server runs.

use std::fs;
use std::os::unix::net::UnixDatagram;

use crate::support::{PATIENCE, Place, Server, eventually, http};

/// What the program says next, but for that it is still there.
fn next(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 512];
    loop {
        let length = socket.recv(&mut buffer).unwrap();
        let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
        if text != "WATCHDOG=1" {
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
    let mut buffer = [0; 512];
    for _ in 0..3 {
        let length = socket.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"WATCHDOG=1");
    }
    process.signal("HUP");
    assert_eq!(next(&socket), "RELOADING=1");
    assert_eq!(next(&socket), "READY=1");
    process.terminate();
    assert_eq!(next(&socket), "STOPPING=1");
    assert_eq!(process.finish().code, Some(0));
}

/// A name in the abstract namespace, and one that nobody listens to.
#[tokio::test]
async fn a_service_manager_that_is_not_there_is_no_hindrance() {
    for name in ["@doorward-nobody-listens", "/nowhere/notify", "nonsense"] {
        let place = Place::new().set("NOTIFY_SOCKET", name);
        assert_eq!(place.serve().await.stop().code, Some(0), "{name}");
    }
}

fn configure(place: &Place, text: &str) {
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
async fn reload(server: &Server, last: &str) -> String {
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
    assert_eq!(
        told.matches("takes effect at the next start").count(),
        1,
        "{told}"
    );
    assert_eq!([status(&server).await, status(&server).await], [401, 401]);
    eventually("debug lines", || async {
        server
            .process
            .stderr()
            .contains("\"level\":\"DEBUG\"")
            .then_some(())
    })
    .await;

    // What cannot be used changes nothing, and does not end the server.
    configure(
        &place,
        "[rate_limit]\ntoken_address = \"0\"\ntoken_adress = \"1/1h\"\n",
    );
    let told = reload(&server, "nothing has changed").await;
    assert!(told.contains("did you mean `token_address`?"), "{told}");
    assert_eq!([status(&server).await, status(&server).await], [401, 401]);
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
    assert_eq!(server.stop().code, Some(0));
}

#[tokio::test]
async fn what_runs_by_itself_is_counted() {
    let place = Place::new();
    let server = place.serve().await;
    let url = format!("{}/metrics", server.admin_url);
    let text = eventually("jobs have run", || async {
        let text = http().get(&url).send().await.ok()?.text().await.ok()?;
        let ran = |job: &str| {
            text.contains(&format!(
                "doorward_job_runs_total{{job=\"{job}\",outcome=\"ok\"}}"
            ))
        };
        (ran("keys") && ran("retention")).then_some(text)
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
