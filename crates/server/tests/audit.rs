//! `/admin/audit`: everything that was changed or refused is told, with who and from where, and without secrets.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "a test's helpers fail like the test"
)]

mod support;

use std::path::Path;

use doorward_server::config::DynamicRegistration;
use doorward_store::{AuditFilter, ClientSource, PageRequest};
use http::StatusCode;
use serde_json::{Value, json};
use support::{ADMIN_KEY, Authorization, Browser, EMAIL, PASSWORD, REDIRECT, RESOURCE, Reply, TestApp};

/// Calls the operators' API a second after the call before, so that the order of the list is the order of the calls.
async fn admin(app: &TestApp, method: &str, path: &str, body: Value) -> Reply {
    app.wait(1);
    Browser::new(app.admin.clone())
        .administer(method, path, &body)
        .await
}

#[track_caller]
fn done(reply: &Reply) -> Value {
    assert!(reply.status.is_success(), "{reply:?}");
    if reply.body.is_empty() {
        Value::Null
    } else {
        reply.json()
    }
}

/// The lines that match, oldest first, but for those of the server itself.
async fn told(app: &TestApp, query: &str) -> Vec<Value> {
    app.context.audit.settled().await;
    let reply = admin(app, "GET", &format!("/admin/audit?limit=200{query}"), Value::Null).await;
    let list = done(&reply);
    let items = list["items"].as_array().unwrap().iter().rev();
    items.filter(|line| line["actor"] != "system").cloned().collect()
}

fn words(lines: &[Value], member: &str) -> Vec<String> {
    let word = |line: &Value| line[member].as_str().unwrap_or("-").to_owned();
    lines.iter().map(word).collect()
}

#[tokio::test]
async fn what_the_server_did_at_its_start_is_told_as_its_own() {
    let app = TestApp::empty(|settings| settings.admin.bootstrap_key = Some(ADMIN_KEY.into())).await;
    let list = done(&admin(&app, "GET", "/admin/audit?actor=system", Value::Null).await);
    let mut actions = words(list["items"].as_array().unwrap(), "action");
    actions.sort();
    assert_eq!(actions, ["server_secret.created", "signing_key.created"]);
    let own = TestApp::empty(|_| {}).await;
    let page = own
        .context
        .store
        .audit_entries(AuditFilter::default(), PageRequest::default())
        .await;
    assert_eq!(page.unwrap().items.len(), 3, "with the first admin key");
}

/// ADMIN-009: who, what, when, from where, with what outcome.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "every operation once")]
async fn everything_that_an_operator_does_is_told() {
    let app = TestApp::with(|settings| {
        settings.admin.bootstrap_key = Some(ADMIN_KEY.into());
        settings.registration.dcr = DynamicRegistration::InitialAccessToken;
    })
    .await;
    let call = async |method: &str, path: &str, body: Value| done(&admin(&app, method, path, body).await);
    call(
        "POST",
        "/admin/resources",
        json!({"slug": "two", "uri": "https://two.example/mcp"}),
    )
    .await;
    call("PATCH", "/admin/resources/two", json!({"display_name": "Two"})).await;
    call("DELETE", "/admin/resources/two", Value::Null).await;
    let client = json!({"client_name": "A", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "client_secret_basic"});
    let client = call("POST", "/admin/clients", client).await;
    let one = format!("/admin/clients/{}", client["client_id"].as_str().unwrap());
    call("PATCH", &one, json!({"client_name": "B"})).await;
    call("POST", &format!("{one}/rotate-secret"), Value::Null).await;
    call("PATCH", &one, json!({"disabled": true})).await;
    call("PATCH", &one, json!({"disabled": false})).await;
    call("DELETE", &one, Value::Null).await;
    let user = call(
        "POST",
        "/admin/users",
        json!({"email": "g@example.com", "password": PASSWORD}),
    )
    .await;
    let user = user["id"].as_str().unwrap().to_owned();
    let one = format!("/admin/users/{user}");
    call("PATCH", &one, json!({"name": "Grace"})).await;
    call("PATCH", &one, json!({"password": "another long password"})).await;
    call("POST", &format!("{one}/disable"), Value::Null).await;
    call("POST", &format!("{one}/enable"), Value::Null).await;
    let initial = call("POST", "/admin/initial-access-tokens", json!({"name": "team"})).await;
    let initial = initial["id"].as_str().unwrap().to_owned();
    call(
        "DELETE",
        &format!("/admin/initial-access-tokens/{initial}"),
        Value::Null,
    )
    .await;
    let issuer = json!({"slug": "idp", "kind": "identity_provider", "issuer": "https://idp.example"});
    call("POST", "/admin/trusted-issuers", issuer).await;
    let link = json!({"subject": "00u1", "user": user});
    call("POST", "/admin/trusted-issuers/idp/subjects", link).await;
    call(
        "DELETE",
        "/admin/trusted-issuers/idp/subjects?subject=00u1",
        Value::Null,
    )
    .await;
    call(
        "PATCH",
        "/admin/trusted-issuers/idp",
        json!({"max_lifetime": 300}),
    )
    .await;
    call("DELETE", "/admin/trusted-issuers/idp", Value::Null).await;
    let audience = json!({"slug": "chat", "issuer": "https://chat.example"});
    call("POST", "/admin/assertion-audiences", audience).await;
    call(
        "PATCH",
        "/admin/assertion-audiences/chat",
        json!({"disabled": true}),
    )
    .await;
    call("DELETE", "/admin/assertion-audiences/chat", Value::Null).await;
    call("DELETE", &one, Value::Null).await;
    let key = call("POST", "/admin/keys/rotate", json!({"now": true})).await;
    let key = key["key_id"].as_str().unwrap().to_owned();
    call("POST", &format!("/admin/keys/{key}/revoke"), Value::Null).await;
    // A second "rotate" gives the key that waits already: nothing changes.
    call("POST", "/admin/keys/rotate", Value::Null).await;
    call("POST", "/admin/keys/rotate", Value::Null).await;

    let lines = told(&app, "").await;
    let expected = [
        "resource.created",
        "resource.updated",
        "resource.deleted",
        "client.created",
        "client.updated",
        "client.secrets_changed",
        "client.disabled",
        "client.enabled",
        "client.deleted",
        "user.created",
        "user.updated",
        "user.password_changed",
        "user.disabled",
        "user.enabled",
        "initial_token.created",
        "initial_token.deleted",
        "trusted_issuer.created",
        "trusted_issuer.subject_linked",
        "trusted_issuer.subject_unlinked",
        "trusted_issuer.updated",
        "trusted_issuer.deleted",
        "assertion_audience.created",
        "assertion_audience.disabled",
        "assertion_audience.deleted",
        "user.deleted",
        "signing_key.rotated",
        "signing_key.revoked",
        "signing_key.created",
    ];
    assert_eq!(words(&lines, "action"), expected);
    for line in &lines {
        assert_eq!(
            (&line["outcome"], &line["actor"]),
            (&json!("done"), &json!("admin_key")),
            "{line}"
        );
        assert_eq!(line["actor_id"], "bootstrap", "{line}");
        assert!(
            line["request_id"].is_string() && line["address"].is_string(),
            "{line}"
        );
        let one = admin(
            &app,
            "GET",
            &format!("/admin/audit/{}", line["id"].as_str().unwrap()),
            Value::Null,
        )
        .await;
        assert_eq!(done(&one), *line);
    }
    assert_eq!(lines[4]["detail"]["changed"], json!(["metadata"]));
    assert_eq!(lines[0]["target"], "two");
    assert_eq!(lines[9]["subject"], user.as_str());
}

/// What an operator may not or cannot do is told too; who has no key leaves no row.
#[tokio::test]
async fn what_an_operator_is_refused_is_told() {
    let app = TestApp::with_admin_key().await;
    let refused = admin(
        &app,
        "POST",
        "/admin/resources",
        json!({"slug": "mcp", "uri": "https://x.example/mcp"}),
    )
    .await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{refused:?}");
    let error_id = refused.json()["error_id"].as_str().unwrap().to_owned();
    admin(
        &app,
        "DELETE",
        "/admin/users/00000000-0000-4000-8000-000000000000",
        Value::Null,
    )
    .await;
    let stranger = Browser::new(app.admin.clone());
    let reply = stranger
        .send(
            "DELETE",
            "/admin/resources/mcp",
            &[("authorization", "Bearer dwk_no")],
            String::new(),
        )
        .await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    let lines = told(&app, "").await;
    assert_eq!(words(&lines, "action"), ["request.refused", "request.refused"]);
    assert_eq!(
        words(&lines, "target"),
        ["POST /admin/resources", "DELETE /admin/users/{id}"]
    );
    assert_eq!(words(&lines, "outcome"), ["refused", "refused"]);
    assert_eq!(lines[0]["detail"]["status"], 409);
    let found = told(&app, &format!("&request_id={error_id}")).await;
    assert_eq!(found, lines[..1]);
}

/// ADMIN-009: the list can be read, and nothing else.
#[tokio::test]
async fn the_list_can_only_be_read() {
    let app = TestApp::with_admin_key().await;
    let id = done(&admin(&app, "GET", "/admin/audit", Value::Null).await)["items"][0]["id"].clone();
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        for path in ["/admin/audit", &format!("/admin/audit/{}", id.as_str().unwrap())] {
            let reply = admin(&app, method, path, json!({})).await;
            assert_eq!(
                reply.status,
                StatusCode::METHOD_NOT_ALLOWED,
                "{method} {path} {reply:?}"
            );
        }
    }
    for wrong in [
        "action=nothing",
        "outcome=maybe",
        "actor=dog",
        "limit=0",
        "limit=201",
        "cursor=forged",
        "since=now",
        "grant=x",
        "sort=id",
    ] {
        let reply = admin(&app, "GET", &format!("/admin/audit?{wrong}"), Value::Null).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{wrong} {reply:?}");
    }
    let unknown = admin(&app, "GET", "/admin/audit/nothing", Value::Null).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

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

/// Refusals of clients that prove who they are, and of nobody else.
#[tokio::test]
async fn only_what_proven_clients_are_refused_is_told() {
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
        ["client.created", "token.issued", "request.refused"]
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
    // Its registration: read, which changes the token alone, and refused.
    let path = format!("/oauth/register/{}", own[0].1);
    let mut token = client["registration_access_token"].as_str().unwrap().to_owned();
    for body in [Value::Null, Value::Null, json!({"redirect_uris": []})] {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", &*bearer), ("content-type", "application/json")];
        let (method, text) = match body {
            Value::Null => ("GET", String::new()),
            body => ("PUT", body.to_string()),
        };
        let reply = app.browser().send(method, &path, &headers, text).await;
        if method == "PUT" {
            assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{reply:?}");
        } else {
            let next = done(&reply);
            next["registration_access_token"]
                .as_str()
                .unwrap()
                .clone_into(&mut token);
        }
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

/// Nothing that opens a door is in the list, nor in what is stored of it.
#[tokio::test]
async fn no_secret_is_told() {
    let app = TestApp::with(|settings| {
        settings.admin.bootstrap_key = Some(ADMIN_KEY.into());
        settings.registration.dcr = DynamicRegistration::InitialAccessToken;
    })
    .await;
    let mut secrets = vec![
        PASSWORD.to_owned(),
        ADMIN_KEY.to_owned(),
        "another long password".to_owned(),
    ];
    let initial = done(&admin(&app, "POST", "/admin/initial-access-tokens", json!({"name": "t"})).await);
    let initial = initial["token"].as_str().unwrap().to_owned();
    let metadata = json!({"redirect_uris": [REDIRECT], "client_name": "C",
        "token_endpoint_auth_method": "client_secret_post", "grant_types": ["authorization_code", "refresh_token"]});
    let bearer = format!("Bearer {initial}");
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    let client = app
        .browser()
        .send("POST", "/oauth/register", &headers, metadata.to_string())
        .await;
    let client = done(&client);
    let text = |member: &str| client[member].as_str().unwrap().to_owned();
    let (client_id, secret) = (text("client_id"), text("client_secret"));
    secrets.extend([initial, secret.clone(), text("registration_access_token")]);
    admin(
        &app,
        "PATCH",
        &format!("/admin/users/{}", app.user.id.0),
        json!({"password": "another long password"}),
    )
    .await;
    admin(
        &app,
        "PATCH",
        &format!("/admin/users/{}", app.user.id.0),
        json!({"password": PASSWORD}),
    )
    .await;
    let browser = app.signed_in().await;
    let reply = app
        .approve(&browser, &Authorization::new(&client_id, REDIRECT))
        .await;
    let code = reply.param("code").unwrap();
    let mut form = vec![("client_id", &*client_id), ("client_secret", &*secret)];
    let redeem = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("code_verifier", support::VERIFIER),
    ];
    form.extend(redeem);
    let tokens = done(&app.token(&form).await);
    let (access, refresh) = (
        tokens["access_token"].as_str().unwrap(),
        tokens["refresh_token"].as_str().unwrap(),
    );
    let with_refresh = [
        ("client_id", &*client_id),
        ("client_secret", &*secret),
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh),
        ("scope", "mcp:write"),
    ];
    app.token(&with_refresh).await.assert_error("invalid_scope");
    app.token(&form).await.assert_error("invalid_grant");
    let revoke = [
        ("client_id", &*client_id),
        ("client_secret", &*secret),
        ("token", access),
    ];
    app.browser().post_pairs("/oauth/revoke", &[], &revoke).await;
    admin(&app, "POST", "/admin/keys/rotate", json!({"now": true})).await;
    secrets.extend([
        code,
        access.to_owned(),
        refresh.to_owned(),
        support::VERIFIER.to_owned(),
    ]);
    secrets.extend(browser.cookies().into_values());
    let lines = told(&app, "").await;
    assert!(lines.len() > 9, "{lines:?}");
    let stored = app
        .context
        .store
        .audit_entries(AuditFilter::default(), PageRequest::default())
        .await
        .unwrap();
    let all = format!("{} {stored:?}", Value::from(lines));
    for secret in secrets.iter().filter(|secret| secret.len() > 8) {
        assert!(!all.contains(secret.as_str()), "{secret}");
    }
}

/// A handler that changes something through the bare store would leave no trace.
#[test]
fn every_change_in_the_source_names_who_makes_it() {
    let changes = [
        "create_resource",
        "update_resource",
        "delete_resource",
        "create_client",
        "register_client",
        "update_client",
        "update_registration",
        "register_with_token",
        "create_initial_token",
        "delete_initial_token",
        "delete_client",
        "create_user",
        "update_user",
        "delete_user",
        "create_session",
        "end_session",
        "create_trusted_issuer",
        "update_trusted_issuer",
        "delete_trusted_issuer",
        "link_subject",
        "unlink_subject",
        "create_assertion_audience",
        "update_assertion_audience",
        "delete_assertion_audience",
        "approve",
        "redeem_code",
        "burn_code",
        "deny_device",
        "rotate_refresh",
        "revoke_grants",
        "revoke_issuance",
        "add_signing_key",
        "replace_signing_key",
        "delete_signing_keys",
        "add_admin_key",
    ];
    let mut files = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut seen = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(
                std::fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            continue;
        }
        if path.to_string_lossy().contains("tests") {
            continue;
        }
        seen += 1;
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.retain(|c| !c.is_whitespace());
        for change in changes {
            for bare in ["ctx.store.", "self.store.", "context.store."] {
                assert!(
                    !text.contains(&format!("{bare}{change}(")),
                    "{}: {bare}{change}",
                    path.display()
                );
            }
        }
    }
    assert!(seen > 50);
}
