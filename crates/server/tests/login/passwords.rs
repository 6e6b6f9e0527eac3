//! Addresses and passwords, and what is said of wrong ones.

use argon2::{Argon2, PasswordHasher as _};
use doorward_store::{User, UserId};
use http::StatusCode;
use tokio::task::{JoinSet, LocalSet};

use crate::support::{Browser, EMAIL, ISSUER, PASSWORD, Reply, TestApp};

pub(crate) async fn try_password(browser: &Browser, email: &str, password: &str) -> Reply {
    browser.sign_in("/login", email, password).await
}

/// Whether somebody is signed in.
pub(crate) async fn is_signed_in(browser: &Browser) -> bool {
    !browser.get("/login").await.body.contains("name=\"password\"")
}

#[tokio::test]
async fn without_a_request_there_is_a_plain_page() {
    let app = TestApp::new().await;
    let browser = app.browser();
    let reply = try_password(&browser, EMAIL, PASSWORD).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    assert_eq!(reply.location(), Some("/login"));
    let page = browser.follow(reply).await;
    assert!(page.text().contains(EMAIL), "{page:?}");
}

#[tokio::test]
async fn an_address_is_one_whatever_its_case_and_the_spaces_around_it() {
    let app = TestApp::new().await;
    assert_eq!(
        try_password(&app.browser(), " ADA@Example.COM ", PASSWORD)
            .await
            .status,
        StatusCode::SEE_OTHER
    );
}

/// [LOGIN-017]
#[tokio::test]
async fn every_refusal_reads_the_same() {
    let app = TestApp::new().await;
    let disabled = User {
        disabled: true,
        ..app.add_user("disabled@example.com").await
    };
    app.context
        .store
        .update_user(disabled, app.context.now())
        .await
        .unwrap();
    let without = User {
        id: UserId(app.context.random.uuid_v4()),
        email: "without@example.com".into(),
        password_hash: None,
        ..app.user.clone()
    };
    app.context.store.create_user(without).await.unwrap();

    let mut answers = Vec::new();
    for (email, password) in [
        (EMAIL, "wrong"),
        ("nobody@example.com", PASSWORD),
        ("disabled@example.com", PASSWORD),
        ("without@example.com", PASSWORD),
        (EMAIL, ""),
        ("", ""),
        (EMAIL, &"x".repeat(2000)),
        (&"x".repeat(2000), PASSWORD),
        ("' OR 1=1--", PASSWORD),
    ] {
        let browser = app.browser();
        let reply = try_password(&browser, email, password).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{reply:?}");
        assert!(browser.cookie("session").is_none());
        let token = reply.form("/login").get("csrf_token").unwrap().to_owned();
        answers.push(reply.text().replace(&token, "").replace(email, ""));
    }
    assert!(answers[0].contains("is not right"), "{answers:?}");
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
}

/// The kill switch has no gap: whoever was signing in with the old password while it was changed stays outside.
#[tokio::test]
async fn a_sign_in_that_overlaps_a_new_password_makes_no_session() {
    let app = TestApp::with(|settings| settings.login.free_attempts = 100).await;
    // An expensive hash, so that most of them still wait for theirs when the first is done.
    let mut user = app.user.clone();
    user.password_hash = Some(expensive_hash(PASSWORD));
    app.context
        .store
        .update_user(user.clone(), app.context.now())
        .await
        .unwrap();
    let mut forms = Vec::new();
    for _ in 0..16 {
        let browser = app.browser();
        let form = browser.open("/login").await.form("/login");
        forms.push((browser, form.set("email", EMAIL).set("password", PASSWORD)));
    }
    let change = async {
        let mut sign_ins = JoinSet::new();
        for (browser, form) in forms {
            sign_ins.spawn_local(async move {
                browser.submit(&form, None).await;
                browser
            });
        }
        let first = sign_ins.join_next().await.unwrap().unwrap();
        user.password_hash = Some(expensive_hash("another password"));
        let now = app.context.now();
        app.context.store.update_user(user, now).await.unwrap();
        let mut browsers = sign_ins.join_all().await;
        browsers.push(first);
        browsers
    };
    let browsers = LocalSet::new().run_until(change).await;
    assert_eq!(browsers.len(), 16);
    for browser in browsers {
        assert!(!is_signed_in(&browser).await);
    }
}

fn expensive_hash(password: &str) -> String {
    Argon2::default()
        .hash_password_with_salt(password.as_bytes(), b"the salt of tests")
        .unwrap()
        .to_string()
}

/// [LOGIN-011, LOGIN-019]
#[tokio::test]
async fn the_query_leads_nowhere_and_fills_in_nothing() {
    let app = TestApp::new().await;
    for target in [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "/%09/evil.example",
        "javascript:alert(1)",
    ] {
        let browser = app.browser();
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("return_to", target),
                ("next", target),
                ("redirect_uri", target),
                ("email", EMAIL),
                ("password", PASSWORD),
            ])
            .finish();
        let page = browser.get(&format!("/login?{query}")).await;
        assert!(
            !page.body.contains("evil.example") && !page.body.contains(EMAIL),
            "{page:?}"
        );
        let reply = browser
            .submit(
                &page.form("/login").set("email", EMAIL).set("password", PASSWORD),
                None,
            )
            .await;
        assert_eq!(reply.location(), Some("/login"));
    }
    let reply = app.browser().get("/login?request=x").await;
    reply.assert_error_page();
}

/// [LOGIN-006]
#[tokio::test]
async fn nobody_can_be_signed_in_from_elsewhere() {
    let app = TestApp::new().await;
    let browser = app.browser();
    let page = browser.get("/login").await;
    let form = page.form("/login").set("email", EMAIL).set("password", PASSWORD);
    let refused = [
        browser
            .submit_with(&form, None, &[("origin", "https://evil.example")])
            .await,
        browser
            .submit_with(
                &form,
                None,
                &[("origin", ISSUER), ("sec-fetch-site", "cross-site")],
            )
            .await,
        browser
            .submit_with(
                &form,
                None,
                &[("origin", "null"), ("sec-fetch-site", "cross-site")],
            )
            .await,
        browser.submit(&form.clone().without("csrf_token"), None).await,
        browser.submit(&form.clone().set("csrf_token", "x"), None).await,
        browser.submit(&form.clone().set("request", "x"), None).await,
        app.browser().submit(&form, None).await,
    ];
    for reply in refused {
        assert_eq!(reply.headers.get("set-cookie"), None, "{reply:?}");
        reply.assert_error_page();
    }
    assert!(!is_signed_in(&browser).await);
}
