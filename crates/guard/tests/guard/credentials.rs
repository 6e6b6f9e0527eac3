//! What a request brings along, and what it is told.

use std::time::Duration;

use axum::body::{Body, Bytes};
use http::{Request, StatusCode};
use serde_json::json;
use tower::{Layer as _, ServiceExt as _};

use crate::support::{METADATA_URL, World, ping_message, post};

/// RS-001.
#[tokio::test(start_paused = true)]
async fn without_credentials_the_challenge_has_no_error() {
    let world = World::new();
    for request in [
        post(),
        Request::get("/mcp"),
        Request::delete("/mcp"),
        Request::head("/mcp"),
        Request::put("/mcp"),
        Request::options("/mcp"),
        post().header("x-http-method-override", "GET"),
    ] {
        let answer = world.send(request, ping_message().to_string()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(
            answer.challenge(),
            format!(r#"Bearer resource_metadata="{METADATA_URL}", scope="mcp:read""#)
        );
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    assert_eq!(world.runs(), 0);
    assert!(
        world.server.asked().len() <= 2,
        "strangers cause no fetch beyond the first"
    );
}

/// RS-002; row 9: fixed sentences only.
#[tokio::test(start_paused = true)]
async fn a_bad_token_is_invalid_token_with_the_way_to_a_new_one() {
    let world = World::new();
    for token in [
        "garbage",
        "a.b.c",
        &world.token_with(&json!({"exp": world.now() - 3600, "sub": "canary-subject"})),
    ] {
        let answer = world.post(token, &ping_message()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        let prefix = r#"Bearer error="invalid_token", error_description=""#;
        let suffix = format!(r#"resource_metadata="{METADATA_URL}", scope="mcp:read""#);
        assert!(
            answer.challenge().starts_with(prefix) && answer.challenge().ends_with(&suffix),
            "{}",
            answer.challenge()
        );
        assert_eq!(answer.json()["error"], "invalid_token");
        assert!(answer.json()["error_id"].is_string());
        assert!(!answer.body.contains("canary") && !answer.body.contains(token));
    }
    assert_eq!(world.runs(), 0);
}

/// RS-004, RS-005; row 10.
#[tokio::test(start_paused = true)]
async fn malformed_credentials_never_pass_and_never_fail_the_server() {
    let world = World::new();
    let good = world.token();
    let at = |value: String| vec![value];
    let rows: Vec<(&str, Vec<String>, &str, u16)> = vec![
        ("good", at(format!("Bearer {good}")), "/mcp", 200),
        ("case of the scheme", at(format!("bEaReR {good}")), "/mcp", 200),
        (
            "two header lines",
            vec![format!("Bearer {good}"), format!("Bearer {good}")],
            "/mcp",
            400,
        ),
        ("no token", at("Bearer".into()), "/mcp", 401),
        ("empty token", at("Bearer ".into()), "/mcp", 401),
        ("two tokens", at("Bearer a b".into()), "/mcp", 400),
        ("two spaces", at(format!("Bearer  {good}")), "/mcp", 400),
        ("tab", at(format!("Bearer\t{good}")), "/mcp", 400),
        ("list", at(format!("Bearer {good}, Bearer {good}")), "/mcp", 400),
        ("Basic", at("Basic YTpi".into()), "/mcp", 401),
        ("DPoP", at(format!("DPoP {good}")), "/mcp", 401),
        ("bare token", at(good.clone()), "/mcp", 401),
        ("query only", vec![], "/mcp?access_token=TOKEN", 401),
        (
            "query and header",
            at(format!("Bearer {good}")),
            "/mcp?access_token=TOKEN",
            400,
        ),
        (
            "escaped query and header",
            at(format!("Bearer {good}")),
            "/mcp?%61ccess_token=TOKEN",
            400,
        ),
    ];
    for (case, values, path, expected) in rows {
        for method in ["POST", "GET"] {
            let mut request = Request::builder()
                .method(method)
                .uri(path.replace("TOKEN", &good));
            for value in &values {
                request = request.header("authorization", value);
            }
            let body = if method == "POST" {
                ping_message().to_string()
            } else {
                String::new()
            };
            let answer = world.send(request, body).await;
            assert_eq!(answer.status.as_u16(), expected, "{method} {case}");
            if expected == 400 {
                assert_eq!(answer.json()["error"], "invalid_request", "{case}");
                assert!(
                    answer
                        .challenge()
                        .starts_with(r#"Bearer error="invalid_request""#),
                    "{case}"
                );
            }
        }
    }
    let form = Request::post("/mcp").header("content-type", "application/x-www-form-urlencoded");
    let answer = world.send(form, format!("access_token={good}")).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let form = Request::post("/mcp")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("authorization", format!("Bearer {good}"));
    let answer = world.send(form, format!("access_token={good}")).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let cookie = post().header("cookie", format!("access_token={good}"));
    assert_eq!(
        world.send(cookie, ping_message().to_string()).await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(world.runs(), 4);
}

/// RS-004: a client whose settings name a variable that is not set has to get a token, and begins with that at 401.
#[tokio::test(start_paused = true)]
async fn an_empty_token_is_told_the_way_to_a_good_one() {
    let world = World::new();
    for value in ["Bearer", "Bearer "] {
        let answer = world
            .send(post().header("authorization", value), ping_message().to_string())
            .await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{value}");
        assert_eq!(answer.json()["error"], "invalid_token");
        assert!(
            answer.challenge().contains(r#"error="invalid_token""#)
                && answer.challenge().contains(METADATA_URL),
            "{}",
            answer.challenge()
        );
    }
    assert_eq!(world.runs(), 0);
}

/// Clients put a slash after the path that they were given, or have it from a person.
#[tokio::test(start_paused = true)]
async fn a_slash_after_the_path_leads_to_the_same_guarded_service() {
    let world = World::new();
    let at = |path: &str| {
        Request::post(path.to_owned())
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
    };
    let answer = world.send(at("/mcp/"), ping_message().to_string()).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        answer.challenge(),
        format!(r#"Bearer resource_metadata="{METADATA_URL}", scope="mcp:read""#)
    );
    let known = at("/mcp/").header("authorization", format!("Bearer {}", world.token()));
    let answer = world.send(known, ping_message().to_string()).await;
    assert_eq!((answer.status, world.runs()), (StatusCode::OK, 1));
    for elsewhere in ["/mcp//", "/mcp/x"] {
        let answer = world.send(at(elsewhere), ping_message().to_string()).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{elsewhere}");
    }
    // A router inside knows the path as it was given.
    let inside = |uri: axum::extract::RawQuery| async move { uri.0.unwrap_or_default() };
    let inside = axum::Router::new().route("/mcp", axum::routing::post(inside));
    let request = at("/mcp/?a=1")
        .header("authorization", format!("Bearer {}", world.token()))
        .body(Body::from(ping_message().to_string()))
        .unwrap();
    let answer = world
        .guard
        .protect("/mcp", inside)
        .oneshot(request)
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let body = axum::body::to_bytes(answer.into_body(), 100).await.unwrap();
    assert_eq!(body, "a=1");
}

#[tokio::test(start_paused = true)]
async fn a_path_that_ends_in_a_slash_or_in_a_wildcard_is_served_as_it_is() {
    for (path, asked) in [("/", "/"), ("/mcp/", "/mcp/"), ("/mcp/{*rest}", "/mcp/a")] {
        let world = World::new();
        let inside = tower::service_fn(|request: Request<http_body_util::Full<Bytes>>| async move {
            let path = request.uri().path().to_owned();
            Ok::<_, std::convert::Infallible>(http::Response::new(Body::from(path)))
        });
        let request = Request::post(asked)
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", world.token()))
            .body(Body::from(ping_message().to_string()))
            .unwrap();
        let answer = world.guard.protect(path, inside).oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        let body = axum::body::to_bytes(answer.into_body(), 100).await.unwrap();
        assert_eq!(body, asked);
    }
}

/// RS-037: the service behind the guard cannot pass the token on.
#[tokio::test(start_paused = true)]
async fn the_service_sees_the_claims_and_the_whole_body_but_not_the_token() {
    let world = World::new();
    let answer = world.post(&world.token(), &ping_message()).await;
    assert_eq!(
        answer.json(),
        json!({
            "subject": "alice", "client_id": "client-1", "grant_id": "grant-1", "key_thumbprint": null,
            "authorization": false, "dpop": false, "body": ping_message().to_string(),
        })
    );
}

/// RS-042: nothing but the metadata is open.
#[tokio::test(start_paused = true)]
async fn no_spelling_of_a_path_gets_around_the_guard() {
    let world = World::new();
    for path in [
        "/.well-known/../mcp",
        "/.well-knownx/mcp",
        "/%2ewell-known/..%2fmcp",
        "/.well-known/oauth-protected-resource/../../mcp",
        "/health/../mcp",
        "/mcp%2f",
        "/mcp/",
        "//mcp",
        "///mcp//",
        "/./mcp",
        "/m//../mcp",
        "/mcp;x",
        "/mcpx",
        "/%6dcp",
        "/MCP",
    ] {
        let answer = world.send(Request::post(path), ping_message().to_string()).await;
        assert!(
            matches!(answer.status.as_u16(), 400 | 401 | 404),
            "{path}: {}",
            answer.status
        );
    }
    assert_eq!(world.runs(), 0);
}

/// The layer knows of no paths: a router before it decides what comes to it, and one behind it gets nothing that it has not
/// let through, however it reads paths.
#[tokio::test(start_paused = true)]
async fn a_service_behind_the_layer_is_guarded_at_every_path() {
    let world = World::new();
    let (layer, runs) = (world.guard.layer().served_at("/mcp"), world.runs.clone());
    let inside = tower::service_fn(move |_: Request<http_body_util::Full<Bytes>>| {
        runs.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        async { Ok::<_, std::convert::Infallible>(http::Response::new(Body::empty())) }
    });
    let app = axum::Router::new()
        .nest_service("/m", layer.clone().layer(inside.clone()))
        .fallback_service(layer.layer(inside));
    for path in [
        "/",
        "/mcp",
        "//mcp",
        "/mcpx",
        "/m//mcp",
        "/m/mcpx",
        "/m",
        "/open",
        "/%2e%2e/mcp",
        "*",
    ] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = app.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(world.runs(), 0);
}

/// A body is bounded, and only who is known may send one at all.
#[tokio::test(start_paused = true)]
async fn a_large_body_is_refused_after_authentication() {
    let world = World::with(|builder| builder.max_body(100));
    let large = json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"x": "y".repeat(100)}});
    assert_eq!(
        world.post("garbage", &large).await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        world.post(&world.token(), &large).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    let announced = post()
        .header("authorization", format!("Bearer {}", world.token()))
        .header("content-length", "101");
    assert_eq!(
        world.send(announced, "{}").await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    assert_eq!(world.runs(), 0);
}

/// HTTP-007: a body that trickles in does not hold its memory for ever.
#[tokio::test(start_paused = true)]
async fn a_slow_body_is_given_up() {
    let world = World::new();
    let drops = futures_util::stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        Some((Ok::<_, std::convert::Infallible>(" "), ()))
    });
    let request = post().header("authorization", format!("Bearer {}", world.token()));
    let answer = world.send(request, Body::from_stream(drops)).await;
    assert_eq!(answer.status, StatusCode::REQUEST_TIMEOUT);
    assert_eq!(world.runs(), 0);
}
