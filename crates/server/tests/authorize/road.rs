//! From a request to a code.

use crate::support::{Authorization, EMAIL, ISSUER, PASSWORD, TestApp, challenge_of};
use crate::{REDIRECT, app_with_client};
use doorward_store::ClientSource::Admin;
use http::StatusCode;

/// [AUTHZ-001, AUTHZ-022, ISS-001]
#[tokio::test]
async fn a_code_comes_with_state_and_iss_and_nothing_else() {
    let (app, request) = app_with_client().await;
    let browser = app.browser();
    let page = browser.open(&request.path()).await;
    let reply = browser.sign_in_on(&page, EMAIL).await;
    let reply = browser
        .submit(&reply.form("/consent"), Some(("decision", "allow")))
        .await;

    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(reply.header("referrer-policy"), "no-referrer");
    let names: Vec<_> = reply.query().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["code", "state", "iss"]);
    assert!(
        reply
            .location()
            .unwrap()
            .starts_with(&format!("{REDIRECT}?code=dwa_"))
    );
    assert!(reply.param("code").unwrap().len() >= 4 + 43);
    assert_eq!(reply.param("state").as_deref(), Some("xyz"));
    assert_eq!(reply.param("iss").as_deref(), Some(ISSUER));
}

/// [RES-001, RES-008]
#[tokio::test]
async fn the_code_gives_a_token_for_what_was_consented() {
    let (app, request) = app_with_client().await;
    let client_id = app.add_client(Admin, &[REDIRECT]).await;
    let request = request.set("client_id", &client_id);
    let reply = app.approve(&app.browser(), &request).await;
    let token = app.redeem(&client_id, &reply).await;
    assert_eq!(token.status, StatusCode::OK, "{token:?}");
    assert_eq!(token.json()["scope"], "mcp:read");
}

#[tokio::test]
async fn an_issuer_with_a_path_keeps_people_below_it() {
    let app = TestApp::with(|settings| settings.server.issuer = format!("{ISSUER}/tenant")).await;
    let client_id = app.add_client(Admin, &[REDIRECT]).await;
    let browser = app.browser();
    let path = format!("/tenant{}", Authorization::new(&client_id, REDIRECT).path());
    let page = browser.open(&path).await;
    let form = page
        .form("/tenant/login")
        .set("email", EMAIL)
        .set("password", PASSWORD);
    let reply = browser.submit(&form, None).await;
    let page = browser.follow(reply).await;
    let reply = browser
        .submit(&page.form("/tenant/consent"), Some(("decision", "allow")))
        .await;
    assert_eq!(reply.param("iss"), Some(format!("{ISSUER}/tenant")), "{reply:?}");
    let page = browser.get("/tenant/logout").await;
    assert_eq!(
        browser.submit(&page.form("/tenant/logout"), None).await.status,
        StatusCode::OK
    );
    assert_eq!(
        browser
            .get(&Authorization::new(&client_id, REDIRECT).path())
            .await
            .status,
        StatusCode::NOT_FOUND
    );
}

/// [AUTHZ-002]
#[tokio::test]
async fn post_behaves_like_get() {
    let (app, request) = app_with_client().await;
    let browser = app.browser();
    let reply = browser
        .post(
            "/oauth/authorize",
            &[("sec-fetch-site", "cross-site")],
            request.encoded(),
        )
        .await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    let page = browser.follow(reply).await;
    assert!(page.body.contains("name=\"password\""), "{page:?}");

    let reply = browser
        .send(
            "POST",
            "/oauth/authorize",
            &[("content-type", "application/json")],
            "{}".into(),
        )
        .await;
    assert_eq!(reply.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let reply = browser
        .post("/oauth/authorize", &[], format!("state={}", "x".repeat(9000)))
        .await;
    reply.assert_error_page();
}

/// A client library looks at the authorization URL without cookies before it opens the browser.
#[tokio::test]
async fn a_get_without_cookies_harms_nothing() {
    let (app, request) = app_with_client().await;
    let abandoned = app.browser().get(&request.path()).await;
    assert_eq!(abandoned.status, StatusCode::SEE_OTHER);
    let reply = app.approve(&app.browser(), &request).await;
    assert!(reply.param("code").is_some(), "{reply:?}");
}

/// [AUTHZ-028]
#[tokio::test]
async fn no_other_origin_can_read_the_answer() {
    let (app, request) = app_with_client().await;
    let reply = app
        .browser()
        .get_with(&request.path(), &[("origin", "https://evil.example")])
        .await;
    assert_eq!(reply.header("access-control-allow-origin"), "");
    let headers = [
        ("origin", "https://evil.example"),
        ("access-control-request-method", "GET"),
    ];
    let reply = app
        .browser()
        .send("OPTIONS", &request.path(), &headers, String::new())
        .await;
    assert_eq!(reply.header("access-control-allow-origin"), "");
}

/// [AUTHZ-033]
#[tokio::test]
async fn two_tabs_give_two_independent_codes() {
    let (app, request) = app_with_client().await;
    let client_id = app.add_client(Admin, &[REDIRECT]).await;
    let request = request.set("client_id", &client_id);
    let browser = app.signed_in().await;
    let (verifier_a, verifier_b) = ("a".repeat(43), "b".repeat(43));
    let tab = |state: &str, verifier: &str| {
        request
            .clone()
            .set("state", state)
            .set("code_challenge", &challenge_of(verifier))
    };
    let page_a = browser.open(&tab("a", &verifier_a).path()).await;
    let page_b = browser.open(&tab("b", &verifier_b).path()).await;
    let reply_a = browser
        .submit(&page_a.form("/consent"), Some(("decision", "allow")))
        .await;
    let reply_b = browser
        .submit(&page_b.form("/consent"), Some(("decision", "allow")))
        .await;
    assert_eq!(reply_a.param("state").as_deref(), Some("a"));
    assert_eq!(reply_b.param("state").as_deref(), Some("b"));
    let (code_a, code_b) = (reply_a.param("code").unwrap(), reply_b.param("code").unwrap());
    assert_ne!(code_a, code_b);

    let redeem = async |code: &str, verifier: &str| {
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", client_id.as_str()),
            ("code", code),
            ("code_verifier", verifier),
        ];
        app.token(&form).await.status
    };
    assert_eq!(
        redeem(&code_a, &verifier_b).await,
        StatusCode::BAD_REQUEST,
        "[PKCE-016]"
    );
    assert_eq!(redeem(&code_b, &verifier_b).await, StatusCode::OK);
}

/// Applications open a tab for each server at once, also in a browser that has not been here: each answer
/// sets another browser cookie, and the last one stays.
#[tokio::test]
async fn the_first_tabs_of_a_browser_do_not_disturb_each_other() {
    let (app, request) = app_with_client().await;
    let (browser, other_tab) = (app.browser(), app.browser());
    let first = browser.get(&request.clone().set("state", "first").path()).await;
    let second = other_tab.get(&request.set("state", "second").path()).await;
    for (name, value) in other_tab.cookies() {
        browser.set_cookie(&name, &value);
    }
    for (reply, state) in [(first, "first"), (second, "second")] {
        let page = browser.follow(reply).await;
        let page = browser.sign_in_on(&page, EMAIL).await;
        let reply = match page.status {
            StatusCode::OK => {
                browser
                    .submit(&page.form("/consent"), Some(("decision", "allow")))
                    .await
            }
            _ => page,
        };
        assert_eq!(reply.param("state").as_deref(), Some(state), "{reply:?}");
        assert!(reply.param("code").is_some());
    }
}

/// [AUTHZ-036]
#[tokio::test]
async fn another_browser_cannot_finish_the_flow() {
    let (app, request) = app_with_client().await;
    let first = app.browser();
    let handle_url = first.get(&request.path()).await.own_location().unwrap();

    let second = app.signed_in().await;
    second.get(&handle_url).await.assert_error_page();
    second
        .get(&handle_url.replace("/login?", "/consent?"))
        .await
        .assert_error_page();
    let page = first.open(&handle_url).await;
    let stolen = page.form("/login").set("email", EMAIL).set("password", PASSWORD);
    second.submit(&stolen, None).await.assert_error_page();
    assert!(first.cookie("session").is_none());
}

#[tokio::test]
async fn a_request_waits_a_quarter_of_an_hour() {
    let (app, request) = app_with_client().await;
    let browser = app.browser();
    let page = browser.open(&request.path()).await;
    app.wait(15 * 60 - 1);
    assert_eq!(browser.sign_in_on(&page, EMAIL).await.status, StatusCode::OK);
    app.wait(1);
    let late = browser
        .submit(
            &page.form("/login").set("email", EMAIL).set("password", PASSWORD),
            None,
        )
        .await;
    late.assert_error_page();
}
