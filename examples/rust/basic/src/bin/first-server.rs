//! The MCP server of the book's tutorial, "Protect your first MCP server".

use doorward_guard::Guard;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{CallToolResult, ContentBlock, ServerCapabilities, ServerConfig};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler, tool, tool_handler, tool_router};

struct MyServer;

#[derive(serde::Deserialize, rmcp::schemars::JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct Note {
    /// What to write down.
    text: String,
}

#[tool_router]
impl MyServer {
    #[tool(description = "Says who calls")]
    async fn whoami(&self, context: RequestContext<RoleServer>) -> Result<CallToolResult, ErrorData> {
        let claims = doorward_guard::rmcp::claims(&context)?;
        let text = format!(
            "{} through {} with {}",
            claims.subject, claims.client_id, claims.scopes
        );
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]))
    }

    #[tool(description = "Writes a note; needs tools/write")]
    async fn write(&self, Parameters(Note { text }): Parameters<Note>) -> String {
        format!("wrote {text}")
    }
}

#[tool_handler]
impl ServerHandler for MyServer {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().init(); // the guard says in the log why it refused a request
    let issuer = setting("DOORWARD_ISSUER", "http://localhost:9000");
    let base_url = setting("DOORWARD_BASE_URL", "http://localhost:8080");
    let port = setting("PORT", "8080");

    let guard = Guard::builder(issuer, format!("{base_url}/mcp"))
        .scopes(["tools/read", "tools/write"])
        .required_scopes(["tools/read"])
        .tool_scopes("write", ["tools/write"])
        .build()?;
    let service = StreamableHttpService::new(
        || Ok(MyServer),
        LocalSessionManager::default().into(),
        StreamableHttpServerConfig::default(),
    );
    let app = guard.protect("/mcp", service);

    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    Ok(axum::serve(listener, app).await?)
}

fn setting(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}
