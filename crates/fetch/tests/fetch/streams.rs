//! Server-sent events: read as they come, under the rules that hold for documents.

use std::time::Duration;

use doorward_fetch::{EventStream, FetchError, StreamRequest};
use http::header::{AUTHORIZATION, HeaderValue};
use tokio::time::Instant;
use wiremock::ResponseTemplate;

use crate::support::{clock, endless, fetcher, server};

const STREAM_HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\n\r\n";

/// For what answers at once; a busy machine may stand still for a second or two.
const PATIENT: Duration = Duration::from_secs(3);

async fn open(url: &str) -> Result<EventStream, FetchError> {
    open_with(url, None, PATIENT).await
}

async fn open_with(url: &str, form: Option<&str>, timeout: Duration) -> Result<EventStream, FetchError> {
    let request = StreamRequest {
        url,
        form,
        headers: &[(AUTHORIZATION, HeaderValue::from_static("Basic c2VjcmV0"))],
        head_timeout: timeout,
        idle_timeout: timeout,
    };
    let shown = format!("{request:?}");
    assert!(!shown.contains("c2VjcmV0") && !shown.contains("client_assertion"));
    fetcher(&clock()).get_stream(request).await
}

#[tokio::test]
async fn a_stream_is_read_as_it_comes_and_longer_than_any_timeout() {
    let (url, _) = endless(STREAM_HEAD, b": alive\n\n", Duration::from_millis(500)).await;
    let begun = Instant::now();
    let mut stream = open(&url).await.unwrap();
    let mut bytes = Vec::new();
    while begun.elapsed() <= PATIENT + Duration::from_millis(200) {
        bytes.extend(stream.chunk().await.unwrap().unwrap());
    }
    assert!(bytes.starts_with(b": alive\n\n: alive\n\n"));
}

#[tokio::test]
async fn silence_ends_a_stream() {
    let (url, _) = endless(STREAM_HEAD, b": alive\n\n", Duration::from_mins(1)).await;
    let mut stream = open(&url).await.unwrap();
    assert!(stream.chunk().await.unwrap().is_some());
    assert_eq!(stream.chunk().await, Err(FetchError::Timeout));
}

#[tokio::test]
async fn silence_before_the_head_ends_the_request() {
    let (url, _) = endless("", b"", Duration::from_mins(1)).await;
    let short = Duration::from_millis(300);
    let answer = open_with(&url, None, short).await;
    assert_eq!(answer.unwrap_err(), FetchError::Timeout);
}

#[tokio::test]
async fn the_headers_of_the_caller_are_sent_and_the_end_is_told() {
    let answer = ResponseTemplate::new(200).set_body_raw("data: 1\n\n", "text/event-stream");
    let server = server(answer).await;
    let mut stream = open(&server.uri()).await.unwrap();
    assert_eq!(&*stream.chunk().await.unwrap().unwrap(), b"data: 1\n\n");
    assert_eq!(stream.chunk().await, Ok(None));
    let request = &server.received_requests().await.unwrap()[0];
    assert_eq!(request.headers["authorization"], "Basic c2VjcmV0");
    assert_eq!(request.headers["accept"], "text/event-stream");
    assert_eq!(request.headers["accept-encoding"], "identity");
}

/// For clients whose credentials belong into a form.
#[tokio::test]
async fn a_stream_can_be_asked_for_with_a_form() {
    let answer = ResponseTemplate::new(200).set_body_raw("data: 1\n\n", "text/event-stream");
    let server = server(answer).await;
    let form = "client_id=a&client_assertion=b.c.d";
    let mut stream = open_with(&server.uri(), Some(form), PATIENT).await.unwrap();
    assert_eq!(&*stream.chunk().await.unwrap().unwrap(), b"data: 1\n\n");
    let request = &server.received_requests().await.unwrap()[0];
    assert_eq!(
        (request.method.as_str(), &*request.body),
        ("POST", form.as_bytes())
    );
    assert_eq!(
        request.headers["content-type"],
        "application/x-www-form-urlencoded"
    );
    assert_eq!(request.headers["accept"], "text/event-stream");
}

#[tokio::test]
async fn what_is_no_event_stream_is_refused() {
    let events = |status: u16| ResponseTemplate::new(status).set_body_raw("data: 1\n\n", "text/event-stream");
    for (answer, error) in [
        (events(401), FetchError::Status(401)),
        (events(503), FetchError::Status(503)),
        (events(204), FetchError::Status(204)),
        (
            events(302).insert_header("location", "http://127.0.0.1/"),
            FetchError::Redirected,
        ),
        (
            ResponseTemplate::new(200).set_body_raw("{}", "application/json"),
            FetchError::NotAnEventStream,
        ),
        (
            events(200).insert_header("content-encoding", "gzip"),
            FetchError::Encoded,
        ),
    ] {
        let server = server(answer).await;
        assert_eq!(open(&server.uri()).await.unwrap_err(), error);
    }
}

#[tokio::test]
async fn streams_come_from_nowhere_where_documents_may_not_come_from() {
    for url in [
        "https://10.0.0.1/events",
        "http://10.0.0.1/events",
        "https://user@app.example/",
    ] {
        let error = open(url).await.unwrap_err();
        let refused = matches!(error, FetchError::Blocked(_) | FetchError::InvalidUrl(_));
        assert!(refused, "{url}: {error:?}");
    }
}
