//! `grant_type=refresh_token`: the catalogue's section REF, with the retry window of 120 seconds.

#![cfg(test)]

mod support;

use std::sync::Arc;

use doorward_store::{ClientSource, EndReason};
use http::StatusCode;
use support::{Authorization, REDIRECT, RESOURCE, Reply, TestApp, claims};

struct Scene {
    app: TestApp,
    client_id: String,
    first: String,
}

/// A grant of `mcp:read mcp:write` and its first refresh token.
async fn scene() -> Scene {
    let app = TestApp::new().await;
    let client_id = app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let request = Authorization::new(&client_id, REDIRECT).set("scope", "mcp:read mcp:write");
    let reply = app.approve(&app.browser(), &request).await;
    let first = token_of(&app.redeem(&client_id, &reply).await);
    Scene {
        app,
        client_id,
        first,
    }
}

fn token_of(reply: &Reply) -> String {
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    reply.json()["refresh_token"].as_str().unwrap().to_owned()
}

impl Scene {
    async fn refresh(&self, token: &str) -> Reply {
        self.refresh_with(token, &[]).await
    }

    async fn refresh_with(&self, token: &str, more: &[(&str, &str)]) -> Reply {
        let mut form = vec![
            ("grant_type", "refresh_token"),
            ("client_id", &*self.client_id),
            ("refresh_token", token),
        ];
        form.extend(more);
        self.app.token(&form).await
    }
}

/// REF-001.
#[tokio::test]
async fn a_refresh_rotates_and_keeps_what_was_granted() {
    let scene = scene().await;
    let reply = scene.refresh(&scene.first).await;
    let body = reply.json();
    assert_ne!(token_of(&reply), scene.first);
    assert_eq!(body["scope"], "mcp:read mcp:write");
    assert_eq!(claims(&body)["aud"], RESOURCE);
    let again = scene.refresh(&token_of(&reply)).await.json();
    assert_ne!(claims(&again)["jti"], claims(&body)["jti"]);
}

/// REF-002.
#[tokio::test]
async fn what_is_not_a_refresh_token_is_refused_and_ends_nothing() {
    let scene = scene().await;
    let first = &scene.first;
    let mut flipped = first.clone().into_bytes();
    flipped[30] = if flipped[30] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).unwrap();
    let (half, long, huge) = (&first[..first.len() / 2], format!("{first}A"), "x".repeat(60_000));
    for token in ["x", "dwr_", half, &long, &flipped, &huge, "dwr_\u{e9}"] {
        scene.refresh(token).await.assert_error("invalid_grant");
    }
    scene.refresh("").await.assert_error("invalid_request");
    assert_eq!(scene.refresh(first).await.status, StatusCode::OK);
}

/// Whether many came before or not: then they are looked up elsewhere.
#[tokio::test]
async fn however_many_are_made_up_who_has_one_refreshes() {
    let scene = scene().await;
    let mut known = scene.first.clone();
    for round in 0..80 {
        let made_up = format!("{}{round:02}", &known[..known.len() - 2]);
        if made_up != known {
            scene.refresh(&made_up).await.assert_error("invalid_grant");
        }
        known = token_of(&scene.refresh(&known).await);
    }
}

#[tokio::test]
async fn more_than_ten_resources_are_refused_and_use_nothing_up() {
    let scene = scene().await;
    for (count, error) in [(10, None), (11, Some("invalid_target"))] {
        let reply = scene
            .refresh_with(&scene.first, &vec![("resource", RESOURCE); count])
            .await;
        match error {
            None => assert_eq!(reply.status, StatusCode::OK, "{reply:?}"),
            Some(error) => reply.assert_error(error),
        }
    }
    assert_eq!(scene.refresh(&scene.first).await.status, StatusCode::OK);
}

/// REF-003.
#[tokio::test]
async fn another_client_cannot_use_a_refresh_token_nor_spoil_it() {
    let scene = scene().await;
    let other = scene.app.add_client(ClientSource::Admin, &[REDIRECT]).await;
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", &*other),
        ("refresh_token", &*scene.first),
    ];
    scene.app.token(&form).await.assert_error("invalid_grant");
    assert_eq!(scene.refresh(&scene.first).await.status, StatusCode::OK);
}

/// REF-011, REF-015: parallel clients and lost answers get the same successor.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_refreshes_at_once_get_the_same_successor_and_the_grant_lives() {
    let scene = Arc::new(scene().await);
    let barrier = Arc::new(tokio::sync::Barrier::new(50));
    let refreshes = (0..50).map(|_| {
        let (scene, barrier) = (Arc::clone(&scene), Arc::clone(&barrier));
        tokio::spawn(async move {
            barrier.wait().await;
            token_of(&scene.refresh(&scene.first).await)
        })
    });
    let mut successors = Vec::new();
    for refresh in refreshes.collect::<Vec<_>>() {
        successors.push(refresh.await.unwrap());
    }
    successors.dedup();
    assert_eq!(successors.len(), 1);
    assert_eq!(scene.app.end_reason().await, None);
    assert_eq!(scene.refresh(&successors[0]).await.status, StatusCode::OK);
}

/// REF-016: the predecessor is good until the successor has been seen, however long that takes.
#[tokio::test]
async fn an_answer_that_was_lost_can_be_asked_for_again_later() {
    let scene = scene().await;
    let successor = token_of(&scene.refresh(&scene.first).await);
    scene.app.wait(24 * 60 * 60);
    assert_eq!(token_of(&scene.refresh(&scene.first).await), successor);
    assert_eq!(scene.refresh(&successor).await.status, StatusCode::OK);
}

/// REF-008 with the window of this server: an old token gets its own successor again.
#[tokio::test]
async fn inside_the_window_an_older_token_gets_its_own_successor() {
    let scene = scene().await;
    let second = token_of(&scene.refresh(&scene.first).await);
    let third = token_of(&scene.refresh(&second).await);
    scene.app.wait(119);
    assert_eq!(token_of(&scene.refresh(&scene.first).await), second);
    assert_eq!(token_of(&scene.refresh(&second).await), third);
    assert_eq!(scene.app.end_reason().await, None);
}

/// REF-005.
#[tokio::test]
async fn outside_the_window_an_older_token_ends_the_grant() {
    let scene = scene().await;
    let second = token_of(&scene.refresh(&scene.first).await);
    let third = token_of(&scene.refresh(&second).await);
    scene.app.wait(121);
    scene.refresh(&scene.first).await.assert_error("invalid_grant");
    assert_eq!(scene.app.end_reason().await, Some(EndReason::RefreshTokenReused));
    scene.refresh(&third).await.assert_error("invalid_grant");
}

/// REF-012.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_a_revocation_no_refresh_token_of_the_grant_works() {
    for _ in 0..20 {
        let scene = Arc::new(scene().await);
        let barrier = Arc::new(tokio::sync::Barrier::new(11));
        let refreshes: Vec<_> = (0..10)
            .map(|_| {
                let (scene, barrier) = (Arc::clone(&scene), Arc::clone(&barrier));
                tokio::spawn(async move {
                    barrier.wait().await;
                    scene.refresh(&scene.first).await
                })
            })
            .collect();
        barrier.wait().await;
        let form = format!("client_id={}&token={}", scene.client_id, scene.first);
        let revoked = scene.app.browser().post("/oauth/revoke", &[], form).await;
        assert_eq!(revoked.status, StatusCode::OK);
        for refresh in refreshes {
            let reply = refresh.await.unwrap();
            if reply.status == StatusCode::OK {
                scene
                    .refresh(&token_of(&reply))
                    .await
                    .assert_error("invalid_grant");
            }
        }
        scene.refresh(&scene.first).await.assert_error("invalid_grant");
    }
}

/// REF-017, REF-018.
#[tokio::test]
async fn scopes_can_be_narrowed_for_one_token_and_never_widened() {
    let scene = scene().await;
    scene
        .refresh_with(&scene.first, &[("scope", "mcp:read mcp:admin")])
        .await
        .assert_error("invalid_scope");
    let narrow = scene.refresh_with(&scene.first, &[("scope", "mcp:read")]).await;
    assert_eq!(narrow.json()["scope"], "mcp:read");
    let wide = scene.refresh(&token_of(&narrow)).await;
    assert_eq!(wide.json()["scope"], "mcp:read mcp:write");
}

/// Clients repeat what they once sent, or name everything that they know of: what cannot be meant as a wish for more does not
/// stand in the way of a refresh.
#[tokio::test]
async fn a_refresh_may_name_scopes_by_habit_and_of_other_resources() {
    let scene = scene().await;
    scene
        .app
        .add_resource("other", "https://other.example/mcp", &["other:read"])
        .await;
    let mut token = scene.first.clone();
    for (asked, given) in [
        ("mcp:read openid email", "mcp:read"),
        ("mcp:read mcp:write offline_access", "mcp:read mcp:write"),
        ("mcp:write other:read", "mcp:write"),
        (
            "mcp:read mcp:write other:read openid offline_access",
            "mcp:read mcp:write",
        ),
        ("openid", "mcp:read mcp:write"),
        ("offline_access", "mcp:read mcp:write"),
        ("claudeai", "mcp:read mcp:write"),
    ] {
        let reply = scene.refresh_with(&token, &[("scope", asked)]).await;
        token = token_of(&reply);
        assert_eq!(reply.json()["scope"], given, "{asked}");
    }
    for asked in [
        "other:read",
        "other:read openid",
        "mcp:read nobody:knows",
        "mcp:read other:read mcp:admin",
    ] {
        let reply = scene.refresh_with(&token, &[("scope", asked)]).await;
        reply.assert_error("invalid_scope");
    }
    // REF-018: what a resource of the grant defines and was not granted is a wish for more.
    let store = &scene.app.context.store;
    for slug in ["mcp", "other"] {
        let mut resource = store.resource(slug).await.unwrap().unwrap();
        let more = doorward_store::ResourceScope {
            name: "mcp:admin".into(),
            ..resource.scopes[0].clone()
        };
        resource.scopes.push(more);
        store.update_resource(resource).await.unwrap();
    }
    scene.app.wait(2);
    let reply = scene
        .refresh_with(&token, &[("scope", "mcp:read mcp:admin")])
        .await;
    reply.assert_error("invalid_scope");
    assert_eq!(scene.refresh(&token).await.status, StatusCode::OK);
}

/// REF-019.
#[tokio::test]
async fn the_resource_cannot_be_switched() {
    let scene = scene().await;
    scene
        .app
        .add_resource("other", "https://other.example/mcp", &["mcp:read"])
        .await;
    let other = [("resource", "https://other.example/mcp")];
    scene
        .refresh_with(&scene.first, &other)
        .await
        .assert_error("invalid_target");
    assert_eq!(
        scene
            .refresh_with(&scene.first, &[("resource", RESOURCE)])
            .await
            .status,
        StatusCode::OK
    );
}

/// REF-022.
#[tokio::test]
async fn a_scope_that_the_resource_lost_is_gone_from_the_next_token() {
    let scene = scene().await;
    let store = &scene.app.context.store;
    let mut resource = store.resource("mcp").await.unwrap().unwrap();
    resource.scopes.retain(|scope| scope.name == "mcp:read");
    store.update_resource(resource).await.unwrap();
    scene.app.wait(2);
    let reply = scene.refresh_with(&scene.first, &[("scope", "mcp:write")]).await;
    reply.assert_error("invalid_scope");
    // A client that repeats what it was granted is not stuck.
    let reply = scene
        .refresh_with(&scene.first, &[("scope", "mcp:read mcp:write")])
        .await;
    assert_eq!(reply.json()["scope"], "mcp:read");
    assert_eq!(scene.refresh(&token_of(&reply)).await.json()["scope"], "mcp:read");
}

/// REF-020 of the lifetimes: idle and absolute.
#[tokio::test]
async fn refresh_tokens_end_when_idle_and_after_all() {
    const DAY: u64 = 24 * 60 * 60;
    let idle = scene().await;
    idle.app.wait(30 * DAY + 1);
    idle.refresh(&idle.first).await.assert_error("invalid_grant");

    let busy = scene().await;
    let mut token = busy.first.clone();
    for _ in 0..7 {
        busy.app.wait(25 * DAY);
        token = token_of(&busy.refresh(&token).await);
    }
    busy.app.wait(6 * DAY);
    busy.refresh(&token).await.assert_error("invalid_grant");
}

/// REF-030.
#[tokio::test]
async fn a_clock_that_goes_back_reopens_and_ends_nothing() {
    let scene = scene().await;
    let second = token_of(&scene.refresh(&scene.first).await);
    let now = scene.app.context.now();
    scene
        .app
        .clock
        .set(doorward_oauth::time::UnixSeconds(now.seconds() - 3600));
    let third = token_of(&scene.refresh(&second).await);
    assert_ne!(third, second);
    assert_eq!(scene.app.end_reason().await, None);
    assert_eq!(scene.refresh(&third).await.status, StatusCode::OK);
}

/// CODE-014 for refresh: the person, the client and the resource are looked at every time.
#[tokio::test]
async fn a_disabled_person_gets_no_more_tokens() {
    let scene = scene().await;
    scene.app.set_disabled(true).await;
    scene.refresh(&scene.first).await.assert_error("invalid_grant");
    scene.app.set_disabled(false).await;
    scene.refresh(&scene.first).await.assert_error("invalid_grant");
}

/// REF-032.
#[tokio::test]
async fn cookies_and_origins_mean_nothing_here() {
    let scene = scene().await;
    let browser = scene.app.signed_in().await;
    let form = format!(
        "grant_type=refresh_token&client_id={}&refresh_token={}",
        scene.client_id, scene.first
    );
    let reply = browser
        .post("/oauth/token", &[("origin", "https://evil.example")], form)
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    assert_eq!(reply.header("access-control-allow-credentials"), "");
}
