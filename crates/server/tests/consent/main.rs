//! `/consent`: what is shown, what counts, what is remembered.

#![cfg(test)]

mod decisions;
mod page;
mod redirects;
mod remembered;
#[path = "../support/mod.rs"]
mod support;

use doorward_store::ClientSource::Dynamic;
use http::StatusCode;
use support::{Authorization, Browser, Form, REDIRECT, Reply, TestApp};

const ALLOW: Option<(&str, &str)> = Some(("decision", "allow"));
const DENY: Option<(&str, &str)> = Some(("decision", "deny"));

struct Scene {
    app: TestApp,
    browser: Browser,
    client_id: String,
    request: Authorization,
}

/// Somebody is signed in, and a client may ask.
async fn scene() -> Scene {
    let app = TestApp::new().await;
    let client_id = app
        .add_client(Dynamic, &[REDIRECT, "http://127.0.0.1/cb", "http://localhost/cb"])
        .await;
    let browser = app.signed_in().await;
    let request = Authorization::new(&client_id, REDIRECT).set("scope", "mcp:read mcp:write");
    Scene {
        app,
        browser,
        client_id,
        request,
    }
}

impl Scene {
    async fn page(&self) -> Reply {
        let page = self.browser.open(&self.request.path()).await;
        assert_eq!(page.status, StatusCode::OK, "{page:?}");
        page
    }

    async fn form(&self) -> Form {
        self.page().await.form("/consent")
    }

    async fn grants(&self) -> usize {
        self.app.grants().await.len()
    }

    /// Whether a request goes straight through.
    async fn passes(&self, request: &Authorization) -> bool {
        let reply = self.browser.open(&request.path()).await;
        match reply.status {
            StatusCode::SEE_OTHER => reply.param("code").is_some(),
            _ => false,
        }
    }
}
