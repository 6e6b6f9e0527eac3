//! Posting forms: the same guarded way as for documents, each sent exactly once.

use std::time::Duration;

use doorward_fetch::{FetchError, FetchPolicy, Fetcher, FormAnswer, FormRequest, Limits};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue};
use wiremock::{MockServer, ResponseTemplate};

use crate::support::{clock, endless, fetcher, impatient, json, requests, server};

async fn post_to(url: &str, limits: &Limits) -> Result<FormAnswer, FetchError> {
    let form = FormRequest {
        url,
        body: "grant_type=client_credentials&scope=a+b",
        headers: &[(AUTHORIZATION, HeaderValue::from_static("Basic YTpi"))],
    };
    fetcher(&clock()).post_form(form, limits).await
}

async fn post(server: &MockServer) -> Result<FormAnswer, FetchError> {
    post_to(&format!("{}/token", server.uri()), &Limits::default()).await
}

#[tokio::test]
async fn a_form_is_sent_once_and_every_status_is_an_answer() {
    for status in [200, 201, 400, 401, 429, 500, 503] {
        let response = ResponseTemplate::new(status)
            .set_body_raw("{}", "text/plain")
            .insert_header("dpop-nonce", "n");
        let server = server(response).await;
        let answer = post(&server).await.unwrap();
        assert_eq!(answer.status.as_u16(), status);
        assert_eq!(answer.headers["dpop-nonce"], "n");
        assert_eq!(answer.body, "{}");
        assert_eq!(requests(&server).await, 1);
    }
}

#[tokio::test]
async fn a_form_has_its_content_type_and_the_callers_headers() {
    let server = server(json("{}")).await;
    post(&server).await.unwrap();
    let request = &server.received_requests().await.unwrap()[0];
    assert_eq!(request.method.as_str(), "POST");
    assert_eq!(
        request.headers["content-type"],
        "application/x-www-form-urlencoded"
    );
    assert_eq!(request.headers["accept"], "application/json");
    assert_eq!(request.headers["accept-encoding"], "identity");
    assert_eq!(request.headers["authorization"], "Basic YTpi");
    assert_eq!(request.body, b"grant_type=client_credentials&scope=a+b");
}

#[tokio::test]
async fn a_callers_header_cannot_change_what_the_body_is() {
    let server = server(json("{}")).await;
    let form = FormRequest {
        url: &format!("{}/token", server.uri()),
        body: "a=b",
        headers: &[
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (HeaderName::from_static("dpop"), HeaderValue::from_static("proof")),
        ],
    };
    fetcher(&clock())
        .post_form(form, &Limits::default())
        .await
        .unwrap();
    let request = &server.received_requests().await.unwrap()[0];
    assert_eq!(
        request.headers["content-type"],
        "application/x-www-form-urlencoded"
    );
    assert_eq!(request.headers["dpop"], "proof");
}

#[tokio::test]
async fn a_form_does_not_follow_redirects() {
    let target = server(json("{}")).await;
    for status in [301, 302, 303, 307, 308] {
        let response =
            ResponseTemplate::new(status).insert_header("location", format!("{}/token", target.uri()));
        assert_eq!(
            post(&server(response).await).await,
            Err(FetchError::Redirected),
            "{status}"
        );
    }
    assert_eq!(requests(&target).await, 0);
}

#[tokio::test]
async fn answers_to_forms_are_bounded_and_not_compressed() {
    let bound = Limits::default().max_body;
    let fits = server(json(&"a".repeat(bound))).await;
    assert_eq!(post(&fits).await.unwrap().body.len(), bound);
    let large = server(json(&"a".repeat(bound + 1))).await;
    assert_eq!(post(&large).await, Err(FetchError::TooLarge));
    let gzip = server(json("{}").insert_header("content-encoding", "gzip")).await;
    assert_eq!(post(&gzip).await, Err(FetchError::Encoded));
    let slow = endless("HTTP/1.1 200 OK\r\n", b"x", Duration::from_millis(50))
        .await
        .0;
    assert_eq!(post_to(&slow, &impatient()).await, Err(FetchError::Timeout));
}

/// Row 55 of the acceptance list: what is blocked by default.
#[tokio::test]
async fn a_form_does_not_reach_private_addresses() {
    let fetcher = Fetcher::new(FetchPolicy::default(), std::sync::Arc::new(clock())).unwrap();
    for url in [
        "https://169.254.169.254/token",
        "https://10.0.0.1/token",
        "https://127.0.0.1/token",
        "https://[::1]/token",
        "https://[::ffff:127.0.0.1]/token",
        "https://[::ffff:a9fe:a9fe]/token",
        "https://localhost/token",
    ] {
        let form = FormRequest {
            url,
            body: "",
            headers: &[],
        };
        let outcome = fetcher.post_form(form, &Limits::default()).await;
        assert!(
            matches!(outcome, Err(FetchError::Blocked(_))),
            "{url}: {outcome:?}"
        );
    }
    let form = FormRequest {
        url: "http://as.example/token",
        body: "",
        headers: &[],
    };
    let outcome = fetcher.post_form(form, &Limits::default()).await;
    assert!(matches!(outcome, Err(FetchError::InvalidUrl(_))));
}

#[test]
fn debug_shows_no_secret() {
    let form = FormRequest {
        url: "https://as.example/token",
        body: "client_secret=canary",
        headers: &[(AUTHORIZATION, HeaderValue::from_static("Basic canary"))],
    };
    assert!(!format!("{form:?}").contains("canary"));
    let answer = FormAnswer {
        status: http::StatusCode::OK,
        headers: [(CONTENT_TYPE, HeaderValue::from_static("canary"))]
            .into_iter()
            .collect(),
        body: "canary".into(),
    };
    assert!(!format!("{answer:?}").contains("canary"));
}
