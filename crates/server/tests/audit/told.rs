//! Reading the list.

use serde_json::Value;

use crate::support::{Reply, TestApp};

/// Calls the operators' API a second after the call before, so that the order of the list is the order of the calls.
pub(crate) async fn admin(app: &TestApp, method: &str, path: &str, body: Value) -> Reply {
    app.wait(1);
    app.administer(method, path, &body).await
}

#[track_caller]
pub(crate) fn done(reply: &Reply) -> Value {
    assert!(reply.status.is_success(), "{reply:?}");
    if reply.body.is_empty() {
        Value::Null
    } else {
        reply.json()
    }
}

/// The lines that match, oldest first, but for those of the server itself.
pub(crate) async fn told(app: &TestApp, query: &str) -> Vec<Value> {
    app.context.audit.settled().await;
    let reply = admin(app, "GET", &format!("/admin/audit?limit=200{query}"), Value::Null).await;
    let list = done(&reply);
    let items = list["items"].as_array().unwrap().iter().rev();
    items.filter(|line| line["actor"] != "system").cloned().collect()
}

pub(crate) fn words(lines: &[Value], member: &str) -> Vec<String> {
    let word = |line: &Value| line[member].as_str().unwrap_or("-").to_owned();
    lines.iter().map(word).collect()
}
