//! Row 57 with a real MCP server: a tool, a prompt and a resource that exchange the caller's token, and what the client is
//! told when a person has to agree first.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use doorward_guard::Guard;
use doorward_guard::client::{ClientAuth, SubjectToken};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::client::rmcp_mail::{AuthServer, guarded};
use crate::client::support::{ISSUER, clock};
use crate::support::{Answer, RESOURCE, answer};

async fn send(app: &Router, token: &str, headers: &[(&str, &str)], message: &Value) -> Answer {
    let mut request = http::Request::post("/mcp")
        .header("host", "mcp.example")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("authorization", format!("Bearer {token}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = Body::from(message.to_string());
    answer(app.clone().oneshot(request.body(body).unwrap()).await.unwrap()).await
}

/// The JSON-RPC message of an answer, whether it came as JSON or as an event.
fn message(answer: &Answer) -> Value {
    let event = answer.body.lines().filter_map(|line| line.strip_prefix("data:"));
    let text = event.map(str::trim).find(|text| text.starts_with('{'));
    serde_json::from_str(text.unwrap_or(&answer.body)).unwrap()
}

/// What may be answered with `input_required`.
const METHODS: [&str; 3] = ["tools/call", "prompts/get", "resources/read"];

fn inbox(method: &str, n: u8) -> Value {
    let params = match method {
        "resources/read" => json!({"uri": format!("mail://inbox/{n}")}),
        _ => json!({"name": "inbox", "arguments": {"n": n}}),
    };
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

/// A session of the revision 2025-11-25 whose client declares these capabilities; what the methods are answered.
async fn in_a_session(capabilities: Value) -> Vec<Value> {
    let server = AuthServer::wants_consent();
    let app = guarded(&server, true);
    let alice = server.token("alice");
    let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": {"name": "t", "version": "1"},
    }});
    let begun = send(&app, &alice, &[], &initialize).await;
    let session = begun.header("mcp-session-id").to_owned();
    assert!(!session.is_empty(), "{}", begun.body);
    let headers = [
        ("mcp-session-id", session.as_str()),
        ("mcp-protocol-version", "2025-11-25"),
    ];
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    send(&app, &alice, &headers, &ready).await;
    let mut told = Vec::new();
    for method in METHODS {
        told.push(message(&send(&app, &alice, &headers, &inbox(method, 1)).await));
    }
    told
}

fn assert_is_32042(told: &Value) {
    assert_eq!(told["error"]["code"], -32042, "{told}");
    assert_eq!(
        told["error"]["message"],
        "doorward: token exchange: Connect your mail (mail)"
    );
    let elicitation = &told["error"]["data"]["elicitations"][0];
    assert_eq!(elicitation["mode"], "url");
    assert_eq!(elicitation["url"], "https://as.example/connect/mail");
    assert_eq!(elicitation["message"], "Connect your mail (mail)");
    assert_eq!(elicitation["elicitationId"].as_str().unwrap().len(), 36);
}

#[tokio::test]
async fn in_a_session_consent_is_the_error_32042() {
    for told in in_a_session(json!({"elicitation": {"url": {}}})).await {
        assert_is_32042(&told);
    }
}

#[tokio::test]
async fn a_client_that_cannot_open_pages_gets_a_plain_error() {
    for capabilities in [
        json!({}),
        json!({"elicitation": {}}),
        json!({"elicitation": {"form": {}}}),
    ] {
        for told in in_a_session(capabilities).await {
            assert_eq!(told["error"]["code"], -32600, "{told}");
            assert!(!told.to_string().contains("https://"));
        }
    }
}

/// Without sessions nobody knows what the client declared in its handshake.
#[tokio::test]
async fn without_sessions_consent_is_the_error_32042() {
    let server = AuthServer::wants_consent();
    let app = guarded(&server, false);
    for version in ["2025-11-25", "2025-06-18"] {
        let headers = [("mcp-protocol-version", version)];
        for method in METHODS {
            let told = send(&app, &server.token("alice"), &headers, &inbox(method, 1)).await;
            assert_is_32042(&message(&told));
        }
    }
}

fn modern(method: &str, n: u8, capabilities: &Value) -> Value {
    let mut call = inbox(method, n);
    call["params"]["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    });
    call
}

/// What comes of a request of 2026-07-28.
async fn ask(app: &Router, token: &str, call: &Value) -> Value {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let params = &call["params"];
    let name = text(params.get("name").unwrap_or(&params["uri"]));
    let method = text(&call["method"]);
    let headers = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", &method),
        ("mcp-name", &name),
    ];
    message(&send(app, token, &headers, call).await)
}

fn brought_back(call: &Value, state: &Value, action: &str) -> Value {
    let mut retry = call.clone();
    retry["id"] = json!(2);
    retry["params"]["requestState"] = state.clone();
    retry["params"]["inputResponses"] = json!({"consent": {"action": action}});
    retry
}

#[tokio::test]
async fn from_2026_07_28_on_the_client_comes_back_with_the_request_state() {
    for method in METHODS {
        let server = AuthServer::wants_consent();
        let app = guarded(&server, false);
        let (alice, mallory) = (server.token("alice"), server.token("mallory"));
        let capabilities = json!({"elicitation": {"url": {}}});
        let call = modern(method, 1, &capabilities);
        let told = ask(&app, &alice, &call).await;
        let result = &told["result"];
        assert_eq!(result["resultType"], "input_required", "{told}");
        let request = &result["inputRequests"]["consent"];
        assert_eq!(request["method"], "elicitation/create");
        assert_eq!(request["params"]["mode"], "url");
        assert_eq!(request["params"]["url"], "https://as.example/connect/mail");
        assert_eq!(request["params"]["message"], "Connect your mail (mail)");

        server.has_consent();
        let back = |call: &Value, state: &Value| brought_back(call, state, "accept");
        let state = &result["requestState"];
        let exchanges = || server.forms.lock().unwrap().len();
        let before = exchanges();
        let stolen = ask(&app, &mallory, &back(&call, state)).await;
        assert_eq!(stolen["error"]["code"], -32602, "{stolen}");
        let moved = ask(&app, &alice, &back(&modern(method, 2, &capabilities), state)).await;
        assert_eq!(moved["error"]["code"], -32602, "{moved}");
        for other in METHODS.into_iter().filter(|other| *other != method) {
            // A prompt may have the name and the arguments of a tool.
            let moved = ask(&app, &alice, &back(&modern(other, 1, &capabilities), state)).await;
            assert_eq!(moved["error"]["code"], -32602, "{moved}");
        }
        let refused = ask(&app, &alice, &back(&call, &json!("AAAA"))).await;
        assert_eq!(refused["error"]["code"], -32602, "{refused}");
        assert_eq!(exchanges(), before, "nothing is exchanged for a bad state");

        let done = ask(&app, &alice, &back(&call, state)).await;
        assert!(done["result"].to_string().contains("Bearer for-mail"), "{done}");
        let form = server.forms.lock().unwrap().last().unwrap().clone();
        let form: Vec<(String, String)> = url::form_urlencoded::parse(form.as_bytes())
            .into_owned()
            .collect();
        assert!(form.contains(&("subject_token".to_owned(), alice)));
        assert!(form.contains(&("resource".to_owned(), "https://mail.example".to_owned())));
    }
}

#[tokio::test]
async fn from_2026_07_28_on_nothing_is_asked_that_was_not_declared() {
    let server = AuthServer::wants_consent();
    let app = guarded(&server, false);
    for capabilities in [json!({}), json!({"elicitation": {"form": {}}})] {
        for method in METHODS {
            let told = ask(&app, &server.token("alice"), &modern(method, 1, &capabilities)).await;
            assert_eq!(told["error"]["code"], -32600, "{told}");
        }
    }
}

#[tokio::test]
async fn who_declines_is_not_asked_again() {
    let server = AuthServer::wants_consent();
    let app = guarded(&server, false);
    let alice = server.token("alice");
    for method in METHODS {
        let call = modern(method, 1, &json!({"elicitation": {"url": {}}}));
        let told = ask(&app, &alice, &call).await;
        let state = &told["result"]["requestState"];
        for action in ["decline", "cancel"] {
            let told = ask(&app, &alice, &brought_back(&call, state, action)).await;
            assert_eq!(told["error"]["code"], -32600, "{told}");
        }
        let told = ask(&app, &alice, &brought_back(&call, state, "accept")).await;
        assert_eq!(told["result"]["resultType"], "input_required", "{told}");
    }
}

/// Only a guard that can exchange it lets the token through, and only as something that cannot be read.
#[tokio::test]
async fn the_callers_token_is_there_for_exchanges_alone() {
    for can_exchange in [false, true] {
        let server = AuthServer::wants_consent();
        let builder = Guard::builder(ISSUER, RESOURCE)
            .clock(Arc::new(clock()))
            .fetch(server.clone());
        let guard = if can_exchange {
            builder.client_auth(ClientAuth::basic("mcp-server", "secret"))
        } else {
            builder
        };
        let seen = axum::routing::any(async |request: axum::extract::Request| {
            assert!(!request.headers().contains_key("authorization"));
            let token = request.extensions().get::<SubjectToken>();
            token.map_or_else(|| "none".to_owned(), |token| format!("{token:?}"))
        });
        let app = guard.build().unwrap().protect("/mcp", seen);
        let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
        let told = send(&app, &server.token("alice"), &[], &ping).await;
        assert_eq!(
            told.body,
            if can_exchange {
                "SubjectToken(redacted)"
            } else {
                "none"
            }
        );
    }
}
