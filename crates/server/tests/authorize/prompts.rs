//! `prompt`, `max_age` and `login_hint`.

use crate::support::EMAIL;
use crate::{REDIRECT, app_with_client, assert_error};

/// [AUTHZ-019]
#[tokio::test]
async fn prompts_that_contradict_themselves_are_refused() {
    for prompt in ["none login", "none consent", "bogus", "LOGIN", "login login"] {
        assert_error(|request| request.set("prompt", prompt), "invalid_request").await;
    }
}

/// [AUTHZ-020]
#[tokio::test]
async fn a_max_age_that_is_no_number_is_refused() {
    for max_age in ["-1", "+5", "99999999999999999999", "abc", "1.5", "0x10"] {
        assert_error(|request| request.set("max_age", max_age), "invalid_request").await;
    }
}

#[tokio::test]
async fn prompt_none_never_shows_anything() {
    let (app, request) = app_with_client().await;
    let silent = request.clone().set("prompt", "none");
    app.browser()
        .get(&silent.path())
        .await
        .assert_error_redirect(REDIRECT, "login_required", Some("xyz"));
    let browser = app.signed_in().await;
    browser
        .get(&silent.path())
        .await
        .assert_error_redirect(REDIRECT, "consent_required", Some("xyz"));
    app.approve(&browser, &request).await;
    let reply = browser.get(&silent.path()).await;
    assert!(reply.param("code").is_some(), "{reply:?}");
    app.wait(100);
    let reply = browser.get(&silent.set("max_age", "99").path()).await;
    reply.assert_error_redirect(REDIRECT, "login_required", Some("xyz"));
}

/// [AUTHZ-020]
#[tokio::test]
async fn prompt_login_and_max_age_ask_for_the_password_again() {
    let (app, request) = app_with_client().await;
    let browser = app.signed_in().await;
    app.approve(&browser, &request).await;
    for (name, value) in [("prompt", "login"), ("max_age", "0"), ("prompt", "login consent")] {
        // The clock stands still: it is the old session that does not count, not its time.
        let page = browser.open(&request.clone().set(name, value).path()).await;
        assert!(
            page.body.contains("name=\"password\""),
            "{name}={value}: {page:?}"
        );
        let consent = page.form("/login").action.replace("/login", "/consent");
        let detour = browser
            .open(&format!(
                "{consent}?request={}",
                page.form("/login").get("request").unwrap()
            ))
            .await;
        assert!(
            detour.body.contains("name=\"password\""),
            "there is no way around the password"
        );
        let done = browser.sign_in_on(&page, EMAIL).await;
        assert!(
            done.status.is_redirection() || done.body.contains("decision"),
            "{name}={value}: {done:?}"
        );
    }
    app.wait(50);
    assert!(
        browser
            .get(&request.clone().set("max_age", "50").path())
            .await
            .param("code")
            .is_some()
    );
    let page = browser.open(&request.set("max_age", "49").path()).await;
    assert!(page.body.contains("name=\"password\""));
}

#[tokio::test]
async fn prompt_consent_and_select_account_always_ask() {
    let (app, request) = app_with_client().await;
    let browser = app.signed_in().await;
    app.approve(&browser, &request).await;
    assert!(browser.get(&request.path()).await.param("code").is_some());
    for prompt in ["consent", "select_account"] {
        let page = browser.open(&request.clone().set("prompt", prompt).path()).await;
        assert!(page.text().contains(EMAIL));
        page.form("/consent");
    }
}

#[tokio::test]
async fn a_login_hint_fills_in_the_address() {
    let (app, request) = app_with_client().await;
    let page = app
        .browser()
        .open(&request.clone().set("login_hint", "\"><b>ada").path())
        .await;
    assert_eq!(page.form("/login").get("email"), Some("\"><b>ada"));
    assert!(!page.body.contains("<b>ada"));
    let page = app
        .browser()
        .open(&request.set("login_hint", &"x".repeat(300)).path())
        .await;
    assert_eq!(page.form("/login").get("email"), Some(""));
}
