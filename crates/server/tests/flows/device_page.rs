//! `/device`, where a person types a code, and the page that asks.

use http::StatusCode;

use crate::device::{app, begin, consent_page, decide, poll, text};
use crate::support::{EMAIL, ISSUER, TestApp};

async fn typed(app: &TestApp, browser: &crate::support::Browser, code: &str) -> crate::support::Reply {
    let _ = app;
    let page = browser.open("/device").await;
    browser
        .submit(&page.form("/device").set("user_code", code), None)
        .await
}

/// [DEV-003]
#[tokio::test]
async fn the_page_needs_neither_a_session_nor_a_script() {
    let app = app().await;
    let page = app.browser().open("/device").await;
    assert_eq!(page.status, StatusCode::OK);
    let policy = page.header("content-security-policy");
    assert!(
        policy.contains("frame-ancestors 'none'") && policy.contains("default-src 'none'"),
        "{policy}"
    );
    assert!(!page.body.contains("<script"));
}

/// The person sees client, resource, scopes and where the request came from, and is warned.
#[tokio::test]
async fn the_person_sees_who_asks_and_from_where() {
    let app = app().await;
    let device = begin(&app).await;
    let page = consent_page(&app.browser(), &device).await;
    let shown = page.text();
    for expected in [
        "Television",
        "The mcp server",
        "https://mcp.example/mcp",
        "What mcp:read is for",
        text(&device, "user_code"),
        "Asked for from",
        "Another device asks for this",
        EMAIL,
    ] {
        assert!(shown.contains(expected), "{expected} in {shown}");
    }
    assert!(!shown.contains("Returns you to"));
    assert!(!page.body.contains("hand_over"));
}

/// However the code is typed; never without asking, whatever was allowed before.
#[tokio::test]
async fn a_code_may_be_typed_as_people_type() {
    let app = app().await;
    let browser = app.signed_in().await;
    for change in [
        str::to_lowercase,
        |code: &str| code.replace('-', " "),
        |code: &str| code.replace('-', ""),
    ] {
        let device = begin(&app).await;
        let reply = typed(&app, &browser, &change(text(&device, "user_code"))).await;
        let page = browser.follow(reply).await;
        let form = page.form("/consent");
        browser.submit(&form, Some(("decision", "allow"))).await;
        assert_eq!(poll(&app, &device).await.status, StatusCode::OK);
    }
}

/// [DEV-014]
#[tokio::test]
async fn a_user_code_is_good_for_one_answer() {
    let app = app().await;
    let browser = app.signed_in().await;
    for decision in ["allow", "deny"] {
        let device = begin(&app).await;
        let two_tabs = consent_page(&browser, &device).await;
        decide(&browser, &device, decision).await;
        let again = typed(&app, &browser, text(&device, "user_code")).await;
        assert_eq!(again.status, StatusCode::BAD_REQUEST, "{again:?}");
        if decision == "allow" {
            let late = browser
                .submit(&two_tabs.form("/consent"), Some(("decision", "deny")))
                .await;
            assert_eq!(late.status, StatusCode::CONFLICT, "{late:?}");
            assert_eq!(poll(&app, &device).await.status, StatusCode::OK);
        }
    }
}

/// What is said is what happens: a device that has stopped waiting is not "connected".
#[tokio::test]
async fn a_device_that_no_longer_waits_is_not_answered() {
    let app = app().await;
    let browser = app.signed_in().await;
    for decision in ["allow", "deny"] {
        let device = begin(&app).await;
        let lifetime = device["expires_in"].as_u64().unwrap();
        app.wait(lifetime - 30);
        let page = consent_page(&browser, &device).await;
        app.wait(31);
        let late = browser
            .submit(&page.form("/consent"), Some(("decision", decision)))
            .await;
        assert_eq!(late.status, StatusCode::BAD_REQUEST, "{late:?}");
        assert!(late.text().contains("Start again on the device"), "{late:?}");
        assert_eq!(app.grants().await.len(), 0);
        assert_ne!(poll(&app, &device).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn what_was_typed_wrongly_can_be_mended() {
    let app = app().await;
    let page = typed(&app, &app.browser(), "BBBB-BBBX").await;
    assert_eq!(
        page.form("/device").get("user_code"),
        Some("BBBB-BBBX"),
        "{page:?}"
    );
}

/// [DEV-011] [RATE-007]
#[tokio::test]
async fn codes_cannot_be_tried_without_end() {
    let app = app().await;
    let browser = app.browser();
    let mut answers = Vec::new();
    for _ in 0..20 {
        answers.push(typed(&app, &browser, "BBBB-BBBB").await.status);
    }
    let tried = answers
        .iter()
        .filter(|status| **status == StatusCode::BAD_REQUEST)
        .count();
    assert_eq!(tried, 5, "{answers:?}");
    assert!(
        answers[5..]
            .iter()
            .all(|status| *status == StatusCode::TOO_MANY_REQUESTS)
    );
    let waiting = typed(&app, &browser, "BBBB-BBBB").await;
    assert!(waiting.header("retry-after").parse::<u64>().unwrap() >= 1);
    // Other browsers of the address share a larger budget, and a right code does not give it back.
    let mut tried = 5;
    loop {
        let browser = app.browser();
        if typed(&app, &browser, "BBBB-BBBB").await.status == StatusCode::TOO_MANY_REQUESTS {
            break;
        }
        tried += 1;
        assert!(tried <= 30);
    }
    let device = begin(&app).await;
    let refused = typed(&app, &app.browser(), text(&device, "user_code")).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    app.wait(15 * 60 + 1);
    let device = begin(&app).await;
    assert_eq!(
        typed(&app, &app.browser(), text(&device, "user_code"))
            .await
            .status,
        StatusCode::SEE_OTHER
    );
}

/// [DEV-011] [RATE-007]: whoever has a device of their own must not be free to try for others.
#[tokio::test]
async fn a_right_user_code_gives_an_address_no_tries_back() {
    let app = app().await;
    for _ in 0..29 {
        let reply = typed(&app, &app.browser(), "BBBB-BBBB").await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{reply:?}");
    }
    let device = begin(&app).await;
    let right = typed(&app, &app.browser(), text(&device, "user_code")).await;
    assert_eq!(right.status, StatusCode::SEE_OTHER, "{right:?}");
    let next = typed(&app, &app.browser(), "BBBB-BBBB").await;
    assert_eq!(next.status, StatusCode::TOO_MANY_REQUESTS, "{next:?}");
}

/// [DEV-011] [RATE-007]: a /48 has as many addresses as somebody wants to try from.
#[tokio::test]
async fn a_network_that_tries_user_codes_has_to_wait() {
    let app = TestApp::with(|settings| {
        settings.login.free_attempts = 1;
        settings.server.trusted_proxies = vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()];
    })
    .await;
    let attempt = async |address: &str| {
        let browser = app.browser();
        let page = browser.open("/device").await;
        let form = page.form("/device").set("user_code", "BBBB-BBBB");
        let headers = [
            ("origin", ISSUER),
            ("sec-fetch-site", "same-origin"),
            ("x-forwarded-for", address),
        ];
        browser.submit_with(&form, None, &headers).await.status
    };
    // Six for an address, and sixteen times as many for its network.
    for index in 0..96 {
        let status = attempt(&format!("2001:db8:1:{}::1", index % 32)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{index}");
    }
    assert_eq!(attempt("2001:db8:1:ff::1").await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(attempt("2001:db8:2::1").await, StatusCode::BAD_REQUEST);
}

/// [DEV-016]
#[tokio::test]
async fn a_code_in_the_address_is_a_code_or_nothing() {
    let app = app().await;
    for hostile in [
        "%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
        "%00",
        "%7B%7B7*7%7D%7D",
        "javascript:alert(1)",
    ] {
        let page = app.browser().get(&format!("/device?user_code={hostile}")).await;
        assert_eq!(page.status, StatusCode::OK);
        assert_eq!(page.form("/device").get("user_code"), Some(""), "{hostile}");
    }
    let device = begin(&app).await;
    let code = text(&device, "user_code");
    let page = app
        .browser()
        .get(&format!("/device?user_code={}", code.to_lowercase()))
        .await;
    assert_eq!(page.form("/device").get("user_code"), Some(code));
}

#[tokio::test]
async fn a_form_of_another_page_does_not_count() {
    let app = app().await;
    let device = begin(&app).await;
    let browser = app.browser();
    let page = browser.open("/device").await;
    let form = page.form("/device").set("user_code", text(&device, "user_code"));
    let elsewhere = app.browser();
    let page = elsewhere.open("/device").await;
    let others = page.form("/device");
    for token in ["", "x", others.get("csrf_token").unwrap()] {
        let reply = browser.submit(&form.clone().set("csrf_token", token), None).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{token}");
    }
    let reply = browser.submit(&form.clone().without("csrf_token"), None).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    let reply = app.browser().submit(&form, None).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN, "no browser");
    let foreign = [
        ("origin", "https://evil.example"),
        ("sec-fetch-site", "cross-site"),
    ];
    let reply = browser.submit_with(&form, None, &foreign).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    let own = browser.submit(&form, None).await;
    assert_eq!(own.status, StatusCode::SEE_OTHER, "{own:?}");
}
