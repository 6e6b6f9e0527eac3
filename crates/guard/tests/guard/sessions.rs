//! MCP sessions belong to whoever began them.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::StatusCode;
use serde_json::json;
use tower::ServiceExt;

use crate::support::{World, pass, ping_message};

/// A server that begins a session `s-1` with every request that names none.
async fn server(request: Request) -> Response {
    match (request.headers().get("mcp-session-id"), request.method().as_str()) {
        (None, _) => ([("mcp-session-id", "s-1")], "begun").into_response(),
        (Some(_), "DELETE") => StatusCode::NO_CONTENT.into_response(),
        (Some(_), _) => "used".into_response(),
    }
}

struct Sessions {
    world: World,
    app: Router,
}

impl Sessions {
    fn new(world: World) -> Self {
        let app = world.guard.protect("/mcp", any(server));
        Self { world, app }
    }

    async fn request(&self, method: &str, subject: &str, client: &str, session: &[&str]) -> StatusCode {
        let token = self
            .world
            .token_with(&json!({"sub": subject, "client_id": client}));
        let mut request = http::Request::builder()
            .method(method)
            .uri("/mcp")
            .header("authorization", format!("Bearer {token}"));
        for id in session {
            request = request.header("mcp-session-id", *id);
        }
        let body = if method == "POST" {
            Body::from(ping_message().to_string())
        } else {
            Body::empty()
        };
        self.app
            .clone()
            .oneshot(request.body(body).unwrap())
            .await
            .unwrap()
            .status()
    }
}

/// RS-038; row 59.
#[tokio::test(start_paused = true)]
async fn a_session_only_works_for_who_began_it() {
    let sessions = Sessions::new(World::new());
    assert_eq!(sessions.request("POST", "alice", "c", &[]).await, StatusCode::OK);
    for method in ["POST", "GET", "DELETE"] {
        assert_eq!(
            sessions.request(method, "mallory", "c", &["s-1"]).await,
            StatusCode::NOT_FOUND,
            "{method}"
        );
        assert_eq!(
            sessions.request(method, "alice", "other", &["s-1"]).await,
            StatusCode::NOT_FOUND,
            "{method}"
        );
    }
    assert_eq!(
        sessions.request("POST", "alice", "c", &["unknown"]).await,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        sessions.request("POST", "alice", "c", &["s-1", "s-1"]).await,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        sessions.request("GET", "alice", "c", &["s-1"]).await,
        StatusCode::OK
    );
    assert_eq!(
        sessions.request("DELETE", "alice", "c", &["s-1"]).await,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        sessions.request("POST", "alice", "c", &["s-1"]).await,
        StatusCode::NOT_FOUND,
        "it ended"
    );
}

/// RS-038: a stream is not picked up by whoever learned an event id.
#[tokio::test(start_paused = true)]
async fn an_event_id_without_a_session_is_nobodys() {
    let sessions = Sessions::new(World::new());
    let token = sessions.world.token();
    let resume = |session: Option<&str>| {
        let mut request = http::Request::get("/mcp")
            .header("authorization", format!("Bearer {token}"))
            .header("last-event-id", "7");
        if let Some(id) = session {
            request = request.header("mcp-session-id", id);
        }
        sessions.app.clone().oneshot(request.body(Body::empty()).unwrap())
    };
    assert_eq!(resume(None).await.unwrap().status(), StatusCode::NOT_FOUND);
    let begun = sessions.request("POST", "alice", "client-1", &[]).await;
    assert_eq!(begun, StatusCode::OK);
    assert_eq!(resume(Some("s-1")).await.unwrap().status(), StatusCode::OK);
}

/// A session id alone is nothing.
#[tokio::test(start_paused = true)]
async fn a_session_does_not_replace_a_token() {
    let sessions = Sessions::new(World::new());
    assert_eq!(sessions.request("POST", "alice", "c", &[]).await, StatusCode::OK);
    let request = http::Request::post("/mcp")
        .header("mcp-session-id", "s-1")
        .body(Body::empty())
        .unwrap();
    assert_eq!(
        sessions.app.clone().oneshot(request).await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
}

/// A new token of the same principal goes on with the session.
#[tokio::test(start_paused = true)]
async fn a_session_outlives_the_token_that_began_it() {
    let sessions = Sessions::new(World::with(|builder| {
        builder.session_limits(10, Duration::from_hours(1))
    }));
    assert_eq!(sessions.request("POST", "alice", "c", &[]).await, StatusCode::OK);
    for _ in 0..4 {
        pass(3000).await;
        assert_eq!(
            sessions.request("POST", "alice", "c", &["s-1"]).await,
            StatusCode::OK
        );
    }
    pass(3600).await;
    assert_eq!(
        sessions.request("POST", "alice", "c", &["s-1"]).await,
        StatusCode::NOT_FOUND,
        "idle"
    );
}

#[tokio::test(start_paused = true)]
async fn binding_can_be_left_to_the_server() {
    let sessions = Sessions::new(World::with(|builder| builder.bind_sessions(false)));
    assert_eq!(
        sessions
            .request("POST", "alice", "c", &["from-another-node"])
            .await,
        StatusCode::OK
    );
}

/// Row 62: claims of parallel requests never mix.
#[tokio::test(start_paused = true)]
async fn parallel_requests_keep_their_own_claims() {
    let world = Arc::new(World::new());
    let requests = (0..200).map(|n| {
        let world = world.clone();
        async move {
            let subject = format!("user-{n}");
            let good = n % 3 != 0;
            let audience = if good {
                crate::support::RESOURCE
            } else {
                "https://other.example"
            };
            let token = world.token_with(&json!({"sub": subject, "aud": audience}));
            let answer = world.post(&token, &ping_message()).await;
            assert_eq!(answer.status.is_success(), good);
            if good {
                assert_eq!(answer.json()["subject"], subject);
            }
        }
    });
    futures_util::future::join_all(requests).await;
}
