//! `/login` and `/logout`.

#![cfg(test)]

mod support;

use argon2::{Argon2, PasswordHasher as _};
use doorward_store::ClientSource::Admin;
use doorward_store::{User, UserId};
use http::StatusCode;
use support::{Authorization, Browser, EMAIL, ISSUER, PASSWORD, Reply, TestApp};
use tokio::task::{JoinSet, LocalSet};

async fn try_password(browser: &Browser, email: &str, password: &str) -> Reply {
    browser.sign_in("/login", email, password).await
}

/// Whether somebody is signed in.
async fn is_signed_in(browser: &Browser) -> bool {
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

/// [LOGIN-003, LOGIN-004]
#[tokio::test]
async fn every_sign_in_makes_a_new_session_and_ends_the_old_one() {
    let app = TestApp::new().await;
    let browser = app.browser();
    let planted = "A".repeat(43);
    browser.set_cookie("doorward_session", &planted);
    try_password(&browser, EMAIL, PASSWORD).await;
    let first = browser.cookie("session").unwrap();
    assert_ne!(first, planted);

    let client_id = app.add_client(Admin, &["https://client.example/cb"]).await;
    let again = Authorization::new(&client_id, "https://client.example/cb").set("prompt", "login");
    let page = browser.open(&again.path()).await;
    browser.sign_in_on(&page, EMAIL).await;
    assert_ne!(browser.cookie("session").unwrap(), first);

    for old in [planted, first] {
        let thief = app.browser();
        thief.set_cookie("doorward_session", &old);
        assert!(!is_signed_in(&thief).await);
    }
    assert!(is_signed_in(&browser).await);
}

#[tokio::test]
async fn the_cookies_are_marked() {
    let app = TestApp::new().await;
    let browser = app.browser();
    let page = browser.get("/login").await;
    let reply = browser
        .submit(
            &page.form("/login").set("email", EMAIL).set("password", PASSWORD),
            None,
        )
        .await;
    let cookies = page
        .headers
        .get_all("set-cookie")
        .iter()
        .chain(reply.headers.get_all("set-cookie"));
    let cookies: Vec<_> = cookies.map(|cookie| cookie.to_str().unwrap()).collect();
    assert_eq!(cookies.len(), 3, "{cookies:?}");
    for cookie in cookies {
        assert!(
            cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Lax") && cookie.contains("; Path=/"),
            "{cookie}"
        );
    }
}

#[tokio::test]
async fn off_loopback_the_cookies_belong_to_the_host() {
    let app = TestApp::with(|settings| settings.server.issuer = "https://auth.example".into()).await;
    let browser = app.browser();
    let page = browser.get("/login").await;
    let headers = [
        ("origin", "https://auth.example"),
        ("sec-fetch-site", "same-origin"),
    ];
    browser
        .submit_with(
            &page.form("/login").set("email", EMAIL).set("password", PASSWORD),
            None,
            &headers,
        )
        .await;
    let names: Vec<_> = browser.cookies().into_keys().collect();
    assert_eq!(
        names,
        [
            "__Host-doorward_browser",
            "__Host-doorward_known",
            "__Host-doorward_session"
        ]
    );
    assert!(page.header("strict-transport-security").contains("max-age="));
}

#[tokio::test]
async fn sessions_end_when_idle_and_after_all() {
    let app = TestApp::new().await;
    let browser = app.signed_in().await;
    app.wait(12 * 3600 + 1);
    assert!(!is_signed_in(&browser).await, "idle");

    let browser = app.signed_in().await;
    for _ in 0..(7 * 4 - 1) {
        app.wait(6 * 3600);
        assert!(is_signed_in(&browser).await);
        // The visit is written down behind the answer.
        app.context.store.ping().await.unwrap();
    }
    app.wait(6 * 3600);
    assert!(!is_signed_in(&browser).await, "the absolute limit");
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

#[tokio::test]
async fn a_cookie_that_comes_twice_is_refused() {
    let app = TestApp::new().await;
    let browser = app.signed_in().await;
    let twice = format!(
        "doorward_session={}; doorward_session=x",
        browser.cookie("session").unwrap()
    );
    let reply = app.browser().get_with("/login", &[("cookie", &twice)]).await;
    reply.assert_error_page();
}

// --- throttling ------------------------------------------------------------------------------

#[tokio::test]
async fn wrong_passwords_make_the_next_one_wait() {
    let app = TestApp::new().await;
    let browser = app.browser();
    for _ in 0..5 {
        assert_eq!(
            try_password(&browser, EMAIL, "wrong").await.status,
            StatusCode::BAD_REQUEST
        );
    }
    let reply = try_password(&browser, EMAIL, PASSWORD).await;
    assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(reply.header("retry-after"), "2");
    assert!(reply.text().contains("Try again in 2 seconds"), "{reply:?}");
    app.wait(2);
    assert_eq!(
        try_password(&browser, EMAIL, PASSWORD).await.status,
        StatusCode::SEE_OTHER
    );
    assert_eq!(
        try_password(&app.browser(), EMAIL, "wrong").await.status,
        StatusCode::BAD_REQUEST,
        "a right one clears"
    );
}

#[tokio::test]
async fn an_account_that_is_not_there_waits_as_well() {
    let app = TestApp::new().await;
    for _ in 0..5 {
        try_password(&app.browser(), "nobody@example.com", "wrong").await;
    }
    let reply = try_password(&app.browser(), "NOBODY@example.com", "wrong").await;
    assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS);
}

/// [RATE-001]
#[tokio::test]
async fn the_longest_wait_is_bounded() {
    let app = TestApp::new().await;
    for _ in 0..40 {
        if let Some(seconds) = try_password(&app.browser(), EMAIL, "wrong")
            .await
            .headers
            .get("retry-after")
        {
            let seconds: u64 = seconds.to_str().unwrap().parse().unwrap();
            assert!(seconds <= 15 * 60, "{seconds}");
            app.wait(seconds);
        }
    }
    app.wait(15 * 60);
    assert_eq!(
        try_password(&app.browser(), EMAIL, PASSWORD).await.status,
        StatusCode::SEE_OTHER
    );
}

/// [RATE-001]
#[tokio::test]
async fn an_attack_does_not_keep_the_owner_out_of_a_known_browser() {
    let app = TestApp::new().await;
    let owner = app.signed_in().await;
    let page = owner.get("/logout").await;
    owner.submit(&page.form("/logout"), None).await;

    for _ in 0..6 {
        try_password(&app.browser(), EMAIL, "wrong").await;
    }
    assert_eq!(
        try_password(&app.browser(), EMAIL, PASSWORD).await.status,
        StatusCode::TOO_MANY_REQUESTS
    );
    assert_eq!(
        try_password(&owner, EMAIL, PASSWORD).await.status,
        StatusCode::SEE_OTHER
    );
    // The cookie is good for one browser and one person only.
    let thief = app.browser();
    thief.set_cookie("doorward_known", &owner.cookie("known").unwrap());
    assert_eq!(
        try_password(&thief, EMAIL, PASSWORD).await.status,
        StatusCode::TOO_MANY_REQUESTS
    );
}

/// [RATE-001]
#[tokio::test]
async fn an_address_that_tries_many_accounts_has_to_wait() {
    let app = TestApp::new().await;
    for index in 0..100 {
        let reply = try_password(&app.browser(), &format!("user{index}@example.com"), "wrong").await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{index}");
    }
    assert_eq!(
        try_password(&app.browser(), "user100@example.com", "wrong")
            .await
            .status,
        StatusCode::TOO_MANY_REQUESTS
    );
    app.wait(15 * 60);
    assert_eq!(
        try_password(&app.browser(), "user100@example.com", "wrong")
            .await
            .status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn attempts_at_once_do_not_get_past_the_throttle() {
    let app = TestApp::new().await;
    let browser = app.browser();
    let form = browser
        .get("/login")
        .await
        .form("/login")
        .set("email", EMAIL)
        .set("password", "wrong");
    let replies = futures_util::future::join_all((0..50).map(|_| browser.submit(&form, None))).await;
    let tried = replies
        .iter()
        .filter(|reply| reply.status == StatusCode::BAD_REQUEST)
        .count();
    assert_eq!(tried, 5);
}

// --- signing out -----------------------------------------------------------------------------

/// [LOGIN-013]
#[tokio::test]
async fn signing_out_ends_the_session() {
    let app = TestApp::new().await;
    let browser = app.signed_in().await;
    let stolen = browser.cookie("session").unwrap();
    let page = browser.get("/login").await;
    let reply = browser.submit(&page.form("/logout"), None).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.header("cache-control"), "no-store");
    assert!(browser.cookie("session").is_none());
    let thief = app.browser();
    thief.set_cookie("doorward_session", &stolen);
    assert!(!is_signed_in(&thief).await);
}

#[tokio::test]
async fn nobody_is_signed_out_from_elsewhere() {
    let app = TestApp::new().await;
    let browser = app.signed_in().await;
    let form = browser.get("/login").await.form("/logout");
    let refused = [
        browser
            .submit_with(&form, None, &[("origin", "https://evil.example")])
            .await,
        browser.submit(&form.clone().without("csrf_token"), None).await,
        browser.submit(&form.clone().set("csrf_token", "x"), None).await,
    ];
    for reply in refused {
        reply.assert_error_page();
    }
    assert!(is_signed_in(&browser).await);
    assert!(!is_signed_in(&app.browser()).await);
    assert!(app.browser().get("/logout").await.text().contains("signed out"));
}

/// [CODE-016]
#[tokio::test]
async fn signing_out_ends_codes_that_wait() {
    let app = TestApp::new().await;
    let client_id = app.add_client(Admin, &["https://client.example/cb"]).await;
    let browser = app.signed_in().await;
    let reply = app
        .approve(
            &browser,
            &Authorization::new(&client_id, "https://client.example/cb"),
        )
        .await;
    let page = browser.get("/logout").await;
    browser.submit(&page.form("/logout"), None).await;
    assert_eq!(
        app.redeem(&client_id, &reply).await.json()["error"],
        "invalid_grant"
    );
}
