//! Where errors go.

use crate::support::log::Log;
use crate::support::{Authorization, Browser, TestApp};
use crate::{REDIRECT, app_with_client, assert_error, assert_page};
use doorward_store::ClientSource::{Admin, Dynamic};
use http::StatusCode;
use serde_json::json;

/// [AUTHZ-003, AUTHZ-004, AUTHZ-009]
#[tokio::test]
async fn without_a_certain_client_there_is_no_redirect() {
    assert_page(|request| request.without("client_id")).await;
    assert_page(|request| request.set("client_id", "nope")).await;
    assert_page(|request| request.set("client_id", "")).await;
    assert_page(|request| request.add("client_id", "another")).await;
    assert_page(|request| request.set("client_id", "'; DROP TABLE client --")).await;
    assert_page(|request| request.set("client_id", "\u{0}")).await;
}

/// [AUTHZ-009]
#[tokio::test]
async fn without_a_certain_redirect_uri_there_is_no_redirect() {
    assert_page(|request| request.without("redirect_uri")).await;
    assert_page(|request| request.add("redirect_uri", REDIRECT)).await;
    assert_page(|request| request.add("redirect_uri", "https://evil.example/cb")).await;
    assert_page(|request| request.set("redirect_uri", "https://evil.example/cb")).await;
}

#[tokio::test]
async fn a_disabled_client_gets_a_page() {
    let app = TestApp::new().await;
    let client_id = app.add_client(Admin, &[REDIRECT]).await;
    app.disable_client(&client_id).await;
    app.browser()
        .get(&Authorization::new(&client_id, REDIRECT).path())
        .await
        .assert_error_page();
}

/// A request without `redirect_uri` is fine when there is no doubt: one registered URI, and no port to know.
#[tokio::test]
async fn the_redirect_uri_may_be_missing_when_there_is_one() {
    let app = TestApp::new().await;
    let only = app.add_client(Admin, &[REDIRECT]).await;
    let request = Authorization::new(&only, REDIRECT).without("redirect_uri");
    let reply = app.approve(&app.browser(), &request).await;
    assert!(reply.location().unwrap().starts_with(REDIRECT));
    let loopback = app.add_client(Admin, &["http://127.0.0.1/cb"]).await;
    let request = Authorization::new(&loopback, REDIRECT).without("redirect_uri");
    app.browser().get(&request.path()).await.assert_error_page();
}

/// [AUTHZ-006, AUTHZ-007]
#[tokio::test]
async fn only_the_response_type_code_is_supported() {
    assert_error(|request| request.without("response_type"), "invalid_request").await;
    for value in [
        "token",
        "id_token",
        "code token",
        "code id_token",
        "CODE",
        " code",
        "none",
        "codecode",
    ] {
        assert_error(
            |request| request.set("response_type", value),
            "unsupported_response_type",
        )
        .await;
    }
}

#[tokio::test]
async fn a_client_without_the_grant_gets_no_code() {
    let app = TestApp::new().await;
    let metadata = json!({
        "redirect_uris": [REDIRECT], "grant_types": ["urn:ietf:params:oauth:grant-type:device_code"],
    });
    app.add_client_with("without", Admin, metadata).await;
    let request = Authorization::new("without", REDIRECT);
    for browser in [app.browser(), app.signed_in().await] {
        let reply = browser.get(&request.path()).await;
        reply.assert_error_redirect(REDIRECT, "unauthorized_client", Some("xyz"));
    }
}

/// [AUTHZ-009]
#[tokio::test]
async fn a_parameter_that_comes_twice_is_refused() {
    for name in [
        "response_type",
        "scope",
        "code_challenge",
        "code_challenge_method",
        "prompt",
        "max_age",
        "login_hint",
    ] {
        assert_error(
            |request| request.add(name, "one").add(name, "two"),
            "invalid_request",
        )
        .await;
    }
    assert_error(|request| request.add("scope", "mcp:read"), "invalid_request").await;
}

/// [AUTHZ-009]
#[tokio::test]
async fn a_state_that_comes_twice_is_not_given_back() {
    let (app, request) = app_with_client().await;
    let reply = app.browser().get(&request.add("state", "other").path()).await;
    reply.assert_error_redirect(REDIRECT, "invalid_request", None);
}

/// [AUTHZ-012]
#[tokio::test]
async fn unknown_parameters_are_ignored_and_not_shown() {
    let (app, request) = app_with_client().await;
    let odd = request
        .add("xss", "\"><script>1</script>")
        .add("foo", "1")
        .add("foo", "2")
        .add("foo[]", "a")
        .add("{{7*7}}", "x");
    let page = app.browser().open(&odd.path()).await;
    assert_eq!(page.status, StatusCode::OK, "{page:?}");
    assert!(!page.body.contains("<script>1") && !page.body.contains("{{7*7}}"));
}

/// [AUTHZ-016]
#[tokio::test]
async fn the_state_comes_back_as_it_was() {
    let states = [
        "x".repeat(2048),
        "a&code=injected&x=1".to_owned(),
        "\u{202e}\u{1f600}".to_owned(),
        "+ %".to_owned(),
        "a#b".to_owned(),
        "\r\nX-Y:1".to_owned(),
        "\" onclick=\"".to_owned(),
    ];
    let (app, request) = app_with_client().await;
    let browser = app.signed_in().await;
    for state in states {
        let reply = app
            .approve(
                &browser,
                &request.clone().set("state", &state).set("prompt", "consent"),
            )
            .await;
        assert_eq!(reply.param("state"), Some(state));
        let names: Vec<_> = reply.query().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["code", "state", "iss"]);
    }
}

/// [AUTHZ-017]
#[tokio::test]
async fn what_is_too_long_is_refused() {
    assert_page(|request| request.set("state", &"x".repeat(2049))).await;
    assert_page(|request| request.set("client_id", &"x".repeat(4000))).await;
    assert_page(|request| {
        request.set(
            "redirect_uri",
            &format!("https://client.example/{}", "x".repeat(9000)),
        )
    })
    .await;
    let many = |request: Authorization| {
        (0..300).fold(request, |request, index| request.add(&format!("p{index}"), "x"))
    };
    assert_page(many).await;
}

#[tokio::test]
async fn a_query_that_cannot_be_read_is_a_page() {
    let (app, request) = app_with_client().await;
    for suffix in ["&x=%", "&x=%zz", "&x=%ff%fe", "&%ff=1"] {
        app.browser()
            .get(&format!("{}{suffix}", request.path()))
            .await
            .assert_error_page();
    }
}

/// [AUTHZ-026]
#[tokio::test]
async fn request_objects_are_refused_not_ignored() {
    assert_error(
        |request| request.add("request", "eyJhbGciOiJub25lIn0.e30."),
        "request_not_supported",
    )
    .await;
    for uri in ["https://evil.example/r", "http://169.254.169.254/"] {
        assert_error(|request| request.add("request_uri", uri), "invalid_request_uri").await;
    }
}

#[tokio::test]
async fn only_the_query_carries_answers() {
    for mode in ["fragment", "form_post", "query.jwt", "QUERY"] {
        assert_error(|request| request.add("response_mode", mode), "invalid_request").await;
    }
    let (app, request) = app_with_client().await;
    assert_eq!(
        app.browser()
            .open(&request.add("response_mode", "query").path())
            .await
            .status,
        StatusCode::OK
    );
}

/// [AUTHZ-030]
#[tokio::test]
async fn a_stranger_cannot_make_this_server_redirect() {
    let app = TestApp::new().await;
    let client_id = app.add_client(Dynamic, &["https://phish.example/cb"]).await;
    let request = Authorization::new(&client_id, "https://phish.example/cb");
    let variants = [
        request.clone().set("response_type", "token"),
        request.clone().set("scope", "bogus"),
        request.clone().set("prompt", "none"),
        request.clone().set("code_challenge_method", "plain"),
        request.clone().set("resource", "https://unknown.example"),
        request.clone().set("max_age", "-1"),
    ];
    let signed_in = app.signed_in().await;
    for variant in variants {
        for browser in [&app.browser(), &signed_in] {
            let reply = browser.get(&variant.path()).await;
            reply.assert_error_page();
            assert!(reply.text().contains("phish.example"), "{reply:?}");
        }
    }
    // Once the person has sent the client there, the client may be told.
    app.approve(&signed_in, &request).await;
    let reply = signed_in
        .get(&request.set("prompt", "none").set("scope", "mcp:write").path())
        .await;
    reply.assert_error_redirect("https://phish.example/cb", "consent_required", Some("xyz"));
}

/// Of a client that does not connect the operator sees why, also where the answer is a redirect.
#[tokio::test]
async fn the_log_and_the_metrics_say_why_a_client_was_refused() {
    let log = Log::start();
    let (app, request) = app_with_client().await;
    let line = async |request: Authorization| {
        let reply = app.browser().get(&request.path()).await;
        (reply.status, log.request())
    };

    let (status, told) = line(request.clone().without("code_challenge")).await;
    assert_eq!((status, &told["status"]), (StatusCode::SEE_OTHER, &json!(303)));
    assert_eq!(told["error"], "invalid_request", "{told}");
    let sentence = told["error_description"].as_str().unwrap();
    assert!(sentence.contains("code_challenge"), "{told}");

    let stranger = "https://evil.example/cb\u{7}?token=canary#canary";
    let (status, told) = line(request.clone().set("redirect_uri", stranger)).await;
    assert_eq!(
        (status, &told["error"]),
        (StatusCode::BAD_REQUEST, &json!("invalid_request"))
    );
    assert_eq!(
        told["internal"], "not registered: \"https://evil.example/cb\\u{7}\"",
        "{told}"
    );
    let sentence = told["error_description"].as_str().unwrap();
    assert!(
        sentence.starts_with("The redirect_uri is not registered"),
        "{told}"
    );
    let endless = format!("https://evil.example/{}", "ü".repeat(5000));
    let (_, told) = line(request.clone().set("redirect_uri", &endless)).await;
    assert!(told.to_string().len() < 1500, "{told}");

    let (status, told) = line(request).await;
    assert_eq!(
        (status, told.get("error")),
        (StatusCode::SEE_OTHER, None),
        "{told}"
    );
    assert_eq!(told.get("error_description"), None);

    let metrics = Browser::new(app.admin.clone()).get("/metrics").await.body;
    let counted = "doorward_errors_total{route=\"/oauth/authorize\",error=\"invalid_request\"} 3\n";
    assert!(metrics.contains(counted), "{metrics}");
}
