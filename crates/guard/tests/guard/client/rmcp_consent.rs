//! Row 57 with a real MCP server: a tool that exchanges the caller's token, and what the client is told when a person
//! has to agree first.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use doorward_guard::client::{ACCESS_TOKEN_TYPE, ClientAuth, ClientError, ExchangeRequest, SubjectToken};
use doorward_guard::rmcp::{ask_for_consent, open_request_state, subject_token};
use doorward_guard::{Document, Fetch, FetchFailure, FormRequest, FormResponse, Guard};
use doorward_jose::{Algorithm, SigningKey, sign};
use futures_util::future::BoxFuture;
use http::HeaderMap;
use rmcp::model::{CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::client::support::{ISSUER, clock};
use crate::support::{Answer, RESOURCE, answer};

/// Knows one key, and answers every exchange with what it was told last.
struct AuthServer {
    key: SigningKey,
    exchange: Mutex<(u16, Value)>,
    forms: Mutex<Vec<String>>,
}

impl AuthServer {
    fn wants_consent() -> Arc<Self> {
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

    fn has_consent(&self) {
        *self.exchange.lock().unwrap() = (
            200,
            json!({"access_token": "for-mail", "token_type": "Bearer", "issued_token_type": ACCESS_TOKEN_TYPE}),
        );
    }

    fn token(&self, subject: &str) -> String {
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
        let document = Document {
            body: Bytes::from(body.to_string()),
            fresh_for: None,
        };
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

impl ServerHandler for Mail {
    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let client = self.0.client();
        if let Some(state) = &request.request_state {
            let service = open_request_state(client, &context, "tools/call", &request, state)?;
            assert_eq!(service, b"mail");
        }
        let token = subject_token(&context)?;
        assert!(!format!("{token:?}").contains('.'));
        let exchange = ExchangeRequest::for_caller(token).resource("https://mail.example");
        match client.exchange(&exchange).await {
            Ok(token) => {
                let headers = client
                    .headers_for(&token, "GET", "https://mail.example/inbox")
                    .unwrap();
                let text = headers["authorization"].to_str().unwrap();
                Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
            }
            Err(ClientError::ConsentRequired(consent)) => {
                ask_for_consent(client, &consent, &context, "tools/call", &request).map(Into::into)
            }
            Err(error) => Err(ErrorData::internal_error(error.to_string(), None)),
        }
    }
}

fn guarded(server: &Arc<AuthServer>, sessions: bool) -> Router {
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
        .with_allowed_hosts(["mcp.example"]);
    let service = StreamableHttpService::new(
        move || Ok(mail.clone()),
        LocalSessionManager::default().into(),
        config,
    );
    guard.protect("/mcp", service)
}

async fn send(app: &Router, token: &str, headers: &[(&str, &str)], message: &Value) -> Answer {
    let mut request = http::Request::post("/mcp")
        .header("host", "mcp.example")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("authorization", format!("Bearer {token}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = Body::from(message.to_string());
    answer(app.clone().oneshot(request.body(body).unwrap()).await.unwrap()).await
}

/// The JSON-RPC message of an answer, whether it came as JSON or as an event.
fn message(answer: &Answer) -> Value {
    let event = answer.body.lines().filter_map(|line| line.strip_prefix("data:"));
    let text = event.map(str::trim).find(|text| text.starts_with('{'));
    serde_json::from_str(text.unwrap_or(&answer.body)).unwrap()
}

fn inbox() -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "inbox", "arguments": {"n": 1}}})
}

/// A session of the revision 2025-11-25 whose client declares these capabilities; what a call is answered.
async fn in_a_session(capabilities: Value) -> Value {
    let server = AuthServer::wants_consent();
    let app = guarded(&server, true);
    let alice = server.token("alice");
    let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": {"name": "t", "version": "1"},
    }});
    let begun = send(&app, &alice, &[], &initialize).await;
    let session = begun.header("mcp-session-id").to_owned();
    assert!(!session.is_empty(), "{}", begun.body);
    let headers = [
        ("mcp-session-id", session.as_str()),
        ("mcp-protocol-version", "2025-11-25"),
    ];
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    send(&app, &alice, &headers, &ready).await;
    message(&send(&app, &alice, &headers, &inbox()).await)
}

fn assert_is_32042(told: &Value) {
    assert_eq!(told["error"]["code"], -32042, "{told}");
    assert_eq!(
        told["error"]["message"],
        "doorward: token exchange: Connect your mail (mail)"
    );
    let elicitation = &told["error"]["data"]["elicitations"][0];
    assert_eq!(elicitation["mode"], "url");
    assert_eq!(elicitation["url"], "https://as.example/connect/mail");
    assert_eq!(elicitation["message"], "Connect your mail (mail)");
    assert_eq!(elicitation["elicitationId"].as_str().unwrap().len(), 36);
}

#[tokio::test]
async fn in_a_session_consent_is_the_error_32042() {
    assert_is_32042(&in_a_session(json!({"elicitation": {"url": {}}})).await);
}

#[tokio::test]
async fn a_client_that_cannot_open_pages_gets_a_plain_error() {
    for capabilities in [
        json!({}),
        json!({"elicitation": {}}),
        json!({"elicitation": {"form": {}}}),
    ] {
        let told = in_a_session(capabilities).await;
        assert_eq!(told["error"]["code"], -32600, "{told}");
        assert!(!told.to_string().contains("https://"));
    }
}

/// Without sessions nobody knows what the client declared in its handshake.
#[tokio::test]
async fn without_sessions_consent_is_the_error_32042() {
    let server = AuthServer::wants_consent();
    let app = guarded(&server, false);
    for version in ["2025-11-25", "2025-06-18"] {
        let headers = [("mcp-protocol-version", version)];
        let told = send(&app, &server.token("alice"), &headers, &inbox()).await;
        assert_is_32042(&message(&told));
    }
}

fn modern(capabilities: &Value) -> Value {
    let mut call = inbox();
    call["params"]["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    });
    call
}

const MODERN: [(&str, &str); 3] = [
    ("mcp-protocol-version", "2026-07-28"),
    ("mcp-method", "tools/call"),
    ("mcp-name", "inbox"),
];

#[tokio::test]
async fn from_2026_07_28_on_the_client_comes_back_with_the_request_state() {
    let server = AuthServer::wants_consent();
    let app = guarded(&server, false);
    let (alice, mallory) = (server.token("alice"), server.token("mallory"));
    let call = modern(&json!({"elicitation": {"url": {}}}));
    let told = message(&send(&app, &alice, &MODERN, &call).await);
    let result = &told["result"];
    assert_eq!(result["resultType"], "input_required", "{told}");
    let request = &result["inputRequests"]["consent"];
    assert_eq!(request["method"], "elicitation/create");
    assert_eq!(request["params"]["mode"], "url");
    assert_eq!(request["params"]["url"], "https://as.example/connect/mail");
    assert_eq!(request["params"]["message"], "Connect your mail (mail)");

    server.has_consent();
    let mut retry = call.clone();
    retry["id"] = json!(2);
    retry["params"]["requestState"] = result["requestState"].clone();
    retry["params"]["inputResponses"] = json!({"consent": {"action": "accept"}});
    let exchanges = || server.forms.lock().unwrap().len();
    let before = exchanges();
    let stolen = message(&send(&app, &mallory, &MODERN, &retry).await);
    assert_eq!(stolen["error"]["code"], -32602, "{stolen}");
    let mut other = retry.clone();
    other["params"]["arguments"]["n"] = json!(2);
    let moved = message(&send(&app, &alice, &MODERN, &other).await);
    assert_eq!(moved["error"]["code"], -32602, "{moved}");
    let mut forged = retry.clone();
    forged["params"]["requestState"] = json!("AAAA");
    let refused = message(&send(&app, &alice, &MODERN, &forged).await);
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
    assert_eq!(exchanges(), before, "nothing is exchanged for a bad state");

    let done = message(&send(&app, &alice, &MODERN, &retry).await);
    assert_eq!(done["result"]["content"][0]["text"], "Bearer for-mail", "{done}");
    let form = server.forms.lock().unwrap().last().unwrap().clone();
    let form: Vec<(String, String)> = url::form_urlencoded::parse(form.as_bytes())
        .into_owned()
        .collect();
    assert!(form.contains(&("subject_token".to_owned(), alice)));
    assert!(form.contains(&("resource".to_owned(), "https://mail.example".to_owned())));
}

#[tokio::test]
async fn from_2026_07_28_on_nothing_is_asked_that_was_not_declared() {
    let server = AuthServer::wants_consent();
    let app = guarded(&server, false);
    for capabilities in [json!({}), json!({"elicitation": {"form": {}}})] {
        let told = message(&send(&app, &server.token("alice"), &MODERN, &modern(&capabilities)).await);
        assert_eq!(told["error"]["code"], -32600, "{told}");
    }
}

/// Only a guard that can exchange it lets the token through, and only as something that cannot be read.
#[tokio::test]
async fn the_callers_token_is_there_for_exchanges_alone() {
    for can_exchange in [false, true] {
        let server = AuthServer::wants_consent();
        let builder = Guard::builder(ISSUER, RESOURCE)
            .clock(Arc::new(clock()))
            .fetch(server.clone());
        let guard = if can_exchange {
            builder.client_auth(ClientAuth::basic("mcp-server", "secret"))
        } else {
            builder
        };
        let seen = axum::routing::any(async |request: axum::extract::Request| {
            assert!(!request.headers().contains_key("authorization"));
            let token = request.extensions().get::<SubjectToken>();
            token.map_or_else(|| "none".to_owned(), |token| format!("{token:?}"))
        });
        let app = guard.build().unwrap().protect("/mcp", seen);
        let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
        let told = send(&app, &server.token("alice"), &[], &ping).await;
        assert_eq!(
            told.body,
            if can_exchange {
                "SubjectToken(redacted)"
            } else {
                "none"
            }
        );
    }
}
