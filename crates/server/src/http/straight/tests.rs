//! The straight way ends where the router's does, and is refused what that is refused.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::routing::post;
use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_oauth::issuer::Issuer;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::*;
use crate::config::{Cors, Settings};
use crate::http::error::TokenError;
use crate::http::{Envelope, cors, wrap_public};
use crate::random::OsRandom;

/// A server with one endpoint that counts who came straight, and one to which only the router leads.
struct Server {
    router: Router,
    metrics: Metrics,
    straight: Arc<AtomicUsize>,
}

/// Says what came, or refuses it, or breaks.
async fn endpoint(info: RequestInfo, headers: HeaderMap, body: Bytes) -> Response {
    let said = headers.get("x-said").map(|said| said.to_str().unwrap());
    match &body[..] {
        b"refuse" => TokenError::from(OAuthError::new(ErrorCode::InvalidClient, "Not you.")).into_response(),
        b"break" => panic!("the secret is hunter2"),
        body => format!("{} {said:?} {}", info.address, body.len()).into_response(),
    }
}

impl Server {
    fn new() -> Self {
        let (straight, metrics) = (Arc::new(AtomicUsize::new(0)), Metrics::new());
        let count = Arc::clone(&straight);
        let way = Straight::new("/endpoint".to_owned(), move |info, headers, body| {
            count.fetch_add(1, Ordering::SeqCst);
            endpoint(info, headers, body)
        });
        let issuer = Issuer::parse("http://localhost:9000").unwrap();
        let random = Arc::new(OsRandom::default());
        let envelope = Envelope::new(&Settings::default(), &issuer, random, metrics.clone());
        let routes = Router::new()
            .route("/endpoint", post(endpoint))
            .route("/other", post(endpoint))
            .layer(cors::layer(&Cors::default()));
        Self {
            router: wrap_public(routes, envelope.with_straight(vec![way])),
            metrics,
            straight,
        }
    }

    /// The answer, without the id of the request, and whether it came straight.
    async fn send(&self, mut request: Request) -> (StatusCode, HeaderMap, String, bool) {
        let headers = request.headers_mut();
        headers.entry("host").or_insert("localhost:9000".parse().unwrap());
        let before = self.straight.load(Ordering::SeqCst);
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (mut parts, body) = response.into_parts();
        let id = parts.headers.remove("x-request-id").unwrap();
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        let straight = self.straight.load(Ordering::SeqCst) > before;
        let body = body.replace(id.to_str().unwrap(), "id");
        (parts.status, parts.headers, body, straight)
    }
}

fn request(method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Request {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.into()).unwrap()
}

#[tokio::test]
async fn both_ways_give_the_same_answer() {
    let server = Server::new();
    let long = "a".repeat(64 * 1024);
    for body in ["", "some words", "refuse", "break", &long] {
        let headers = [("x-said", "hello"), ("authorization", "Basic eDp5")];
        let (status, found, text, straight) = server
            .send(request("POST", "/endpoint?x=1", &headers, body.to_owned()))
            .await;
        assert!(straight, "{body:.20}");
        let routed = server
            .send(request("POST", "/other?x=1", &headers, body.to_owned()))
            .await;
        assert!(!routed.3);
        let mut expected = routed.1;
        // Where the router has not said it, the connection does.
        expected.remove("content-length");
        // What browsers are told about other origins, by the layer that a panic goes past.
        for name in [
            "vary",
            "access-control-allow-origin",
            "access-control-expose-headers",
        ] {
            assert_eq!(expected.remove(name).is_some(), body != "break", "{name}");
        }
        assert_eq!((status, &text), (routed.0, &routed.2), "{body:.20}");
        assert_eq!(found, expected, "{body:.20}");
    }
}

#[tokio::test]
async fn whoever_has_an_origin_or_another_method_goes_through_the_router() {
    let server = Server::new();
    let origin = [("origin", "http://localhost:6274")];
    let (status, headers, _, straight) = server.send(request("POST", "/endpoint", &origin, "words")).await;
    assert_eq!((status, straight), (StatusCode::OK, false));
    assert_eq!(headers["access-control-allow-origin"], "*");
    for (method, path, expected) in [
        ("GET", "/endpoint", StatusCode::METHOD_NOT_ALLOWED),
        ("HEAD", "/endpoint", StatusCode::METHOD_NOT_ALLOWED),
        ("POST", "/endpoint/", StatusCode::NOT_FOUND),
        ("POST", "/%65ndpoint", StatusCode::NOT_FOUND),
    ] {
        let (status, _, _, straight) = server.send(request(method, path, &[], "words")).await;
        assert_eq!((status, straight), (expected, false), "{method} {path}");
    }
}

#[tokio::test]
async fn what_is_refused_reaches_no_handler() {
    let server = Server::new();
    let large = "a".repeat(64 * 1024 + 1);
    let evil = [("host", "evil.example")];
    for (headers, body, expected) in [
        (&[][..], large, StatusCode::PAYLOAD_TOO_LARGE),
        (&evil[..], "words".to_owned(), StatusCode::MISDIRECTED_REQUEST),
    ] {
        let refused = server
            .send(request("POST", "/endpoint", headers, body.clone()))
            .await;
        assert_eq!((refused.0, refused.3), (expected, false));
        let routed = server.send(request("POST", "/other", headers, body)).await;
        assert_eq!((routed.0, routed.2), (refused.0, refused.2));
        assert_eq!(routed.1.get("connection"), refused.1.get("connection"));
    }
}

#[tokio::test]
async fn answers_are_counted_on_their_route() {
    let server = Server::new();
    for body in ["one", "two", "refuse", "break"] {
        server.send(request("POST", "/endpoint", &[], body)).await;
    }
    let text = server.metrics.encode().unwrap();
    for (status, number) in [(200, 2), (401, 1), (500, 1)] {
        let line = format!(
            "doorward_http_requests_total{{route=\"/endpoint\",method=\"POST\",status=\"{status}\"}} {number}"
        );
        assert!(text.contains(&line), "{line}\n{text}");
    }
    assert!(
        text.contains("doorward_http_request_duration_seconds_count{route=\"/endpoint\"} 4"),
        "{text}"
    );
}

#[tokio::test]
async fn a_body_in_pieces_arrives_whole() {
    let server = Server::new();
    let pieces = |number: usize| {
        let pieces = (0..number).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(&[b'a'; 1000])));
        let pieces = pieces.chain([Ok(Bytes::new())]);
        Body::from_stream(futures_util::stream::iter(pieces))
    };
    for (number, length) in [(0, "0"), (1, "1000"), (2, "2000"), (65, "65000")] {
        let (_, _, text, straight) = server
            .send(request("POST", "/endpoint", &[], pieces(number)))
            .await;
        assert!(straight && text.ends_with(&format!(" {length}")), "{text}");
    }
    let (status, ..) = server.send(request("POST", "/endpoint", &[], pieces(66))).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}
