//! What is shown.

use crate::support::{Authorization, EMAIL, RESOURCE};
use crate::{ALLOW, REDIRECT, scene};
use doorward_store::ClientSource::{Admin, Dynamic};
use http::StatusCode;
use serde_json::json;

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
    assert_eq!(form.values("scope"), ["mcp:read", "mcp:write", "offline_access"]);
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

/// Whoever is not known to be who they say they are is never shown without a warning.
#[tokio::test]
async fn a_name_that_anybody_could_use_is_warned_about() {
    let scene = scene().await;
    let (here, web) = ("http://127.0.0.1:3333/cb", "https://claude-login.example/cb");
    let warnings = [
        (Dynamic, here, "any program there could use its name"),
        (Admin, here, "any program there could use its name"),
        (Dynamic, web, "Nobody has checked this application"),
    ];
    for (source, uri, warning) in warnings {
        let client_id = scene.app.add_client(source, &[uri]).await;
        let page = scene
            .browser
            .open(&Authorization::new(&client_id, uri).path())
            .await;
        assert!(page.body.contains("notice warning"), "{page:?}");
        assert!(page.text().contains(warning), "{page:?}");
        assert_eq!(
            page.text().contains("127.0.0.1:3333 (this device)"),
            uri == here,
            "{page:?}"
        );
    }
    let known = scene.app.add_client(Admin, &[web]).await;
    let page = scene.browser.open(&Authorization::new(&known, web).path()).await;
    assert!(!page.body.contains("notice warning"), "{page:?}");
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

/// A web application opens the sign-in in a popup, and waits for word from it or sees it closed: the pages on that way must not
/// cut it off from the page that opened it. Every other page does. [LOGIN-001]
#[tokio::test]
async fn only_the_popup_of_a_web_client_keeps_its_opener() {
    let scene = scene().await;
    let loopback = scene
        .request
        .clone()
        .set("redirect_uri", "http://127.0.0.1:4000/cb");
    for (request, policy) in [(&scene.request, "unsafe-none"), (&loopback, "same-origin")] {
        let stranger = scene.app.browser();
        let redirect = stranger.get(&request.path()).await;
        assert_eq!(redirect.header(OPENER_POLICY), "", "{redirect:?}");
        let login = stranger.follow(redirect).await;
        assert_eq!(login.header(OPENER_POLICY), policy, "{login:?}");
        let form = login.form("/login").set("email", EMAIL).set("password", "wrong");
        let wrong = stranger.submit(&form, None).await;
        assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
        assert_eq!(wrong.header(OPENER_POLICY), policy, "{wrong:?}");
        let consent = scene.browser.open(&request.path()).await;
        assert_eq!(consent.header(OPENER_POLICY), policy, "{consent:?}");
        let again = scene
            .browser
            .submit(&consent.form("/consent").without("scope"), ALLOW)
            .await;
        assert_eq!(again.status, StatusCode::BAD_REQUEST);
        assert_eq!(again.header(OPENER_POLICY), policy, "{again:?}");
        let back = scene.browser.submit(&consent.form("/consent"), ALLOW).await;
        assert!(back.param("code").is_some());
        assert_eq!(back.header(OPENER_POLICY), "", "{back:?}");
    }
    for path in ["/login", "/device", "/oauth/authorize?client_id=unknown"] {
        let page = scene.app.browser().get(path).await;
        assert_eq!(page.header(OPENER_POLICY), "same-origin", "{path}");
    }
}

const OPENER_POLICY: &str = "cross-origin-opener-policy";
