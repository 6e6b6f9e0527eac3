//! `GET /events/revocations`: the feed that tells resource servers what was revoked.

#![cfg(test)]

mod support;

use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use doorward_store::ClientSource;
use http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use support::{ADMIN_KEY, Authorization, REDIRECT, Reply, TestApp, claims};
use tower::ServiceExt as _;

const FEED: &str = "/events/revocations";

/// The id, the kind and the data of an event; a heartbeat has none of them.
#[derive(Debug, Clone, PartialEq)]
struct Event {
    id: String,
    kind: String,
    data: Value,
}

impl Event {
    fn read(text: &str) -> Self {
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().to_owned()
        };
        Self {
            id: field("id: "),
            kind: field("event: "),
            data: serde_json::from_str(&field("data: ")).unwrap_or_default(),
        }
    }
}

/// A follower of the feed.
struct Follower {
    body: Body,
    text: String,
}

impl Follower {
    /// The next block that ends with an empty line; `None` at the end of the answer.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                return Some(block);
            }
            let frame = tokio::time::timeout(Duration::from_mins(1), self.body.frame())
                .await
                .expect("nothing came for a minute")?;
            let data = frame.unwrap().into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&data).unwrap());
        }
    }

    /// The next event; heartbeats and `retry` are passed over.
    async fn event(&mut self) -> Option<Event> {
        loop {
            let event = Event::read(&self.block().await?);
            if !event.kind.is_empty() {
                return Some(event);
            }
        }
    }

    async fn expect(&mut self, kind: &str) -> Event {
        let event = self.event().await.expect("the feed ended");
        assert_eq!(event.kind, kind, "{event:?}");
        event
    }

    /// The next revocation has to be of this grant, and to come at once.
    async fn expect_grant(&mut self, gid: &str) -> Event {
        let event = tokio::time::timeout(Duration::from_secs(2), self.expect("revocation")).await;
        let event = event.expect("a revocation has to come within two seconds");
        assert_eq!(event.data["gid"], gid);
        event
    }
}

struct Scene {
    app: TestApp,
    /// `Authorization` of a resource server.
    resource_server: String,
}

/// What a client got for its code.
struct Connected {
    client_id: String,
    code: String,
    body: Value,
    gid: String,
}

async fn scene() -> Scene {
    scene_with(|_| {}).await
}

async fn scene_with(change: impl FnOnce(&mut doorward_server::config::Settings)) -> Scene {
    let app = TestApp::with(|settings| {
        settings.admin.bootstrap_key = Some(ADMIN_KEY.into());
        change(settings);
    })
    .await;
    let resource_server = basic(&app, json!({"client_name": "Guard", "resource_server": "mcp"})).await;
    Scene { app, resource_server }
}

/// Registers a client over the admin API; its `Authorization` header.
async fn basic(app: &TestApp, body: Value) -> String {
    let client = admin(app, "POST", "/admin/clients", body).await;
    assert_eq!(client.status, StatusCode::CREATED, "{client:?}");
    let client = client.json();
    let pair = format!(
        "{}:{}",
        client["client_id"].as_str().unwrap(),
        client["client_secret"].as_str().unwrap()
    );
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

async fn admin(app: &TestApp, method: &str, path: &str, body: Value) -> Reply {
    support::Browser::new(app.admin.clone())
        .administer(method, path, &body)
        .await
}

impl Scene {
    async fn answer(&self, headers: &[(&str, &str)]) -> http::Response<Body> {
        let mut request = Request::get(FEED).header(header::HOST, "localhost:9000");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        self.app.public.clone().oneshot(request).await.unwrap()
    }

    async fn follow_after(&self, cursor: Option<&str>) -> Follower {
        let mut headers = vec![("authorization", &*self.resource_server)];
        headers.extend(cursor.map(|cursor| ("last-event-id", cursor)));
        let answer = self.answer(&headers).await;
        assert_eq!(answer.status(), StatusCode::OK);
        Follower {
            body: answer.into_body(),
            text: String::new(),
        }
    }

    /// A follower who has heard all that there was.
    async fn follow(&self) -> Follower {
        let mut follower = self.follow_after(None).await;
        while follower.event().await.expect("the feed ended").kind != "ready" {}
        follower
    }

    async fn connect(&self) -> Connected {
        let client_id = self.app.add_client(ClientSource::Admin, &[REDIRECT]).await;
        let request = Authorization::new(&client_id, REDIRECT);
        let reply = self.app.approve(&self.app.browser(), &request).await;
        let body = self.app.redeem(&client_id, &reply).await.json();
        Connected {
            client_id,
            code: reply.param("code").unwrap(),
            gid: claims(&body)["gid"].as_str().unwrap().to_owned(),
            body,
        }
    }

    async fn revoke(&self, connected: &Connected, token: &str) {
        let form = [("client_id", &*connected.client_id), ("token", token)];
        let reply = self.app.browser().post_pairs("/oauth/revoke", &[], &form).await;
        assert_eq!(reply.status, StatusCode::OK);
    }

    async fn refresh(&self, connected: &Connected, token: &str) -> Reply {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", &*connected.client_id),
            ("refresh_token", token),
        ];
        self.app.token(&form).await
    }

    async fn admin(&self, method: &str, path: &str, body: Value) {
        let reply = admin(&self.app, method, path, body).await;
        assert!(reply.status.is_success(), "{reply:?}");
    }

    async fn metric(&self, name: &str) -> String {
        let metrics = admin(&self.app, "GET", "/metrics", Value::Null).await.body;
        let line = metrics.lines().find(|line| line.starts_with(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name}")).to_owned()
    }
}

#[tokio::test]
async fn the_revocation_endpoint_feeds_it() {
    let scene = scene().await;
    let mut follower = scene.follow().await;
    let connected = scene.connect().await;
    scene
        .revoke(&connected, connected.body["refresh_token"].as_str().unwrap())
        .await;
    let event = follower.expect_grant(&connected.gid).await;
    assert_eq!(event.data["revoked_at"], scene.app.context.now().0);
    assert_eq!(event.data.as_object().unwrap().len(), 2);

    let second = scene.connect().await;
    scene
        .revoke(&second, second.body["access_token"].as_str().unwrap())
        .await;
    let event = follower.expect("revocation").await;
    assert_eq!(event.data["jti"], claims(&second.body)["jti"]);
    assert!(event.data.get("gid").is_none());
}

#[tokio::test]
async fn a_replayed_code_feeds_it() {
    let scene = scene().await;
    let mut follower = scene.follow().await;
    let connected = scene.connect().await;
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", &*connected.client_id),
        ("code", &*connected.code),
        ("code_verifier", support::VERIFIER),
    ];
    scene.app.token(&form).await.assert_error("invalid_grant");
    follower.expect_grant(&connected.gid).await;
}

#[tokio::test]
async fn a_reused_refresh_token_feeds_it() {
    let scene = scene().await;
    let mut follower = scene.follow().await;
    let connected = scene.connect().await;
    let first = connected.body["refresh_token"].as_str().unwrap().to_owned();
    let mut token = first.clone();
    for _ in 0..3 {
        let reply = scene.refresh(&connected, &token).await.json();
        reply["refresh_token"].as_str().unwrap().clone_into(&mut token);
    }
    scene.app.wait(121);
    scene
        .refresh(&connected, &first)
        .await
        .assert_error("invalid_grant");
    follower.expect_grant(&connected.gid).await;
}

#[tokio::test]
async fn operators_and_the_person_feed_it() {
    let scene = scene().await;
    let mut follower = scene.follow().await;
    let user = format!("/admin/users/{}", scene.app.user.id.0);

    let connected = scene.connect().await;
    let grant = format!("/admin/grants/{}", connected.gid);
    scene.admin("DELETE", &grant, Value::Null).await;
    follower.expect_grant(&connected.gid).await;

    let connected = scene.connect().await;
    scene.app.revoke_grants().await;
    follower.expect_grant(&connected.gid).await;

    let connected = scene.connect().await;
    scene.admin("POST", &format!("{user}/disable"), Value::Null).await;
    follower.expect_grant(&connected.gid).await;
    scene.admin("POST", &format!("{user}/enable"), Value::Null).await;

    let connected = scene.connect().await;
    let client = format!("/admin/clients/{}", connected.client_id);
    scene.admin("PATCH", &client, json!({"disabled": true})).await;
    let event = follower.expect("revocation").await;
    assert_eq!(event.data["client_id"], connected.client_id);
    assert_eq!(event.data["revoked_at"], scene.app.context.now().0);
    scene.admin("DELETE", &client, Value::Null).await;
    follower.expect_grant(&connected.gid).await;

    let connected = scene.connect().await;
    scene.admin("DELETE", &user, Value::Null).await;
    follower.expect_grant(&connected.gid).await;
}

#[tokio::test]
async fn who_comes_back_hears_what_it_missed_and_no_more() {
    let scene = scene().await;
    let mut follower = scene.follow().await;
    let (first, second) = (scene.connect().await, scene.connect().await);
    scene
        .admin("DELETE", &format!("/admin/grants/{}", first.gid), Value::Null)
        .await;
    let cursor = follower.expect_grant(&first.gid).await.id;
    drop(follower);
    scene
        .admin("DELETE", &format!("/admin/grants/{}", second.gid), Value::Null)
        .await;

    let mut follower = scene.follow_after(Some(&cursor)).await;
    let last = follower.expect_grant(&second.gid).await.id;
    let ready = follower.expect("ready").await;
    assert_eq!((ready.id, ready.data), (last.clone(), json!({})));
    let mut follower = scene.follow_after(Some(&last)).await;
    assert_eq!(follower.expect("ready").await.id, last);
    // Who comes for the first time hears everything.
    let mut follower = scene.follow_after(None).await;
    follower.expect_grant(&first.gid).await;
    follower.expect_grant(&second.gid).await;
    follower.expect("ready").await;
}

#[tokio::test]
async fn who_comes_back_too_late_or_from_elsewhere_is_told_to_begin_anew() {
    let scene = scene().await;
    let mut gids = Vec::new();
    let mut follower = scene.follow().await;
    let mut cursors = Vec::new();
    for _ in 0..3 {
        let connected = scene.connect().await;
        scene
            .admin("DELETE", &format!("/admin/grants/{}", connected.gid), Value::Null)
            .await;
        cursors.push(follower.expect_grant(&connected.gid).await.id);
        gids.push(connected.gid);
        scene.app.wait(10);
    }
    let before = scene.app.context.now() - Duration::from_secs(15);
    let store = &scene.app.context.store;
    assert_eq!(store.forget_revocations(before, 100).await, Ok(2));
    let log = cursors[0].split_once('-').unwrap().0;
    let future = format!("{log}-999");
    for unknown in [
        &*cursors[0],
        &future,
        "0000000000000000-1",
        "",
        "garbage",
        "\u{fe}",
    ] {
        let mut follower = scene.follow_after(Some(unknown)).await;
        follower.expect("reset").await;
        follower.expect_grant(&gids[2]).await;
        assert_eq!(follower.expect("ready").await.id, cursors[2]);
    }
    // The second was the last that is forgotten: nothing is missing after it.
    let mut follower = scene.follow_after(Some(&cursors[1])).await;
    follower.expect_grant(&gids[2]).await;
}

/// The policy of a resource may let its tokens live for a day, whatever `tokens.access_ttl` says.
#[tokio::test]
async fn a_revocation_is_remembered_as_long_as_any_token_may_live() {
    let scene = scene().await;
    for _ in 0..2 {
        let connected = scene.connect().await;
        scene
            .admin("DELETE", &format!("/admin/grants/{}", connected.gid), Value::Null)
            .await;
        scene.app.wait(100);
    }
    // The first was a day and three minutes ago, the second a bit less than a day and two minutes.
    scene.app.wait(24 * 3600 - 20);
    let stop = tokio_util::sync::CancellationToken::new();
    let store = &scene.app.context.store;
    let swept = async {
        while store.revocations(0, 10).await.unwrap().items.len() == 2 {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    let jobs = scene.app.server.run_jobs(stop.clone());
    let both = async { tokio::join!(jobs, swept) };
    tokio::time::timeout(Duration::from_secs(20), both).await.unwrap();
    assert_eq!(store.revocations(0, 10).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn only_resource_servers_may_listen() {
    let scene = scene().await;
    let public = scene.app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let other = json!({
        "client_name": "Web app",
        "redirect_uris": [REDIRECT],
        "token_endpoint_auth_method": "client_secret_basic",
    });
    let other = basic(&scene.app, other).await;
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
    let pair = scene.resource_server.strip_prefix("Basic ").unwrap();
    let pair = base64::engine::general_purpose::STANDARD.decode(pair).unwrap();
    let client_id = String::from_utf8(pair)
        .unwrap()
        .split(':')
        .next()
        .unwrap()
        .to_owned();
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

#[tokio::test]
async fn followers_are_told_when_a_signing_key_comes_or_goes() {
    let scene = scene().await;
    let mut follower = scene.follow().await;
    scene.app.context.keys.rotate_now().await.unwrap();
    follower.expect("keys").await;
}

#[tokio::test]
async fn followers_are_not_told_that_all_is_well_when_the_log_cannot_be_read() {
    let scene = scene().await;
    let mut follower = scene.follow().await;
    scene.app.context.store.close().await.unwrap();
    let end = tokio::time::timeout(Duration::from_secs(8), follower.event()).await;
    assert_eq!(end, Ok(None));
}

/// Only PostgreSQL has several nodes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_node_revokes_arrives_within_two_seconds() {
    if !support::Engine::is_postgres() {
        return;
    }
    let scene = scene().await;
    let mut follower = scene.follow().await;
    let connected = scene.connect().await;
    let parts = doorward_server::context::Parts {
        clock: std::sync::Arc::new(scene.app.clock.clone()),
        random: std::sync::Arc::new(doorward_server::random::OsRandom::default()),
    };
    let settings = scene.app.context.settings.clone();
    let other = doorward_server::AuthorizationServer::open(settings, parts)
        .await
        .unwrap();
    let everything = doorward_store::GrantFilter::default();
    let reason = doorward_store::EndReason::RevokedByAdmin;
    let now = scene.app.context.now();
    let revoked = other.context().store.revoke_grants(everything, reason, now).await;
    assert_eq!(revoked, Ok(1));
    let cursor = follower.expect_grant(&connected.gid).await.id;
    // And a cursor of one node is good on all.
    let mut second = scene;
    second.app.public = other.routers().public;
    let mut follower = second.follow_after(Some(&cursor)).await;
    assert_eq!(follower.expect("ready").await.id, cursor);
}

/// More than a page, and more than a slow reader's share of memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_great_many_revocations_reach_a_follower_in_order() {
    let scene = scene().await;
    let mut follower = scene.follow().await;
    let connected = scene.connect().await;
    let store = &scene.app.context.store;
    let mut client = store.client(&connected.client_id).await.unwrap().unwrap();
    for number in 0..1200 {
        client.disabled = number % 2 == 0;
        client.updated_at = doorward_oauth::time::UnixSeconds(number);
        store.update_client(client.clone()).await.unwrap();
    }
    for number in 0..600 {
        // Whoever lags is told of keys and, at the end of what it reads by itself, that it is ready.
        let event = loop {
            let event = follower.event().await.expect("the feed ended");
            if !matches!(&*event.kind, "keys" | "ready") {
                break event;
            }
        };
        assert_eq!(event.kind, "revocation", "{event:?}");
        assert_eq!(event.data["revoked_at"], number * 2);
    }
}
