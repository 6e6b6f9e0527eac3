//! The demo MCP server: rmcp behind the guard. What an MCP server's author writes is in here.

use std::net::{Ipv4Addr, SocketAddr};

use axum::serve::ListenerExt as _;
use doorward_guard::Guard;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{CallToolResult, ContentBlock, ServerCapabilities, ServerConfig};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler, tool, tool_handler, tool_router};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Place;

#[derive(Clone)]
struct Demo;

#[derive(serde::Deserialize, rmcp::schemars::JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct Echo {
    /// What to say back.
    text: String,
}

#[tool_router]
impl Demo {
    #[tool(description = "Says back what it is told")]
    async fn echo(&self, Parameters(Echo { text }): Parameters<Echo>) -> String {
        text
    }

    #[tool(description = "Says who calls")]
    async fn whoami(&self, context: RequestContext<RoleServer>) -> Result<CallToolResult, ErrorData> {
        let claims = doorward_guard::rmcp::claims(&context)?;
        let text = format!(
            "{} through {} with {}",
            claims.subject, claims.client_id, claims.scopes
        );
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]))
    }

    #[tool(description = "Writes something; needs mcp:write")]
    async fn write(&self, Parameters(Echo { text }): Parameters<Echo>) -> String {
        format!("wrote {text}")
    }
}

#[tool_handler]
impl ServerHandler for Demo {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

/// Takes the demo server's port on loopback.
pub async fn bind(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await
}

/// Starts the demo server; it stops with the token.
pub fn start(
    place: &Place,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<JoinHandle<()>> {
    let guard = Guard::builder(&place.issuer, &place.mcp_url)
        .scopes(["mcp:read", "mcp:write"])
        .required_scopes(["mcp:read"])
        .tool_scopes("write", ["mcp:write"])
        .build()?;
    let config = StreamableHttpServerConfig::default().with_cancellation_token(stop.child_token());
    let service = StreamableHttpService::new(|| Ok(Demo), LocalSessionManager::default().into(), config);
    let app = guard.protect("/mcp", service);

    // Answers are small and wait for nothing: without this each one waits for the client's delayed ACK.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
    });
    Ok(tokio::spawn(async move {
        let served = axum::serve(listener, app)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "the demo MCP server stopped");
        }
    }))
}
