//! An authorization server and the MCP server that trusts it, in one axum program on one origin.

use std::env;
use std::io::{Write as _, stderr};

use doorward_guard::Guard;
use doorward_server::config::Settings;
use doorward_server::context::Parts;
use doorward_server::http::serve::{Peers, ServeLimits, serve};
use doorward_server::{AuthorizationServer, Routers};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler, tool, tool_handler, tool_router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

struct Embedded;

#[tool_router]
impl Embedded {
    #[tool(description = "Says who calls")]
    async fn whoami(&self, context: RequestContext<RoleServer>) -> Result<String, ErrorData> {
        let claims = doorward_guard::rmcp::claims(&context)?;
        Ok(format!("{} through {}", claims.subject, claims.client_id))
    }
}

#[tool_handler(name = "doorward-example-embedded")]
impl ServerHandler for Embedded {}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(stderr).init();
    let settings = Settings::load(None, env::vars())?;
    let (address, admin_address) = (settings.server.address, settings.admin.address);
    let issuer = settings.server.issuer.clone();

    // The authorization server, with the resource metadata at the root of the host, which lists every resource.
    let server = AuthorizationServer::open(settings, Parts::system()).await?;
    let Routers { public, admin } = server.routers();
    if let Some(key) = server.make_first_admin_key().await? {
        writeln!(stderr(), "the first admin key, shown once: {}", key.expose())?;
    }

    // The MCP server. It learns the keys from the authorization server over HTTP, as from any other.
    // doorward:begin
    let guard = Guard::builder(&issuer, format!("{issuer}/mcp"))
        .required_scopes(["mcp:read"])
        .root_metadata(false)
        .build()?;
    // doorward:end
    let service = StreamableHttpService::new(
        || Ok(Embedded),
        LocalSessionManager::default().into(),
        StreamableHttpServerConfig::default(),
    );
    let app = public.merge(guard.protect("/mcp", service));

    let stop = CancellationToken::new();
    let (limits, context) = (ServeLimits::default(), server.context());
    let peers = Peers::new(&context.settings.server.trusted_proxies, context.metrics.clone());
    let listener = TcpListener::bind(address).await?;
    let admin_listener = TcpListener::bind(admin_address).await?;
    let serving = async {
        tokio::join!(
            serve(listener, app, limits, peers.clone(), stop.clone()),
            serve(admin_listener, admin, limits, peers.clone(), stop.clone()),
            server.run_jobs(stop.clone()),
        )
    };
    let interrupted = async {
        let _ = tokio::signal::ctrl_c().await;
        stop.cancel();
    };
    tokio::join!(serving, interrupted);
    Ok(server.close().await?)
}
