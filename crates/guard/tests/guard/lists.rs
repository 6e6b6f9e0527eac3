//! Lists that leave out what the token may not call.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use doorward_guard::GuardBuilder;
use futures_util::stream;
use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};
use tower::{ServiceExt, service_fn};

use crate::support::{Answer, World, answer, post};

fn settings(builder: GuardBuilder) -> GuardBuilder {
    builder
        .hide_unavailable(true)
        .prompt_scopes("review", ["mcp:review"])
        .resource_scopes("secret://{name}", ["mcp:secret"])
}

fn list(method: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": method})
}

/// Sends a message through a guard before a server that always answers with this.
async fn through(
    world: &World,
    token: &str,
    method: &str,
    message: &Value,
    response: Response<Body>,
) -> (Answer, HeaderMap) {
    let response = Arc::new(Mutex::new(Some(response)));
    let seen = Arc::new(Mutex::new(HeaderMap::new()));
    let headers = Arc::clone(&seen);
    let server = service_fn(move |request: Request<_>| {
        *headers.lock().unwrap() = request.headers().clone();
        let response = response.lock().unwrap().take().unwrap();
        async move { Ok::<_, Infallible>(response) }
    });
    let request = post()
        .method(method)
        .header("authorization", format!("Bearer {token}"))
        .header(ACCEPT_ENCODING, "gzip");
    let body = if method == "GET" {
        String::new()
    } else {
        message.to_string()
    };
    let app = world.guard.protect("/mcp", server);
    let answered = app
        .oneshot(request.body(Body::from(body)).unwrap())
        .await
        .unwrap();
    let answer = answer(answered).await;
    let seen = seen.lock().unwrap().clone();
    (answer, seen)
}

fn json_response(body: &str) -> Response<Body> {
    Response::builder()
        .header("content-type", "application/json; charset=utf-8")
        .header(CONTENT_LENGTH, body.len())
        .body(Body::from(body.to_owned()))
        .unwrap()
}

const TOOLS: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo","x":18446744073709551616}, {"name":"wr\u0069te"},
 {"name":"admin","y":[1]},{"name":"add"}],"nextCursor":"c","_meta":{"z":1.10}}}"#;

#[tokio::test(start_paused = true)]
async fn a_list_leaves_out_what_the_token_may_not_call_and_nothing_else_changes() {
    let world = World::with(settings);
    let (answer, seen) = through(
        &world,
        &world.token(),
        "POST",
        &list("tools/list"),
        json_response(TOOLS),
    )
    .await;
    let expected = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo","x":18446744073709551616},{"name":"add"}],"nextCursor":"c","_meta":{"z":1.10}}}"#;
    assert_eq!(answer.body, expected);
    assert!(
        !answer.headers.contains_key(CONTENT_LENGTH)
            || answer.header("content-length") == expected.len().to_string()
    );
    assert!(
        !seen.contains_key(ACCEPT_ENCODING),
        "the answer must not come compressed"
    );
    let writer = world.token_with(&json!({"scope": "mcp:read mcp:write"}));
    let (answer, _) = through(&world, &writer, "POST", &list("tools/list"), json_response(TOOLS)).await;
    assert!(answer.body.contains(r#""wr\u0069te""#) && !answer.body.contains("admin"));
    let admin = world.token_with(&json!({"scope": "mcp:read mcp:write mcp:admin"}));
    let (answer, _) = through(&world, &admin, "POST", &list("tools/list"), json_response(TOOLS)).await;
    assert_eq!(answer.body, TOOLS);
}

#[tokio::test(start_paused = true)]
async fn prompts_resources_and_templates_are_left_out_too_in_batches_as_well() {
    let world = World::with(settings);
    let answers = json!([
        {"jsonrpc": "2.0", "id": 1, "result": {"prompts": [{"name": "review"}, {"name": "greet"}]}},
        {"jsonrpc": "2.0", "id": 2, "result": {"resources": [{"uri": "secret://a", "name": "a"}, {"uri": "open://b", "name": "write"}]}},
        {"jsonrpc": "2.0", "id": 3, "result": {"resourceTemplates": [{"uriTemplate": "secret://{x}"}, {"uriTemplate": "open://{x}"}]}},
        {"jsonrpc": "2.0", "id": 4, "error": {"code": -32601, "message": "no"}},
    ]);
    let batch = json!([
        list("prompts/list"),
        list("resources/list"),
        list("resources/templates/list"),
        list("x")
    ]);
    let response = json_response(&answers.to_string());
    let (answer, _) = through(&world, &world.token(), "POST", &batch, response).await;
    assert_eq!(
        answer.json(),
        json!([
            {"jsonrpc": "2.0", "id": 1, "result": {"prompts": [{"name": "greet"}]}},
            {"jsonrpc": "2.0", "id": 2, "result": {"resources": [{"uri": "open://b", "name": "write"}]}},
            {"jsonrpc": "2.0", "id": 3, "result": {"resourceTemplates": [{"uriTemplate": "open://{x}"}]}},
            {"jsonrpc": "2.0", "id": 4, "error": {"code": -32601, "message": "no"}},
        ])
    );
}

#[tokio::test(start_paused = true)]
async fn other_answers_and_other_guards_leave_lists_alone() {
    let (hiding, usual) = (World::with(settings), World::new());
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo"}});
    for (world, message) in [(&hiding, &call), (&usual, &list("tools/list"))] {
        let (answer, seen) = through(world, &world.token(), "POST", message, json_response(TOOLS)).await;
        assert_eq!(answer.body, TOOLS);
        assert_eq!(answer.header("content-length"), TOOLS.len().to_string());
        assert!(seen.contains_key(ACCEPT_ENCODING));
    }
    for body in [
        "",
        "not json",
        r#"{"result":{"tools":{}}}"#,
        r#"{"result":{"tools":[1,{"name":2}]}}"#,
    ] {
        let response = json_response(body);
        let (answer, _) = through(&hiding, &hiding.token(), "POST", &list("tools/list"), response).await;
        assert_eq!(answer.body, body);
    }
}

fn events(parts: Vec<Vec<u8>>) -> Response<Body> {
    let parts = parts
        .into_iter()
        .map(|part| Ok::<_, Infallible>(Bytes::from(part)));
    Response::builder()
        .header("content-type", "text/event-stream")
        .body(Body::from_stream(stream::iter(parts)))
        .unwrap()
}

/// However the stream is cut into parts, and on GET as well, where answers are replayed.
#[tokio::test(start_paused = true)]
async fn lists_in_event_streams_are_filtered_event_by_event() {
    let world = World::with(settings);
    let one_line = TOOLS.replace('\n', "");
    let split = TOOLS.replace('\n', "\r\ndata:");
    let text = format!(
        ": hello\n\nid: 7\nretry: 3\ndata: {one_line}\n\nevent: message\r\ndata: {split}\r\n\r\ndata: {{\"method\":\"x\"}}\n\n"
    );
    let kept = r#"data: {"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo","x":18446744073709551616},{"name":"add"}],"nextCursor":"c","_meta":{"z":1.10}}}"#;
    let expected = format!(
        ": hello\n\nid: 7\nretry: 3\n{kept}\n\nevent: message\n{kept}\n\ndata: {{\"method\":\"x\"}}\n\n"
    );
    for size in [1, 2, 7, 64, 10_000] {
        for method in ["POST", "GET"] {
            let parts = text.as_bytes().chunks(size).map(<[u8]>::to_vec).collect();
            let (answer, _) =
                through(&world, &world.token(), method, &list("tools/list"), events(parts)).await;
            assert_eq!(answer.body, expected, "{size} {method}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_byte_order_mark_hides_no_list() {
    let world = World::with(settings);
    let list_event = r#"data: {"result":{"tools":[{"name":"write"}]}}"#;
    let parts = vec![format!("\u{feff}{list_event}\n\n").into_bytes()];
    let (answer, _) = through(&world, &world.token(), "POST", &list("tools/list"), events(parts)).await;
    assert_eq!(answer.body, "data: {\"result\":{\"tools\":[]}}\n\n");
}

/// What ordinary readers of JSON and of event streams forgive.
#[tokio::test(start_paused = true)]
async fn no_odd_spelling_hides_a_list_from_the_guard() {
    let world = World::with(settings);
    let get = async |response| {
        through(&world, &world.token(), "POST", &list("tools/list"), response)
            .await
            .0
            .body
    };
    for (body, expected) in [
        // A member of another type beside the name.
        (
            r#"{"result":{"tools":[{"name":"write","uri":5}]}}"#,
            r#"{"result":{"tools":[]}}"#,
        ),
        // Repeated members, of which readers take the first or the last.
        (
            r#"{"result":{"tools":[],"tools":[{"name":"write"}]}}"#,
            r#"{"result":{"tools":[],"tools":[]}}"#,
        ),
        (
            r#"{"result":1,"result":{"tools":[{"name":"write"}]}}"#,
            r#"{"result":1,"result":{"tools":[]}}"#,
        ),
        (
            r#"{"result":{"tools":[{"name":"x","name":"write"}]}}"#,
            r#"{"result":{"tools":[]}}"#,
        ),
        // Half of a surrogate pair.
        (
            r#"{"\ud800":1,"result":{"tools":[{"name":"write"}]}}"#,
            r#"{"\ud800":1,"result":{"tools":[]}}"#,
        ),
        (
            "\u{feff}{\"result\":{\"tools\":[{\"name\":\"write\"}]}}",
            r#"{"result":{"tools":[]}}"#,
        ),
    ] {
        assert_eq!(get(json_response(body)).await, expected);
        let event = format!("data: {body}\n\n");
        // In the middle of a stream, a byte order mark is a part of its line.
        if !body.starts_with('\u{feff}') {
            assert_eq!(
                get(events(vec![event.into_bytes()])).await,
                format!("data: {expected}\n\n")
            );
        }
    }
    let bad_utf8 = b"data: {\"x\":\"\xff\",\"result\":{\"tools\":[{\"name\":\"write\"}]}}\n\n".to_vec();
    let expected = "data: {\"x\":\"\u{fffd}\",\"result\":{\"tools\":[]}}\n\n";
    assert_eq!(get(events(vec![bad_utf8])).await, expected);
    // Empty lines that end with a carriage return alone end events, too.
    let two = b"data: {\"result\":{\"tools\":[{\"name\":\"write\"}]}}\r\rdata: x\r\r".to_vec();
    let expected = "data: {\"result\":{\"tools\":[]}}\n\ndata: x\r\r";
    assert_eq!(get(events(vec![two])).await, expected);
    let late_mark = "data: 1\n\n\u{feff}data: x\ndata: {\"result\":{\"tools\":[{\"name\":\"write\"}]}}\n\n";
    let expected = "data: 1\n\n\u{feff}data: x\ndata: {\"result\":{\"tools\":[]}}\n\n";
    assert_eq!(get(events(vec![late_mark.into()])).await, expected);
}

/// Fails safe: what the guard cannot look into does not pass.
#[tokio::test(start_paused = true)]
async fn lists_that_cannot_be_looked_into_do_not_pass() {
    let world = World::with(|builder| settings(builder).max_body(1_000));
    let large = format!(
        r#"{{"result":{{"tools":[{{"name":"write","x":"{}"}}]}}}}"#,
        "a".repeat(1_000)
    );
    let send = async |response| {
        through(&world, &world.token(), "POST", &list("tools/list"), response)
            .await
            .0
    };
    let answer = send(json_response(&large)).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    let mut compressed = json_response("\u{1f}\u{8b}");
    compressed
        .headers_mut()
        .insert("content-encoding", "gzip".parse().unwrap());
    assert_eq!(send(compressed).await.status, StatusCode::INTERNAL_SERVER_ERROR);
    let parts = vec![
        b"data: {}\n\n".to_vec(),
        format!("data: {large}\n\n").into_bytes(),
        b"data: 1\n\n".to_vec(),
    ];
    let answer = send(events(parts)).await;
    assert_eq!(answer.body, "data: {}\n\n", "the stream ends");
}
