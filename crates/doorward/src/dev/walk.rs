//! The walk: rmcp's own client, unmodified, from nothing to a tool call and on to being cut off.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rmcp::ServiceExt as _;
use rmcp::model::{CallToolRequestParams, ClientConfig};
use rmcp::transport::auth::{AuthClient, AuthorizationCallback, AuthorizationManager};
use rmcp::transport::streamable_http_client::{
    StreamableHttpClientTransport, StreamableHttpClientTransportConfig,
};
use serde_json::json;

use super::Place;
use super::browser::Browser;
use super::setup::{Operator, Person};
use crate::{http_client, out};

const REDIRECT_URI: &str = "http://127.0.0.1:33418/callback";

/// Prints each step with its time.
struct Steps {
    number: u32,
    started: Instant,
    total: Duration,
}

impl Steps {
    #[expect(
        clippy::disallowed_methods,
        reason = "the walk shows a person how long each step took"
    )]
    fn now() -> Instant {
        Instant::now()
    }

    fn new() -> Self {
        Self {
            number: 0,
            started: Self::now(),
            total: Duration::ZERO,
        }
    }

    fn done(&mut self, what: &str, detail: impl std::fmt::Display) {
        let took = self.started.elapsed();
        self.number += 1;
        self.total += took;
        let millis = took.as_secs_f64() * 1000.0;
        out::line(format!(
            "{:>2}. {what:<14}{millis:>8.1} ms  {detail}",
            self.number
        ));
        self.started = Self::now();
    }
}

/// Walks the client through everything.
pub async fn run(place: &Place, person: &Person, operator: &Operator) -> anyhow::Result<()> {
    let mut steps = Steps::new();
    let challenge = challenge(place).await?;
    steps.done("challenge", "401 with resource_metadata and scope");

    let mut manager = AuthorizationManager::new(place.mcp_url.as_str()).await?;
    let resolved = manager
        .resolve_metadata_from_challenge(Some(&challenge))
        .await
        .context("discovery")?;
    ensure!(
        resolved.source.is_discovered(),
        "the client guessed the endpoints instead of discovering them"
    );
    manager.set_metadata(resolved.metadata);
    steps.done("discovery", &place.issuer);

    let scopes = manager.select_initial_scopes(&[]).await;
    let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
    let registered = manager
        .register_client("Doorward walk", REDIRECT_URI, &scopes)
        .await
        .context("registration")?;
    steps.done("registration", registered.client_id);

    let authorization_url = manager.get_authorization_url(&scopes).await?;
    let mut browser = Browser::open(&authorization_url, REDIRECT_URI)
        .await
        .context("authorization request")?;
    steps.done("authorize", "PKCE S256, resource, state");
    let remembered = browser.sign_in(person, REDIRECT_URI).await.context("login")?;
    steps.done("login", &person.email);
    let callback = if let Some(callback) = remembered {
        steps.done("consent", "remembered from an earlier run");
        callback
    } else {
        let callback = browser.allow(REDIRECT_URI).await.context("consent")?;
        steps.done("consent", scopes.join(" "));
        callback
    };

    let callback = AuthorizationCallback::from_redirect_url(&callback)?;
    manager
        .exchange_code_for_token_with_issuer(&callback.code, &callback.csrf_token, callback.issuer.as_deref())
        .await
        .context("code exchange")?;
    steps.done("token", "code, code_verifier and iss checked");

    let first = manager.get_access_token().await?;
    manager.refresh_token().await.context("refresh")?;
    ensure!(
        first != manager.get_access_token().await?,
        "the refresh gave the same access token"
    );
    steps.done("refresh", "rotated");

    let client_id = manager.get_credentials().await?.0;
    let client = AuthClient::new(http_client::build()?, manager);
    let manager = Arc::clone(&client.auth_manager);
    let said = call_tools(place, client, &mut steps).await?;
    ensure!(said.contains("mcp:read"), "whoami answered {said}");

    let ended = operator.end_grants(&client_id).await.context("revocation")?;
    let refused = manager.lock().await.refresh_token().await;
    ensure!(
        refused.is_err(),
        "the client could refresh after its grant had ended"
    );
    steps.done(
        "cut off",
        format!("{ended} grant ended by the operator; the refresh is refused"),
    );
    out::line(format!(
        "    All {} steps passed in {:.0} ms.",
        steps.number,
        steps.total.as_secs_f64() * 1000.0
    ));
    Ok(())
}

/// What a client without a token is told.
async fn challenge(place: &Place) -> anyhow::Result<String> {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let accept = "application/json, text/event-stream";
    let request = http_client::build()?
        .post(&place.mcp_url)
        .header("accept", accept)
        .json(&body);
    let response = request.send().await?;
    ensure!(
        response.status() == 401,
        "the MCP server let a call without a token pass: {}",
        response.status()
    );
    let header = response
        .headers()
        .get("www-authenticate")
        .context("401 without WWW-Authenticate")?;
    Ok(header.to_str()?.to_owned())
}

async fn call_tools(
    place: &Place,
    client: AuthClient<reqwest::Client>,
    steps: &mut Steps,
) -> anyhow::Result<String> {
    let config = StreamableHttpClientTransportConfig::with_uri(place.mcp_url.as_str());
    let mcp = ClientConfig::default()
        .serve(StreamableHttpClientTransport::with_client(client, config))
        .await?;
    let tools = mcp.list_all_tools().await?;
    steps.done(
        "tools/list",
        tools
            .iter()
            .map(|tool| tool.name.as_ref())
            .collect::<Vec<_>>()
            .join(", "),
    );

    let arguments = Arc::new(json!({"text": "hello"}));
    let echo =
        CallToolRequestParams::new("echo").with_arguments(arguments.as_object().cloned().unwrap_or_default());
    let said = text(&mcp.call_tool(echo).await?)?;
    ensure!(said == "hello", "echo answered {said}");
    steps.done("tools/call", "echo says hello");

    let said = text(&mcp.call_tool(CallToolRequestParams::new("whoami")).await?)?;
    steps.done("tools/call", format!("whoami says {said}"));
    mcp.cancel().await?;
    Ok(said)
}

fn text(result: &rmcp::model::CallToolResult) -> anyhow::Result<String> {
    match result.content.first().and_then(|content| content.as_text()) {
        Some(text) => Ok(text.text.clone()),
        None => bail!("the tool answered without text"),
    }
}
