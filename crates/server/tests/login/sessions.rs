//! Sessions and their cookies, from signing in to signing out.

use doorward_store::ClientSource::Admin;
use http::StatusCode;

use crate::passwords::{is_signed_in, try_password};
use crate::support::{Authorization, EMAIL, PASSWORD, TestApp};

/// Of a server at `http://localhost:9000`.
const SESSION: &str = "doorward_gSe4-u_0_session";

/// [LOGIN-003, LOGIN-004]
#[tokio::test]
async fn every_sign_in_makes_a_new_session_and_ends_the_old_one() {
    let app = TestApp::new().await;
    let browser = app.browser();
    let planted = "A".repeat(43);
    browser.set_cookie(SESSION, &planted);
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
        thief.set_cookie(SESSION, &old);
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

#[tokio::test]
async fn a_cookie_that_comes_twice_is_refused() {
    let app = TestApp::new().await;
    let browser = app.signed_in().await;
    let twice = format!("{SESSION}={}; {SESSION}=x", browser.cookie("session").unwrap());
    let reply = app.browser().get_with("/login", &[("cookie", &twice)]).await;
    reply.assert_error_page();
}

/// Another application on the host, or a script of one, may set any bytes.
#[tokio::test]
async fn what_others_put_into_their_cookies_keeps_nobody_out() {
    let app = TestApp::new().await;
    let browser = app.browser();
    browser.set_cookie("city", "Köln");
    let reply = try_password(&browser, EMAIL, PASSWORD).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER, "{reply:?}");
    assert!(is_signed_in(&browser).await);
}

/// Cookies are told apart neither by port nor, when they are for the whole host, by path (RFC 6265 §8.5, §8.6).
#[tokio::test]
async fn two_servers_of_one_host_leave_each_other_their_cookies() {
    for [one, other] in [
        ["http://localhost:9000", "http://localhost:9100"],
        ["https://example.com/one", "https://example.com/other"],
    ] {
        let server =
            async |issuer: &str| TestApp::with(|settings| settings.server.issuer = issuer.into()).await;
        let (one, other) = (server(one).await, server(other).await);
        let page = one
            .browser()
            .get(&format!("{}/login", one.context.issuer.path()))
            .await;
        let of_one = page.header("set-cookie").split('=').next().unwrap().to_owned();
        let page = other
            .browser()
            .get(&format!("{}/login", other.context.issuer.path()))
            .await;
        let of_other = page.header("set-cookie").split('=').next().unwrap().to_owned();
        assert!(
            of_one.ends_with("_browser") && of_other.ends_with("_browser"),
            "{of_one} {of_other}"
        );
        assert_ne!(of_one, of_other);
    }
}

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
    thief.set_cookie(SESSION, &stolen);
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
