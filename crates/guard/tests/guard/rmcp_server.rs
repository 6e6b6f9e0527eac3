//! A real MCP server made with rmcp behind the guard.

use axum::Router;
use axum::body::Body;
use doorward_guard::Scope;
use http::StatusCode;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{CallToolResult, ContentBlock};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler, tool, tool_handler, tool_router};
use serde::Deserialize;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{Answer, World, answer, call};

#[derive(Clone)]
struct Demo;

#[derive(Deserialize, rmcp::schemars::JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct Text {
    text: String,
}

#[tool_router]
impl Demo {
    #[tool(description = "who calls")]
    async fn whoami(&self, context: RequestContext<RoleServer>) -> Result<CallToolResult, ErrorData> {
        let claims = doorward_guard::rmcp::claims(&context)?;
        let parts = context.extensions.get::<http::request::Parts>().unwrap();
        let authorization = parts.headers.contains_key("authorization");
        Ok(CallToolResult::success(vec![ContentBlock::text(format!(
            "{} {authorization}",
            claims.subject
        ))]))
    }

    #[tool(description = "all that the token says")]
    async fn claims(&self, context: RequestContext<RoleServer>) -> Result<CallToolResult, ErrorData> {
        let claims = doorward_guard::rmcp::claims(&context)?;
        let raw = |name| claims.raw.get(name).cloned().unwrap_or_default();
        let seen = json!({
            "sub": claims.subject,
            "client_id": claims.client_id,
            "scopes": claims.scopes.iter().map(Scope::as_str).collect::<Vec<_>>(),
            "agent_id": raw("agent_id"),
            "agent_chain": raw("agent_chain"),
            "actors": claims.actors().map(|actor| actor.sub.clone()).collect::<Vec<_>>(),
            "custom": raw("https://example.com/tenant"),
            "absent": raw("absent"),
        });
        Ok(CallToolResult::success(vec![ContentBlock::text(
            seen.to_string(),
        )]))
    }

    #[tool(description = "needs mcp:write, and says so itself")]
    async fn checked(&self, context: RequestContext<RoleServer>) -> Result<CallToolResult, ErrorData> {
        doorward_guard::rmcp::claims(&context)?.require_scope("mcp:write")?;
        Ok(CallToolResult::success(vec![ContentBlock::text("written")]))
    }

    #[tool(description = "needs mcp:write by the guard")]
    async fn write(&self, Parameters(Text { text }): Parameters<Text>) -> String {
        text
    }
}

#[tool_handler]
impl ServerHandler for Demo {}

fn service(config: StreamableHttpServerConfig) -> StreamableHttpService<Demo, LocalSessionManager> {
    StreamableHttpService::new(
        || Ok(Demo),
        LocalSessionManager::default().into(),
        config.with_allowed_hosts(["mcp.example"]),
    )
}

async fn send(app: &Router, token: &str, session: Option<&str>, message: &Value) -> Answer {
    let mut request = http::Request::post("/mcp")
        .header("host", "mcp.example")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("authorization", format!("Bearer {token}"));
    if let Some(session) = session {
        request = request.header("mcp-session-id", session);
    }
    let body = Body::from(message.to_string());
    answer(app.clone().oneshot(request.body(body).unwrap()).await.unwrap()).await
}

fn initialize() -> Value {
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"},
    }})
}

/// Rows 56, 58, 59: tools know who calls, and a session cannot be continued by another subject.
#[tokio::test(start_paused = true)]
async fn tools_know_the_caller_and_sessions_stay_with_theirs() {
    let world = World::new();
    let app = world
        .guard
        .protect("/mcp", service(StreamableHttpServerConfig::default()));
    let (alice, mallory) = (world.token(), world.token_with(&json!({"sub": "mallory"})));
    let begun = send(&app, &alice, None, &initialize()).await;
    assert_eq!(begun.status, StatusCode::OK, "{}", begun.body);
    let session = begun.header("mcp-session-id").to_owned();
    assert!(!session.is_empty());
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(
        send(&app, &alice, Some(&session), &ready).await.status,
        StatusCode::ACCEPTED
    );

    let told = send(&app, &alice, Some(&session), &call("whoami")).await;
    assert!(told.body.contains("alice false"), "{}", told.body);
    assert_eq!(
        send(&app, &mallory, Some(&session), &call("whoami")).await.status,
        StatusCode::NOT_FOUND
    );
    let refused = send(&app, &alice, Some(&session), &call("write")).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let own_check = send(&app, &alice, Some(&session), &call("checked")).await;
    assert!(
        own_check.body.contains("insufficient_scope"),
        "{}",
        own_check.body
    );
}

/// The stateless server of the newest revision.
#[tokio::test(start_paused = true)]
async fn a_stateless_server_works_the_same() {
    let world = World::new();
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true);
    let app = world.guard.protect("/mcp", service(config));
    let told = send(&app, &world.token(), None, &call("whoami")).await;
    assert!(told.body.contains("alice false"), "{}", told.body);
    assert_eq!(
        send(&app, &world.token(), None, &call("write")).await.status,
        StatusCode::FORBIDDEN
    );
    let writer = world.token_with(&json!({"scope": "mcp:read mcp:write"}));
    let mut message = call("write");
    message["params"]["arguments"] = json!({"text": "hello"});
    let written = send(&app, &writer, None, &message).await;
    assert!(written.body.contains("hello"), "{}", written.body);
}

/// Row 58: tool code can read `sub`, `client_id`, scopes, `agent_id`, `agent_chain` and every other claim.
#[tokio::test(start_paused = true)]
async fn row_58_tools_read_every_claim() {
    let world = World::new();
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true);
    let app = world.guard.protect("/mcp", service(config));
    let token = world.token_with(&json!({
        "scope": "mcp:read extra",
        "agent_id": "agent-7",
        "agent_chain": ["agent-7", "planner"],
        "act": {"sub": "agent-7", "act": {"sub": "planner"}},
        "https://example.com/tenant": {"id": 7},
    }));
    let told = send(&app, &token, None, &call("claims")).await;
    assert_eq!(told.status, StatusCode::OK, "{}", told.body);
    let text = told.json()["result"]["content"][0]["text"].clone();
    let seen: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
    let expected = json!({
        "sub": "alice",
        "client_id": "client-1",
        "scopes": ["mcp:read", "extra"],
        "agent_id": "agent-7",
        "agent_chain": ["agent-7", "planner"],
        "actors": ["agent-7", "planner"],
        "custom": {"id": 7},
        "absent": null,
    });
    assert_eq!(seen, expected);
}

/// Without a guard there are no claims, and the handler fails closed.
#[tokio::test(start_paused = true)]
async fn a_server_without_a_guard_has_no_claims() {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true);
    let app = Router::new().route_service("/mcp", service(config));
    let told = send(&app, "x", None, &call("whoami")).await;
    assert!(told.json()["error"].is_object(), "{}", told.body);
}
