//! Row 57 with real clients of rmcp, over HTTP: they open the page, and come back by themselves.

use std::sync::{Arc, Mutex};

use rmcp::model::{
    CallToolRequestParams, ClientCapabilities, ClientConfig, ElicitRequestParams, ElicitResult,
    ElicitationAction, ElicitationCapability, GetPromptRequestParams, Implementation, ProtocolVersion,
    ReadResourceRequestParams, UrlElicitationCapability,
};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt, RequestContext, RunningService, ServiceError};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientHandler, ErrorData, RoleClient};

use crate::client::rmcp_mail::{AuthServer, guarded};

/// Opens every page, and does there what the test says.
#[derive(Clone)]
struct Person {
    server: Arc<AuthServer>,
    action: ElicitationAction,
    opened: Arc<Mutex<Vec<String>>>,
}

impl ClientHandler for Person {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        capabilities.elicitation =
            Some(ElicitationCapability::new().with_url(UrlElicitationCapability::new()));
        ClientConfig::new(capabilities, Implementation::new("test", "1"))
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let ElicitRequestParams::UrlElicitationParams { url, message, .. } = request else {
            return Err(ErrorData::invalid_params("a form", None));
        };
        assert_eq!(message, "Connect your mail (mail)");
        self.opened.lock().unwrap().push(url);
        if self.action == ElicitationAction::Accept {
            self.server.has_consent();
        }
        Ok(ElicitResult::new(self.action.clone()))
    }
}

type Client = RunningService<RoleClient, Person>;

/// A client of somebody who wants to read mail that nobody has consented to.
async fn client(action: ElicitationAction, lifecycle: ClientLifecycleMode) -> Client {
    // rmcp's HTTP client wants one in any case. Another test may have been first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let server = AuthServer::wants_consent();
    let app = guarded(&server, lifecycle == ClientLifecycleMode::Initialize);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/mcp", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let config = StreamableHttpClientTransportConfig::with_uri(uri).auth_header(server.token("alice"));
    let person = Person {
        server,
        action,
        opened: Arc::default(),
    };
    let transport = StreamableHttpClientTransport::from_config(config);
    person.serve_with_lifecycle(transport, lifecycle).await.unwrap()
}

fn modern() -> ClientLifecycleMode {
    ClientLifecycleMode::Discover {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
    }
}

/// What the client's own way of asking comes to, as text.
async fn ask(client: &Client, method: &str) -> Result<String, ServiceError> {
    Ok(match method {
        "tools/call" => {
            let answer = client.call_tool(CallToolRequestParams::new("inbox")).await?;
            format!("{answer:?}")
        }
        "prompts/get" => {
            let answer = client.get_prompt(GetPromptRequestParams::new("inbox")).await?;
            format!("{answer:?}")
        }
        _ => {
            let params = ReadResourceRequestParams::new("mail://inbox");
            format!("{:?}", client.read_resource(params).await?)
        }
    })
}

const METHODS: [&str; 3] = ["tools/call", "prompts/get", "resources/read"];

#[tokio::test]
async fn from_2026_07_28_on_a_client_of_rmcp_opens_the_page_and_comes_back() {
    for method in METHODS {
        let client = client(ElicitationAction::Accept, modern()).await;
        let told = ask(&client, method).await.unwrap();
        assert!(told.contains("Bearer for-mail"), "{told}");
        let opened = client.service().opened.lock().unwrap().clone();
        assert_eq!(opened, ["https://as.example/connect/mail"]);
    }
}

#[tokio::test]
async fn a_client_of_rmcp_whose_person_declines_is_not_asked_again() {
    for method in METHODS {
        let client = client(ElicitationAction::Decline, modern()).await;
        let refused = ask(&client, method).await.unwrap_err();
        let ServiceError::McpError(error) = &refused else {
            panic!("{refused:?}")
        };
        assert_eq!(error.code.0, -32600, "{error:?}");
        assert_eq!(client.service().opened.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn in_a_session_a_client_of_rmcp_gets_the_error_32042() {
    for method in METHODS {
        let client = client(ElicitationAction::Accept, ClientLifecycleMode::Initialize).await;
        let refused = ask(&client, method).await.unwrap_err();
        let ServiceError::McpError(error) = &refused else {
            panic!("{refused:?}")
        };
        assert_eq!(error.code.0, -32042, "{error:?}");
        let page = &error.data.as_ref().unwrap()["elicitations"][0];
        assert_eq!(page["url"], "https://as.example/connect/mail");
    }
}
