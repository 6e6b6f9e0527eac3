//! A tool that calls another service in the name of the person who called it: token exchange (RFC 8693), and what the
//! client is told when the person has to agree first.

use std::env;

use anyhow::Context as _;
use doorward_guard::Guard;
use doorward_guard::client::{ClientAuth, ClientError, ExchangeRequest};
use doorward_guard::rmcp::{ask_for_consent, open_request_state, subject_token};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ListToolsResult, PaginatedRequestParams,
    ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::json;

/// The other service, as the authorization server knows it.
const MAIL: &str = "https://mail.example/";

#[derive(Clone)]
struct Mail {
    guard: Guard,
}

impl ServerHandler for Mail {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let schema = json!({"type": "object"}).as_object().cloned().unwrap_or_default();
        let inbox = Tool::new("inbox", "Reads the caller's mail", schema);
        Ok(ListToolsResult::with_all_items(vec![inbox]))
    }

    async fn call_tool(
        &self,
        call: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if call.name != "inbox" {
            return Err(ErrorData::invalid_params("there is no such tool", None));
        }
        let client = self.guard.client();
        if let Some(state) = &call.request_state {
            open_request_state(client, &context, "tools/call", &call, state)?;
        }
        let request = ExchangeRequest::for_caller(subject_token(&context)?)
            .resource(MAIL)
            .scopes(["mail.read"]);
        let token = match client.exchange(&request).await {
            Ok(token) => token,
            Err(ClientError::ConsentRequired(consent)) => {
                return ask_for_consent(client, &consent, &context, "tools/call", &call).map(Into::into);
            }
            Err(error) => return Err(internal(&error)),
        };
        let headers = client
            .headers_for(&token, "GET", MAIL)
            .map_err(|error| internal(&error))?;
        // Now the mail server would be asked.
        tracing::debug!(headers = headers.len(), "a token for the mail server");
        Ok(CallToolResult::structured(json!({
            "scope": token.scope.map(|scope| scope.to_string()),
            "expires_in": token.expires_in.map(|time| time.as_secs()),
        }))
        .into())
    }
}

/// What went wrong is for the log; the caller can do nothing about it.
fn internal(error: &ClientError) -> ErrorData {
    tracing::warn!(%error, "no token for the mail server");
    ErrorData::internal_error("the mail server cannot be reached now", None)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let setting = |name, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let issuer = setting("DOORWARD_ISSUER", "http://localhost:9000");
    let base_url = setting("DOORWARD_BASE_URL", "http://localhost:8080");
    let port = setting("PORT", "8080");
    let client_id = setting("DOORWARD_CLIENT_ID", "mail-tools");
    let secret = env::var("DOORWARD_CLIENT_SECRET").context("DOORWARD_CLIENT_SECRET is not set")?;

    // doorward:begin
    let guard = Guard::builder(issuer, format!("{base_url}/mcp"))
        .required_scopes(["mcp:read", "mail.read"])
        .client_auth(ClientAuth::basic(client_id, secret))
        .build()?;
    // doorward:end

    let mail = Mail { guard: guard.clone() };
    let service = StreamableHttpService::new(
        move || Ok(mail.clone()),
        LocalSessionManager::default().into(),
        StreamableHttpServerConfig::default(),
    );
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    Ok(axum::serve(listener, guard.protect("/mcp", service)).await?)
}
