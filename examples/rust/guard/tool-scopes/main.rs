//! A notebook on rmcp whose tools need different scopes: what the guard decides by the tool's name, and what a tool
//! decides by its arguments.

use std::env;
use std::sync::{Arc, Mutex, PoisonError};

use doorward_guard::Guard;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::schemars::{self, JsonSchema};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler, tool, tool_handler, tool_router};
use serde::Deserialize;

#[derive(Clone, Default)]
struct Notebook {
    notes: Arc<Mutex<Vec<String>>>,
}

#[derive(Deserialize, JsonSchema)]
struct Add {
    /// The note.
    text: String,
}

#[derive(Deserialize, JsonSchema)]
struct Remove {
    /// How many of the oldest notes to remove.
    count: usize,
}

#[tool_router]
impl Notebook {
    #[tool(description = "Lists the notes; every token that gets in may call it")]
    async fn list(&self) -> String {
        self.notes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .join("\n")
    }

    #[tool(description = "Adds a note; needs notes:write")]
    async fn add(&self, Parameters(Add { text }): Parameters<Add>) -> String {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.push(text);
        format!("{} notes", notes.len())
    }

    #[tool(description = "Removes the oldest notes; needs notes:write, and notes:admin for more than one")]
    async fn remove(
        &self,
        Parameters(Remove { count }): Parameters<Remove>,
        context: RequestContext<RoleServer>,
    ) -> Result<String, ErrorData> {
        if count > 1 {
            doorward_guard::rmcp::claims(&context)?.require_scope("notes:admin")?;
        }
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let count = count.min(notes.len());
        notes.drain(..count);
        Ok(format!("{} notes", notes.len()))
    }
}

#[tool_handler(name = "doorward-example-tool-scopes")]
impl ServerHandler for Notebook {}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let setting = |name, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let issuer = setting("DOORWARD_ISSUER", "http://localhost:9000");
    let base_url = setting("DOORWARD_BASE_URL", "http://localhost:8080");
    let port = setting("PORT", "8080");

    // doorward:begin
    let guard = Guard::builder(issuer, format!("{base_url}/mcp"))
        .scopes(["notes:read"])
        .required_scopes(["notes:read"])
        .tool_scopes("add", ["notes:write"])
        .tool_scopes("remove", ["notes:write"])
        .build()?;
    // doorward:end

    let notebook = Notebook::default();
    let service = StreamableHttpService::new(
        move || Ok(notebook.clone()),
        LocalSessionManager::default().into(),
        StreamableHttpServerConfig::default(),
    );
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    Ok(axum::serve(listener, guard.protect("/mcp", service)).await?)
}
