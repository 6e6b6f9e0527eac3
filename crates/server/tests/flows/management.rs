//! Initial access tokens, and clients that manage their registration (RFC 7592).

use std::collections::BTreeSet;

use doorward_jose::{Algorithm, SigningKey};
use doorward_server::config::DynamicRegistration;
use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{ADMIN_KEY, Authorization, REDIRECT, Reply, TestApp};

const REGISTER: &str = "/oauth/register";

async fn app(policy: DynamicRegistration) -> TestApp {
    TestApp::with(|settings| {
        settings.admin.bootstrap_key = Some(ADMIN_KEY.into());
        settings.registration.dcr = policy;
    })
    .await
}

fn metadata() -> Value {
    json!({"client_name": "Managed", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "client_secret_post",
        "grant_types": ["authorization_code", "refresh_token"]})
}

async fn send(app: &TestApp, method: &str, path: &str, token: Option<&str>, body: &Value) -> Reply {
    let authorization = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(authorization.as_deref().map(|value| ("authorization", value)));
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    app.browser().send(method, path, &headers, body).await
}

async fn initial_token(app: &TestApp, body: &Value) -> Value {
    let reply = app.administer("POST", "/admin/initial-access-tokens", body).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    reply.json()
}

fn text(value: &Value, member: &str) -> String {
    value[member]
        .as_str()
        .unwrap_or_else(|| panic!("{member} in {value}"))
        .to_owned()
}

/// A registered client: its id, its path and its token.
struct Managed {
    app: TestApp,
    id: String,
    path: String,
    token: String,
    secret: String,
}

async fn managed() -> Managed {
    let app = app(DynamicRegistration::Open).await;
    let reply = send(&app, "POST", REGISTER, None, &metadata()).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    let body = reply.json();
    let id = text(&body, "client_id");
    assert_eq!(
        text(&body, "registration_client_uri"),
        format!("http://localhost:9000{REGISTER}/{id}")
    );
    Managed {
        path: format!("{REGISTER}/{id}"),
        token: text(&body, "registration_access_token"),
        secret: text(&body, "client_secret"),
        id,
        app,
    }
}

impl Managed {
    async fn call(&self, method: &str, token: &str, body: &Value) -> Reply {
        send(&self.app, method, &self.path, Some(token), body).await
    }

    /// Fifty requests with the token, and their answers with the methods.
    async fn fifty_at_once(
        &self,
        request: impl Fn(usize) -> (&'static str, String),
    ) -> Vec<(&'static str, Reply)> {
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..50 {
            let (browser, path) = (self.app.browser(), self.path.clone());
            let authorization = format!("Bearer {}", self.token);
            let (method, body) = request(number);
            tasks.spawn(async move {
                let headers = [
                    ("authorization", &*authorization),
                    ("content-type", "application/json"),
                ];
                (method, browser.send(method, &path, &headers, body).await)
            });
        }
        tasks.join_all().await
    }
}

/// [DCR-024] [DCR-029]
#[tokio::test]
async fn a_registration_is_read_with_its_own_token_as_often_as_the_client_likes() {
    let client = managed().await;
    let reply = client.call("GET", &client.token, &Value::Null).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    assert_eq!(reply.header("cache-control"), "no-store");
    let body = reply.json();
    assert_eq!(body["client_id"], client.id);
    assert_eq!(body["client_name"], "Managed");
    assert!(body.get("client_secret").is_none());
    // The answer may be lost: the token is the same, and works again.
    assert_eq!(text(&body, "registration_access_token"), client.token);
    let again = client.call("GET", &client.token, &Value::Null).await;
    assert_eq!(again.status, StatusCode::OK, "{again:?}");
    assert_eq!(again.json(), body);
}

/// [DCR-024]
#[tokio::test]
async fn a_change_of_a_registration_changes_its_token() {
    let client = managed().await;
    let reply = client.call("PUT", &client.token, &metadata()).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    let next = text(&reply.json(), "registration_access_token");
    assert_ne!(next, client.token);
    for method in ["GET", "PUT", "DELETE"] {
        let mut body = Value::Null;
        if method == "PUT" {
            body = metadata();
            body["client_name"] = json!("Another change");
        }
        let refused = client.call(method, &client.token, &body).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{method} {refused:?}");
    }
    assert_eq!(
        client.call("GET", &next, &Value::Null).await.status,
        StatusCode::OK
    );
}

/// Nobody else knows the next token, or the secret that came with it.
#[tokio::test]
async fn a_change_whose_answer_was_lost_is_answered_again() {
    let app = app(DynamicRegistration::Open).await;
    let mut body = metadata();
    body["token_endpoint_auth_method"] = json!("private_key_jwt");
    body["jwks"] = json!({"keys": [SigningKey::generate(Algorithm::Es256).unwrap().public_jwk()]});
    let registered = send(&app, "POST", REGISTER, None, &body).await.json();
    let path = format!("{REGISTER}/{}", text(&registered, "client_id"));
    let token = text(&registered, "registration_access_token");
    let change = metadata();
    let lost = send(&app, "PUT", &path, Some(&token), &change).await;
    assert_eq!(lost.status, StatusCode::OK, "{lost:?}");
    assert!(lost.json()["client_secret"].is_string());
    let again = send(&app, "PUT", &path, Some(&token), &change).await;
    assert_eq!(again.json(), lost.json());
    let next = text(&lost.json(), "registration_access_token");
    // What an operator changes ends it, and so does time.
    let client = format!("/admin/clients/{}", text(&registered, "client_id"));
    app.wait(1);
    for disabled in [true, false] {
        let changed = app
            .administer("PATCH", &client, &json!({"disabled": disabled}))
            .await;
        assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    }
    let old = send(&app, "PUT", &path, Some(&token), &change).await;
    assert_eq!(old.status, StatusCode::UNAUTHORIZED, "{old:?}");
    let further = send(&app, "PUT", &path, Some(&next), &change).await;
    assert_eq!(further.status, StatusCode::OK, "{further:?}");
    assert!(further.json().get("client_secret").is_none(), "it is shown once");
    let again = send(&app, "PUT", &path, Some(&next), &change).await;
    assert_eq!(again.json(), further.json());
    for token in [&*token, &*next] {
        let read = send(&app, "GET", &path, Some(token), &Value::Null).await;
        assert_eq!(read.status, StatusCode::UNAUTHORIZED, "{read:?}");
    }
    app.wait(301);
    let late = send(&app, "PUT", &path, Some(&next), &change).await;
    assert_eq!(late.status, StatusCode::UNAUTHORIZED, "{late:?}");
}

/// A client that does not wait for the answer sends it twice at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_equal_changes_with_one_registration_token_all_get_one_answer() {
    let managed = managed().await;
    let replies = managed.fifty_at_once(|_| ("PUT", metadata().to_string())).await;
    assert!(
        replies.iter().all(|(_, reply)| reply.status == StatusCode::OK),
        "{replies:?}"
    );
    let answers: BTreeSet<_> = replies.into_iter().map(|(_, reply)| reply.body).collect();
    assert_eq!(answers.len(), 1, "{answers:?}");
}

/// [DCR-024]
#[tokio::test]
async fn nobody_else_gets_anything() {
    let client = managed().await;
    let other = send(&client.app, "POST", REGISTER, None, &metadata())
        .await
        .json();
    let foreign = text(&other, "registration_access_token");
    for token in [
        None,
        Some("wrong"),
        Some(&*foreign),
        Some(""),
        Some(&*client.secret),
    ] {
        for method in ["GET", "PUT", "DELETE"] {
            let body = if method == "PUT" { metadata() } else { Value::Null };
            let reply = send(&client.app, method, &client.path, token, &body).await;
            assert_eq!(
                reply.status,
                StatusCode::UNAUTHORIZED,
                "{method} {token:?} {reply:?}"
            );
            assert_eq!(reply.json()["error"], "invalid_token");
            assert!(
                reply.header("www-authenticate").starts_with("Bearer"),
                "{reply:?}"
            );
        }
    }
    let unknown = send(
        &client.app,
        "GET",
        "/oauth/register/nobody",
        Some(&client.token),
        &Value::Null,
    )
    .await;
    assert_eq!(unknown.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        client.call("GET", &client.token, &Value::Null).await.status,
        StatusCode::OK
    );
}

/// Else it would remove itself, and the operator's refusal with it.
#[tokio::test]
async fn a_disabled_client_does_not_manage_its_registration() {
    let client = managed().await;
    client.app.disable_client(&client.id).await;
    for (method, body) in [("GET", Value::Null), ("PUT", metadata()), ("DELETE", Value::Null)] {
        let reply = client.call(method, &client.token, &body).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{method} {reply:?}");
    }
    let kept = client.app.context.store.client(&client.id).await.unwrap();
    assert!(kept.unwrap().disabled);
}

/// A public client's id is derived from what it registers: who registers the same gets the same, so nobody manages it.
#[tokio::test]
async fn a_derived_registration_is_nobodys_to_change() {
    let app = app(DynamicRegistration::Open).await;
    let public = json!({"redirect_uris": [REDIRECT]});
    let body = send(&app, "POST", REGISTER, None, &public).await.json();
    assert!(body.get("registration_access_token").is_none());
    let path = format!("{REGISTER}/{}", text(&body, "client_id"));
    let reply = send(&app, "DELETE", &path, Some("x"), &Value::Null).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
}

/// [DCR-025]
#[tokio::test]
async fn an_update_replaces_what_the_client_may_choose_and_no_more() {
    let client = managed().await;
    let with = |member: &str, value: Value| {
        let mut body = metadata();
        body[member] = value;
        body
    };
    for (member, value) in [
        ("client_id", json!("other")),
        ("client_secret", json!("chosen-by-the-client")),
        ("token_endpoint_auth_method", json!("none")),
    ] {
        let reply = client.call("PUT", &client.token, &with(member, value)).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{member} {reply:?}");
        assert_eq!(reply.json()["error"], "invalid_client_metadata", "{member}");
    }
    let mut body = with("client_name", json!("Renamed"));
    body["client_id"] = json!(client.id);
    body["client_secret"] = json!(client.secret);
    body["grant_types"] = json!(["authorization_code", "client_credentials"]);
    body["trusted"] = json!(true);
    body["registration_access_token"] = json!("x");
    let reply = client.call("PUT", &client.token, &body).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    let body = reply.json();
    assert_eq!(body["client_name"], "Renamed");
    assert_eq!(body["grant_types"], json!(["authorization_code"]));
    assert_ne!(body["registration_access_token"], "x");
}

/// [DCR-026]
#[tokio::test]
async fn an_update_is_checked_like_a_registration() {
    let client = managed().await;
    for (member, value, error) in [
        (
            "redirect_uris",
            json!(["javascript:alert(1)"]),
            "invalid_redirect_uri",
        ),
        (
            "redirect_uris",
            json!(["http://10.0.0.1/cb"]),
            "invalid_redirect_uri",
        ),
        ("redirect_uris", json!([]), "invalid_redirect_uri"),
        (
            "client_name",
            json!("x".repeat(10_000)),
            "invalid_client_metadata",
        ),
    ] {
        let mut body = metadata();
        body[member] = value;
        let reply = client.call("PUT", &client.token, &body).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{member}");
        assert_eq!(reply.json()["error"], error, "{member}");
    }
    assert_eq!(
        client.call("GET", &client.token, &Value::Null).await.status,
        StatusCode::OK
    );
}

/// [DCR-027]
#[tokio::test]
async fn another_redirect_uri_ends_unredeemed_codes_and_asks_again() {
    let client = managed().await;
    let request = Authorization::new(&client.id, REDIRECT);
    let approved = client.app.approve(&client.app.browser(), &request).await;
    let mut body = metadata();
    body["redirect_uris"] = json!(["https://new.example/cb"]);
    assert_eq!(
        client.call("PUT", &client.token, &body).await.status,
        StatusCode::OK
    );
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", &*client.id),
        ("client_secret", &*client.secret),
        ("code", &*approved.param("code").unwrap()),
        ("code_verifier", crate::support::VERIFIER),
    ];
    client.app.token(&form).await.assert_error("invalid_grant");
    let request = Authorization::new(&client.id, "https://new.example/cb");
    let page = client.app.signed_in().await.open(&request.path()).await;
    assert!(page.body.contains("name=\"decision\""), "{page:?}");
}

/// [DCR-028]
#[tokio::test]
async fn a_client_that_removes_itself_takes_everything_along() {
    let client = managed().await;
    let approved = client
        .app
        .approve(&client.app.browser(), &Authorization::new(&client.id, REDIRECT))
        .await;
    let code = approved.param("code").unwrap();
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", &*client.id),
        ("client_secret", &*client.secret),
        ("code", &*code),
        ("code_verifier", crate::support::VERIFIER),
    ];
    assert_eq!(client.app.token(&form).await.status, StatusCode::OK);
    let reply = client.call("DELETE", &client.token, &Value::Null).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT, "{reply:?}");
    assert_eq!(
        client.app.grants().await[0].state,
        doorward_store::GrantState::Ended
    );
    assert_eq!(client.app.token(&form).await.status, StatusCode::UNAUTHORIZED);
    client
        .app
        .browser()
        .get(&Authorization::new(&client.id, REDIRECT).path())
        .await
        .assert_error_page();
}

/// [DCR-020]
#[tokio::test]
async fn registration_can_need_a_token_of_the_operator() {
    let app = app(DynamicRegistration::InitialAccessToken).await;
    let server = app
        .browser()
        .get("/.well-known/oauth-authorization-server")
        .await
        .json();
    assert!(server["registration_endpoint"].is_string());
    let once = initial_token(&app, &json!({"name": "A team", "uses": 1, "expires_in": 3600})).await;
    let token = text(&once, "token");
    for wrong in [None, Some("wrong"), Some(ADMIN_KEY)] {
        let reply = send(&app, "POST", REGISTER, wrong, &metadata()).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{wrong:?}");
        assert!(reply.header("www-authenticate").starts_with("Bearer"));
    }
    // A registration that is refused does not use the token up.
    let bad = json!({"redirect_uris": ["javascript:x"]});
    assert_eq!(
        send(&app, "POST", REGISTER, Some(&token), &bad).await.status,
        StatusCode::BAD_REQUEST
    );
    let public = json!({"redirect_uris": [REDIRECT]});
    let reply = send(&app, "POST", REGISTER, Some(&token), &public).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    // A public client that somebody vouched for has an id of its own, and manages it.
    assert!(reply.json()["registration_access_token"].is_string());
    assert_eq!(
        send(&app, "POST", REGISTER, Some(&token), &public).await.status,
        StatusCode::UNAUTHORIZED
    );

    let any = initial_token(&app, &json!({"name": "Any", "expires_in": 60})).await;
    let token = text(&any, "token");
    let listed = app
        .administer("GET", "/admin/initial-access-tokens", &Value::Null)
        .await
        .json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    assert!(!listed.to_string().contains(&token));
    app.wait(61);
    assert_eq!(
        send(&app, "POST", REGISTER, Some(&token), &public).await.status,
        StatusCode::UNAUTHORIZED
    );
    let path = format!("/admin/initial-access-tokens/{}", text(&any, "id"));
    assert_eq!(
        app.administer("DELETE", &path, &Value::Null).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        app.administer("DELETE", &path, &Value::Null).await.status,
        StatusCode::NOT_FOUND
    );
}

/// Clients send the token that they have for the MCP server, or an empty variable. Where anybody may register, that is no reason
/// to refuse: who has no token of the operator is a stranger like others.
#[tokio::test]
async fn where_anybody_may_register_an_unusable_token_is_ignored() {
    let app = app(DynamicRegistration::Open).await;
    let public = json!({"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none"});
    let stranger = send(&app, "POST", REGISTER, None, &public).await.json();
    for value in ["Bearer wrong", "Bearer", "Bearer ", "Basic YTpi", "Bearer a b"] {
        let headers = [("content-type", "application/json"), ("authorization", value)];
        let reply = app
            .browser()
            .send("POST", REGISTER, &headers, public.to_string())
            .await;
        assert_eq!(reply.status, StatusCode::CREATED, "{value}: {reply:?}");
        assert_eq!(reply.json()["client_id"], stranger["client_id"], "{value}");
    }
    let confidential = send(&app, "POST", REGISTER, Some("wrong"), &metadata()).await;
    assert_eq!(confidential.status, StatusCode::CREATED, "{confidential:?}");
    // A good one counts, and once.
    let once = initial_token(&app, &json!({"name": "A team", "uses": 1})).await;
    let token = text(&once, "token");
    let own = send(&app, "POST", REGISTER, Some(&token), &public).await.json();
    assert!(own["registration_access_token"].is_string());
    let again = send(&app, "POST", REGISTER, Some(&token), &public).await.json();
    assert_eq!(again["client_id"], stranger["client_id"]);
}

/// An unusable token does not spare the address its budget.
#[tokio::test]
async fn who_sends_an_unusable_token_is_counted_as_a_stranger() {
    let app = TestApp::with(|settings| {
        settings.rate_limit.registration = "1/1h".parse().unwrap();
    })
    .await;
    let statuses = [
        send(&app, "POST", REGISTER, Some("wrong"), &metadata())
            .await
            .status,
        send(&app, "POST", REGISTER, Some("wrong"), &metadata())
            .await
            .status,
    ];
    assert_eq!(statuses, [StatusCode::CREATED, StatusCode::TOO_MANY_REQUESTS]);
}

#[tokio::test]
async fn a_token_that_cannot_be_is_refused() {
    let app = app(DynamicRegistration::Open).await;
    for body in [
        json!({"name": ""}),
        json!({"name": "x", "uses": 0}),
        json!({"name": "x", "uses": 10_001}),
        json!({"name": "x", "expires_in": 0}),
        json!({"name": "x", "other": 1}),
    ] {
        let reply = app
            .administer("POST", "/admin/initial-access-tokens", &body)
            .await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{body}");
    }
    let closed = self::app(DynamicRegistration::AdminOnly).await;
    let reply = closed
        .administer("POST", "/admin/initial-access-tokens", &json!({"name": "x"}))
        .await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
}

/// A token spares the address's budget: an operator stands for it.
#[tokio::test]
async fn a_token_of_the_operator_is_not_counted_for_the_address() {
    let app = TestApp::with(|settings| {
        settings.admin.bootstrap_key = Some(ADMIN_KEY.into());
        settings.rate_limit.registration = "1/1h".parse().unwrap();
    })
    .await;
    let token = text(&initial_token(&app, &json!({"name": "A vendor"})).await, "token");
    assert_eq!(
        send(&app, "POST", REGISTER, None, &metadata()).await.status,
        StatusCode::CREATED
    );
    let limited = send(&app, "POST", REGISTER, None, &metadata()).await;
    assert_eq!(limited.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(limited.header("retry-after").parse::<u64>().unwrap() > 3000);
    for _ in 0..3 {
        assert_eq!(
            send(&app, "POST", REGISTER, Some(&token), &metadata())
                .await
                .status,
            StatusCode::CREATED
        );
    }
}

/// [DCR-024]: a registration access token is good for one change, whoever comes at the same time, and who only reads with it
/// takes nothing from anybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_callers_with_one_registration_token_one_gets_the_next() {
    let managed = managed().await;
    let replies = managed
        .fifty_at_once(|number| {
            if number % 2 == 0 {
                return ("GET", String::new());
            }
            let mut body = metadata();
            body["client_name"] = json!(format!("Managed {number}"));
            ("PUT", body.to_string())
        })
        .await;
    assert!(
        replies
            .iter()
            .all(|(_, reply)| matches!(reply.status.as_u16(), 200 | 401)),
        "{replies:?}"
    );
    let good = replies.iter().filter(|(_, reply)| reply.status == StatusCode::OK);
    let (changed, looked): (Vec<_>, Vec<_>) = good.partition(|(method, _)| *method == "PUT");
    assert_eq!(changed.len(), 1, "{replies:?}");
    for (_, reply) in looked {
        assert_eq!(text(&reply.json(), "registration_access_token"), managed.token);
    }
    let next = text(&changed[0].1.json(), "registration_access_token");
    assert_ne!(next, managed.token);
    assert_eq!(
        managed.call("GET", &next, &Value::Null).await.status,
        StatusCode::OK
    );
}

/// An initial access token registers as many clients as it was made for.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_callers_with_one_initial_token_as_many_register_as_it_says() {
    let app = app(DynamicRegistration::InitialAccessToken).await;
    let body = json!({"name": "A vendor", "uses": 3});
    let made = app
        .administer("POST", "/admin/initial-access-tokens", &body)
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let authorization = format!("Bearer {}", text(&made.json(), "token"));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (browser, authorization) = (app.browser(), authorization.clone());
        tasks.spawn(async move {
            let headers = [
                ("authorization", &*authorization),
                ("content-type", "application/json"),
            ];
            browser
                .send("POST", REGISTER, &headers, metadata().to_string())
                .await
                .status
        });
    }
    let statuses = tasks.join_all().await;
    let good = statuses.iter().filter(|status| **status == StatusCode::CREATED);
    assert_eq!(good.count(), 3, "{statuses:?}");
    assert_eq!(app.number_of_clients().await, 3);
}
