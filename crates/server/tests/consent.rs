//! `/consent`: what is shown, what counts, what is remembered.

#![cfg(test)]

mod support;

use doorward_store::ClientSource::{Admin, Dynamic};
use doorward_store::{GrantFilter, PageRequest};
use http::StatusCode;
use serde_json::json;
use support::{Authorization, Browser, EMAIL, Form, ISSUER, PASSWORD, RESOURCE, Reply, TestApp};

const REDIRECT: &str = "https://client.example/cb";
const ALLOW: Option<(&str, &str)> = Some(("decision", "allow"));
const DENY: Option<(&str, &str)> = Some(("decision", "deny"));

struct Scene {
    app: TestApp,
    browser: Browser,
    client_id: String,
    request: Authorization,
}

/// Somebody is signed in, and a client may ask.
async fn scene() -> Scene {
    let app = TestApp::new().await;
    let client_id = app
        .add_client(Dynamic, &[REDIRECT, "http://127.0.0.1/cb", "http://localhost/cb"])
        .await;
    let browser = app.signed_in().await;
    let request = Authorization::new(&client_id, REDIRECT).set("scope", "mcp:read mcp:write");
    Scene {
        app,
        browser,
        client_id,
        request,
    }
}

impl Scene {
    async fn page(&self) -> Reply {
        let page = self.browser.open(&self.request.path()).await;
        assert_eq!(page.status, StatusCode::OK, "{page:?}");
        page
    }

    async fn form(&self) -> Form {
        self.page().await.form("/consent")
    }

    async fn grants(&self) -> usize {
        self.app
            .context
            .store
            .grants(GrantFilter::default(), PageRequest::default())
            .await
            .unwrap()
            .items
            .len()
    }

    /// Whether a request goes straight through.
    async fn passes(&self, request: &Authorization) -> bool {
        let reply = self.browser.open(&request.path()).await;
        match reply.status {
            StatusCode::SEE_OTHER => reply.param("code").is_some(),
            _ => false,
        }
    }
}

// --- what is shown ---------------------------------------------------------------------------

/// [LOGIN-025, RES-012, AS-19, PX-4]
#[tokio::test]
async fn the_page_says_who_wants_what_and_where_the_answer_goes() {
    let scene = scene().await;
    let page = scene.page().await;
    let text = page.text();
    for expected in [
        "Test client",
        "Not verified",
        "client.example",
        "The mcp server",
        RESOURCE,
        EMAIL,
        "What mcp:read is for",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let form = page.form("/consent");
    assert_eq!(form.values("scope"), ["mcp:read", "mcp:write"]);
    let decisions: Vec<_> = form.buttons.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!(decisions, ["deny", "allow", "switch"]);
}

#[tokio::test]
async fn a_private_use_scheme_is_shown_and_warned_about() {
    let scene = scene().await;
    let uri = "cursor://anysphere.cursor-mcp/oauth/callback";
    let client_id = scene.app.add_client(Dynamic, &[uri]).await;
    let page = scene
        .browser
        .open(&Authorization::new(&client_id, uri).path())
        .await;
    assert!(page.text().contains("cursor://anysphere.cursor-mcp"), "{page:?}");
    assert!(page.text().contains("just started connecting"));
    let reply = scene.browser.submit(&page.form("/consent"), ALLOW).await;
    assert!(
        reply
            .location()
            .unwrap()
            .starts_with("cursor://anysphere.cursor-mcp/oauth/callback?code="),
        "[REDIR-049]"
    );
}

/// [LOGIN-025, AS-20]
#[tokio::test]
async fn a_client_named_by_its_document_is_shown_by_its_host_and_kept_when_allowed() {
    let scene = scene().await;
    let server = wiremock::MockServer::start().await;
    let client_id = format!("{}/client.json", server.uri());
    let document = json!({
        "client_id": client_id, "client_name": "Documented", "redirect_uris": ["http://localhost/callback"]
    });
    let answer = wiremock::ResponseTemplate::new(200).set_body_json(document);
    wiremock::Mock::given(wiremock::matchers::path("/client.json"))
        .respond_with(answer)
        .mount(&server)
        .await;

    let request = Authorization::new(&client_id, "http://localhost:3118/callback");
    let page = scene.browser.open(&request.path()).await;
    let text = page.text();
    for expected in [
        "Documented",
        &server.address().to_string(),
        "localhost:3118",
        "any program there could use its name",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(
        scene
            .app
            .context
            .store
            .client(&client_id)
            .await
            .unwrap()
            .is_none(),
        "strangers cost no row"
    );
    let reply = scene.browser.submit(&page.form("/consent"), ALLOW).await;
    assert!(
        reply
            .location()
            .unwrap()
            .starts_with("http://localhost:3118/callback?code="),
        "{reply:?}"
    );
    assert!(
        scene
            .app
            .context
            .store
            .client(&client_id)
            .await
            .unwrap()
            .is_some()
    );
    assert!(
        scene
            .passes(&request.set("redirect_uri", "http://localhost:4000/callback"))
            .await
    );
}

/// [LOGIN-001, PX-6]
#[tokio::test]
async fn the_pages_cannot_be_framed_and_run_no_script() {
    let scene = scene().await;
    let stranger = scene.app.browser();
    for (page, target) in [
        (scene.page().await, true),
        (stranger.open(&scene.request.path()).await, true),
        (stranger.get("/login").await, false),
    ] {
        let policy = page.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe-inline") && !policy.contains("script-src"));
        assert_eq!(
            policy.contains("form-action 'self' https://client.example"),
            target,
            "{policy}"
        );
        assert_eq!(page.header("x-frame-options"), "DENY");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        assert_eq!(page.header("cache-control"), "no-store");
        assert!(!page.body.contains("<script"));
    }
}

/// [XSS-001, XSS-004, XSS-005, XSS-012]
#[tokio::test]
async fn what_strangers_wrote_is_text() {
    let scene = scene().await;
    let hostile = [
        "\"><svg/onload=alert(1)>",
        "<script>alert(1)</script>",
        "{{7*7}} ${7*7} <%=7*7%> #{7*7}",
        "</title></textarea></script>",
        "' OR 1=1--",
        "javascript:alert(1)",
    ];
    for (index, name) in hostile.into_iter().enumerate() {
        let client_id = format!("dwc_hostile{index}");
        let metadata =
            json!({ "client_name": name, "redirect_uris": [REDIRECT], "logo_uri": "javascript:alert(1)" });
        scene.app.add_client_with(&client_id, Dynamic, metadata).await;
        let request = Authorization::new(&client_id, REDIRECT);
        let login = scene.app.browser().open(&request.path()).await;
        let consent = scene.browser.open(&request.path()).await;
        for page in [login, consent] {
            assert_eq!(page.status, StatusCode::OK);
            assert!(page.text().contains(name), "{name}: {page:?}");
            for tag in ["<svg/", "<script", "alert(1)>", "<img src"] {
                assert!(!page.body.contains(tag), "{tag} in {page:?}");
            }
        }
    }
}

// --- what counts -----------------------------------------------------------------------------

/// [AUTHZ-023, ISS-001]
#[tokio::test]
async fn a_refusal_goes_back_with_state_and_iss() {
    let scene = scene().await;
    let reply = scene.browser.submit(&scene.form().await, DENY).await;
    reply.assert_error_redirect(REDIRECT, "access_denied", Some("xyz"));
    assert_eq!(scene.grants().await, 0);
}

/// [RES-015]
#[tokio::test]
async fn a_person_may_allow_less() {
    let scene = scene().await;
    let form = scene.form().await.set("scope", "mcp:read");
    let reply = scene.browser.submit(&form, ALLOW).await;
    let token = scene.app.redeem(&scene.client_id, &reply).await;
    assert_eq!(token.json()["scope"], "mcp:read", "{token:?}");
}

#[tokio::test]
async fn nothing_chosen_is_nothing_allowed() {
    let scene = scene().await;
    let form = scene.form().await.without("scope");
    scene.browser.submit(&form, ALLOW).await.assert_error_page();
    assert_eq!(scene.grants().await, 0);
}

/// [LOGIN-021, PKCE-015]
#[tokio::test]
async fn fields_of_the_form_change_nothing_of_the_request() {
    let scene = scene().await;
    let tampered = [
        ("scope", "mcp:admin"),
        ("resource", "https://evil.example/mcp"),
        ("client_id", "another"),
        ("redirect_uri", "https://evil.example/cb"),
        ("state", "evil"),
        ("code_challenge", "x"),
        ("code_challenge_method", "plain"),
        ("response_type", "token"),
        ("user", "another"),
    ];
    let form = tampered
        .into_iter()
        .fold(scene.form().await, |form, (name, value)| form.add(name, value));
    let reply = scene.browser.submit(&form, ALLOW).await;
    assert!(
        reply
            .location()
            .unwrap()
            .starts_with(&format!("{REDIRECT}?code=")),
        "{reply:?}"
    );
    assert_eq!(reply.param("state").as_deref(), Some("xyz"));
    let token = scene.app.redeem(&scene.client_id, &reply).await;
    assert_eq!(token.json()["scope"], "mcp:read mcp:write", "{token:?}");
}

/// [LOGIN-007, PX-5]
#[tokio::test]
async fn a_form_that_is_not_ours_does_not_count() {
    let scene = scene().await;
    let form = scene.form().await;
    let other = scene.form().await;
    let other_token = other.get("csrf_token").unwrap();
    let refused = [
        scene
            .browser
            .submit(&form.clone().without("csrf_token"), ALLOW)
            .await,
        scene
            .browser
            .submit(&form.clone().set("csrf_token", ""), ALLOW)
            .await,
        scene
            .browser
            .submit(&form.clone().set("csrf_token", &"A".repeat(43)), ALLOW)
            .await,
        scene
            .browser
            .submit(&form.clone().set("csrf_token", other_token), ALLOW)
            .await,
        scene
            .browser
            .submit_with(&form, ALLOW, &[("origin", "https://evil.example")])
            .await,
        scene
            .browser
            .submit_with(
                &form,
                ALLOW,
                &[("origin", ISSUER), ("sec-fetch-site", "cross-site")],
            )
            .await,
        scene
            .browser
            .submit_with(
                &form,
                ALLOW,
                &[("origin", "null"), ("sec-fetch-site", "cross-site")],
            )
            .await,
        scene.app.browser().submit(&form, ALLOW).await,
        scene.app.signed_in().await.submit(&form, ALLOW).await,
    ];
    for reply in refused {
        reply.assert_error_page();
    }
    assert_eq!(scene.grants().await, 0);
    assert!(scene.browser.submit(&form, ALLOW).await.param("code").is_some());
}

/// The form shows an account; when another one signed in meanwhile, it is not that one's decision.
#[tokio::test]
async fn the_form_of_one_person_is_not_the_decision_of_another() {
    let scene = scene().await;
    scene.app.add_user("eve@example.com").await;
    let form = scene.form().await;
    let page = scene
        .browser
        .open(&scene.request.clone().set("prompt", "login").path())
        .await;
    scene.browser.sign_in_on(&page, "eve@example.com").await;
    scene.browser.submit(&form, ALLOW).await.assert_error_page();
    assert_eq!(scene.grants().await, 0);
}

#[tokio::test]
async fn another_account_can_be_chosen() {
    let scene = scene().await;
    scene.app.add_user("eve@example.com").await;
    let reply = scene
        .browser
        .submit(&scene.form().await, Some(("decision", "switch")))
        .await;
    let page = scene.browser.follow(reply).await;
    let page = scene.browser.sign_in_on(&page, "eve@example.com").await;
    assert!(page.text().contains("eve@example.com"), "{page:?}");
    assert!(
        scene
            .browser
            .submit(&page.form("/consent"), ALLOW)
            .await
            .param("code")
            .is_some()
    );
}

#[tokio::test]
async fn other_decisions_are_refused() {
    let scene = scene().await;
    let form = scene.form().await;
    for decision in ["", "ALLOW", "maybe"] {
        scene
            .browser
            .submit(&form, Some(("decision", decision)))
            .await
            .assert_error_page();
    }
    scene.browser.submit(&form, None).await.assert_error_page();
    scene
        .browser
        .submit(&form.add("decision", "allow"), ALLOW)
        .await
        .assert_error_page();
    assert_eq!(scene.grants().await, 0);
}

/// [AUTHZ-034]
#[tokio::test]
async fn the_same_form_twice_gives_one_code() {
    let scene = scene().await;
    let form = scene.form().await;
    let first = scene.browser.submit(&form, ALLOW).await;
    let second = scene.browser.submit(&form, ALLOW).await;
    assert_eq!(first.location(), second.location());
    assert_eq!(scene.grants().await, 1);

    assert_eq!(
        scene.app.redeem(&scene.client_id, &first).await.status,
        StatusCode::OK
    );
    let third = scene.browser.submit(&form, ALLOW).await;
    assert_eq!(third.status, StatusCode::CONFLICT);
    third.assert_error_page();
    assert_eq!(scene.grants().await, 1);
}

/// After the back button, another decision does not get the code of the first.
#[tokio::test]
async fn another_decision_on_the_same_request_gets_no_code() {
    let scene = scene().await;
    let form = scene.form().await;
    assert!(scene.browser.submit(&form, ALLOW).await.param("code").is_some());
    let narrower = scene.browser.submit(&form.set("scope", "mcp:read"), ALLOW).await;
    assert_eq!(narrower.status, StatusCode::CONFLICT);
    narrower.assert_error_page();
    assert_eq!(scene.grants().await, 1);
}

#[tokio::test]
async fn fifty_posts_at_once_give_one_grant() {
    let scene = scene().await;
    let form = scene.form().await;
    let replies = futures_util::future::join_all((0..50).map(|_| scene.browser.submit(&form, ALLOW))).await;
    let locations: std::collections::BTreeSet<_> =
        replies.iter().map(|reply| reply.location().unwrap()).collect();
    assert_eq!(locations.len(), 1);
    assert_eq!(scene.grants().await, 1);
}

/// [AUTHZ-024]
#[tokio::test]
async fn a_client_that_is_gone_gets_nothing() {
    let scene = scene().await;
    let form = scene.form().await;
    scene
        .app
        .context
        .store
        .delete_client(&scene.client_id, scene.app.context.now())
        .await
        .unwrap();
    scene.browser.submit(&form, ALLOW).await.assert_error_page();
    assert_eq!(scene.grants().await, 0);
}

/// [AUTHZ-024]
#[tokio::test]
async fn a_client_that_changed_is_asked_about_again() {
    let scene = scene().await;
    let form = scene.form().await;
    let changed = json!({ "client_name": "Your Bank", "redirect_uris": [REDIRECT] });
    scene
        .app
        .context
        .store
        .update_client(scene.app.client(&scene.client_id, Dynamic, changed))
        .await
        .unwrap();
    scene.browser.submit(&form, ALLOW).await.assert_error_page();
    assert_eq!(scene.grants().await, 0);
}

/// [AUTHZ-025]
#[tokio::test]
async fn a_disabled_person_decides_nothing() {
    let scene = scene().await;
    let form = scene.form().await;
    scene.app.set_disabled(true).await;
    let reply = scene.browser.submit(&form, ALLOW).await;
    let page = scene.browser.follow(reply).await;
    assert!(page.body.contains("name=\"password\""), "{page:?}");
    let reply = scene
        .browser
        .submit(
            &page.form("/login").set("email", EMAIL).set("password", PASSWORD),
            None,
        )
        .await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert_eq!(scene.grants().await, 0);
}

#[tokio::test]
async fn a_resource_that_is_gone_is_not_shown_and_not_granted() {
    let scene = scene().await;
    let form = scene.form().await;
    let path = format!("/consent?request={}", form.get("request").unwrap());
    scene
        .app
        .context
        .store
        .delete_resource("mcp", scene.app.context.now())
        .await
        .unwrap();
    scene.app.wait(2);
    scene.browser.submit(&form, ALLOW).await.assert_error_page();
    scene.browser.get(&path).await.assert_error_page();
    assert_eq!(scene.grants().await, 0);
}

#[tokio::test]
async fn handles_that_were_touched_open_nothing() {
    let scene = scene().await;
    let form = scene.form().await;
    let handle = form.get("request").unwrap();
    let flipped = handle.replacen(|c: char| c.is_ascii_lowercase(), "Z", 1);
    for bad in [
        "",
        "x",
        &handle[1..],
        &flipped,
        &format!("{handle}A"),
        &"A".repeat(50_000),
        "é",
    ] {
        scene
            .browser
            .submit(&form.clone().set("request", bad), ALLOW)
            .await
            .assert_error_page();
    }
    scene.browser.get("/consent").await.assert_error_page();
    scene
        .browser
        .get(&format!("/consent?request={handle}&request={handle}"))
        .await
        .assert_error_page();
    assert_eq!(scene.grants().await, 0);
}

// --- redirects -------------------------------------------------------------------------------

/// [AUTHZ-021, REDIR-055]
#[tokio::test]
async fn the_redirect_uri_is_given_back_byte_for_byte() {
    let scene = scene().await;
    for uri in [
        "https://c.example/cb?tenant=1&x=a%20b+c",
        "https://c.example/a%2Fb/~x?y=%7E&z=1+2",
        "https://c.example",
        "https://c.example/cb?",
    ] {
        let client_id = scene.app.add_client(Dynamic, &[uri]).await;
        let page = scene
            .browser
            .open(&Authorization::new(&client_id, uri).path())
            .await;
        let reply = scene.browser.submit(&page.form("/consent"), ALLOW).await;
        let rest = reply
            .location()
            .unwrap()
            .strip_prefix(uri)
            .unwrap_or_else(|| panic!("{reply:?}"));
        assert!(
            rest.trim_start_matches(['?', '&']).starts_with("code=dwa_"),
            "{reply:?}"
        );
    }
}

/// [REDIR-034..037]
#[tokio::test]
async fn a_loopback_port_is_free_and_nothing_else_is() {
    let scene = scene().await;
    for uri in [
        "http://127.0.0.1:53123/cb",
        "http://127.0.0.1/cb",
        "http://localhost:4000/cb",
    ] {
        let request = Authorization::new(&scene.client_id, uri).set("prompt", "consent");
        let page = scene.browser.open(&request.path()).await;
        let reply = scene.browser.submit(&page.form("/consent"), ALLOW).await;
        assert!(
            reply.location().unwrap().starts_with(&format!("{uri}?code=")),
            "{reply:?}"
        );
    }
    let refused = [
        "http://127.0.0.1:53123/Cb",
        "http://127.0.0.1:53123/cb/",
        "http://127.0.0.1:53123/cb?x=1",
        "http://[::1]:1/cb",
        "https://127.0.0.1/cb",
        "http://localhost.evil.example/cb",
        "http://localhost:80@evil.example/cb",
        "http://127.1:5/cb",
        "http://0x7f.1:5/cb",
        "http://2130706433:5/cb",
        "http://127.000.000.001:5/cb",
        "http://127.0.0.1.:5/cb",
        "http://127.0.0.2:5/cb",
        "http://127.0.0.1:99999/cb",
        "http://127.0.0.1:65536/cb",
        "http://127.0.0.1:-1/cb",
        "http://127.0.0.1:abc/cb",
        "http://127.0.0.1::/cb",
        "http://127.0.0.1:80:80/cb",
        "http://127.0.0.1:%38080/cb",
    ];
    for uri in refused {
        scene
            .browser
            .get(&Authorization::new(&scene.client_id, uri).path())
            .await
            .assert_error_page();
    }
}

/// [REDIR-002..033]
#[tokio::test]
async fn a_redirect_uri_matches_by_its_bytes_alone() {
    let scene = scene().await;
    let client_id = scene
        .app
        .add_client(
            Dynamic,
            &["https://c.example/app/cb?a=1&b=2", "https://c.example/*"],
        )
        .await;
    let refused = [
        "https://c.example/app/cb",
        "https://c.example/app/cb?b=2&a=1",
        "https://c.example/app/cb?a=1&b=2&c=3",
        "https://c.example/app/cb/?a=1&b=2",
        "https://c.example:443/app/cb?a=1&b=2",
        "https://c.example/app/cb?a=1&b=2#frag",
        "https://c.example@evil.example/app/cb?a=1&b=2",
        "https://a@c.example@evil.example/app/cb?a=1&b=2",
        "https://evil.example\\@c.example/app/cb?a=1&b=2",
        "https://c.example\\.evil.example/app/cb?a=1&b=2",
        "https://c.example/app/../app/cb?a=1&b=2",
        "https://c.example/app/%2e%2e/app/cb?a=1&b=2",
        "https://c.example/app/..;/cb?a=1&b=2",
        "https://c.example/%61pp/cb?a=1&b=2",
        "https://c.example/app%2Fcb?a=1&b=2",
        "https://evil.c.example/app/cb?a=1&b=2",
        "http://c.example/app/cb?a=1&b=2",
        "https://C.example/app/cb?a=1&b=2",
        "HTTPS://c.example/app/cb?a=1&b=2",
        "https://c\u{ff0e}example/app/cb?a=1&b=2",
        " https://c.example/app/cb?a=1&b=2",
        "https://c.example/app/cb?a=1&b=2 ",
        "https://c.example/app/cb?a=1&b=2\u{0}",
        "https://c.example/app/cb?a=1&b=2\u{0}.evil",
        "https://c.example/anything",
        "//c.example/app/cb?a=1&b=2",
        "javascript:alert(1)//",
        "data:text/html,x",
    ];
    for uri in refused {
        scene
            .browser
            .get(&Authorization::new(&client_id, uri).path())
            .await
            .assert_error_page();
    }
    let good = Authorization::new(&client_id, "https://c.example/app/cb?a=1&b=2");
    assert_eq!(scene.browser.open(&good.path()).await.status, StatusCode::OK);
}

/// [REDIR-031]: a store that was written to by somebody else does not make a script run.
#[tokio::test]
async fn a_stored_script_uri_is_not_followed() {
    let scene = scene().await;
    for (index, uri) in [
        "JaVaScRiPt:alert(1)//",
        " javascript:alert(1)",
        "DATA:text/html,x",
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = scene.app.client(
            &format!("dwc_{index}"),
            Admin,
            json!({ "redirect_uris": [REDIRECT] }),
        );
        client.metadata = client.metadata.replace(REDIRECT, uri);
        scene
            .app
            .context
            .store
            .create_client(client.clone())
            .await
            .unwrap();
        let reply = scene
            .browser
            .get(&Authorization::new(&client.client_id, uri).path())
            .await;
        assert!(reply.location().is_none(), "{reply:?}");
        assert!(!reply.status.is_success());
    }
}

// --- what is remembered ----------------------------------------------------------------------

#[tokio::test]
async fn what_was_allowed_is_not_asked_again() {
    let scene = scene().await;
    assert!(!scene.passes(&scene.request).await);
    scene.app.approve(&scene.browser, &scene.request).await;
    assert!(scene.passes(&scene.request).await);
    assert!(
        scene
            .passes(&scene.request.clone().set("scope", "mcp:read"))
            .await
    );
    // Also when the person has to sign in first.
    let fresh = scene.app.browser();
    let page = fresh.open(&scene.request.path()).await;
    let reply = fresh.sign_in_on(&page, EMAIL).await;
    assert!(reply.param("code").is_some(), "{reply:?}");
}

#[tokio::test]
async fn a_silent_code_carries_what_was_asked_for_and_no_more() {
    let scene = scene().await;
    scene.app.approve(&scene.browser, &scene.request).await;
    let reply = scene
        .browser
        .get(&scene.request.clone().set("scope", "mcp:read").path())
        .await;
    assert_eq!(
        scene.app.redeem(&scene.client_id, &reply).await.json()["scope"],
        "mcp:read",
        "[RES-014]"
    );
}

#[tokio::test]
async fn more_scopes_are_asked_about() {
    let scene = scene().await;
    let less = scene.request.clone().set("scope", "mcp:read");
    scene.app.approve(&scene.browser, &less).await;
    assert!(scene.passes(&less).await);
    assert!(!scene.passes(&scene.request).await);
    assert!(!scene.passes(&less.set("scope", "mcp:read offline_access")).await);
}

/// [RES-013]
#[tokio::test]
async fn another_resource_is_asked_about() {
    let scene = scene().await;
    scene
        .app
        .add_resource("other", "https://other.example/mcp", &["mcp:read", "mcp:write"])
        .await;
    scene.app.approve(&scene.browser, &scene.request).await;
    scene.app.wait(2);
    assert!(scene.passes(&scene.request).await);
    assert!(
        !scene
            .passes(&scene.request.clone().set("resource", "https://other.example/mcp"))
            .await
    );
}

#[tokio::test]
async fn another_person_is_asked() {
    let scene = scene().await;
    scene.app.add_user("eve@example.com").await;
    scene.app.approve(&scene.browser, &scene.request).await;
    let eve = scene.app.browser();
    eve.sign_in("/login", "eve@example.com", PASSWORD).await;
    assert_eq!(eve.open(&scene.request.path()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_redirect_uri_that_the_person_has_not_seen_is_asked_about() {
    let scene = scene().await;
    scene.app.approve(&scene.browser, &scene.request).await;
    let loopback = |uri: &str| scene.request.clone().set("redirect_uri", uri);
    assert!(!scene.passes(&loopback("http://127.0.0.1:4000/cb")).await);
    scene
        .app
        .approve(&scene.browser, &loopback("http://127.0.0.1:4000/cb"))
        .await;
    assert!(
        scene.passes(&loopback("http://127.0.0.1:5000/cb")).await,
        "the port is another at every start"
    );
    assert!(!scene.passes(&loopback("http://localhost:5000/cb")).await);
}

#[tokio::test]
async fn a_client_that_changed_its_name_is_a_new_one() {
    let scene = scene().await;
    scene.app.approve(&scene.browser, &scene.request).await;
    let changed = json!({ "client_name": "Another", "redirect_uris": [REDIRECT] });
    scene
        .app
        .context
        .store
        .update_client(scene.app.client(&scene.client_id, Dynamic, changed))
        .await
        .unwrap();
    assert!(!scene.passes(&scene.request).await);
}

#[tokio::test]
async fn a_refusal_is_not_remembered() {
    let scene = scene().await;
    scene.browser.submit(&scene.form().await, DENY).await;
    assert!(!scene.passes(&scene.request).await);
}

/// [LOGIN-024]
#[tokio::test]
async fn no_client_can_say_that_it_needs_no_consent() {
    let scene = scene().await;
    let metadata = json!({
        "client_name": "Trusted", "redirect_uris": [REDIRECT], "skip_consent": true, "first_party": true, "trusted": true
    });
    scene.app.add_client_with("dwc_trusted", Dynamic, metadata).await;
    assert!(
        !scene
            .passes(&scene.request.clone().set("client_id", "dwc_trusted"))
            .await
    );
}

#[tokio::test]
async fn offline_access_is_shown_as_staying_connected() {
    let scene = scene().await;
    let page = scene
        .browser
        .open(
            &scene
                .request
                .clone()
                .set("scope", "mcp:read offline_access")
                .path(),
        )
        .await;
    assert!(page.text().contains("Stay connected"), "{page:?}");
    let form = page.form("/consent").set("scope", "offline_access");
    scene.browser.submit(&form, ALLOW).await.assert_error_page();
}
