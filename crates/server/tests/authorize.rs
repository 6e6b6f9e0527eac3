//! `/oauth/authorize`. Names in brackets are the rows of the security catalogue that a test covers.

#![cfg(test)]

mod support;

use doorward_store::ClientSource::{Admin, Dynamic};
use doorward_store::ResourceScope;
use http::StatusCode;
use support::{Authorization, EMAIL, ISSUER, PASSWORD, TestApp, challenge_of};

const REDIRECT: &str = "https://client.example/cb";

async fn app_with_client() -> (TestApp, Authorization) {
    let app = TestApp::new().await;
    let client_id = app.add_client(Admin, &[REDIRECT, "http://127.0.0.1/cb"]).await;
    (app, Authorization::new(&client_id, REDIRECT))
}

/// Sends a broken request and expects the error at the client.
async fn assert_error(broken: impl FnOnce(Authorization) -> Authorization, error: &str) {
    let (app, request) = app_with_client().await;
    let reply = app.browser().get(&broken(request).path()).await;
    reply.assert_error_redirect(REDIRECT, error, Some("xyz"));
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(reply.header("referrer-policy"), "no-referrer");
}

/// Sends a broken request and expects a page.
async fn assert_page(broken: impl FnOnce(Authorization) -> Authorization) {
    let (app, request) = app_with_client().await;
    app.browser()
        .get(&broken(request).path())
        .await
        .assert_error_page();
}

// --- the road --------------------------------------------------------------------------------

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

// --- where errors go -------------------------------------------------------------------------

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
    let mut client = app.context.store.client(&client_id).await.unwrap().unwrap();
    client.disabled = true;
    app.context.store.update_client(client).await.unwrap();
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
        .add("{{7*7}}", "x")
        .add("acr_values", "urn:unknown");
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
    for uri in [
        "https://evil.example/r",
        "http://169.254.169.254/",
        "urn:ietf:params:oauth:request_uri:unknown",
    ] {
        assert_error(
            |request| request.add("request_uri", uri),
            "request_uri_not_supported",
        )
        .await;
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

// --- PKCE ------------------------------------------------------------------------------------

/// [PKCE-001..004]
#[tokio::test]
async fn pkce_with_s256_is_mandatory() {
    assert_error(
        |request| request.without("code_challenge").without("code_challenge_method"),
        "invalid_request",
    )
    .await;
    assert_error(|request| request.without("code_challenge"), "invalid_request").await;
    assert_error(
        |request| request.without("code_challenge_method"),
        "invalid_request",
    )
    .await;
    for method in ["plain", "s256", "SHA256", "S512", "", "S256,plain"] {
        assert_error(
            |request| request.set("code_challenge_method", method),
            "invalid_request",
        )
        .await;
    }
    for challenge in [
        &"x".repeat(42),
        &"x".repeat(44),
        "",
        &format!("{}=", "x".repeat(42)),
        &"é".repeat(43),
    ] {
        assert_error(
            |request| request.set("code_challenge", challenge),
            "invalid_request",
        )
        .await;
    }
}

/// [PKCE-011]
#[tokio::test]
async fn verifiers_of_43_and_128_characters_work() {
    let (app, request) = app_with_client().await;
    let client_id = app.add_client(Admin, &[REDIRECT]).await;
    let browser = app.signed_in().await;
    for verifier in [
        "abcABC019-._~".repeat(4)[..43].to_owned(),
        "abcABC019-._~".repeat(10)[..128].to_owned(),
    ] {
        let request = request
            .clone()
            .set("client_id", &client_id)
            .set("code_challenge", &challenge_of(&verifier));
        let reply = app.approve(&browser, &request.set("prompt", "consent")).await;
        let code = reply.param("code").unwrap();
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", client_id.as_str()),
            ("code", &code),
            ("code_verifier", &verifier),
        ];
        assert_eq!(app.token(&form).await.status, StatusCode::OK);
    }
}

// --- resource and scope ----------------------------------------------------------------------

/// [RES-003, RES-004, RES-007, RES-019]
#[tokio::test]
async fn an_unknown_resource_is_an_invalid_target() {
    let resources = [
        "https://unregistered.example/mcp",
        "https://mcp.example/mcp#f",
        "/mcp",
        "%%%",
        "",
        "mcp.example/mcp",
        "urn:x",
        "https://u@mcp.example/mcp",
        "https://mcp.example/mcp?x=1",
        "https://mcp.example/other",
        "https://mcp.example/mcpx",
        "https://mcp.example/x/../mcp",
        "https://mcp.example/mcp/child",
        "https://mcp.example/mcp/",
        "https://mcp.example",
        "https://mcp.example/%6Dcp",
        "https://mcp.example/mcp%2F",
        "https://mcp.example/mcp\",\"admin\":\"x",
        "https://mcp.example/mcp\n",
    ];
    for resource in resources {
        assert_error(|request| request.set("resource", resource), "invalid_target").await;
    }
}

/// [AUTHZ-010]
#[tokio::test]
async fn two_resources_are_one_too_many() {
    let (app, request) = app_with_client().await;
    app.add_resource("other", "https://other.example/mcp", &["other:read"])
        .await;
    let reply = app
        .browser()
        .get(&request.add("resource", "https://other.example/mcp").path())
        .await;
    reply.assert_error_redirect(REDIRECT, "invalid_target", Some("xyz"));
}

/// [RES-005, RES-006]
#[tokio::test]
async fn a_resource_is_known_by_its_aliases_and_named_as_registered() {
    let app = TestApp::empty(|_| {}).await;
    app.context.store.create_user(app.user.clone()).await.unwrap();
    app.add_resource("root", "https://r.example", &["mcp:read"]).await;
    let client_id = app.add_client(Admin, &[REDIRECT]).await;
    let browser = app.signed_in().await;
    for alias in [
        "https://r.example/",
        "https://r.example:443",
        "HTTPS://R.EXAMPLE",
        "https://r.example:443/",
    ] {
        let request = Authorization::new(&client_id, REDIRECT)
            .set("resource", alias)
            .set("prompt", "consent");
        let page = browser.open(&request.path()).await;
        assert!(
            page.text().contains("https://r.example\n") || page.body.contains(">https://r.example<"),
            "{page:?}"
        );
        let reply = browser
            .submit(&page.form("/consent"), Some(("decision", "allow")))
            .await;
        let code = doorward_jose::sha256(reply.param("code").unwrap().as_bytes());
        let (_, grant) = app.context.store.code(&code).await.unwrap().unwrap();
        assert_eq!(grant.resource, "https://r.example");
    }
    let request = Authorization::new(&client_id, REDIRECT).set("resource", "https://r.example//");
    browser
        .get(&request.path())
        .await
        .assert_error_redirect(REDIRECT, "invalid_target", Some("xyz"));
}

#[tokio::test]
async fn the_only_resource_may_go_without_saying() {
    let (app, request) = app_with_client().await;
    let request = request.without("resource");
    assert_eq!(app.browser().open(&request.path()).await.status, StatusCode::OK);
    app.add_resource("other", "https://other.example/mcp", &["other:read"])
        .await;
    app.wait(2);
    let reply = app.browser().get(&request.path()).await;
    reply.assert_error_redirect(REDIRECT, "invalid_target", Some("xyz"));
}

/// [AUTHZ-013, RES-011]: unknown scopes are dropped, as long as something is left.
#[tokio::test]
async fn scopes_of_nobody_and_of_others_are_never_granted() {
    let (app, request) = app_with_client().await;
    app.add_resource("other", "https://other.example/mcp", &["other:write"])
        .await;
    for scope in ["admin:root", "other:write", "mcp:read\u{0}", "\"", "MCP:READ"] {
        let reply = app
            .browser()
            .get(&request.clone().set("scope", scope).path())
            .await;
        reply.assert_error_redirect(REDIRECT, "invalid_scope", Some("xyz"));
    }
    let page = {
        let browser = app.browser();
        let page = browser
            .open(
                &request
                    .set("scope", "mcp:read admin:root other:write openid")
                    .path(),
            )
            .await;
        browser.sign_in_on(&page, EMAIL).await
    };
    assert_eq!(page.form("/consent").values("scope"), ["mcp:read"]);
}

#[tokio::test]
async fn without_a_scope_the_defaults_are_asked_for() {
    let (app, request) = app_with_client().await;
    let mut resource = app.context.store.resource("mcp").await.unwrap().unwrap();
    resource.scopes.push(ResourceScope {
        name: "mcp:admin".into(),
        description: "Everything".into(),
        upstream: None,
        default: false,
    });
    app.context.store.update_resource(resource).await.unwrap();
    app.wait(2);
    let page = app.signed_in().await.open(&request.without("scope").path()).await;
    assert_eq!(page.form("/consent").values("scope"), ["mcp:read", "mcp:write"]);
}

// --- prompt, max_age, login_hint -------------------------------------------------------------

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
