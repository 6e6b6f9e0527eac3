//! Which host a request is for.

use axum::http::{StatusCode, Version};

use super::{public, request, send, send_as_it_is};

#[tokio::test]
async fn a_loopback_server_answers_only_under_loopback_names() {
    let (router, _) = public("http://localhost:9000");
    for host in [
        "localhost:9000",
        "localhost",
        "127.0.0.1:9000",
        "[::1]:9000",
        "LOCALHOST:1",
    ] {
        let (status, ..) = send(&router, request("GET", "/whoami", &[("host", host)])).await;
        assert_eq!(status, StatusCode::OK, "{host}");
    }
    for host in [
        "evil.example",
        "evil.example:9000",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "a b",
        "",
    ] {
        let (status, ..) = send(&router, request("GET", "/whoami", &[("host", host)])).await;
        assert_eq!(status, StatusCode::MISDIRECTED_REQUEST, "{host}");
        let (status, ..) = send(&router, request("GET", "/livez", &[("host", host)])).await;
        assert_eq!(
            status,
            StatusCode::NOT_FOUND,
            "health is not refused, it is only not here"
        );
    }
    let (router, _) = public("https://auth.example");
    let (status, ..) = send(
        &router,
        request("GET", "/whoami", &[("host", "behind.proxy.internal")]),
    )
    .await;
    assert_eq!(status, StatusCode::OK);
}

/// RFC 9112 §3.2.
#[tokio::test]
async fn a_request_is_for_one_host() {
    for issuer in ["http://localhost:9000", "https://auth.example"] {
        let (router, _) = public(issuer);
        let with = |version: Version, hosts: &[&str]| {
            let hosts: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            let mut request = request("GET", "/whoami", &hosts);
            *request.version_mut() = version;
            request
        };
        for (version, hosts, status) in [
            (Version::HTTP_11, &["localhost"][..], StatusCode::OK),
            (Version::HTTP_11, &[], StatusCode::BAD_REQUEST),
            (
                Version::HTTP_11,
                &["localhost", "localhost"],
                StatusCode::BAD_REQUEST,
            ),
            (Version::HTTP_10, &[], StatusCode::OK),
            (
                Version::HTTP_10,
                &["localhost", "evil.example"],
                StatusCode::BAD_REQUEST,
            ),
            (Version::HTTP_2, &[], StatusCode::OK),
        ] {
            let (found, _, body) = send_as_it_is(&router, with(version, hosts)).await;
            assert_eq!(found, status, "{issuer} {version:?} {hosts:?}");
            assert_eq!(status.is_success(), !body.contains("invalid_request"), "{body}");
        }
    }
}
