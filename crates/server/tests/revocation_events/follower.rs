//! A resource server that follows the feed.

use std::time::Duration;

use axum::body::Body;
use doorward_store::ClientSource;
use http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::short_waits::within;
use crate::support::{ADMIN_KEY, Authorization, REDIRECT, Reply, TestApp, claims};

const FEED: &str = "/events/revocations";

/// The id, the kind and the data of an event; a heartbeat has none of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) data: Value,
}

impl Event {
    pub(crate) fn read(text: &str) -> Self {
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
pub(crate) struct Follower {
    pub(crate) body: Body,
    pub(crate) text: String,
}

impl Follower {
    /// The next block that ends with an empty line; `None` at the end of the answer.
    pub(crate) async fn block(&mut self) -> Option<String> {
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

    /// The next event. Heartbeats and `retry` are passed over, and `keys`, which comes at any time: also to whoever lags, and
    /// whenever PostgreSQL has not said for a while what changed.
    pub(crate) async fn event(&mut self) -> Option<Event> {
        loop {
            let event = self.any_event().await?;
            if event.kind != "keys" {
                return Some(event);
            }
        }
    }

    async fn any_event(&mut self) -> Option<Event> {
        loop {
            let event = Event::read(&self.block().await?);
            if !event.kind.is_empty() {
                return Some(event);
            }
        }
    }

    pub(crate) async fn expect(&mut self, kind: &str) -> Event {
        let event = match kind {
            "keys" => self.any_event().await,
            _ => self.event().await,
        };
        let event = event.expect("the feed ended");
        assert_eq!(event.kind, kind, "{event:?}");
        event
    }

    /// The next revocation has to be of this grant, and to come at once.
    pub(crate) async fn expect_grant(&mut self, gid: &str) -> Event {
        let event = within(Duration::from_secs(2), self.expect("revocation")).await;
        let (event, _) = event.expect("a revocation has to come within two seconds");
        assert_eq!(event.data["gid"], gid);
        event
    }
}

pub(crate) struct Scene {
    pub(crate) app: TestApp,
    /// `Authorization` of a resource server.
    pub(crate) resource_server: String,
}

impl Scene {
    pub(crate) async fn answer(&self, headers: &[(&str, &str)]) -> http::Response<Body> {
        let mut request = Request::get(FEED).header(header::HOST, "localhost:9000");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        self.app.public.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn follow_after(&self, cursor: Option<&str>) -> Follower {
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
    pub(crate) async fn follow(&self) -> Follower {
        let mut follower = self.follow_after(None).await;
        while follower.event().await.expect("the feed ended").kind != "ready" {}
        follower
    }

    pub(crate) async fn connect(&self) -> Connected {
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

    pub(crate) async fn revoke(&self, connected: &Connected, token: &str) {
        let form = [("client_id", &*connected.client_id), ("token", token)];
        let reply = self.app.browser().post_pairs("/oauth/revoke", &[], &form).await;
        assert_eq!(reply.status, StatusCode::OK);
    }

    pub(crate) async fn refresh(&self, connected: &Connected, token: &str) -> Reply {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", &*connected.client_id),
            ("refresh_token", token),
        ];
        self.app.token(&form).await
    }

    pub(crate) async fn admin(&self, method: &str, path: &str, body: Value) {
        let reply = self.app.administer(method, path, &body).await;
        assert!(reply.status.is_success(), "{reply:?}");
    }

    pub(crate) async fn metric(&self, name: &str) -> String {
        let metrics = self.app.administer("GET", "/metrics", &Value::Null).await.body;
        let line = metrics.lines().find(|line| line.starts_with(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name}")).to_owned()
    }
}

/// What a client got for its code.
pub(crate) struct Connected {
    pub(crate) client_id: String,
    pub(crate) code: String,
    pub(crate) body: Value,
    pub(crate) gid: String,
}

pub(crate) async fn scene() -> Scene {
    scene_with(|_| {}).await
}

pub(crate) async fn scene_with(change: impl FnOnce(&mut doorward_server::config::Settings)) -> Scene {
    let app = TestApp::with(|settings| {
        settings.admin.bootstrap_key = Some(ADMIN_KEY.into());
        change(settings);
    })
    .await;
    let resource_server = app
        .confidential(&json!({"client_name": "Guard", "resource_server": "mcp"}))
        .await;
    Scene { app, resource_server }
}
