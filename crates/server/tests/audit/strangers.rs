//! What strangers are refused: nothing is told of who names whatever comes to mind, and once a minute that somebody tries to
//! be a client or an operator that is there.

use doorward_store::ClientSource;
use http::StatusCode;
use serde_json::{Value, json};

use crate::support::log::Log;
use crate::support::{ADMIN_KEY, Browser, REDIRECT, TestApp};
use crate::told::{admin, done, told, words};

const WRONG: &str = "dwsec_wrong-wrong-wrong-wrong-wrong";

async fn try_as(app: &TestApp, path: &str, client_id: &str) {
    let form = [("client_id", client_id), ("client_secret", WRONG), ("token", "x")];
    let reply = app.browser().post_pairs(path, &[], &form).await;
    assert_eq!(reply.json()["error"], "invalid_client", "{reply:?}");
}

#[tokio::test]
async fn who_tries_secrets_of_a_client_that_an_operator_made_is_told_once_a_minute() {
    let app = TestApp::with_admin_key().await;
    let body = json!({"client_name": "M", "grant_types": ["client_credentials"], "scope": "mcp:read"});
    let machine = done(&admin(&app, "POST", "/admin/clients", body).await);
    let client_id = machine["client_id"].as_str().unwrap();
    for _ in 0..5 {
        for path in ["/oauth/token", "/oauth/introspect", "/oauth/revoke", "/oauth/par"] {
            try_as(&app, path, client_id).await;
        }
    }
    let lines = told(&app, "&outcome=refused").await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line = &lines[0];
    assert_eq!(line["action"], "request.refused");
    assert_eq!(line["reason"], "invalid_client");
    assert_eq!(line["target"], "POST /oauth/token");
    assert_eq!(
        (&line["actor"], &line["client_id"]),
        (&json!("anyone"), &json!(client_id))
    );
    assert!(
        line["address"].is_string() && line["request_id"].is_string(),
        "{line}"
    );
    assert_eq!(
        told(&app, &format!("&outcome=refused&client_id={client_id}")).await,
        lines
    );
    app.wait(60);
    try_as(&app, "/oauth/token", client_id).await;
    assert_eq!(told(&app, "&outcome=refused").await.len(), 2);
}

/// Who has tried so much that the next answer is 429 goes on trying.
#[tokio::test]
async fn who_tries_secrets_more_often_than_an_address_may_is_told_all_the_same() {
    let app = TestApp::with(|settings| {
        settings.admin.bootstrap_key = Some(ADMIN_KEY.into());
        settings.rate_limit.self_registered = "2/1h".parse().unwrap();
    })
    .await;
    let body = json!({"client_name": "M", "grant_types": ["client_credentials"], "scope": "mcp:read"});
    let machine = done(&admin(&app, "POST", "/admin/clients", body).await);
    for _ in 0..2 {
        try_as(&app, "/oauth/introspect", "dwc_unknown").await;
    }
    assert_eq!(told(&app, "&outcome=refused").await, Vec::<Value>::new());
    let log = Log::start();
    let form = [
        ("client_id", machine["client_id"].as_str().unwrap()),
        ("client_secret", WRONG),
        ("token", "x"),
    ];
    let reply = app.browser().post_pairs("/oauth/introspect", &[], &form).await;
    assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS, "{reply:?}");
    let internal = log.request()["internal"].as_str().unwrap().to_owned();
    assert!(
        internal.starts_with("more than rate_limit.self_registered allows; "),
        "{internal}"
    );
    assert!(internal.ends_with("a wrong secret"), "{internal}");
    let lines = told(&app, "&outcome=refused").await;
    assert_eq!(words(&lines, "target"), ["POST /oauth/introspect"], "{lines:?}");
    assert_eq!(lines[0]["client_id"], machine["client_id"]);
}

#[tokio::test]
async fn who_names_a_client_that_no_operator_made_costs_no_row() {
    let app = TestApp::with_admin_key().await;
    let own = app.add_client(ClientSource::Dynamic, &[REDIRECT]).await;
    for number in 0..50 {
        try_as(&app, "/oauth/token", &format!("dwc_{number}")).await;
        try_as(&app, "/oauth/introspect", &own).await;
    }
    assert_eq!(told(&app, "&outcome=refused").await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_wrong_admin_key_is_told_once_a_minute_and_none_is_not() {
    let app = TestApp::with_admin_key().await;
    let stranger = Browser::new(app.admin.clone());
    let ask = async |headers: &[(&str, &str)]| {
        let reply = stranger.get_with("/admin/clients", headers).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{reply:?}");
        assert!(!reply.body.contains("wrong admin key"), "{reply:?}");
    };
    ask(&[]).await;
    assert_eq!(told(&app, "&outcome=refused").await, Vec::<Value>::new());
    for number in 0..5 {
        ask(&[("authorization", &format!("Bearer dwk_wrong-{number}"))]).await;
    }
    let lines = told(&app, "&outcome=refused").await;
    assert_eq!(words(&lines, "target"), ["GET /admin/clients"], "{lines:?}");
    assert_eq!(
        (&lines[0]["actor"], &lines[0]["reason"]),
        (&json!("anyone"), &json!("invalid_token"))
    );
    assert!(!Value::from(lines).to_string().contains("dwk_wrong"));
}
