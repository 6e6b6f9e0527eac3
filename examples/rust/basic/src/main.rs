//! An MCP server on rmcp behind the Doorward guard.

mod settings;
mod tools;

use axum::serve;
use doorward_guard::Guard;
use settings::Settings;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let log = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(log)
        .with_writer(std::io::stderr)
        .init();
    let settings = Settings::from_env()?;

    // doorward:begin
    let guard = Guard::builder(&settings.issuer, &settings.resource)
        .required_scopes(&settings.scopes)
        .tool_scopes("write", ["mcp:write"])
        .dpop(settings.dpop)
        .build()?;
    let app = guard.protect("/mcp", tools::service(settings.host));
    // doorward:end

    let listener = TcpListener::bind(settings.listen).await?;
    tracing::info!(
        resource = settings.resource,
        issuer = settings.issuer,
        "listening on {}",
        settings.listen
    );
    Ok(serve(listener, app).await?)
}
