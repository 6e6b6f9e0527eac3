//! The log line of a request: one event, nothing secret, nothing that a stranger can forge.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::post;
use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_oauth::issuer::Issuer;
use serde_json::Value;
use tower::ServiceExt as _;

use super::error::TokenError;
use super::metrics::Metrics;
use super::request::RequestInfo;
use super::{Envelope, NoRoom, wrap_public};
use crate::captured::Captured;
use crate::config::Settings;
use crate::random::OsRandom;

/// Sends a request full of canaries and returns the log.
async fn log_of_a_request(json: bool) -> String {
    let fault = OAuthError::new(ErrorCode::ServerError, "It broke.");
    log_of_a_refusal(json, fault.with_internal("row 7 is odd")).await
}

/// The same, where the answer is this one.
async fn log_of_a_refusal(json: bool, refusal: OAuthError) -> String {
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(captured.clone())
        .with_ansi(false);
    let _guard = if json {
        tracing::subscriber::set_default(subscriber.json().finish())
    } else {
        tracing::subscriber::set_default(subscriber.finish())
    };
    let issuer = Issuer::parse("https://auth.example").unwrap();
    let handler = move |info: RequestInfo, _body: String| async move {
        info.note_client("evil\r\n{\"level\":\"INFO\"}\u{1b}[31m");
        TokenError::from(refusal)
    };
    let envelope = Envelope::new(
        &Settings::default(),
        &issuer,
        Arc::new(OsRandom::default()),
        Metrics::new(),
    );
    let router = wrap_public(Router::new().route("/oauth/token", post(handler)), envelope);
    let request = Request::post("/oauth/token?code=canary-query")
        .header("host", "auth.example")
        .header("authorization", "Basic canary-authorization")
        .header("cookie", "doorward_session=canary-cookie")
        .header("user-agent", "canary-agent")
        .body(Body::from("client_secret=canary-body"))
        .unwrap();
    router.oneshot(request).await.unwrap();
    captured.text()
}

#[tokio::test]
async fn a_request_is_one_event_without_secrets() {
    let log = log_of_a_request(true).await;
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(!log.contains("canary"), "{log}");
    let event: Value = serde_json::from_str(&log).unwrap();
    assert_eq!(event["target"], "doorward::request");
    assert_eq!(event["level"], "ERROR");
    let fields = &event["fields"];
    assert_eq!(fields["route"], "/oauth/token");
    assert_eq!(fields["status"], 500);
    assert_eq!(fields["error"], "server_error");
    assert_eq!(fields["internal"], "row 7 is odd");
    assert!(fields["client_id"].as_str().unwrap().starts_with("evil"));
    assert!(fields["request_id"].is_string() && fields["ms"].is_number());
}

#[tokio::test]
async fn a_stranger_cannot_write_a_line_of_its_own() {
    let log = log_of_a_request(false).await;
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(!log.contains('\u{1b}') && !log.contains("canary"), "{log:?}");
}

/// Who fills the room must not fill the log with errors.
#[tokio::test]
async fn a_refusal_for_want_of_room_is_no_error_and_a_fault_is() {
    let unavailable = || OAuthError::new(ErrorCode::TemporarilyUnavailable, "Try again in a moment.");
    let full = [NoRoom::Body, NoRoom::Fetch, NoRoom::Password, NoRoom::Follower];
    let full = full.map(|what| (unavailable().with_internal(what), "INFO"));
    let broken = [
        (unavailable(), "ERROR"),
        (unavailable().with_internal("store: busy"), "ERROR"),
    ];
    for (error, level) in full.into_iter().chain(broken) {
        let internal = error.internal.clone();
        let line: Value = serde_json::from_str(&log_of_a_refusal(true, error).await).unwrap();
        assert_eq!(line["level"], level, "{line}");
        assert_eq!(line["fields"]["status"], 503);
        assert_eq!(line["fields"]["internal"].as_str(), internal.as_deref());
    }
}
