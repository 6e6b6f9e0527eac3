//! Scopes of prompts and resources, of routes, and scopes that contain others.

use axum::response::IntoResponse as _;
use doorward_guard::{GuardBuilder, Named, ScopeSet};
use http::StatusCode;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{World, answer, call, ping_message, post};

fn settings(builder: GuardBuilder) -> GuardBuilder {
    builder
        .prompt_scopes("review", ["mcp:review"])
        .resource_scopes("notes://{id}/body", ["mcp:notes"])
        .resource_scopes("secret://plans", ["mcp:secret"])
}

fn message(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

/// The scopes that the challenge asks for; empty when the request passes.
async fn asked(world: &World, token: &str, message: &Value) -> String {
    let answer = world.post(token, message).await;
    if answer.status == StatusCode::OK {
        return String::new();
    }
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", answer.body);
    answer.json()["scope"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn prompts_and_resources_have_scopes_of_their_own_wherever_they_are_named() {
    let world = World::with(settings);
    let token = world.token();
    for (method, params, scopes) in [
        ("prompts/get", json!({"name": "review"}), "mcp:read mcp:review"),
        ("prompts/get", json!({"name": "other"}), ""),
        // A tool of the same name is another thing.
        ("tools/call", json!({"name": "review"}), ""),
        ("prompts/get", json!({"name": "write"}), ""),
        (
            "resources/read",
            json!({"uri": "notes://7/body"}),
            "mcp:read mcp:notes",
        ),
        (
            "resources/read",
            json!({"uri": "NOTES://7/body?x"}),
            "mcp:read mcp:notes",
        ),
        ("resources/read", json!({"uri": "notes://7/title"}), ""),
        (
            "resources/subscribe",
            json!({"uri": "secret://plans"}),
            "mcp:read mcp:secret",
        ),
        (
            "resources/unsubscribe",
            json!({"uri": "secret://plan%73"}),
            "mcp:read mcp:secret",
        ),
        (
            "completion/complete",
            json!({"ref": {"type": "ref/prompt", "name": "review"}, "argument": {"name": "a", "value": ""}}),
            "mcp:read mcp:review",
        ),
        (
            "completion/complete",
            json!({"ref": {"type": "ref/resource", "uri": "notes://{id}/body"}}),
            "mcp:read mcp:notes",
        ),
        (
            "completion/complete",
            json!({"ref": {"type": "ref/prompt", "name": "other"}}),
            "",
        ),
        (
            "subscriptions/listen",
            json!({"notifications": {"resourceSubscriptions": ["x://y", "secret://plans"]}}),
            "mcp:read mcp:secret",
        ),
        (
            "subscriptions/listen",
            json!({"notifications": {"toolsListChanged": true}}),
            "",
        ),
        ("resources/list", json!({}), ""),
    ] {
        assert_eq!(
            asked(&world, &token, &message(method, &params)).await,
            scopes,
            "{method} {params}"
        );
    }
    let enough = world.token_with(&json!({"scope": "mcp:read mcp:notes"}));
    let read = message("resources/read", &json!({"uri": "notes://7/body"}));
    assert_eq!(asked(&world, &enough, &read).await, "");
}

#[tokio::test(start_paused = true)]
async fn a_batch_asks_for_everything_that_its_messages_name_in_one_challenge() {
    let world = World::with(settings);
    let batch = json!([
        message("prompts/get", &json!({"name": "review"})),
        call("write"),
        message("resources/read", &json!({"uri": "secret://plans"})),
        message("resources/read", &json!({"uri": "notes://1/body"})),
    ]);
    let all = "mcp:read mcp:review mcp:write mcp:secret mcp:notes";
    assert_eq!(asked(&world, &world.token(), &batch).await, all);
    let most = world.token_with(&json!({"scope": "mcp:read mcp:review mcp:write mcp:secret"}));
    assert_eq!(
        asked(&world, &most, &batch).await,
        all,
        "what was granted included"
    );
    let enough = world.token_with(&json!({"scope": all}));
    assert_eq!(asked(&world, &enough, &batch).await, "");
}

/// A reader that does not mind letter case must not see another prompt or resource than the guard.
#[tokio::test(start_paused = true)]
async fn look_alikes_of_the_names_in_parameters_are_refused() {
    let world = World::with(settings);
    for params in [
        json!({"ref": {"type": "ref/prompt", "name": "other", "Name": "review"}}),
        json!({"ref": {"type": "ref/resource", "uri": "x:y", "URI": "secret://plans"}}),
        json!({"ref": {"type": "ref/prompt", "name": "other"}, "Ref": {"name": "review"}}),
    ] {
        let answer = world
            .post(&world.token(), &message("completion/complete", &params))
            .await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{params}");
    }
    let params = json!({"notifications": {"ResourceSubscriptions": ["secret://plans"]}});
    let answer = world
        .post(&world.token(), &message("subscriptions/listen", &params))
        .await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    // Other methods may call their parameters as they like.
    for params in [
        json!({"ref": "main"}),
        json!({"notifications": true}),
        json!({"ref": ["a"]}),
    ] {
        let answer = world.post(&world.token(), &message("x/y", &params)).await;
        assert_eq!(answer.status, StatusCode::OK, "{params}");
    }
}

/// RS-13 of the MCP checklist: the hierarchy counts for the decision, not for the challenge.
#[tokio::test(start_paused = true)]
async fn a_scope_that_contains_others_is_enough_and_is_not_asked_for() {
    let world = World::with(|builder| {
        builder
            .implies("mcp:owner", ["mcp:admin"])
            .implies("mcp:admin", ["mcp:write", "mcp:read"])
            .implies("mcp:write", ["mcp:admin"])
            .scope_hierarchy(|granted| {
                let root = granted.contains("root").then_some("mcp:owner");
                ScopeSet::parse(root.unwrap_or_default()).unwrap()
            })
    });
    for scope in ["mcp:owner", "mcp:admin", "root", "x root"] {
        let token = world.token_with(&json!({"scope": scope}));
        assert_eq!(asked(&world, &token, &call("admin")).await, "", "{scope}");
        let claims = world.guard.verify(&token).await.unwrap();
        assert!(claims.has_scope("mcp:write") && !claims.has_scope("mcp:other"));
        assert!(claims.require_scope("mcp:write").is_ok());
    }
    assert_eq!(
        asked(&world, &world.token(), &call("write")).await,
        "mcp:read mcp:write"
    );
}

#[tokio::test(start_paused = true)]
async fn a_route_can_need_more_than_the_guard() {
    let world = World::new();
    let inside = service_fn(async |_| Ok::<_, std::convert::Infallible>(http::Response::new(String::new())));
    let layer = world.guard.layer().require(["mcp:route"]).unwrap();
    let service = layer.require(["mcp:more", "mcp:route"]).unwrap().layer(inside);
    let send = async |scope: &str, message: Value| {
        let token = world.token_with(&json!({"scope": scope}));
        let request = post().header("authorization", format!("Bearer {token}"));
        let request = request.body(axum::body::Body::from(message.to_string())).unwrap();
        answer(service.clone().oneshot(request).await.unwrap()).await
    };
    let refused = send("mcp:read mcp:route", call("write")).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(refused.json()["scope"], "mcp:read mcp:route mcp:more mcp:write");
    let passed = send("mcp:read mcp:route mcp:more", ping_message()).await;
    assert_eq!(passed.status, StatusCode::OK);
    assert!(world.guard.layer().require(["two words"]).is_err());
    assert!(world.guard.layer().require(["offline_access"]).is_err());
}

#[test]
fn a_pattern_with_open_braces_is_refused_at_once() {
    let built = doorward_guard::Guard::builder("https://as.example", "https://mcp.example/mcp")
        .resource_scopes("notes://{id", ["x"])
        .build();
    assert!(built.unwrap_err().to_string().contains("notes://{id}/body"));
}

/// A tool may call others by name, which no request shows.
#[tokio::test(start_paused = true)]
async fn what_a_request_does_not_name_can_be_asked_about() {
    let world = World::with(|builder| settings(builder).implies("mcp:all", ["mcp:write", "mcp:notes"]));
    let claims = |scope: &str| {
        let token = world.token_with(&json!({"scope": scope}));
        let guard = world.guard.clone();
        async move { guard.verify(&token).await.unwrap() }
    };
    let (little, much) = (claims("mcp:read").await, claims("mcp:read mcp:all").await);
    for (named, needed) in [
        (Named::Tool("write"), "mcp:read mcp:write"),
        (Named::Resource("NOTES://7/body?x"), "mcp:read mcp:notes"),
    ] {
        let refused = world.guard.check_scopes(&little, named).unwrap_err();
        assert_eq!(refused.needed().to_string(), needed);
        assert!(world.guard.check_scopes(&much, named).is_ok());
        // In a handler it answers with the challenge for all of it.
        let answer = refused.into_response();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        let challenge = answer.headers()["www-authenticate"].to_str().unwrap();
        assert!(challenge.contains(&format!("scope=\"{needed}\"")), "{challenge}");
    }
    for named in [
        Named::Tool("echo"),
        Named::Tool("review"),
        Named::Prompt("write"),
        Named::Resource("write"),
    ] {
        assert!(world.guard.check_scopes(&little, named).is_ok(), "{named:?}");
    }
    assert!(world.guard.check_scopes(&much, Named::Prompt("review")).is_err());
}
