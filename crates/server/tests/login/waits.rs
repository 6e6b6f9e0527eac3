//! How long wrong passwords make the next attempt wait.

use http::StatusCode;

use crate::passwords::try_password;
use crate::support::{Browser, EMAIL, ISSUER, PASSWORD, TestApp};

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
    thief.set_cookie("doorward_gSe4-u_0_known", &owner.cookie("known").unwrap());
    assert_eq!(
        try_password(&thief, EMAIL, PASSWORD).await.status,
        StatusCode::TOO_MANY_REQUESTS
    );
}

/// [RATE-001]: whoever has an account must not be free to try all others.
#[tokio::test]
async fn a_known_browser_is_known_for_its_own_person_alone() {
    let app = TestApp::new().await;
    let eve = "eve@example.com";
    app.add_user(eve).await;
    let browser = app.browser();
    try_password(&browser, eve, PASSWORD).await;
    let page = browser.get("/logout").await;
    browser.submit(&page.form("/logout"), None).await;

    for email in [EMAIL, eve] {
        for _ in 0..6 {
            try_password(&app.browser(), email, "wrong").await;
        }
    }
    assert_eq!(
        try_password(&browser, EMAIL, PASSWORD).await.status,
        StatusCode::TOO_MANY_REQUESTS
    );
    assert_eq!(
        try_password(&browser, eve, PASSWORD).await.status,
        StatusCode::SEE_OTHER
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

/// A server behind a proxy, with 20 free attempts for an address and 80 for the network of an IPv6 address.
async fn behind_a_proxy() -> TestApp {
    TestApp::with(|settings| {
        settings.login.free_attempts = 1;
        settings.server.trusted_proxies = vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()];
    })
    .await
}

/// The status of a sign-in from an address.
async fn from(browser: &Browser, address: &str, email: &str, password: &str) -> StatusCode {
    let page = browser.get("/login").await;
    let form = page.form("/login").set("email", email).set("password", password);
    let headers = [
        ("origin", ISSUER),
        ("sec-fetch-site", "same-origin"),
        ("x-forwarded-for", address),
    ];
    browser.submit_with(&form, None, &headers).await.status
}

/// [RATE-001]
#[tokio::test]
async fn a_network_that_tries_many_accounts_has_to_wait_and_who_signed_in_there_before_does_not() {
    let app = behind_a_proxy().await;
    let owner = app.signed_in().await;
    let page = owner.get("/logout").await;
    owner.submit(&page.form("/logout"), None).await;

    let mut names = (0..).map(|index| format!("user{index}@example.com"));
    let mut attempt = async |address: String| {
        let email = names.next().unwrap();
        from(&app.browser(), &address, &email, "wrong").await
    };
    for index in 0..120 {
        let expected = if index < 20 {
            StatusCode::BAD_REQUEST
        } else {
            StatusCode::TOO_MANY_REQUESTS
        };
        assert_eq!(attempt("2001:db8:1::1".into()).await, expected, "{index}");
    }
    // What was refused to one subscriber is not taken from the others.
    for index in 1..=60 {
        let status = attempt(format!("2001:db8:1:{index}::1")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{index}");
    }
    for index in 61..=120 {
        let status = attempt(format!("2001:db8:1:{index}::1")).await;
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{index}");
    }
    assert_eq!(attempt("2001:db8:2::1".into()).await, StatusCode::BAD_REQUEST);
    assert_eq!(
        from(&owner, "2001:db8:1::1", EMAIL, PASSWORD).await,
        StatusCode::SEE_OTHER
    );
}

/// [RATE-001]
#[tokio::test]
async fn who_gets_in_does_not_use_up_the_attempts_of_the_address() {
    let app = behind_a_proxy().await;
    for address in ["192.0.2.1", "2001:db8:1:2::3"] {
        for index in 0..100 {
            let status = from(&app.browser(), address, EMAIL, PASSWORD).await;
            assert_eq!(status, StatusCode::SEE_OTHER, "{index}");
        }
    }
}

/// [RATE-001]
#[tokio::test]
async fn who_gets_in_gives_back_no_attempts_of_others() {
    let app = behind_a_proxy().await;
    let address = "192.0.2.1";
    for index in 0..20 {
        let email = format!("user{index}@example.com");
        let status = from(&app.browser(), address, &email, "wrong").await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{index}");
        if index < 19 {
            let status = from(&app.browser(), address, EMAIL, PASSWORD).await;
            assert_eq!(status, StatusCode::SEE_OTHER, "{index}");
        }
    }
    let status = from(&app.browser(), address, "user20@example.com", "wrong").await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
}

/// Whoever sends them would make the store keep a row for each, at no cost of their own.
#[tokio::test]
async fn what_is_too_long_to_be_anybodys_is_refused_and_not_counted() {
    let app = behind_a_proxy().await;
    let (long, address) = ("x".repeat(1025), "192.0.2.1");
    for _ in 0..30 {
        for (email, password) in [(EMAIL, &*long), (&*long, PASSWORD)] {
            let status = from(&app.browser(), address, email, password).await;
            assert_eq!(status, StatusCode::BAD_REQUEST);
        }
    }
    let status = from(&app.browser(), address, EMAIL, PASSWORD).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
}
