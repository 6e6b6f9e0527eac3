//! An MCP server whose tool, prompt and resource exchange the caller's token, behind an authorization server that may
//! want a person's consent first.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use doorward_guard::client::{ACCESS_TOKEN_TYPE, ClientAuth, ClientError, ExchangeRequest};
use doorward_guard::rmcp::{ask_for_consent, open_request_state, subject_token};
use doorward_guard::{Document, Fetch, FetchFailure, FormRequest, FormResponse, Guard};
use doorward_jose::{Algorithm, SigningKey, sign};
use futures_util::future::BoxFuture;
use http::HeaderMap;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, GetPromptRequestParams,
    GetPromptResponse, GetPromptResult, InputRequiredResult, PromptMessage, ReadResourceRequestParams,
    ReadResourceResponse, ReadResourceResult, ResourceContents, Role,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde::Serialize;
use serde_json::{Value, json};

use crate::client::support::{ISSUER, clock};
use crate::support::RESOURCE;

/// Knows one key, and answers every exchange with what it was told last.
pub(super) struct AuthServer {
    key: SigningKey,
    exchange: Mutex<(u16, Value)>,
    pub(super) forms: Mutex<Vec<String>>,
}

impl AuthServer {
    pub(super) fn wants_consent() -> Arc<Self> {
        let refusal = json!({
            "error": "consent_required",
            "error_description": "Connect your mail",
            "service_id": "mail",
            "consent_url": "https://as.example/connect/mail",
        });
        Arc::new(Self {
            key: SigningKey::generate(Algorithm::Es256).unwrap(),
            exchange: Mutex::new((400, refusal)),
            forms: Mutex::default(),
        })
    }

    pub(super) fn has_consent(&self) {
        *self.exchange.lock().unwrap() = (
            200,
            json!({"access_token": "for-mail", "token_type": "Bearer", "issued_token_type": ACCESS_TOKEN_TYPE}),
        );
    }

    pub(super) fn token(&self, subject: &str) -> String {
        let claims = json!({
            "iss": ISSUER, "sub": subject, "aud": RESOURCE, "client_id": "app", "jti": subject,
            "iat": 1_800_000_000, "exp": 1_800_000_300,
        });
        sign(&self.key, "at+jwt", &claims).unwrap()
    }
}

impl Fetch for AuthServer {
    fn get_json<'a>(&'a self, url: &'a str, _: usize) -> BoxFuture<'a, Result<Document, FetchFailure>> {
        let body = if url.ends_with("/jwks") {
            json!({"keys": [self.key.public_jwk()]})
        } else {
            json!({
                "issuer": ISSUER,
                "jwks_uri": format!("{ISSUER}/jwks"),
                "token_endpoint": format!("{ISSUER}/token"),
            })
        };
        let document = Document::new(body.to_string());
        Box::pin(std::future::ready(Ok(document)))
    }

    fn post_form<'a>(
        &'a self,
        request: FormRequest<'a>,
    ) -> BoxFuture<'a, Result<FormResponse, FetchFailure>> {
        self.forms.lock().unwrap().push(request.body.to_owned());
        let (status, body) = self.exchange.lock().unwrap().clone();
        Box::pin(std::future::ready(Ok(FormResponse {
            status,
            headers: HeaderMap::new(),
            body: Bytes::from(body.to_string()),
        })))
    }
}

#[derive(Clone)]
struct Mail(Guard);

impl Mail {
    /// How the mailbox was read; or what the client is asked for first.
    async fn inbox(
        &self,
        context: &RequestContext<RoleServer>,
        method: &str,
        params: &impl Serialize,
        state: Option<&str>,
    ) -> Result<Result<String, InputRequiredResult>, ErrorData> {
        let client = self.0.client();
        if let Some(state) = state {
            let service = open_request_state(client, context, method, params, state)?;
            assert_eq!(service, b"mail");
        }
        let token = subject_token(context)?;
        assert!(!format!("{token:?}").contains('.'));
        let exchange = ExchangeRequest::for_caller(token).resource("https://mail.example");
        match client.exchange(&exchange).await {
            Ok(token) => {
                let headers = client
                    .headers_for(&token, "GET", "https://mail.example/inbox")
                    .unwrap();
                Ok(Ok(headers["authorization"].to_str().unwrap().to_owned()))
            }
            Err(ClientError::ConsentRequired(consent)) => {
                ask_for_consent(client, &consent, context, method, params).map(Err)
            }
            Err(error) => Err(ErrorData::internal_error(error.to_string(), None)),
        }
    }
}

impl ServerHandler for Mail {
    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let state = request.request_state.as_deref();
        Ok(match self.inbox(&context, "tools/call", &request, state).await? {
            Ok(text) => CallToolResult::success(vec![ContentBlock::text(text)]).into(),
            Err(asking) => asking.into(),
        })
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let state = request.request_state.as_deref();
        Ok(
            match self.inbox(&context, "prompts/get", &request, state).await? {
                Ok(text) => GetPromptResult::new(vec![PromptMessage::new_text(Role::User, text)]).into(),
                Err(asking) => asking.into(),
            },
        )
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let state = request.request_state.as_deref();
        Ok(
            match self.inbox(&context, "resources/read", &request, state).await? {
                Ok(text) => ReadResourceResult::new(vec![ResourceContents::text(text, &request.uri)]).into(),
                Err(asking) => asking.into(),
            },
        )
    }
}

pub(super) fn guarded(server: &Arc<AuthServer>, sessions: bool) -> Router {
    let guard = Guard::builder(ISSUER, RESOURCE)
        .client_auth(ClientAuth::basic("mcp-server", "secret"))
        .clock(Arc::new(clock()))
        .fetch(server.clone())
        .build()
        .unwrap();
    let mail = Mail(guard.clone());
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(sessions)
        .with_json_response(true)
        .with_allowed_hosts(["mcp.example", "127.0.0.1"]);
    let service = StreamableHttpService::new(
        move || Ok(mail.clone()),
        LocalSessionManager::default().into(),
        config,
    );
    guard.protect("/mcp", service)
}
