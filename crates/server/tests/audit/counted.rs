//! What is refused and has no line of its own is counted, and a minute's counts are written together: no refusal is without
//! a line, and nobody makes as many lines as they send requests.

use std::collections::BTreeMap;
use std::slice::from_ref;
use std::sync::Arc;

use doorward_server::AuthorizationServer;
use doorward_server::context::Parts;
use doorward_server::random::OsRandom;
use doorward_store::{AuditAction, AuditEntry, AuditFilter, ClientSource, PageRequest};
use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{ADMIN_KEY, Authorization, Browser, REDIRECT, RESOURCE, TestApp};
use crate::told::{admin, done, told};

/// A minute passes. The lines of what was counted: who, where, why, the status, and how often.
async fn counted(app: &TestApp) -> Vec<Value> {
    app.wait(60);
    app.context.audit.settled().await;
    app.context.audit.write_counts().await.unwrap();
    let lines = told(app, "&action=refusals.counted").await;
    let mut counted: Vec<Value> = lines.iter().map(brief).collect();
    counted.sort_by_key(Value::to_string);
    counted
}

fn brief(line: &Value) -> Value {
    assert_eq!(line["outcome"], "refused", "{line}");
    for member in ["actor_id", "client_id", "subject", "request_id", "address"] {
        assert_eq!(line[member], Value::Null, "{line}");
    }
    let detail = &line["detail"];
    json!([
        line["actor"],
        line["target"],
        line["reason"],
        detail["status"],
        detail["count"]
    ])
}

async fn ask(app: &TestApp, client_id: &str, secret: &str) -> StatusCode {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", client_id),
        ("client_secret", secret),
        ("scope", "mcp:nothing"),
    ];
    app.browser().post_pairs("/oauth/token", &[], &form).await.status
}

#[tokio::test]
async fn what_strangers_are_refused_is_one_line_a_minute_with_how_often_and_when() {
    let app = TestApp::with_admin_key().await;
    for number in 0..3 {
        app.wait(7);
        let status = ask(&app, &format!("dwc_{number}"), "s").await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(told(&app, "&outcome=refused").await, Vec::<Value>::new());
    let line = json!(["anyone", "/oauth/token", "invalid_client", 401, 3]);
    assert_eq!(counted(&app).await, from_ref(&line));
    let lines = told(&app, "&outcome=refused&actor=anyone").await;
    let detail = &lines[0]["detail"];
    let span = detail["last_at"].as_i64().unwrap() - detail["first_at"].as_i64().unwrap();
    assert_eq!(span, 14, "{detail}");
    assert!(lines[0]["at"].as_i64() >= detail["last_at"].as_i64());
    // The next minute has a line of its own, and only when something was refused.
    assert_eq!(counted(&app).await, from_ref(&line));
    ask(&app, "dwc_4", "s").await;
    let next = json!(["anyone", "/oauth/token", "invalid_client", 401, 1]);
    assert_eq!(counted(&app).await, [next, line]);
}

#[tokio::test]
async fn where_nothing_is_refused_nothing_is_written() {
    let app = TestApp::with_admin_key().await;
    app.signed_in().await;
    for path in ["/.well-known/oauth-authorization-server", "/login", "/livez"] {
        let reply = app.browser().get(path).await;
        assert!(reply.status.is_success(), "{path} {reply:?}");
    }
    assert_eq!(counted(&app).await, Vec::<Value>::new());
}

#[tokio::test]
async fn who_comes_too_often_is_counted() {
    let app = TestApp::with(|settings| {
        settings.admin.bootstrap_key = Some(ADMIN_KEY.into());
        settings.rate_limit.token_address = "2/1h".parse().unwrap();
    })
    .await;
    for number in 0..5 {
        ask(&app, &format!("dwc_{number}"), "s").await;
    }
    let expected = [
        json!(["anyone", "/oauth/token", "invalid_client", 401, 2]),
        json!(["anyone", "/oauth/token", "temporarily_unavailable", 429, 3]),
    ];
    assert_eq!(counted(&app).await, expected);
}

/// The client of an operator has its own line, and what is not written again within the minute is counted as a client's.
#[tokio::test]
async fn what_has_a_line_of_its_own_is_not_counted_as_well() {
    let app = TestApp::with_admin_key().await;
    let own = app.add_client(ClientSource::Dynamic, &[REDIRECT]).await;
    let body = json!({"client_name": "M", "grant_types": ["client_credentials"], "scope": "mcp:read"});
    let machine = done(&admin(&app, "POST", "/admin/clients", body).await);
    let text = |member: &str| machine[member].as_str().unwrap();
    let (client_id, secret) = (text("client_id"), text("client_secret"));
    ask(&app, client_id, secret).await;
    ask(&app, client_id, "dwsec_wrong").await;
    assert_eq!(counted(&app).await, Vec::<Value>::new());
    assert_eq!(told(&app, "&action=request.refused").await.len(), 2);
    for _ in 0..3 {
        ask(&app, client_id, secret).await;
        ask(&app, client_id, "dwsec_wrong").await;
        ask(&app, &own, "s").await;
    }
    let counts = counted(&app).await;
    let all: i64 = counts.iter().map(|line| line[4].as_i64().unwrap()).sum();
    let lines = told(&app, "&action=request.refused").await;
    assert_eq!((lines.len(), all), (4, 2 + 2 + 3), "{counts:?}");
    assert!(
        counts.contains(&json!(["client", "/oauth/token", "invalid_scope", 400, 2])),
        "{counts:?}"
    );
}

#[tokio::test]
async fn attempts_to_sign_in_are_counted_where_no_account_is_and_where_one_is_throttled() {
    let app = TestApp::with_admin_key().await;
    for _ in 0..2 {
        app.browser().sign_in("/login", "nobody@example.com", "x").await;
    }
    let expected = [json!(["anyone", "/login", "unknown_account", null, 2])];
    assert_eq!(counted(&app).await, expected);
    let attempts = 30;
    for _ in 0..attempts {
        app.browser().sign_in("/login", &app.user.email, "x").await;
    }
    let lines = told(&app, "&action=login.refused").await.len();
    let counts = counted(&app).await;
    let throttled = counts.iter().find(|line| line[2] == "throttled");
    let throttled = throttled.map_or(0, |line| line[4].as_u64().unwrap());
    assert!(throttled > 0, "{counts:?}");
    assert_eq!(lines + usize::try_from(throttled).unwrap(), attempts);
}

/// What goes back to the client by a redirect looks like a success.
#[tokio::test]
async fn what_an_application_made_a_browser_ask_is_counted() {
    let app = TestApp::with_admin_key().await;
    let browser = app.signed_in().await;
    let client = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let request = Authorization::new(&client, REDIRECT).set("response_type", "token");
    let reply = browser.get(&request.path()).await;
    reply.assert_error_redirect(REDIRECT, "unsupported_response_type", Some("xyz"));
    let own = app.add_client(ClientSource::Dynamic, &[REDIRECT]).await;
    let reply = browser.get(&request.set("client_id", &own).path()).await;
    reply.assert_error_page();
    let line = |status| {
        json!([
            "anyone",
            "/oauth/authorize",
            "unsupported_response_type",
            status,
            1
        ])
    };
    assert_eq!(counted(&app).await, [line(Some(400)), line(None)]);
}

#[tokio::test]
async fn nothing_that_a_caller_wrote_is_in_a_line_of_counts() {
    let app = TestApp::with_admin_key().await;
    let (public, operators) = (app.browser(), Browser::new(app.admin.clone()));
    for number in 0..40 {
        public.get(&format!("/made-up-{number}")).await;
        public
            .send(&format!("MADEUP{number}"), "/made-up", &[], String::new())
            .await;
        operators.get(&format!("/admin/clients/made-up-{number}")).await;
    }
    let expected = [
        json!(["anyone", "/admin/clients/{client_id}", "invalid_token", 401, 40]),
        json!(["anyone", "unmatched", "unknown_endpoint", 404, 80]),
    ];
    assert_eq!(counted(&app).await, expected);
    let lines = Value::from(told(&app, "&action=refusals.counted").await).to_string();
    assert!(!lines.to_ascii_lowercase().contains("made"), "{lines}");
}

#[tokio::test]
async fn what_is_refused_before_its_route_has_a_say_is_one_kind() {
    let app = TestApp::with_admin_key().await;
    let document = done(&admin(&app, "GET", "/admin/openapi.json", Value::Null).await);
    let paths = document["paths"].as_object().unwrap().keys();
    let mut routes: Vec<_> = paths
        .map(|path| (app.admin.clone(), path.replace(['{', '}'], "")))
        .collect();
    for path in [
        "/oauth/token",
        "/oauth/par",
        "/oauth/revoke",
        "/oauth/introspect",
        "/oauth/register",
    ] {
        routes.push((app.public.clone(), path.to_owned()));
    }
    let too_large = "x".repeat(300 * 1024);
    let mut asked = BTreeMap::<u16, u64>::new();
    for (router, path) in routes {
        for body in ["", &too_large] {
            let reply = Browser::new(router.clone())
                .send("POST", &path, &[], body.to_owned())
                .await;
            *asked.entry(reply.status.as_u16()).or_default() += 1;
        }
    }
    let counts = counted(&app).await;
    for (status, number) in asked {
        let lines: Vec<_> = counts.iter().filter(|line| line[3] == status).collect();
        let all: u64 = lines.iter().map(|line| line[4].as_u64().unwrap()).sum();
        assert_eq!(all, number, "{status} {lines:?}");
        if [405, 413].contains(&status) {
            assert!(number > 5, "{status}");
            let [line] = lines[..] else {
                panic!("{lines:?}");
            };
            assert_eq!(line[1], "any");
        }
    }
}

/// What a device asks while nobody has answered is answered "not yet".
#[tokio::test]
async fn a_device_that_waits_is_not_refused() {
    const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
    let app = TestApp::with_admin_key().await;
    app.add_client_with("tv", ClientSource::Admin, json!({"grant_types": [GRANT]}))
        .await;
    let form = [("client_id", "tv"), ("resource", RESOURCE)];
    let device = app
        .browser()
        .post_pairs("/oauth/device_authorization", &[], &form)
        .await
        .json();
    let code = device["device_code"].as_str().unwrap();
    let form = [("grant_type", GRANT), ("client_id", "tv"), ("device_code", code)];
    for not_yet in ["authorization_pending", "slow_down"] {
        let reply = app.browser().post_pairs("/oauth/token", &[], &form).await;
        reply.assert_error(not_yet);
    }
    assert_eq!(counted(&app).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_server_that_stops_writes_what_it_counted() {
    let app = TestApp::with_admin_key().await;
    ask(&app, "dwc_unknown", "s").await;
    app.server.close().await.unwrap();
    let parts = Parts {
        clock: Arc::new(app.clock.clone()),
        random: Arc::new(OsRandom::default()),
    };
    let settings = app.context.settings.clone();
    let again = AuthorizationServer::open(settings, parts).await.unwrap();
    let filter = AuditFilter {
        action: Some(AuditAction::RefusalsCounted),
        ..AuditFilter::default()
    };
    let store = &again.context().store;
    let page = store.audit_entries(filter, PageRequest::default()).await.unwrap();
    let [AuditEntry::Event(line)] = &page.items[..] else {
        panic!("{page:?}");
    };
    assert_eq!(
        (line.target.as_deref(), &line.detail["count"]),
        (Some("/oauth/token"), &json!(1))
    );
}
