//! An rmcp server with one tool, stateless, with and without the guard.

use std::net::Ipv4Addr;

use anyhow::Result;
use axum::Router;
use doorward_bench::issuer;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::schemars::{self, JsonSchema};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, tool, tool_handler, tool_router};
use serde::Deserialize;

use crate::servers::Fixtures;

#[derive(Clone)]
struct Tools;

#[derive(Deserialize, JsonSchema)]
struct Echo {
    text: String,
}

#[tool_router]
impl Tools {
    #[tool(description = "Says what it was told")]
    async fn echo(&self, Parameters(Echo { text }): Parameters<Echo>) -> String {
        text
    }
}

#[tool_handler(name = "bench")]
impl ServerHandler for Tools {}

pub async fn serve(port: u16, guarded: bool, fixtures: &Fixtures) -> Result<()> {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true);
    let service = StreamableHttpService::new(|| Ok(Tools), LocalSessionManager::default().into(), config);
    let app = if guarded {
        issuer::guard(&fixtures.0["jwks"])
            .tool_scopes("echo", ["tools/read"])
            .build()?
            .protect("/mcp", service)
    } else {
        Router::new().route_service("/mcp", service)
    };
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    Ok(axum::serve(listener, app).await?)
}
