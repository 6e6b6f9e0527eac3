//! Clients in a browser: `Origin` and CORS.

use http::{Request, StatusCode};

use crate::support::{World, ping_message, post};

fn world() -> World {
    World::with(|builder| builder.allowed_origins(["http://localhost:6274"]))
}

/// RS-047, RS-17 of the MCP checklist.
#[tokio::test(start_paused = true)]
async fn a_page_of_another_origin_is_403_even_with_a_good_token() {
    let world = world();
    for (origin, expected) in [
        ("https://evil.example", 403),
        ("null", 403),
        ("http://localhost:6275", 403),
        ("https://mcp.example", 200),
        ("http://localhost:6274", 200),
    ] {
        let request = post()
            .header("authorization", format!("Bearer {}", world.token()))
            .header("origin", origin);
        let answer = world.send(request, ping_message().to_string()).await;
        assert_eq!(answer.status.as_u16(), expected, "{origin}");
        let allowed = if expected == 200 { origin } else { "" };
        assert_eq!(answer.header("access-control-allow-origin"), allowed);
    }
    assert_eq!(world.runs(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_allowed_page_can_read_the_challenge_and_the_session() {
    let world = world();
    let answer = world
        .send(post().header("origin", "http://localhost:6274"), "")
        .await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        "http://localhost:6274"
    );
    assert_eq!(answer.header("vary"), "Origin");
    let exposed = answer.header("access-control-expose-headers");
    assert!(exposed.contains("WWW-Authenticate") && exposed.contains("Mcp-Session-Id"));
}

/// RS-041: a preflight is the only thing that passes without a token, and it runs nothing.
#[tokio::test(start_paused = true)]
async fn a_preflight_is_answered_by_the_guard_and_other_options_need_a_token() {
    let world = world();
    let preflight = |origin: &'static str| {
        Request::options("/mcp")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
    };
    let answer = world.send(preflight("http://localhost:6274"), "").await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert!(
        answer
            .header("access-control-allow-headers")
            .contains("Authorization")
    );
    assert_eq!(answer.header("access-control-allow-methods"), "GET, POST, DELETE");
    assert_eq!(
        world.send(preflight("https://evil.example"), "").await.status,
        StatusCode::FORBIDDEN
    );
    let no_preflight = Request::options("/mcp").header("origin", "http://localhost:6274");
    assert_eq!(
        world.send(no_preflight, "").await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(world.runs(), 0);
}
