//! How long wrong passwords make the next attempt wait.

use http::StatusCode;

use crate::passwords::try_password;
use crate::support::{EMAIL, PASSWORD, TestApp};

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
