//! The MCP server itself: four tools on rmcp. It knows nothing of tokens.

use doorward_guard::rmcp::claims;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::CallToolResult;
use rmcp::schemars::{self, JsonSchema};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler, tool, tool_handler, tool_router};
use serde::Deserialize;
use serde_json::json;

#[derive(Clone)]
pub(crate) struct Tools;

#[derive(Deserialize, JsonSchema)]
struct Echo {
    /// What to say.
    text: String,
}

#[derive(Deserialize, JsonSchema)]
struct Add {
    a: f64,
    b: f64,
}

#[derive(Deserialize, JsonSchema)]
struct Write {
    /// What to write.
    x: String,
}

#[tool_router]
impl Tools {
    #[tool(description = "Says what it was told")]
    async fn echo(&self, Parameters(Echo { text }): Parameters<Echo>) -> String {
        text
    }

    #[tool(description = "Adds two numbers")]
    async fn add(&self, Parameters(Add { a, b }): Parameters<Add>) -> String {
        (a + b).to_string()
    }

    #[tool(description = "Says who calls, by the claims of the access token")]
    async fn whoami(&self, context: RequestContext<RoleServer>) -> Result<CallToolResult, ErrorData> {
        let claims = claims(&context)?;
        let scopes: Vec<_> = claims.scopes.iter().map(ToString::to_string).collect();
        Ok(CallToolResult::structured(json!({
            "subject": claims.subject,
            "client_id": claims.client_id,
            "scopes": scopes,
            "claims": claims.raw,
        })))
    }

    // The guard lets only tokens with `mcp:write` through to this tool.
    #[tool(description = "Writes, which needs the scope mcp:write")]
    async fn write(&self, Parameters(Write { x }): Parameters<Write>) -> String {
        format!("wrote {x}")
    }
}

#[tool_handler(
    name = "doorward-example-basic",
    instructions = "An MCP server behind the Doorward guard."
)]
impl ServerHandler for Tools {}

/// The HTTP service; `host` is the only one that clients may name in `Host`.
pub(crate) fn service(host: String) -> StreamableHttpService<Tools, LocalSessionManager> {
    let config = StreamableHttpServerConfig::default().with_allowed_hosts([host]);
    StreamableHttpService::new(|| Ok(Tools), LocalSessionManager::default().into(), config)
}
