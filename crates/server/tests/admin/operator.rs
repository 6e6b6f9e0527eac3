//! An operator.

use http::StatusCode;
use serde_json::Value;

use crate::support::{Browser, Reply, TestApp};

pub(crate) struct Operator {
    pub(crate) app: TestApp,
    pub(crate) admin: Browser,
}

impl Operator {
    pub(crate) async fn call(&self, method: &str, path: &str, body: Value) -> Reply {
        self.admin.administer(method, path, &body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let reply = self.call("GET", path, Value::Null).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        reply.json()
    }

    pub(crate) async fn create(&self, path: &str, body: Value) -> Value {
        let reply = self.call("POST", path, body).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
        reply.json()
    }
}

pub(crate) async fn operator() -> Operator {
    let app = TestApp::with_admin_key().await;
    Operator {
        admin: Browser::new(app.admin.clone()),
        app,
    }
}

#[track_caller]
pub(crate) fn assert_refused(reply: &Reply, status: StatusCode, error: &str) {
    assert_eq!(reply.status, status, "{reply:?}");
    let body = reply.json();
    assert_eq!(body["error"], error, "{body}");
    assert!(body["error_description"].as_str().unwrap().len() > 15, "{body}");
    assert!(!body["error_id"].as_str().unwrap().is_empty(), "{body}");
    assert_eq!(reply.header("cache-control"), "no-store");
}
