//! Who may listen, how many at once, and how a connection ends.

use std::time::Duration;

use base64::Engine as _;
use doorward_server::config::Span;
use doorward_store::ClientSource;
use http::StatusCode;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::follower::{Follower, scene, scene_with};
use crate::short_waits::within;
use crate::support::{REDIRECT, client_id};

#[tokio::test]
async fn only_resource_servers_may_listen() {
    let scene = scene().await;
    let public = scene.app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let other = json!({
        "client_name": "Web app",
        "redirect_uris": [REDIRECT],
        "token_endpoint_auth_method": "client_secret_basic",
    });
    let other = scene.app.confidential(&other).await;
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let public = format!("Basic {}", encode(&format!("{public}:")));
    let wrong = format!("Basic {}", encode("nobody:nothing"));
    for (authorization, status, error) in [
        ("", StatusCode::UNAUTHORIZED, "invalid_client"),
        (&*wrong, StatusCode::UNAUTHORIZED, "invalid_client"),
        (&public, StatusCode::FORBIDDEN, "unauthorized_client"),
        (&other, StatusCode::FORBIDDEN, "unauthorized_client"),
    ] {
        let headers = [("authorization", authorization)];
        let headers = if authorization.is_empty() {
            &[][..]
        } else {
            &headers
        };
        let answer = scene.answer(headers).await;
        assert_eq!(answer.status(), status, "{authorization}");
        // RFC 9110 §15.5.2: with every 401.
        let is_challenged = answer.headers().contains_key("www-authenticate");
        assert_eq!(
            is_challenged,
            status == StatusCode::UNAUTHORIZED,
            "{authorization}"
        );
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["error"], error, "{authorization}");
    }
}

#[tokio::test]
async fn the_answer_is_an_event_stream_that_nobody_keeps_and_no_other_origin_reads() {
    let scene = scene().await;
    let headers = [
        ("authorization", &*scene.resource_server),
        ("origin", "https://app.example"),
    ];
    let answer = scene.answer(&headers).await;
    let headers = answer.headers();
    assert_eq!(headers["content-type"], "text/event-stream");
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(headers["x-accel-buffering"], "no");
    assert!(!headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn a_quiet_connection_is_kept_alive_and_ends_when_its_time_has_come() {
    // Always on SQLite: PostgreSQL is asked every second what changed, and where it has not answered for some seconds, as
    // it cannot while time is stopped, followers are told to look after their keys.
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("doorward.db").display());
    let scene = scene_with(|settings| settings.storage.url = url.into()).await;
    let mut follower = scene.follow().await;
    let time = StoppedTime::new();
    for _ in 0..3 {
        // The clock of a heartbeat starts when the one before was taken.
        assert_eq!(poll_once(&mut follower).await, None);
        time.pass(Duration::from_millis(9_900)).await;
        assert_eq!(poll_once(&mut follower).await, None);
        time.pass(Duration::from_millis(200)).await;
        assert_eq!(follower.block().await.as_deref(), Some(": alive"));
    }
    assert_eq!(poll_once(&mut follower).await, None);
    time.pass(Duration::from_mins(51)).await;
    assert_eq!(follower.block().await.as_deref(), Some(": alive"));
    time.pass(Duration::from_mins(9)).await;
    assert_eq!(follower.block().await, None);
}

#[tokio::test]
async fn a_connection_lives_as_long_as_the_settings_say_when_it_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("doorward.db").display());
    let scene = scene_with(|settings| settings.storage.url = url.into()).await;
    let context = &scene.app.context;
    let mut before = scene.follow().await;
    let mut settings = context.settings.clone();
    settings.events.connection_ttl = Span::minutes(10);
    assert_eq!(context.reload(&settings).in_force, ["events.connection_ttl"]);
    let mut after = scene.follow().await;
    let time = StoppedTime::new();
    for follower in [&mut before, &mut after] {
        assert_eq!(poll_once(follower).await, None);
    }
    time.pass(Duration::from_mins(11)).await;
    while let Some(block) = after.block().await {
        assert_eq!(block, ": alive");
    }
    assert_eq!(before.block().await.as_deref(), Some(": alive"));
    assert_eq!(poll_once(&mut before).await, None);
}

/// What there is without waiting.
async fn poll_once(follower: &mut Follower) -> Option<String> {
    tokio::select! {
        biased;
        block = follower.block() => block,
        () = std::future::ready(()) => None,
    }
}

/// Time that passes only when it is told to: a blocking task keeps the runtime from going on by itself, because the
/// store works on threads of its own.
struct StoppedTime(std::sync::mpsc::Sender<()>);

impl StoppedTime {
    fn new() -> Self {
        let (running, ended) = std::sync::mpsc::channel();
        tokio::task::spawn_blocking(move || ended.recv());
        tokio::time::pause();
        Self(running)
    }

    /// Lets time pass, and then the store's threads answer what began with it.
    async fn pass(&self, time: Duration) {
        tokio::time::advance(time).await;
        let answered = tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(100)));
        answered.await.unwrap();
        let Self(_running) = self;
    }
}

#[tokio::test]
async fn there_are_only_so_many_connections_and_each_gives_its_place_back() {
    let scene = scene_with(|settings| settings.events.max_connections = 2).await;
    let headers = [("authorization", &*scene.resource_server)];
    let first = scene.follow().await;
    let second = scene.follow().await;
    assert_eq!(
        scene.metric("doorward_revocation_feed_connections").await,
        "doorward_revocation_feed_connections 2"
    );
    let refused = scene.answer(&headers).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));
    drop(first);
    let mut third = scene.follow().await;
    let connected = scene.connect().await;
    scene
        .admin("DELETE", &format!("/admin/grants/{}", connected.gid), Value::Null)
        .await;
    third.expect_grant(&connected.gid).await;
    drop((second, third));
    assert_eq!(
        scene.metric("doorward_revocation_feed_connections").await,
        "doorward_revocation_feed_connections 0"
    );
    assert!(
        scene
            .metric("doorward_revocation_feed_events_total")
            .await
            .ends_with(" 1")
    );
}

/// A resource server that an operator disabled hears of that, and of nothing after it.
#[tokio::test]
async fn a_connection_ends_with_its_client() {
    let scene = scene().await;
    let client_id = client_id(&scene.resource_server);
    let path = format!("/admin/clients/{client_id}");
    let mut follower = scene.follow().await;
    scene.admin("PATCH", &path, json!({"disabled": true})).await;
    assert_eq!(follower.expect("revocation").await.data["client_id"], *client_id);
    assert!(follower.event().await.is_none());
    // Enabled again, it hears of the past like everybody.
    scene.admin("PATCH", &path, json!({"disabled": false})).await;
    let mut follower = scene.follow_after(None).await;
    assert_eq!(follower.expect("revocation").await.data["client_id"], *client_id);
    follower.expect("ready").await;
    let connected = scene.connect().await;
    scene
        .revoke(&connected, connected.body["refresh_token"].as_str().unwrap())
        .await;
    follower.expect_grant(&connected.gid).await;
    scene.admin("DELETE", &path, Value::Null).await;
    assert_eq!(follower.expect("revocation").await.data["client_id"], *client_id);
    assert!(follower.event().await.is_none());
}

/// A client that can do something else as well outlives its resource, and hears nothing any more.
#[tokio::test]
async fn a_connection_ends_with_the_resource_of_its_client() {
    let mut scene = scene().await;
    let both =
        json!({"client_name": "Both", "resource_server": "mcp", "grant_types": ["client_credentials"]});
    scene.resource_server = scene.app.confidential(&both).await;
    let mut follower = scene.follow().await;
    scene.admin("DELETE", "/admin/resources/mcp", Value::Null).await;
    let ended = async { while follower.event().await.is_some() {} };
    assert!(within(Duration::from_secs(3), ended).await.is_some());
    let client_id = client_id(&scene.resource_server);
    assert!(
        scene
            .app
            .context
            .store
            .client(&client_id)
            .await
            .unwrap()
            .is_some()
    );
}

/// A secret that was replaced may work for a while; when it does no more, neither does what it opened.
#[tokio::test]
async fn a_connection_ends_with_the_secret_that_opened_it() {
    let scene = scene().await;
    let client_id = client_id(&scene.resource_server);
    let rotation = format!("/admin/clients/{client_id}/rotate-secret");
    let mut follower = scene.follow().await;
    scene
        .admin("POST", &rotation, json!({"overlap_seconds": 3600}))
        .await;
    for _ in 0..2 {
        let connected = scene.connect().await;
        scene
            .revoke(&connected, connected.body["refresh_token"].as_str().unwrap())
            .await;
        follower.expect_grant(&connected.gid).await;
    }
    scene
        .admin("POST", &rotation, json!({"overlap_seconds": 0}))
        .await;
    let (end, _) = within(Duration::from_secs(3), follower.event()).await.unwrap();
    assert_eq!(end, None);
}

#[tokio::test]
async fn connections_end_when_the_server_stops() {
    let scene = scene().await;
    let mut follower = scene.follow().await;
    let stop = tokio_util::sync::CancellationToken::new();
    stop.cancel();
    scene.app.server.run_jobs(stop).await;
    assert_eq!(follower.event().await, None);
    let headers = [("authorization", &*scene.resource_server)];
    assert_eq!(
        scene.answer(&headers).await.status(),
        StatusCode::SERVICE_UNAVAILABLE
    );
}
