//! What people and clients do, and what they are refused: strangers cost no row, and nobody many.

use doorward_store::ClientSource;
use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{ADMIN_KEY, Authorization, Browser, EMAIL, PASSWORD, REDIRECT, RESOURCE, TestApp};
use crate::told::{admin, done, told, words};

/// From signing in to the end of the grant.
#[tokio::test]
async fn what_people_and_clients_do_is_told() {
    let app = TestApp::with_admin_key().await;
    let client_id = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let browser = app.browser();
    browser.sign_in("/login", EMAIL, "not the password at all").await;
    browser.sign_in("/login", "nobody@example.com", PASSWORD).await;
    app.context.audit.settled().await;
    app.wait(1);
    browser.sign_in("/login", EMAIL, PASSWORD).await;
    app.wait(1);
    let request = Authorization::new(&client_id, REDIRECT);
    let page = browser.open(&request.path()).await;
    browser
        .submit(&page.form("/consent"), Some(("decision", "deny")))
        .await;
    app.context.audit.settled().await;
    app.wait(1);
    let reply = app.approve(&browser, &request).await;
    app.wait(1);
    let tokens = done(&app.redeem(&client_id, &reply).await);
    app.wait(1);
    let refresh = [
        ("grant_type", "refresh_token"),
        ("client_id", &*client_id),
        ("refresh_token", tokens["refresh_token"].as_str().unwrap()),
    ];
    done(&app.token(&refresh).await);
    app.wait(1);
    let replayed = app.redeem(&client_id, &reply).await;
    replayed.assert_error("invalid_grant");
    // The second time nothing is left to end.
    app.redeem(&client_id, &reply).await.assert_error("invalid_grant");
    app.wait(1);
    let form = browser.get("/logout").await.form("/logout");
    browser.submit(&form, None).await;

    let lines = told(&app, "").await;
    let expected = [
        ("login.refused", "refused", "wrong_password", "anyone"),
        ("session.started", "done", "-", "person"),
        ("consent.refused", "refused", "access_denied", "person"),
        ("grant.approved", "done", "-", "person"),
        ("token.issued", "done", "-", "client"),
        ("token.issued", "done", "-", "client"),
        ("code.replayed", "refused", "used_before", "public_client"),
        ("session.ended", "done", "-", "person"),
    ];
    let members = ["action", "outcome", "reason", "actor"].map(|member| words(&lines, member));
    let got: Vec<_> = (0..lines.len())
        .map(|line| {
            (
                &*members[0][line],
                &*members[1][line],
                &*members[2][line],
                &*members[3][line],
            )
        })
        .collect();
    assert_eq!(got, expected);
    let subject = app.user.id.0.to_string();
    for line in &lines[..6] {
        assert_eq!(line["subject"], subject.as_str(), "{line}");
    }
    let grant = lines[3]["grant"].as_str().unwrap();
    assert_eq!(told(&app, &format!("&grant={grant}")).await, lines[3..7]);
    assert_eq!(told(&app, "&outcome=refused&actor=person").await, lines[2..3]);
    assert_eq!(told(&app, "&action=token.issued").await, lines[4..6]);
    let token = format!("/admin/audit/{}", lines[4]["id"].as_str().unwrap());
    let token = done(&admin(&app, "GET", &token, Value::Null).await);
    assert_eq!(token["action"], "token.issued");
    assert!(token["detail"]["revoked_at"].is_null());
}

/// Refusals of clients that prove who they are, and that somebody failed to be one that an operator made.
#[tokio::test]
async fn what_proven_clients_are_refused_is_told_and_nothing_of_others() {
    let app = TestApp::with_admin_key().await;
    let body = json!({"client_name": "M", "grant_types": ["client_credentials"], "scope": "mcp:read"});
    let machine = done(&admin(&app, "POST", "/admin/clients", body).await);
    let text = |member: &str| machine[member].as_str().unwrap().to_owned();
    let (client_id, secret) = (text("client_id"), text("client_secret"));
    let ask = async |secret: &str, scope: &str| {
        app.wait(1);
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &*client_id),
            ("client_secret", secret),
            ("resource", RESOURCE),
            ("scope", scope),
        ];
        app.token(&form).await
    };
    done(&ask(&secret, "mcp:read").await);
    let above = ask(&secret, "mcp:write").await;
    above.assert_error("invalid_scope");
    let error_id = above.json()["error_id"].as_str().unwrap().to_owned();
    let wrong = ask("wrong", "mcp:read").await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED, "{wrong:?}");
    let public = app.add_client(ClientSource::Dynamic, &[REDIRECT]).await;
    let guess = [
        ("grant_type", "authorization_code"),
        ("client_id", &*public),
        ("code", "dwa_x"),
        ("code_verifier", "x"),
    ];
    app.token(&guess).await.assert_error("invalid_grant");
    let lines = told(&app, "").await;
    assert_eq!(
        words(&lines, "action"),
        [
            "client.created",
            "token.issued",
            "request.refused",
            "request.refused"
        ]
    );
    assert_eq!(
        (&lines[3]["actor"], &lines[3]["reason"]),
        (&json!("anyone"), &json!("invalid_client"))
    );
    let refused = &lines[2];
    assert_eq!(refused["reason"], "invalid_scope");
    assert_eq!(refused["target"], "POST /oauth/token");
    assert_eq!(
        (&refused["actor"], &refused["actor_id"]),
        (&json!("client"), &json!(client_id))
    );
    assert_eq!(refused["request_id"], error_id.as_str());
}

/// A client that an operator made, with a secret: its name and its secret.
async fn machine(app: &TestApp) -> [(&'static str, String); 2] {
    let body = json!({"client_name": "M", "grant_types": ["client_credentials"], "scope": "mcp:read"});
    credentials(&done(&admin(app, "POST", "/admin/clients", body).await))
}

fn credentials(client: &Value) -> [(&'static str, String); 2] {
    ["client_id", "client_secret"].map(|member| (member, client[member].as_str().unwrap().to_owned()))
}

/// Posts what the endpoint refuses, and gives the answer's status.
async fn refused(app: &TestApp, path: &str, client: &[(&str, String)], more: &[(&str, &str)]) -> StatusCode {
    let mut form: Vec<(&str, &str)> = client.iter().map(|(name, value)| (*name, &**value)).collect();
    form.extend(more);
    app.browser().post_pairs(path, &[], &form).await.status
}

/// Everybody can have a secret who asks for one: a client that let itself in is a stranger to the list.
#[tokio::test]
async fn a_client_that_registered_itself_costs_no_row_however_it_is_refused() {
    let app = TestApp::with_admin_key().await;
    let metadata = json!({"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "client_secret_post"});
    let headers = [("content-type", "application/json")];
    let client = app
        .browser()
        .send("POST", "/oauth/register", &headers, metadata.to_string())
        .await;
    let client = done(&client);
    let own = credentials(&client);
    for _ in 0..5 {
        for path in ["/oauth/revoke", "/oauth/introspect", "/oauth/token", "/oauth/par"] {
            assert_eq!(
                refused(&app, path, &own, &[]).await,
                StatusCode::BAD_REQUEST,
                "{path}"
            );
        }
        let device = refused(&app, "/oauth/device_authorization", &own, &[]).await;
        assert_eq!(device, StatusCode::BAD_REQUEST);
    }
    // Its registration: read, and refused.
    let path = format!("/oauth/register/{}", own[0].1);
    let bearer = format!("Bearer {}", client["registration_access_token"].as_str().unwrap());
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    for (method, text, status) in [
        ("GET", "", StatusCode::OK),
        ("GET", "", StatusCode::OK),
        ("PUT", r#"{"redirect_uris":[]}"#, StatusCode::BAD_REQUEST),
    ] {
        let reply = app.browser().send(method, &path, &headers, text.to_owned()).await;
        assert_eq!(reply.status, status, "{reply:?}");
    }
    assert_eq!(words(&told(&app, "").await, "action"), ["client.registered"]);
}

/// A client in a loop costs a row a minute for each thing that it does wrong.
#[tokio::test]
async fn the_same_refusal_of_a_client_is_told_once_a_minute() {
    let app = TestApp::with_admin_key().await;
    let (one, other) = (machine(&app).await, machine(&app).await);
    for _ in 0..20 {
        refused(&app, "/oauth/revoke", &one, &[]).await;
        refused(&app, "/oauth/introspect", &one, &[]).await;
        refused(&app, "/oauth/token", &one, &[]).await;
        refused(&app, "/oauth/token", &one, &[("grant_type", "moon")]).await;
        refused(&app, "/oauth/revoke", &other, &[]).await;
    }
    let lines = told(&app, "&action=request.refused").await;
    let mut targets: Vec<(String, String)> = words(&lines, "target")
        .into_iter()
        .zip(words(&lines, "reason"))
        .collect();
    targets.sort();
    let expected = [
        ("POST /oauth/introspect", "invalid_request"),
        ("POST /oauth/revoke", "invalid_request"),
        ("POST /oauth/revoke", "invalid_request"),
        ("POST /oauth/token", "invalid_request"),
        ("POST /oauth/token", "unsupported_grant_type"),
    ];
    assert_eq!(targets, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    app.wait(60);
    refused(&app, "/oauth/revoke", &one, &[]).await;
    assert_eq!(told(&app, "&action=request.refused").await.len(), 6);
}

/// Who is told to come later can come at once again: that is counted, and no row.
#[tokio::test]
async fn who_comes_too_often_costs_no_row() {
    let app = TestApp::with(|settings| {
        settings.admin.bootstrap_key = Some(ADMIN_KEY.into());
        settings.rate_limit.token_client = "1/1h".parse().unwrap();
    })
    .await;
    let one = machine(&app).await;
    let form = [("grant_type", "client_credentials"), ("resource", RESOURCE)];
    assert_eq!(refused(&app, "/oauth/token", &one, &form).await, StatusCode::OK);
    for _ in 0..3 {
        let status = refused(&app, "/oauth/token", &one, &form).await;
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    }
    assert_eq!(told(&app, "&outcome=refused").await, Vec::<Value>::new());
}

/// A caller's `X-Request-Id` could be that of somebody else's request.
#[tokio::test]
async fn no_caller_chooses_the_id_that_a_line_has() {
    let app = TestApp::with_admin_key().await;
    let bearer = format!("Bearer {ADMIN_KEY}");
    let chosen = "0f5d1c9e-7b1a-4f7e-9a55-0c2f6a1e9b11";
    let headers = [
        ("authorization", &*bearer),
        ("content-type", "application/json"),
        ("x-request-id", chosen),
    ];
    let body = |slug: &str| json!({"slug": slug, "uri": format!("https://{slug}.example/mcp")}).to_string();
    let operator = Browser::new(app.admin.clone());
    let mut ids = Vec::new();
    for slug in ["two", "two", "three"] {
        let reply = operator
            .send("POST", "/admin/resources", &headers, body(slug))
            .await;
        ids.push(reply.header("x-request-id").to_owned());
    }
    let mut lines = words(&told(&app, "").await, "request_id");
    lines.sort();
    assert!(!lines.contains(&chosen.to_owned()), "{lines:?}");
    ids.sort();
    assert_eq!(lines, ids, "as in the answers");
}

/// A throttled account costs a row a minute, not one for each attempt.
#[tokio::test]
async fn attempts_on_a_throttled_account_are_told_once_a_minute() {
    let app = TestApp::with_admin_key().await;
    for _ in 0..12 {
        app.browser()
            .sign_in("/login", EMAIL, "not the password at all")
            .await;
        app.context.audit.settled().await;
    }
    let lines = told(&app, "&action=login.refused").await;
    let reasons = words(&lines, "reason");
    let throttled = reasons.iter().filter(|reason| *reason == "throttled").count();
    assert_eq!((throttled, reasons.len()), (1, reasons.len()), "{reasons:?}");
    assert_eq!(
        reasons.len() - 1,
        usize::try_from(app.context.settings.login.free_attempts).unwrap()
    );
}
