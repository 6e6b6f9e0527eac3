//! Scopes: of every request, of tools, in batches, and what clients are told.

mod named;

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{METADATA_URL, World, call, ping_message, post};

const READ_AND_WRITE: &str = "mcp:read mcp:write";

/// RS-003, rows 34 and 35.
#[tokio::test(start_paused = true)]
async fn a_tool_without_its_scope_is_403_with_the_whole_set_before_it_runs() {
    let world = World::new();
    let answer = world.post(&world.token(), &call("write")).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let expected = format!(
        r#"Bearer error="insufficient_scope", scope="mcp:read mcp:write", resource_metadata="{METADATA_URL}", error_description=""#
    );
    assert!(
        answer.challenge().starts_with(&expected),
        "{}",
        answer.challenge()
    );
    assert_eq!(answer.json()["error"], "insufficient_scope");
    assert_eq!(answer.json()["scope"], READ_AND_WRITE);
    assert_eq!(world.runs(), 0);
    let enough = world.token_with(&json!({"scope": READ_AND_WRITE}));
    assert_eq!(world.post(&enough, &call("write")).await.status, StatusCode::OK);
    assert_eq!(
        world.post(&world.token(), &call("echo")).await.status,
        StatusCode::OK
    );
    assert_eq!(world.runs(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_scope_of_every_request_is_needed_for_every_method() {
    let world = World::new();
    let token = world.token_with(&json!({"scope": "mcp:write"}));
    let answer = world.post(&token, &ping_message()).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.challenge().contains(r#"scope="mcp:read""#));
    let answer = world.post(&token, &call("write")).await;
    assert!(
        answer.challenge().contains(r#"scope="mcp:read mcp:write""#),
        "the full set, what was granted included"
    );
    for method in ["GET", "DELETE", "HEAD"] {
        let request = http::Request::builder()
            .method(method)
            .uri("/mcp")
            .header("authorization", format!("Bearer {token}"));
        assert_eq!(world.send(request, "").await.status, StatusCode::FORBIDDEN);
    }
    assert_eq!(world.runs(), 0);
}

/// RS-040.
#[tokio::test(start_paused = true)]
async fn no_form_of_a_message_gets_around_the_scope_of_a_tool() {
    let world = World::new();
    let forbidden: [Value; 5] = [
        json!([{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, call("write")]),
        json!([call("write"), call("echo")]),
        json!({"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "write"}}),
        json!({"params": {"arguments": {}, "name": "write"}, "id": 1, "method": "tools/call"}),
        json!({"method": "tools/call", "params": {"name": "write"}, "result": {}}),
    ];
    for message in &forbidden {
        assert_eq!(
            world.post(&world.token(), message).await.status,
            StatusCode::FORBIDDEN,
            "{message}"
        );
    }
    let unreadable: [&str; 8] = [
        r#"{"jsonrpc":"2.0","id":1,"Method":"tools/call","Params":{"Name":"write"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","NAME":"write"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","name":"write"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"write"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[null,"write",{}]}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":null}}"#,
        "[]",
        "{",
    ];
    for body in unreadable {
        let request = post().header("authorization", format!("Bearer {}", world.token()));
        let answer = world.send(request, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        let code = answer.json()["error"]["code"].as_i64().unwrap();
        assert!(matches!(code, -32700 | -32600), "{body}");
    }
    for method in ["PUT", "PATCH", "GET"] {
        let request = http::Request::builder()
            .method(method)
            .uri("/mcp")
            .header("authorization", format!("Bearer {}", world.token()));
        assert_eq!(
            world.send(request, call("write").to_string()).await.status,
            StatusCode::FORBIDDEN,
            "{method}"
        );
    }
    assert_eq!(world.runs(), 0);
    // Names are compared as they are; another name is another tool, which the server behind does not have.
    for other in ["Write", "write ", "wri\u{200b}te"] {
        assert_eq!(
            world.post(&world.token(), &call(other)).await.status,
            StatusCode::OK
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_asks_for_the_scopes_of_all_its_tools_at_once() {
    let world = World::new();
    let answer = world
        .post(
            &world.token(),
            &json!([call("write"), call("admin"), call("echo")]),
        )
        .await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(
        answer
            .challenge()
            .contains(r#"scope="mcp:read mcp:write mcp:admin""#),
        "{}",
        answer.challenge()
    );
}

/// RS-18 and RS-19 of the MCP checklist.
#[tokio::test(start_paused = true)]
async fn mirrored_headers_that_contradict_the_body_are_refused() {
    let world = World::new();
    let token = world.token();
    let request = |method: &str, name: &str| {
        post()
            .header("authorization", format!("Bearer {token}"))
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", method)
            .header("mcp-name", name)
    };
    let call = json!({"jsonrpc": "2.0", "id": "a-7", "method": "tools/call", "params": {"name": "write", "arguments": {}}});
    for (method, name) in [("tools/call", "echo"), ("tools/list", "write"), ("ping", "")] {
        let answer = world.send(request(method, name), call.to_string()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{method} {name}");
        assert_eq!(answer.json()["error"]["code"], -32020);
        assert_eq!(answer.json()["id"], "a-7");
    }
    // Headers and body agree: the scope of the tool decides.
    assert_eq!(
        world
            .send(request("tools/call", "write"), call.to_string())
            .await
            .status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(world.runs(), 0);
}

#[tokio::test(start_paused = true)]
async fn without_required_scopes_any_good_token_passes_and_the_challenge_names_the_supported_ones() {
    let world = World::with(|builder| builder.required_scopes(Vec::<String>::new()));
    assert_eq!(
        world.ping(&world.token_with(&json!({"scope": null}))).await,
        StatusCode::OK
    );
    let answer = world.send(post(), "").await;
    assert!(
        answer.challenge().ends_with(r#"scope="mcp:read""#),
        "{}",
        answer.challenge()
    );
}

/// RS-040, RS-041: nobody behind the guard may be told to read the body otherwise than the guard did.
#[tokio::test(start_paused = true)]
async fn a_body_in_another_encoding_is_415() {
    let world = World::new();
    let request = |name: &str, value: &str| {
        http::Request::post("/mcp")
            .header("authorization", format!("Bearer {}", world.token()))
            .header(name, value)
    };
    for (name, value) in [
        ("content-encoding", "gzip"),
        ("content-encoding", "identity, br"),
        ("content-type", "application/json; charset=utf-16"),
        ("content-type", "application/json;charset=\"GBK\""),
        ("content-type", "application/json; x=1; CHARSET=utf-7"),
    ] {
        let answer = world.send(request(name, value), ping_message().to_string()).await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{value}");
        assert_eq!(answer.json()["error"], "unsupported_media_type");
    }
    let twice = request("content-type", "application/json").header("content-type", "text/plain; charset=gbk");
    assert_eq!(
        world.send(twice, ping_message().to_string()).await.status,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    assert_eq!(world.runs(), 0);
    for (name, value) in [
        ("content-encoding", "identity"),
        ("content-type", "application/json; charset=UTF-8"),
        ("content-type", "application/json;charset=\"utf-8\""),
        ("content-type", "application/json; x=y"),
    ] {
        let answer = world.send(request(name, value), ping_message().to_string()).await;
        assert_eq!(answer.status, StatusCode::OK, "{value}");
    }
}
