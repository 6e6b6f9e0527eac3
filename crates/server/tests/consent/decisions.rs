//! What counts.

use crate::support::{Authorization, EMAIL, ISSUER, PASSWORD};
use crate::{ALLOW, DENY, REDIRECT, scene};
use doorward_store::ClientSource::Dynamic;
use http::StatusCode;
use serde_json::json;

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
    let form = scene.form().await.without("scope").set("scope", "offline_access");
    let page = scene.browser.submit(&form, ALLOW).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "{page:?}");
    assert_eq!(scene.grants().await, 0);
    assert!(
        page.text().contains("Staying connected alone allows nothing"),
        "{page:?}"
    );
    // Nothing is lost: the page is as it was left, and counts.
    assert!(page.body.contains("value=\"offline_access\" checked"));
    assert!(!page.body.contains("value=\"mcp:read\" checked"));
    let reply = scene
        .browser
        .submit(&page.form("/consent").set("scope", "mcp:read"), ALLOW)
        .await;
    assert_eq!(
        scene.app.redeem(&scene.client_id, &reply).await.json()["scope"],
        "mcp:read"
    );
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

/// Whether the first answer's code gives refresh tokens is part of the answer.
#[tokio::test]
async fn another_answer_about_staying_connected_gets_no_code() {
    for stays in [true, false] {
        let scene = scene().await;
        let brief = scene
            .form()
            .await
            .set("scope", "mcp:read")
            .add("scope", "mcp:write");
        let lasting = brief.clone().add("scope", "offline_access");
        let (first, second) = if stays { (lasting, brief) } else { (brief, lasting) };
        let first = scene.browser.submit(&first, ALLOW).await;
        let other = scene.browser.submit(&second, ALLOW).await;
        assert_eq!(other.status, StatusCode::CONFLICT, "{other:?}");
        other.assert_error_page();
        let token = scene.app.redeem(&scene.client_id, &first).await.json();
        assert_eq!(token.get("refresh_token").is_some(), stays, "{token}");
    }
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
    scene.app.change_client(&scene.client_id, Dynamic, changed).await;
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

/// The tag in front of a handle is known to whoever has the handle; what follows is sealed for one browser.
#[tokio::test]
async fn a_handle_under_the_tag_of_another_browser_opens_nothing() {
    let scene = scene().await;
    let form = scene.form().await;
    let (_, sealed) = form.get("request").unwrap().split_once('.').unwrap();
    let other = scene.app.signed_in().await;
    let own = other.open(&scene.request.path()).await.form("/consent");
    let (tag, own_sealed) = own.get("request").unwrap().split_once('.').unwrap();
    let page = async |sealed: &str| other.get(&format!("/consent?request={tag}.{sealed}")).await;
    page(sealed).await.assert_error_page();
    assert_eq!(page(own_sealed).await.status, StatusCode::OK);
}

/// Staying connected is a refresh token, and a client that is not registered for those has nothing to stay connected with.
#[tokio::test]
async fn a_client_that_may_not_refresh_is_not_offered_to_stay_connected() {
    let scene = scene().await;
    let metadata = json!({ "redirect_uris": [REDIRECT], "grant_types": ["authorization_code"] });
    scene.app.add_client_with("brief", Dynamic, metadata).await;
    for (scope, left) in [
        ("mcp:read offline_access", vec!["mcp:read"]),
        ("offline_access", vec!["mcp:read", "mcp:write"]),
    ] {
        let request = Authorization::new("brief", REDIRECT)
            .set("scope", scope)
            .set("prompt", "consent");
        let page = scene.browser.open(&request.path()).await;
        assert_eq!(page.form("/consent").values("scope"), left);
        assert!(!page.text().contains("Stay connected"), "{page:?}");
        let reply = scene.browser.submit(&page.form("/consent"), ALLOW).await;
        let token = scene.app.redeem("brief", &reply).await.json();
        assert_eq!(token["scope"], left.join(" "));
        assert!(token.get("refresh_token").is_none());
    }
}
