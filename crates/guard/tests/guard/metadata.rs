//! Resource metadata, and what a guard refuses to be built with.

use doorward_guard::Guard;
use http::{Request, StatusCode};
use serde_json::json;

use crate::support::{ISSUER, METADATA_URL, RESOURCE, World};

const INSERTED: &str = "/.well-known/oauth-protected-resource/mcp";
const ROOT: &str = "/.well-known/oauth-protected-resource";

/// RS-027, RS-030; rows 1, 4, 6.
#[tokio::test(start_paused = true)]
async fn the_metadata_is_open_at_both_places_and_says_what_is_enforced() {
    let world = World::with(|builder| {
        builder
            .resource_name("Demo")
            .resource_documentation("https://docs.example")
    });
    assert!(METADATA_URL.ends_with(INSERTED));
    for path in [INSERTED, ROOT] {
        let answer = world
            .send(
                Request::get(path).header("origin", "https://anywhere.example"),
                "",
            )
            .await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(
            answer.json(),
            json!({
                "resource": RESOURCE, "authorization_servers": [ISSUER], "scopes_supported": ["mcp:read"],
                "bearer_methods_supported": ["header"], "resource_name": "Demo",
                "resource_documentation": "https://docs.example",
            })
        );
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.header("cache-control"), "public, max-age=3600");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(world.send(Request::head(path), "").await.status, StatusCode::OK);
        assert_eq!(
            world.send(Request::options(path), "").await.status,
            StatusCode::NO_CONTENT
        );
        let answer = world.send(Request::post(path), "{}").await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD, OPTIONS")
        );
    }
}

/// RS-028.
#[tokio::test(start_paused = true)]
async fn several_servers_on_one_host_have_metadata_of_their_own() {
    let world = World::new();
    let guard = |path: &str| {
        Guard::builder(ISSUER, format!("https://mcp.example{path}"))
            .root_metadata(false)
            .clock(world.clock.clone())
            .fetch(world.server.clone())
            .build()
            .unwrap()
    };
    let (a, b) = (guard("/a/mcp"), guard("/b/mcp"));
    let inside = || axum::routing::any(|| async {});
    let app = a.protect("/a/mcp", inside()).merge(b.protect("/b/mcp", inside()));
    let world = World { app, ..world };
    for path in ["/a/mcp", "/b/mcp"] {
        let answer = world.send(Request::get(format!("{ROOT}{path}")), "").await;
        assert_eq!(answer.json()["resource"], format!("https://mcp.example{path}"));
        let challenged = world.send(Request::post(path), "").await;
        assert!(
            challenged
                .challenge()
                .contains(&format!("https://mcp.example{ROOT}{path}\""))
        );
    }
    assert_eq!(
        world.send(Request::get(ROOT), "").await.status,
        StatusCode::NOT_FOUND
    );
    let token = world.token_with(&json!({"aud": "https://mcp.example/a/mcp"}));
    let request = |path: &str| Request::get(path).header("authorization", format!("Bearer {token}"));
    assert_eq!(world.send(request("/a/mcp"), "").await.status, StatusCode::OK);
    assert_eq!(
        world.send(request("/b/mcp"), "").await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[test]
fn a_resource_at_the_root_has_one_place_for_its_metadata() {
    let guard = Guard::builder(ISSUER, "https://mcp.example").build().unwrap();
    assert_eq!(guard.metadata_paths(), [ROOT]);
}
