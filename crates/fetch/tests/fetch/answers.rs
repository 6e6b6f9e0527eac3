//! What of an answer is accepted.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::short_waits::within;
use crate::support::{clock, endless, fetcher, impatient, json, requests, server};
use doorward_fetch::{FetchError, Limits};
use wiremock::ResponseTemplate;

async fn outcome(response: ResponseTemplate) -> Result<String, FetchError> {
    let server = server(response).await;
    let document = fetcher(&clock())
        .get_json(&format!("{}/c.json", server.uri()), &Limits::default())
        .await?;
    Ok(String::from_utf8(document.body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_json_document_is_returned_as_it_is() {
    assert_eq!(outcome(json(r#"{"a": 1}"#)).await.unwrap(), r#"{"a": 1}"#);
    for content_type in [
        "application/json; charset=utf-8",
        "application/oauth-client+json",
        "Application/JSON",
    ] {
        let response = ResponseTemplate::new(200).set_body_raw("{}", content_type);
        assert_eq!(outcome(response).await.unwrap(), "{}", "{content_type}");
    }
}

#[tokio::test]
async fn an_answer_has_sixty_four_headers_at_most() {
    let with = |headers: usize| {
        (0..headers).fold(json("{}"), |response, number| {
            response.insert_header(format!("x-{number}"), "x")
        })
    };
    // The server adds its own.
    assert_eq!(outcome(with(55)).await.unwrap(), "{}");
    assert!(outcome(with(65)).await.is_err());
}

#[tokio::test]
async fn other_content_types_are_refused() {
    for content_type in [
        "text/html",
        "text/json",
        "image/svg+xml",
        "image/x+json",
        "application/jsonp",
        "",
    ] {
        let response = ResponseTemplate::new(200).set_body_raw("{}", content_type);
        assert_eq!(
            outcome(response).await,
            Err(FetchError::NotJson),
            "{content_type}"
        );
    }
    assert_eq!(
        outcome(ResponseTemplate::new(200)).await,
        Err(FetchError::NotJson)
    );
}

#[tokio::test]
async fn only_200_is_an_answer() {
    for status in [201, 202, 204, 206, 304, 400, 401, 404, 500, 503] {
        let response = ResponseTemplate::new(status).set_body_raw("{}", "application/json");
        assert_eq!(
            outcome(response).await,
            Err(FetchError::Status(status)),
            "{status}"
        );
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let target = server(json("{}")).await;
    for status in [301, 302, 303, 307, 308] {
        let response =
            ResponseTemplate::new(status).insert_header("location", format!("{}/c.json", target.uri()));
        assert_eq!(outcome(response).await, Err(FetchError::Redirected), "{status}");
    }
    assert_eq!(requests(&target).await, 0);
}

#[tokio::test]
async fn a_body_over_the_bound_is_refused_and_one_at_the_bound_is_not() {
    let body = |length: usize| json(&format!("\"{}\"", "a".repeat(length - 2)));
    assert_eq!(outcome(body(5 * 1024)).await.unwrap().len(), 5 * 1024);
    assert_eq!(outcome(body(5 * 1024 + 1)).await, Err(FetchError::TooLarge));
}

#[tokio::test]
async fn the_bound_is_the_callers() {
    let server = server(json(&format!("\"{}\"", "a".repeat(20_000)))).await;
    let (fetcher, url) = (fetcher(&clock()), format!("{}/jwks", server.uri()));
    assert_eq!(
        fetcher.get_json(&url, &Limits::default()).await,
        Err(FetchError::TooLarge)
    );
    let generous = Limits {
        max_body: 64 * 1024,
        ..Limits::default()
    };
    assert_eq!(
        fetcher.get_json(&url, &generous).await.unwrap().body.len(),
        20_002
    );
}

#[tokio::test]
async fn an_endless_chunked_body_is_cut_off_at_the_bound() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let (url, written) = endless(head, b"10\r\n0123456789abcdef\r\n", Duration::ZERO).await;
    assert_eq!(
        fetcher(&clock()).get_json(&url, &Limits::default()).await,
        Err(FetchError::TooLarge)
    );
    assert!(written.load(Ordering::SeqCst) < 1024 * 1024);
}

#[tokio::test]
async fn a_declared_length_over_the_bound_is_refused_before_the_body_is_read() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11000000\r\n\r\n";
    let (url, _) = endless(head, b"0", Duration::from_mins(1)).await;
    assert_eq!(
        fetcher(&clock()).get_json(&url, &impatient()).await,
        Err(FetchError::TooLarge)
    );
}

#[tokio::test]
async fn compressed_bodies_are_refused_and_not_asked_for() {
    let server = server(json("{}").insert_header("content-encoding", "gzip")).await;
    let outcome = fetcher(&clock())
        .get_json(&format!("{}/c.json", server.uri()), &Limits::default())
        .await;
    assert_eq!(outcome, Err(FetchError::Encoded));
    let request = &server.received_requests().await.unwrap()[0];
    assert_eq!(request.headers["accept-encoding"], "identity");
}

#[tokio::test]
async fn a_request_carries_constant_headers_and_nothing_else() {
    let server = server(
        json("{}")
            .insert_header("set-cookie", "a=b")
            .insert_header("cache-control", "no-store"),
    )
    .await;
    let (fetcher, url) = (fetcher(&clock()), format!("{}/c.json", server.uri()));
    for _ in 0..2 {
        fetcher.get_json(&url, &Limits::default()).await.unwrap();
    }
    for request in server.received_requests().await.unwrap() {
        let mut names: Vec<_> = request.headers.keys().map(ToString::to_string).collect();
        names.sort();
        assert_eq!(names, ["accept", "accept-encoding", "host", "user-agent"]);
        assert_eq!(request.headers["accept"], "application/json");
        assert_eq!(
            request.headers["user-agent"],
            concat!("doorward/", env!("CARGO_PKG_VERSION"))
        );
    }
}

#[tokio::test]
async fn slow_servers_end_in_time() {
    let no_head = endless("", b"", Duration::from_mins(1)).await.0;
    let slow_head = endless("HTTP/1.1 200 OK\r\n", b"x", Duration::from_millis(50))
        .await
        .0;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 4000\r\n\r\n";
    let slow_body = endless(head, b"0", Duration::from_millis(50)).await.0;
    let early_hints = endless("", b"HTTP/1.1 103 Early Hints\r\n\r\n", Duration::from_millis(20))
        .await
        .0;
    for url in [no_head, slow_head, slow_body, early_hints] {
        let (fetcher, limits) = (fetcher(&clock()), impatient());
        let started = tokio::time::Instant::now();
        let answer = within(Duration::from_secs(2), fetcher.get_json(&url, &limits)).await;
        assert_eq!(
            answer.map(|(answer, _)| answer),
            Some(Err(FetchError::Timeout)),
            "{url}"
        );
        assert!(started.elapsed() < Duration::from_secs(20));
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_document() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/c.json", listener.local_addr().unwrap());
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{}";
        let _ = stream.write_all(head.as_bytes()).await;
    });
    assert_eq!(
        fetcher(&clock()).get_json(&url, &Limits::default()).await,
        Err(FetchError::Connect)
    );
}

#[tokio::test]
async fn a_closed_port_is_a_failed_connection() {
    // Bound, so that nobody else gets the port, and not listening.
    let kept = tokio::net::TcpSocket::new_v4().unwrap();
    kept.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/c.json", kept.local_addr().unwrap());
    let error = fetcher(&clock())
        .get_json(&url, &Limits::default())
        .await
        .unwrap_err();
    assert_eq!(error, FetchError::Connect);
    assert!(error.is_transient());
}
