//! What is remembered.

use crate::support::{EMAIL, PASSWORD};
use crate::{ALLOW, DENY, REDIRECT, scene};
use doorward_store::ClientSource::Dynamic;
use doorward_store::{EndReason, GrantFilter};
use http::StatusCode;
use serde_json::json;

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

/// Also where no grant was left to end.
#[tokio::test]
async fn whoever_was_disabled_or_revoked_is_asked_again() {
    let scene = scene().await;
    let store = &scene.app.context.store;
    let allow = async || {
        let reply = scene.app.approve(&scene.app.browser(), &scene.request).await;
        assert!(reply.param("code").is_some(), "{reply:?}");
    };
    let asked = async || {
        let fresh = scene.app.browser();
        let page = fresh.open(&scene.request.path()).await;
        fresh.sign_in_on(&page, EMAIL).await.location().is_none()
    };
    allow().await;
    assert!(!asked().await);
    for disabled in [true, false] {
        scene.app.set_disabled(disabled).await;
    }
    assert!(asked().await);
    allow().await;
    let revoke = async |reason| {
        let everything_of = GrantFilter {
            user: scene.app.grants().await.first().map(|grant| grant.user),
            ..GrantFilter::default()
        };
        let now = scene.app.context.now();
        store.revoke_grants(everything_of, reason, now).await.unwrap()
    };
    assert!(revoke(EndReason::RevokedByClient).await > 0);
    assert!(!asked().await);
    revoke(EndReason::RevokedByClient).await;
    assert_eq!(revoke(EndReason::RevokedByAdmin).await, 0);
    assert!(asked().await);
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
    // Staying connected was offered and allowed, although the client had not asked for it.
    assert!(scene.passes(&less.set("scope", "mcp:read offline_access")).await);
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
    scene.app.change_client(&scene.client_id, Dynamic, changed).await;
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
async fn what_the_person_leaves_out_later_is_not_passed_through_any_more() {
    let scene = scene().await;
    scene.app.approve(&scene.browser, &scene.request).await;
    assert!(scene.passes(&scene.request).await);
    let again = scene.request.clone().set("prompt", "consent");
    let page = scene.browser.open(&again.path()).await;
    let less = page.form("/consent").set("scope", "mcp:read");
    scene.browser.submit(&less, ALLOW).await;
    assert!(!scene.passes(&scene.request).await);
    let read = scene.request.clone().set("scope", "mcp:read");
    assert!(scene.passes(&read).await);
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

#[tokio::test]
async fn who_does_not_want_to_stay_connected_gives_no_refresh_token() {
    let scene = scene().await;
    for (ticked, stays) in [("mcp:read", false), ("mcp:read offline_access", true)] {
        let request = scene
            .request
            .clone()
            .set("scope", "mcp:read offline_access")
            .set("prompt", "consent");
        let page = scene.browser.open(&request.path()).await;
        let form = ticked
            .split(' ')
            .fold(page.form("/consent").without("scope"), |form, scope| {
                form.add("scope", scope)
            });
        let reply = scene.browser.submit(&form, ALLOW).await;
        let body = scene.app.redeem(&scene.client_id, &reply).await.json();
        assert_eq!(body["scope"], ticked);
        assert_eq!(body.get("refresh_token").is_some(), stays, "{body}");
    }
}

/// The client is not asked what it wants, the person is; and the answer is remembered.
#[tokio::test]
async fn a_client_that_does_not_ask_to_stay_connected_cannot_get_round_a_no() {
    let scene = scene().await;
    let request = scene.request.clone().set("scope", "mcp:read");
    for (asked, answer, stays) in [
        (true, "mcp:read", false),
        (false, "", false),
        (true, "mcp:read offline_access", true),
        (false, "", true),
    ] {
        let reply = if asked {
            let page = scene
                .browser
                .open(&request.clone().set("prompt", "consent").path())
                .await;
            let form = answer
                .split(' ')
                .fold(page.form("/consent").without("scope"), |form, scope| {
                    form.add("scope", scope)
                });
            scene.browser.submit(&form, ALLOW).await
        } else {
            scene.browser.open(&request.path()).await
        };
        let body = scene.app.redeem(&scene.client_id, &reply).await.json();
        assert_eq!(
            body["scope"], "mcp:read",
            "what was not asked for is not in the token"
        );
        assert_eq!(
            body.get("refresh_token").is_some(),
            stays,
            "{asked} {answer} {body}"
        );
    }
}
