//! Several `resource` values (RFC 8707).

use doorward_store::ClientSource;
use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Authorization, REDIRECT, RESOURCE, Reply, TestApp, VERIFIER, claims};

const MAIL: &str = "https://mail.example/mcp";

async fn app() -> (TestApp, String) {
    let app = TestApp::new().await;
    app.add_resource("mail", MAIL, &["mail:send", "mcp:read"]).await;
    let client = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    (app, client)
}

fn request(client: &str) -> Authorization {
    Authorization::new(client, REDIRECT)
        .add("resource", MAIL)
        .set("scope", "mcp:read mcp:write mail:send offline_access")
}

async fn code(app: &TestApp, client: &str) -> String {
    app.approve(&app.browser(), &request(client))
        .await
        .param("code")
        .unwrap()
}

async fn redeem(app: &TestApp, client: &str, code: &str, resources: &[&str]) -> Reply {
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("client_id", client),
        ("code", code),
        ("code_verifier", VERIFIER),
    ];
    form.extend(resources.iter().map(|resource| ("resource", *resource)));
    app.token(&form).await
}

async fn refresh(app: &TestApp, client: &str, body: &Value, resources: &[&str]) -> Reply {
    let mut form = vec![
        ("grant_type", "refresh_token"),
        ("client_id", client),
        ("refresh_token", body["refresh_token"].as_str().unwrap()),
    ];
    form.extend(resources.iter().map(|resource| ("resource", *resource)));
    app.token(&form).await
}

/// [RES-001]: one audience is a string, several are an array.
#[tokio::test]
async fn a_token_for_several_resources_names_them_all() {
    let (app, client) = app().await;
    let code = code(&app, &client).await;
    let body = redeem(&app, &client, &code, &[]).await.json();
    assert_eq!(claims(&body)["aud"], json!([RESOURCE, MAIL]));
    assert_eq!(body["scope"], "mcp:read mcp:write mail:send offline_access");
    let grants = app.grants().await;
    assert_eq!(grants[0].more_resources, [MAIL]);
}

#[tokio::test]
async fn the_person_sees_every_resource_and_is_always_asked() {
    let (app, client) = app().await;
    code(&app, &client).await;
    let page = app.signed_in().await.open(&request(&client).path()).await;
    let text = page.text();
    assert!(
        text.contains(RESOURCE) && text.contains(MAIL) && text.contains("What mail:send is for"),
        "{text}"
    );
    let silent = request(&client).set("prompt", "none");
    let reply = app.signed_in().await.get(&silent.path()).await;
    assert_eq!(
        reply.param("error").as_deref(),
        Some("consent_required"),
        "{reply:?}"
    );
}

#[tokio::test]
async fn what_was_allowed_on_several_resources_is_not_remembered_for_one() {
    let (app, client) = app().await;
    let browser = app.signed_in().await;
    let together = app.approve(&browser, &request(&client)).await;
    assert!(together.param("code").is_some(), "{together:?}");
    for resource in [RESOURCE, MAIL] {
        let alone = Authorization::new(&client, REDIRECT).set("resource", resource);
        let silent = alone.clone().set("prompt", "none").path();
        let reply = browser.get(&silent).await;
        reply.assert_error_redirect(REDIRECT, "consent_required", Some("xyz"));
        app.approve(&browser, &alone).await;
        let reply = browser.open(&silent).await;
        assert!(reply.param("code").is_some(), "{reply:?}");
    }
}

/// [REF-019]: narrowing holds for one token; what was not authorized is refused and nothing is used up.
#[tokio::test]
async fn a_token_can_be_for_some_of_them() {
    let (app, client) = app().await;
    let code = code(&app, &client).await;
    redeem(&app, &client, &code, &["https://other.example"])
        .await
        .assert_error("invalid_target");
    let body = redeem(&app, &client, &code, &[MAIL]).await.json();
    assert_eq!(claims(&body)["aud"], MAIL);
    assert_eq!(body["scope"], "mcp:read mail:send offline_access");
    refresh(&app, &client, &body, &["https://other.example"])
        .await
        .assert_error("invalid_target");
    let narrowed = refresh(&app, &client, &body, &[RESOURCE]).await;
    assert_eq!(narrowed.status, StatusCode::OK, "{narrowed:?}");
    let narrowed = narrowed.json();
    assert_eq!(claims(&narrowed)["aud"], RESOURCE);
    assert_eq!(narrowed["scope"], "mcp:read mcp:write offline_access");
    let all = refresh(&app, &client, &narrowed, &[]).await.json();
    assert_eq!(claims(&all)["aud"], json!([RESOURCE, MAIL]));
}

#[tokio::test]
async fn an_unknown_one_among_them_refuses_the_request() {
    let (app, client) = app().await;
    let request = Authorization::new(&client, REDIRECT).add("resource", "https://unknown.example");
    let reply = app.browser().get(&request.path()).await;
    reply.assert_error_redirect(REDIRECT, "invalid_target", Some("xyz"));
    let mut many = Authorization::new(&client, REDIRECT);
    for _ in 0..20 {
        many = many.add("resource", RESOURCE);
    }
    let reply = app.browser().get(&many.path()).await;
    reply.assert_error_redirect(REDIRECT, "invalid_target", Some("xyz"));
}

/// The same one twice is one.
#[tokio::test]
async fn a_resource_twice_is_one() {
    let (app, client) = app().await;
    let request = Authorization::new(&client, REDIRECT).add("resource", RESOURCE);
    let reply = app.approve(&app.browser(), &request).await;
    let body = app.redeem(&client, &reply).await.json();
    assert_eq!(claims(&body)["aud"], RESOURCE);
}

/// A resource that is removed takes the grants on several along.
#[tokio::test]
async fn a_grant_ends_with_any_of_its_resources() {
    let (app, client) = app().await;
    let code = code(&app, &client).await;
    let body = redeem(&app, &client, &code, &[]).await.json();
    app.context
        .store
        .delete_resource("mail", app.context.now())
        .await
        .unwrap();
    refresh(&app, &client, &body, &[])
        .await
        .assert_error("invalid_grant");
}

/// A claim that the operator of one resource had put into its tokens must not be taken for another one's.
#[tokio::test]
async fn resources_that_want_different_claims_share_no_token() {
    let (app, client) = app().await;
    let store = &app.context.store;
    for (slug, role) in [("mcp", "admin"), ("mail", "guest")] {
        let mut resource = store.resource(slug).await.unwrap().unwrap();
        resource.policy.claims.insert("role".to_owned(), role.into());
        resource.policy.claims.insert("tenant".to_owned(), "one".into());
        store.update_resource(resource).await.unwrap();
    }
    let code = code(&app, &client).await;
    redeem(&app, &client, &code, &[])
        .await
        .assert_error("invalid_target");
    let body = redeem(&app, &client, &code, &[MAIL]).await.json();
    let claims_of_mail = claims(&body);
    assert_eq!(
        (&claims_of_mail["role"], &claims_of_mail["tenant"]),
        (&json!("guest"), &json!("one"))
    );
    refresh(&app, &client, &body, &[])
        .await
        .assert_error("invalid_target");
    let body = refresh(&app, &client, &body, &[RESOURCE]).await.json();
    assert_eq!(claims(&body)["role"], "admin");
}
