//! The layers around a router, without sockets.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_oauth::issuer::Issuer;
use doorward_store::StoreError;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use super::cors::OpenRoutes;
use super::error::{PageError, TokenError};
use super::metrics::Metrics;
use super::request::RequestInfo;
use super::{Envelope, cors, wrap_admin, wrap_public};
use crate::config::{Cors, Settings};
use crate::random::Random;

mod host;

struct Sevens;

impl Random for Sevens {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

fn routes() -> Router {
    let refused = || async {
        TokenError::from(OAuthError::new(
            ErrorCode::InvalidClient,
            "Use the \"right\" secret.",
        ))
    };
    let for_clients = Router::new()
        .route("/token", post(refused))
        .route("/busy", post(|| async { TokenError::from(StoreError::Busy) }))
        .route(
            "/broken",
            post(|| async { TokenError::from(StoreError::Internal("row 7 is odd".to_owned())) }),
        )
        .route("/trap", post(panicking))
        .layer(cors::layer(&Cors::default()));
    for_clients
        .route(
            "/page",
            get(|| async { PageError::new(StatusCode::BAD_REQUEST, "No <b>", "Do & this") }),
        )
        .route("/panic", get(panicking))
        .route(
            "/whoami",
            get(|info: RequestInfo| async move { info.address.to_string() }),
        )
        .route("/sink", post(|body: Bytes| async move { body.len().to_string() }))
}

async fn panicking() -> &'static str {
    panic!("the secret is hunter2")
}

fn public(issuer: &str) -> (Router, Metrics) {
    public_with(issuer, |_| {})
}

fn public_with(issuer: &str, change: impl FnOnce(&mut Settings)) -> (Router, Metrics) {
    let issuer = Issuer::parse(issuer).unwrap();
    let mut settings = Settings::default();
    settings.server.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
    change(&mut settings);
    let metrics = Metrics::new();
    let envelope = Envelope::new(&settings, &issuer, Arc::new(Sevens), metrics.clone());
    let open = OpenRoutes::new(&settings.cors, ["/token", "/trap"].map(str::to_owned).into());
    (wrap_public(routes(), envelope.with_open_routes(open)), metrics)
}

/// With a `Host`, as every client sends one.
async fn send(router: &Router, mut request: Request<Body>) -> (StatusCode, HeaderMap, String) {
    let headers = request.headers_mut();
    headers
        .entry("host")
        .or_insert(HeaderValue::from_static("localhost"));
    send_as_it_is(router, request).await
}

async fn send_as_it_is(router: &Router, request: Request<Body>) -> (StatusCode, HeaderMap, String) {
    let response: Response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (
        parts.status,
        parts.headers,
        String::from_utf8(body.to_vec()).unwrap(),
    )
}

fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

const ID: &str = "0707070707070707";

#[tokio::test]
async fn every_page_carries_the_security_headers() {
    let (router, _) = public("https://auth.example");
    for path in ["/page", "/panic", "/nowhere"] {
        let (_, headers, body) = send(&router, request("GET", path, &[("accept", "text/html")])).await;
        let expected = [
            (
                "content-security-policy",
                "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
            ),
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("cross-origin-opener-policy", "same-origin"),
            ("strict-transport-security", "max-age=31536000"),
            ("content-type", "text/html; charset=utf-8"),
            ("x-request-id", ID),
        ];
        for (name, value) in expected {
            assert_eq!(
                headers.get(name).map(|found| found.to_str().unwrap()),
                Some(value),
                "{path}"
            );
        }
        assert!(headers.contains_key("permissions-policy") && !headers.contains_key("location"));
        assert!(body.contains(ID), "{path} shows its error id");
    }
}

/// RFC 6797 §8.3: it counts for every port of the host, those on which other programs speak plain HTTP too.
#[tokio::test]
async fn strict_transport_security_is_for_hosts_that_are_all_https() {
    for issuer in [
        "http://localhost:9000",
        "https://localhost:9000",
        "https://127.0.0.1",
    ] {
        let (router, _) = public(issuer);
        let (_, headers, _) = send(&router, request("GET", "/page", &[])).await;
        assert!(!headers.contains_key("strict-transport-security"), "{issuer}");
    }
    let router = public_with("https://example.com/auth", |settings| {
        settings.server.hsts = false;
    })
    .0;
    let (_, headers, _) = send(&router, request("GET", "/page", &[])).await;
    assert!(
        !headers.contains_key("strict-transport-security"),
        "a host that is shared"
    );
}

#[tokio::test]
async fn an_error_for_people_is_a_page_unless_json_is_asked_for() {
    let (router, _) = public("https://auth.example");
    for accept in ["text/html,application/xhtml+xml", "*/*", "application/xml", ""] {
        let (status, headers, body) = send(&router, request("GET", "/page", &[("accept", accept)])).await;
        assert_eq!(
            (status, &headers["content-type"]),
            (
                StatusCode::BAD_REQUEST,
                &"text/html; charset=utf-8".parse().unwrap()
            )
        );
        assert!(
            body.contains("No &#60;b&#62;") && body.contains("Do &#38; this"),
            "{body}"
        );
    }
    let (status, _, body) = send(
        &router,
        request("GET", "/page", &[("accept", "application/json")]),
    )
    .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    insta::assert_snapshot!(body, @r#"{"error":"invalid_request","error_description":"Do & this","error_id":"0707070707070707"}"#);
}

#[tokio::test]
async fn an_error_for_programs_is_json_whoever_asks() {
    let (router, _) = public("https://auth.example");
    let (status, headers, body) = send(&router, request("POST", "/token", &[("accept", "text/html")])).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["www-authenticate"], "Basic realm=\"doorward\"");
    insta::assert_snapshot!(body, @r#"{"error":"invalid_client","error_description":"Use the 'right' secret.","error_id":"0707070707070707"}"#);
}

#[tokio::test]
async fn a_fault_of_the_store_is_never_blamed_on_the_client() {
    let (router, metrics) = public("https://auth.example");
    let (status, headers, body) = send(&router, request("POST", "/busy", &[])).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(headers["retry-after"], "1");
    assert!(body.contains("temporarily_unavailable"));
    let (status, _, body) = send(&router, request("POST", "/broken", &[])).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(body.contains("server_error") && !body.contains("row 7"));
    assert!(
        metrics
            .encode()
            .unwrap()
            .contains("doorward_store_errors_total 2")
    );
}

#[tokio::test]
async fn a_panic_is_an_error_without_details() {
    let (router, _) = public("https://auth.example");
    let (status, _, body) = send(
        &router,
        request("GET", "/panic", &[("accept", "application/json")]),
    )
    .await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(body.contains(ID) && !body.contains("hunter2"));
}

#[tokio::test]
async fn a_wrong_method_is_answered_with_the_right_ones() {
    let (router, _) = public("https://auth.example");
    let (status, headers, body) = send(&router, request("DELETE", "/page", &[])).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(headers["allow"], "GET,HEAD");
    assert!(body.contains("method_not_allowed"));
}

#[tokio::test]
async fn no_caller_chooses_the_id_of_a_request() {
    let (router, _) = public("https://auth.example");
    let good = "0f5d1c9e-7b1a-4f7e-9a55-0c2f6a1e9b11";
    let long = "a".repeat(10_000);
    for given in [good, "\"><script>", "short", &long] {
        let (_, headers, _) = send(&router, request("GET", "/whoami", &[("x-request-id", given)])).await;
        assert_eq!(headers["x-request-id"], ID);
    }
}

#[tokio::test]
async fn the_address_behind_a_trusted_proxy_is_seen_by_handlers() {
    let (router, _) = public("https://auth.example");
    let mut proxied = request("GET", "/whoami", &[("x-forwarded-for", "1.1.1.1, 198.51.100.7")]);
    proxied
        .extensions_mut()
        .insert(ConnectInfo(SocketAddr::from(([10, 0, 0, 1], 4000))));
    assert_eq!(send(&router, proxied).await.2, "198.51.100.7");
    let mut direct = request("GET", "/whoami", &[("x-forwarded-for", "198.51.100.7")]);
    direct
        .extensions_mut()
        .insert(ConnectInfo(SocketAddr::from(([203, 0, 113, 1], 4000))));
    assert_eq!(send(&router, direct).await.2, "203.0.113.1");
}

#[tokio::test]
async fn other_origins_may_call_what_is_for_clients_and_nothing_else() {
    let (router, _) = public("https://auth.example");
    let origin = ("origin", "http://localhost:6274");
    let (_, headers, _) = send(&router, request("POST", "/token", &[origin])).await;
    assert_eq!(
        headers["access-control-allow-origin"], "*",
        "errors are readable too"
    );
    assert!(
        headers["access-control-expose-headers"]
            .to_str()
            .unwrap()
            .contains("www-authenticate")
    );
    assert!(!headers.contains_key("access-control-allow-credentials"));
    let asks = [
        origin,
        ("access-control-request-method", "POST"),
        (
            "access-control-request-headers",
            "authorization,mcp-protocol-version",
        ),
    ];
    let (status, headers, _) = send(&router, request("OPTIONS", "/token", &asks)).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        headers["access-control-allow-headers"],
        "authorization,mcp-protocol-version"
    );
    for path in ["/page", "/nowhere"] {
        let (_, headers, _) = send(&router, request("GET", path, &[origin])).await;
        assert!(!headers.contains_key("access-control-allow-origin"), "{path}");
    }
}

/// What is refused before its endpoint, and what an endpoint leaves behind that fell over.
#[tokio::test]
async fn other_origins_read_every_error_of_what_they_may_call() {
    let origin = ("origin", "https://app.example");
    let too_large = |path: &str| {
        let request = Request::post(path).header(origin.0, origin.1);
        request.body(Body::from(vec![b'a'; 65_537])).unwrap()
    };
    let elsewhere = |path: &str| request("POST", path, &[origin, ("host", "evil.example")]);
    let (router, _) = public("http://localhost:9000");
    for asked in [
        too_large("/token"),
        elsewhere("/token"),
        request("POST", "/trap", &[origin]),
    ] {
        let (status, headers, body) = send(&router, asked).await;
        assert_eq!(headers["access-control-allow-origin"], "*", "{status}");
        let length = headers
            .get(header::CONTENT_LENGTH)
            .map(|length| length.to_str().unwrap());
        assert!(
            length.is_none_or(|length| length == body.len().to_string()),
            "{status}: {length:?}"
        );
        let exposed = headers["access-control-expose-headers"].to_str().unwrap();
        assert!(exposed.contains("retry-after"), "{status}: {exposed}");
    }
    for asked in [too_large("/sink"), elsewhere("/sink"), too_large("/nowhere")] {
        let (status, headers, _) = send(&router, asked).await;
        assert!(!headers.contains_key("access-control-allow-origin"), "{status}");
    }
    for (listed, allowed) in [(origin.1, Some(origin.1)), ("https://other.example", None)] {
        let (router, _) = public_with("https://auth.example", |settings| {
            settings.cors.allowed_origins = vec![listed.to_owned()];
        });
        let (_, headers, _) = send(&router, too_large("/token")).await;
        let found = headers
            .get("access-control-allow-origin")
            .map(|found| found.to_str().unwrap());
        assert_eq!(found, allowed);
    }
}

#[tokio::test]
async fn only_listed_origins_may_call_when_there_is_a_list() {
    let cors = Cors {
        allowed_origins: vec!["https://app.example".to_owned()],
    };
    let router = Router::new()
        .route("/", get(|| async { "ok" }))
        .layer(cors::layer(&cors));
    let (_, headers, _) = send(&router, request("GET", "/", &[("origin", "https://app.example")])).await;
    assert_eq!(headers["access-control-allow-origin"], "https://app.example");
    assert!(headers["vary"].to_str().unwrap().contains("origin"));
    for stranger in ["https://evil.example", "null"] {
        let (_, headers, _) = send(&router, request("GET", "/", &[("origin", stranger)])).await;
        assert!(!headers.contains_key("access-control-allow-origin"), "{stranger}");
    }
}

#[tokio::test]
async fn metrics_count_by_route_and_not_by_what_strangers_invent() {
    let (router, metrics) = public("https://auth.example");
    for index in 0..50 {
        send(&router, request("GET", &format!("/nowhere/{index}"), &[])).await;
        send(&router, request(&format!("INVENTED{index}"), "/page", &[])).await;
    }
    let text = metrics.encode().unwrap();
    assert!(
        text.contains(r#"doorward_http_requests_total{route="unmatched",method="GET",status="404"} 50"#),
        "{text}"
    );
    assert!(
        text.contains(r#"doorward_http_requests_total{route="/page",method="other",status="405"} 50"#),
        "{text}"
    );
    assert!(!text.contains("INVENTED") && !text.contains("nowhere"));
}

#[tokio::test]
async fn operators_get_json_for_every_error() {
    let issuer = Issuer::parse("https://auth.example").unwrap();
    let envelope = Envelope::new(&Settings::default(), &issuer, Arc::new(Sevens), Metrics::new());
    let router = wrap_admin(routes(), envelope);
    for path in ["/page", "/panic", "/nowhere"] {
        let (_, headers, body) = send(&router, request("GET", path, &[("accept", "text/html")])).await;
        assert_eq!(headers[header::CONTENT_TYPE], "application/json", "{path}");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["error_id"], ID);
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_the_handler() {
    let (router, _) = public("https://auth.example");
    let sink = |length: usize| {
        Request::post("/sink")
            .body(Body::from(vec![b'a'; length]))
            .unwrap()
    };
    assert_eq!(send(&router, sink(65_536)).await.2, "65536");
    let (status, _, body) = send(&router, sink(65_537)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(body.contains("invalid_request"), "{body}");
}

#[tokio::test]
async fn what_is_refused_before_its_endpoint_is_counted_on_its_route() {
    let (router, metrics) = public("http://localhost:9000");
    let too_large = |path: &str| Request::post(path).body(Body::from(vec![b'a'; 65_537])).unwrap();
    let (status, headers, _) = send(&router, too_large("/sink")).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(headers[header::CONNECTION], "close");
    send(&router, too_large("/nowhere")).await;
    let elsewhere = request("GET", "/page", &[("host", "evil.example")]);
    assert_eq!(send(&router, elsewhere).await.0, StatusCode::MISDIRECTED_REQUEST);
    let text = metrics.encode().unwrap();
    for counted in [
        r#"route="/sink",method="POST",status="413"} 1"#,
        r#"route="unmatched",method="POST",status="413"} 1"#,
        r#"route="/page",method="GET",status="421"} 1"#,
    ] {
        assert!(text.contains(counted), "{counted}: {text}");
    }
}
