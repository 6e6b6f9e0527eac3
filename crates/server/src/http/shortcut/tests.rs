//! A short way ends where the long one does.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::response::IntoResponse as _;
use axum::routing::get;
use doorward_oauth::issuer::Issuer;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::*;
use crate::config::Settings;
use crate::http::{Envelope, wrap_public};
use crate::random::OsRandom;

/// A server with one document, which may be known to be current or not, and that counts who reaches the router.
struct Server {
    router: Router,
    metrics: Metrics,
    current: Arc<Mutex<Option<Arc<Document>>>>,
    asked: Arc<AtomicUsize>,
}

fn document(text: &str) -> Arc<Document> {
    Arc::new(Document::of(&text).unwrap())
}

impl Server {
    fn new() -> Self {
        let current = Arc::new(Mutex::new(Some(document("first"))));
        let (asked, metrics) = (Arc::new(AtomicUsize::new(0)), Metrics::new());
        let (answered, count) = (Arc::clone(&current), Arc::clone(&asked));
        let handler = move |headers: HeaderMap| async move {
            count.fetch_add(1, Ordering::SeqCst);
            let document = answered.lock().unwrap().clone();
            match document {
                Some(document) => document.answer(&headers),
                None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            }
        };
        let at_hand = Arc::clone(&current);
        let issuer = Issuer::parse("http://localhost:9000").unwrap();
        let random = Arc::new(OsRandom::default());
        let envelope = Envelope::new(&Settings::default(), &issuer, random, metrics.clone());
        let shortcut = Shortcut::new("/document".to_owned(), move || at_hand.lock().unwrap().clone());
        let router = wrap_public(
            Router::new().route("/document", get(handler)),
            envelope.with_shortcuts(vec![shortcut]),
        );
        Self {
            router,
            metrics,
            current,
            asked,
        }
    }

    async fn send(&self, method: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, String) {
        let mut request = Request::builder().method(method).uri("/document?any=query");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        let host = request.headers_mut().entry("host");
        host.or_insert("localhost:9000".parse().unwrap());
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        (parts.status, parts.headers, body)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_kept_answer_is_the_router_s_but_for_the_name_of_the_request() {
    let server = Server::new();
    let (status, mut first, body) = server.send("GET", &[]).await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, "\"first\""));
    let (status, mut second, body) = server.send("GET", &[("host", "localhost:9000")]).await;
    assert_eq!(
        (status, body.as_str(), server.asked()),
        (StatusCode::OK, "\"first\"", 1)
    );
    let (one, other) = (first.remove("x-request-id"), second.remove("x-request-id"));
    assert_ne!(one.unwrap(), other.unwrap());
    assert_eq!(first, second);
    assert_eq!(second["content-length"], "7");
    assert_eq!(second["x-content-type-options"], "nosniff");
    let counted = r#"doorward_http_requests_total{route="/document",method="GET",status="200"} 2"#;
    let text = server.metrics.encode().unwrap();
    assert!(text.contains(counted), "{text}");
    assert!(
        text.contains(r#"doorward_http_request_duration_seconds_count{route="/document"} 2"#),
        "{text}"
    );
}

#[tokio::test]
async fn an_answer_is_kept_as_long_as_its_document_is_current() {
    let server = Server::new();
    server.send("GET", &[]).await;
    *server.current.lock().unwrap() = Some(document("second"));
    for _ in 0..3 {
        assert_eq!(server.send("GET", &[]).await.2, "\"second\"");
    }
    assert_eq!(server.asked(), 2);
    // Nobody knows: whoever knows how to find out is asked, and what is said then is not kept.
    *server.current.lock().unwrap() = None;
    for _ in 0..2 {
        let (status, ..) = server.send("GET", &[]).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(server.asked(), 4);
}

#[tokio::test]
async fn whoever_asks_otherwise_is_answered_by_the_router() {
    let server = Server::new();
    let (_, headers, _) = server.send("GET", &[]).await;
    let tag = headers["etag"].to_str().unwrap();
    let (status, _, body) = server.send("GET", &[("if-none-match", tag)]).await;
    assert_eq!((status, body.as_str()), (StatusCode::NOT_MODIFIED, ""));
    let (status, _, body) = server.send("GET", &[("if-none-match", "*")]).await;
    assert_eq!((status, body.as_str()), (StatusCode::NOT_MODIFIED, ""));
    let (status, headers, body) = server.send("HEAD", &[]).await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, ""));
    assert_eq!(headers["content-length"], "7");
    server.send("GET", &[("origin", "https://app.example")]).await;
    assert_eq!(server.asked(), 5);
    assert_eq!(server.send("POST", &[]).await.0, StatusCode::METHOD_NOT_ALLOWED);
}

/// A web page whose name was pointed at this machine.
#[tokio::test]
async fn a_strange_name_is_refused_the_kept_answer_too() {
    let server = Server::new();
    server.send("GET", &[]).await;
    for host in ["evil.example", "evil.example:9000", "localhost.evil.example:9000"] {
        let (status, ..) = server.send("GET", &[("host", host)]).await;
        assert_eq!(status, StatusCode::MISDIRECTED_REQUEST, "{host}");
    }
    let (status, ..) = server
        .send("GET", &[("host", "localhost"), ("host", "localhost")])
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}
