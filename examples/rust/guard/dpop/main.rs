//! An MCP server on rmcp that takes nothing but tokens bound to a key of the client (RFC 9449): a stolen token is of
//! no use.

use std::env;

use doorward_guard::{DpopPolicy, Guard};
use rmcp::model::CallToolResult;
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler, tool, tool_handler, tool_router};
use serde_json::json;

struct Safe;

#[tool_router]
impl Safe {
    #[tool(description = "Says who calls, and with which key")]
    async fn whoami(&self, context: RequestContext<RoleServer>) -> Result<CallToolResult, ErrorData> {
        let claims = doorward_guard::rmcp::claims(&context)?;
        Ok(CallToolResult::structured(json!({
            "subject": claims.subject,
            "client_id": claims.client_id,
            "key_thumbprint": claims.key_thumbprint,
        })))
    }
}

#[tool_handler(name = "doorward-example-dpop")]
impl ServerHandler for Safe {}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let setting = |name, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let issuer = setting("DOORWARD_ISSUER", "http://localhost:9000");
    let base_url = setting("DOORWARD_BASE_URL", "http://localhost:8080");
    let port = setting("PORT", "8080");

    // doorward:begin
    let guard = Guard::builder(issuer, format!("{base_url}/mcp"))
        .required_scopes(["mcp:read"])
        .dpop(DpopPolicy::Require)
        .build()?;
    // doorward:end

    let service = StreamableHttpService::new(
        || Ok(Safe),
        LocalSessionManager::default().into(),
        StreamableHttpServerConfig::default(),
    );
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    Ok(axum::serve(listener, guard.protect("/mcp", service)).await?)
}
