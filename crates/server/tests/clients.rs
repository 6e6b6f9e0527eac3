//! Clients by the URL of their metadata document, and client authentication. Names in brackets are the rows of the
//! security catalogue that a test covers.

#![cfg(test)]

mod support;

use doorward_store::ClientSource;
use http::StatusCode;
use serde_json::{Value, json};
use support::{Authorization, EMAIL, Reply, TestApp};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

const REDIRECT: &str = "https://app.example/cb";

/// A host with one client metadata document.
struct Host {
    server: MockServer,
    client_id: String,
}

impl Host {
    async fn new() -> Self {
        let server = MockServer::start().await;
        let host = Self {
            client_id: format!("{}/client.json", server.uri()),
            server,
        };
        host.serve(&host.document()).await;
        host
    }

    fn document(&self) -> Value {
        json!({
            "client_id": self.client_id,
            "client_name": "Client by document",
            "redirect_uris": [REDIRECT, "http://127.0.0.1/cb"],
            "grant_types": ["authorization_code", "refresh_token"],
        })
    }

    async fn serve(&self, document: &Value) {
        self.answer(ResponseTemplate::new(200).set_body_raw(document.to_string(), "application/json"))
            .await;
    }

    async fn answer(&self, response: ResponseTemplate) {
        self.server.reset().await;
        Mock::given(any())
            .respond_with(response)
            .mount(&self.server)
            .await;
    }

    fn request(&self) -> Authorization {
        Authorization::new(&self.client_id, REDIRECT)
    }
}

/// [CIMD-001, CIMD-008, CIMD-035]
#[tokio::test]
async fn a_client_by_document_is_shown_with_its_host_and_costs_a_row_only_when_approved() {
    let (app, host) = (TestApp::new().await, Host::new().await);
    let browser = app.browser();
    let page = browser.open(&host.request().path()).await;
    let page = browser.sign_in_on(&page, EMAIL).await;
    let text = page.text();
    assert!(
        text.contains("Client by document") && text.contains("app.example") && text.contains("127.0.0.1"),
        "{text}"
    );
    app.browser()
        .open(
            &host
                .request()
                .set("redirect_uri", "https://evil.example/cb")
                .path(),
        )
        .await
        .assert_error_page();
    assert_eq!(app.number_of_clients().await, 0);
    let reply = app.approve(&browser, &host.request()).await;
    assert_eq!(app.number_of_clients().await, 1);
    let token = app.redeem(&host.client_id, &reply).await;
    assert_eq!(token.status, StatusCode::OK, "{token:?}");
}

/// [CIMD-002, CIMD-005, CIMD-010, CIMD-011, CIMD-012]
#[tokio::test]
async fn a_document_that_cannot_be_used_is_a_page_and_never_a_redirect() {
    let (app, host) = (TestApp::new().await, Host::new().await);
    let mut other = host.document();
    other["client_id"] = json!("https://somebody.example/client.json");
    let mut large = host.document();
    large["x"] = json!("a".repeat(6000));
    let json =
        |document: &Value| ResponseTemplate::new(200).set_body_raw(document.to_string(), "application/json");
    let valid = host.document();
    let answers = [
        json(&other),
        json(&large),
        json(&json!({ "client_id": host.client_id })),
        json(&json!([])),
        ResponseTemplate::new(200).set_body_raw(valid.to_string(), "text/html"),
        ResponseTemplate::new(201).set_body_raw(valid.to_string(), "application/json"),
        ResponseTemplate::new(302).insert_header("location", "http://127.0.0.1:1/"),
        ResponseTemplate::new(404),
        ResponseTemplate::new(500),
    ];
    for answer in answers {
        host.answer(answer).await;
        app.wait(60);
        let reply = app.browser().get(&host.request().path()).await;
        reply.assert_error_page();
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{reply:?}");
    }
}

/// [CIMD-003, CIMD-017, CIMD-018, CIMD-022]
#[tokio::test]
async fn urls_into_the_inside_are_refused_without_a_request() {
    let (app, host) = (
        TestApp::with(|settings| settings.server.issuer = "https://auth.example".to_owned()).await,
        Host::new().await,
    );
    let of_server = host.client_id.clone();
    let mut pages = Vec::new();
    for client_id in [
        of_server.as_str(),
        "https://127.0.0.1/c.json",
        "https://[::1]/c.json",
        "https://[::ffff:127.0.0.1]/c.json",
        "https://2130706433/c.json",
        "https://10.0.0.5/c.json",
        "https://169.254.169.254/c.json",
        "https://localhost/c.json",
        "https://metadata.google.internal/c.json",
        "https://cimd.example:22/c.json",
        "https://u:p@cimd.example/c.json",
        "https://cimd.example",
        "https://cimd.example/c.json#f",
        "https://cimd.example/a/../c.json",
    ] {
        let reply = app
            .browser()
            .get(&host.request().set("client_id", client_id).path())
            .await;
        reply.assert_error_page();
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{client_id}");
        if ["https://127.", "https://10.", "https://169.", "https://localhost"]
            .iter()
            .any(|start| client_id.starts_with(start))
        {
            pages.push(reply.text().replace(reply.header("x-request-id"), ""));
        }
    }
    assert_eq!(pages.len(), 4);
    pages.dedup();
    assert_eq!(pages.len(), 1, "{pages:?}");
    assert!(host.server.received_requests().await.unwrap().is_empty());
    assert_eq!(app.number_of_clients().await, 0);
}

/// [CIMD-029]
#[tokio::test]
async fn consent_is_asked_again_when_the_document_changes() {
    let (app, host) = (TestApp::new().await, Host::new().await);
    let browser = app.browser();
    assert!(
        app.approve(&browser, &host.request())
            .await
            .param("code")
            .is_some()
    );
    let silent = browser.open(&host.request().path()).await;
    assert!(
        silent
            .location()
            .is_some_and(|location| location.starts_with(REDIRECT)),
        "{silent:?}"
    );
    for (member, value) in [
        ("client_name", json!("Renamed")),
        ("redirect_uris", json!([REDIRECT, "https://new.example/cb"])),
    ] {
        let mut changed = host.document();
        changed[member] = value;
        host.serve(&changed).await;
        app.wait(3600);
        let page = browser.open(&host.request().path()).await;
        assert!(!page.form("/consent").fields.is_empty(), "{member}");
        browser
            .submit(&page.form("/consent"), Some(("decision", "allow")))
            .await;
    }
}

/// [CIMD-028]
#[tokio::test]
async fn a_grant_outlives_an_outage_of_the_document_and_ends_with_its_withdrawal() {
    let (app, host) = (TestApp::new().await, Host::new().await);
    let reply = app.approve(&app.browser(), &host.request()).await;
    let token = app.redeem(&host.client_id, &reply).await.json();
    let refresh = |token: &Value| {
        let token = token["refresh_token"].as_str().unwrap().to_owned();
        let form = [
            ("grant_type", "refresh_token".to_owned()),
            ("client_id", host.client_id.clone()),
            ("refresh_token", token),
        ];
        let app = &app;
        async move {
            app.token(&form.each_ref().map(|(name, value)| (*name, value.as_str())))
                .await
        }
    };
    host.answer(ResponseTemplate::new(503)).await;
    app.wait(3600);
    let during_the_outage = refresh(&token).await;
    assert_eq!(during_the_outage.status, StatusCode::OK, "{during_the_outage:?}");
    host.answer(ResponseTemplate::new(410)).await;
    app.wait(60);
    let withdrawn = refresh(&during_the_outage.json()).await;
    assert_eq!(
        (withdrawn.status, withdrawn.json()["error"].clone()),
        (StatusCode::UNAUTHORIZED, json!("invalid_client"))
    );
}

/// [CIMD-034]
#[tokio::test]
async fn what_an_operator_registered_under_the_url_wins() {
    let (app, host) = (TestApp::new().await, Host::new().await);
    let metadata = json!({ "client_name": "On record", "redirect_uris": ["https://r1.example/cb"] });
    app.add_client_with(&host.client_id, ClientSource::Admin, metadata)
        .await;
    app.browser()
        .get(&host.request().path())
        .await
        .assert_error_page();
    let reply = app
        .browser()
        .get(&host.request().set("redirect_uri", "https://r1.example/cb").path())
        .await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    assert!(host.server.received_requests().await.unwrap().is_empty());
}

/// A client with a secret, registered by itself.
async fn confidential(app: &TestApp) -> (String, String) {
    let body = json!({ "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "client_secret_post" });
    let headers = [("content-type", "application/json")];
    let body = app
        .browser()
        .send("POST", "/oauth/register", &headers, body.to_string())
        .await
        .json();
    (
        body["client_id"].as_str().unwrap().to_owned(),
        body["client_secret"].as_str().unwrap().to_owned(),
    )
}

/// Authenticates at the revocation endpoint, which needs nothing else.
async fn authenticate(app: &TestApp, basic: Option<(&str, &str)>, form: &str) -> Reply {
    use base64::Engine as _;
    let authorization = basic.map(|(id, secret)| {
        format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}"))
        )
    });
    let headers: Vec<_> = authorization
        .iter()
        .map(|value| ("authorization", value.as_str()))
        .collect();
    app.browser()
        .post("/oauth/revoke", &headers, format!("token=x&{form}"))
        .await
}

/// [CAUTH-001, CAUTH-006, CAUTH-007, CAUTH-008]
#[tokio::test]
async fn a_secret_is_taken_from_the_header_or_the_form_and_from_one_of_them() {
    let app = TestApp::new().await;
    let (id, secret) = confidential(&app).await;
    let in_form = format!("client_id={id}&client_secret={secret}");
    assert_eq!(authenticate(&app, None, &in_form).await.status, StatusCode::OK);
    assert_eq!(
        authenticate(&app, Some((&id, &secret)), "").await.status,
        StatusCode::OK
    );
    assert_eq!(
        authenticate(&app, Some((&id, &secret)), &format!("client_id={id}"))
            .await
            .status,
        StatusCode::OK
    );
    assert_eq!(
        authenticate(&app, Some((&id, &secret)), "client_id=other")
            .await
            .status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        authenticate(&app, Some((&id, &secret)), &in_form).await.status,
        StatusCode::BAD_REQUEST
    );
    let without = authenticate(&app, None, &format!("client_id={id}")).await;
    assert_eq!(
        (without.status, without.json()["error"].clone()),
        (StatusCode::UNAUTHORIZED, json!("invalid_client"))
    );
    assert!(without.header("cache-control").contains("no-store"));
}

/// [CAUTH-002, CAUTH-004, CAUTH-037]
#[tokio::test]
async fn an_unknown_client_looks_like_a_wrong_secret() {
    let app = TestApp::new().await;
    let (id, secret) = confidential(&app).await;
    let public = app.add_client(ClientSource::Dynamic, &[REDIRECT]).await;
    let disabled = app.add_client(ClientSource::Dynamic, &[REDIRECT]).await;
    app.disable_client(&disabled).await;

    let mut answers = Vec::new();
    for (id, secret) in [
        ("nope", "x"),
        (&id, "wrong"),
        (&public, "x"),
        (&disabled, ""),
        ("https://127.0.0.1:1/c", &secret),
    ] {
        let mut reply = authenticate(&app, Some((id, secret)), "").await;
        reply.headers.remove("x-request-id");
        let mut body = reply.json();
        body["error_id"].take();
        answers.push((
            id.to_owned(),
            format!("{} {:?} {body}", reply.status, reply.headers),
        ));
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{id}");
        assert!(
            reply.header("www-authenticate").starts_with("Basic realm="),
            "{id} {reply:?}"
        );
    }
    for (id, answer) in &answers {
        assert_eq!(*answer, answers[0].1, "{id}");
    }
}

/// [CAUTH-013]
#[tokio::test]
async fn a_secret_in_the_query_is_no_credential() {
    let app = TestApp::new().await;
    let (id, secret) = confidential(&app).await;
    let path = format!("/oauth/revoke?client_id={id}&client_secret={secret}");
    let reply = app.browser().post(&path, &[], "token=x".to_owned()).await;
    assert!(matches!(reply.status.as_u16(), 400 | 401), "{reply:?}");
}

/// [RATE-008]
#[tokio::test]
async fn strangers_cannot_have_documents_fetched_without_end() {
    let (app, host) = (TestApp::new().await, Host::new().await);
    host.answer(ResponseTemplate::new(404)).await;
    let ask = async |number: usize| {
        let client_id = format!("{}?{number}", host.client_id);
        app.browser()
            .get(&host.request().set("client_id", &client_id).path())
            .await
    };
    for number in 0..120 {
        assert_eq!(ask(number).await.status, StatusCode::BAD_REQUEST);
    }
    let refused = ask(120).await;
    refused.assert_error_page();
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.header("retry-after"), "1");
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", &host.client_id),
        ("refresh_token", "dwr_x"),
    ];
    assert_eq!(app.token(&form).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(host.server.received_requests().await.unwrap().len(), 120);
}
