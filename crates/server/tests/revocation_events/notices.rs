//! What the feed tells, and how it is resumed.

use std::time::Duration;

use serde_json::{Value, json};

use crate::follower::scene;
use crate::support::{Engine, VERIFIER, claims};

#[tokio::test]
async fn the_revocation_endpoint_feeds_it() {
    let scene = scene().await;
    let mut follower = scene.follow().await;
    let connected = scene.connect().await;
    scene
        .revoke(&connected, connected.body["refresh_token"].as_str().unwrap())
        .await;
    let event = follower.expect_grant(&connected.gid).await;
    assert_eq!(event.data["revoked_at"], scene.app.context.now().0);
    assert_eq!(event.data.as_object().unwrap().len(), 2);

    let second = scene.connect().await;
    scene
        .revoke(&second, second.body["access_token"].as_str().unwrap())
        .await;
    let event = follower.expect("revocation").await;
    assert_eq!(event.data["jti"], claims(&second.body)["jti"]);
    assert!(event.data.get("gid").is_none());
}

#[tokio::test]
async fn a_replayed_code_feeds_it() {
    let scene = scene().await;
    let mut follower = scene.follow().await;
    let connected = scene.connect().await;
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", &*connected.client_id),
        ("code", &*connected.code),
        ("code_verifier", VERIFIER),
    ];
    scene.app.token(&form).await.assert_error("invalid_grant");
    follower.expect_grant(&connected.gid).await;
}

#[tokio::test]
async fn a_reused_refresh_token_feeds_it() {
    let scene = scene().await;
    let mut follower = scene.follow().await;
    let connected = scene.connect().await;
    let first = connected.body["refresh_token"].as_str().unwrap().to_owned();
    let mut token = first.clone();
    for _ in 0..3 {
        let reply = scene.refresh(&connected, &token).await.json();
        reply["refresh_token"].as_str().unwrap().clone_into(&mut token);
    }
    scene.app.wait(121);
    scene
        .refresh(&connected, &first)
        .await
        .assert_error("invalid_grant");
    follower.expect_grant(&connected.gid).await;
}

#[tokio::test]
async fn operators_and_the_person_feed_it() {
    let scene = scene().await;
    let mut follower = scene.follow().await;
    let user = format!("/admin/users/{}", scene.app.user.id.0);

    let connected = scene.connect().await;
    let grant = format!("/admin/grants/{}", connected.gid);
    scene.admin("DELETE", &grant, Value::Null).await;
    follower.expect_grant(&connected.gid).await;

    let connected = scene.connect().await;
    scene.app.revoke_grants().await;
    follower.expect_grant(&connected.gid).await;

    let connected = scene.connect().await;
    scene.admin("POST", &format!("{user}/disable"), Value::Null).await;
    follower.expect_grant(&connected.gid).await;
    scene.admin("POST", &format!("{user}/enable"), Value::Null).await;

    let connected = scene.connect().await;
    let client = format!("/admin/clients/{}", connected.client_id);
    scene.admin("PATCH", &client, json!({"disabled": true})).await;
    let event = follower.expect("revocation").await;
    assert_eq!(event.data["client_id"], connected.client_id);
    assert_eq!(event.data["revoked_at"], scene.app.context.now().0);
    scene.admin("DELETE", &client, Value::Null).await;
    follower.expect_grant(&connected.gid).await;

    let connected = scene.connect().await;
    scene.admin("DELETE", &user, Value::Null).await;
    follower.expect_grant(&connected.gid).await;
}

#[tokio::test]
async fn who_comes_back_hears_what_it_missed_and_no_more() {
    let scene = scene().await;
    let mut follower = scene.follow().await;
    let (first, second) = (scene.connect().await, scene.connect().await);
    scene
        .admin("DELETE", &format!("/admin/grants/{}", first.gid), Value::Null)
        .await;
    let cursor = follower.expect_grant(&first.gid).await.id;
    drop(follower);
    scene
        .admin("DELETE", &format!("/admin/grants/{}", second.gid), Value::Null)
        .await;

    let mut follower = scene.follow_after(Some(&cursor)).await;
    let last = follower.expect_grant(&second.gid).await.id;
    let ready = follower.expect("ready").await;
    assert_eq!((ready.id, ready.data), (last.clone(), json!({})));
    let mut follower = scene.follow_after(Some(&last)).await;
    assert_eq!(follower.expect("ready").await.id, last);
    // Who comes for the first time hears everything.
    let mut follower = scene.follow_after(None).await;
    follower.expect_grant(&first.gid).await;
    follower.expect_grant(&second.gid).await;
    follower.expect("ready").await;
}

#[tokio::test]
async fn who_comes_back_too_late_or_from_elsewhere_is_told_to_begin_anew() {
    let scene = scene().await;
    let mut gids = Vec::new();
    let mut follower = scene.follow().await;
    let mut cursors = Vec::new();
    for _ in 0..3 {
        let connected = scene.connect().await;
        scene
            .admin("DELETE", &format!("/admin/grants/{}", connected.gid), Value::Null)
            .await;
        cursors.push(follower.expect_grant(&connected.gid).await.id);
        gids.push(connected.gid);
        scene.app.wait(10);
    }
    let before = scene.app.context.now() - Duration::from_secs(15);
    let store = &scene.app.context.store;
    assert_eq!(store.forget_revocations(before, 100).await, Ok(2));
    let log = cursors[0].split_once('-').unwrap().0;
    let future = format!("{log}-999");
    for unknown in [
        &*cursors[0],
        &future,
        "0000000000000000-1",
        "",
        "garbage",
        "\u{fe}",
    ] {
        let mut follower = scene.follow_after(Some(unknown)).await;
        follower.expect("reset").await;
        follower.expect_grant(&gids[2]).await;
        assert_eq!(follower.expect("ready").await.id, cursors[2]);
    }
    // The second was the last that is forgotten: nothing is missing after it.
    let mut follower = scene.follow_after(Some(&cursors[1])).await;
    follower.expect_grant(&gids[2]).await;
}

/// The policy of a resource may let its tokens live for a day, whatever `tokens.access_ttl` says.
#[tokio::test]
async fn a_revocation_is_remembered_as_long_as_any_token_may_live() {
    let scene = scene().await;
    for _ in 0..2 {
        let connected = scene.connect().await;
        scene
            .admin("DELETE", &format!("/admin/grants/{}", connected.gid), Value::Null)
            .await;
        scene.app.wait(100);
    }
    // The first was a day, 65 minutes and three more ago, the second a bit less than a day, 65 minutes and two.
    scene.app.wait(24 * 3600 + 65 * 60 - 20);
    let stop = tokio_util::sync::CancellationToken::new();
    let store = &scene.app.context.store;
    let swept = async {
        while store.revocations(0, 10).await.unwrap().items.len() == 2 {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    let jobs = scene.app.server.run_jobs(stop.clone());
    let both = async { tokio::join!(jobs, swept) };
    tokio::time::timeout(Duration::from_secs(20), both).await.unwrap();
    assert_eq!(store.revocations(0, 10).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn followers_are_told_when_a_signing_key_comes_or_goes() {
    let scene = scene().await;
    let mut follower = scene.follow().await;
    scene.app.context.keys.rotate_now().await.unwrap();
    follower.expect("keys").await;
}

#[tokio::test]
async fn followers_are_not_told_that_all_is_well_when_the_log_cannot_be_read() {
    let scene = scene().await;
    let mut follower = scene.follow().await;
    scene.app.context.store.close().await.unwrap();
    let end = tokio::time::timeout(Duration::from_secs(8), follower.event()).await;
    assert_eq!(end, Ok(None));
}

/// Only PostgreSQL has several nodes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_node_revokes_arrives_within_two_seconds() {
    if !Engine::is_postgres() {
        return;
    }
    let scene = scene().await;
    let mut follower = scene.follow().await;
    let connected = scene.connect().await;
    let parts = doorward_server::context::Parts {
        clock: std::sync::Arc::new(scene.app.clock.clone()),
        random: std::sync::Arc::new(doorward_server::random::OsRandom::default()),
    };
    let settings = scene.app.context.settings.clone();
    let other = doorward_server::AuthorizationServer::open(settings, parts)
        .await
        .unwrap();
    let everything = doorward_store::GrantFilter::default();
    let reason = doorward_store::EndReason::RevokedByAdmin;
    let now = scene.app.context.now();
    let revoked = other.context().store.revoke_grants(everything, reason, now).await;
    assert_eq!(revoked, Ok(1));
    let cursor = follower.expect_grant(&connected.gid).await.id;
    // And a cursor of one node is good on all.
    let mut second = scene;
    second.app.public = other.routers().public;
    let mut follower = second.follow_after(Some(&cursor)).await;
    assert_eq!(follower.expect("ready").await.id, cursor);
}

/// More than a page, and more than a slow reader's share of memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_great_many_revocations_reach_a_follower_in_order() {
    let scene = scene().await;
    let mut follower = scene.follow().await;
    let connected = scene.connect().await;
    let store = &scene.app.context.store;
    let mut client = store.client(&connected.client_id).await.unwrap().unwrap();
    for number in 0..1200 {
        client.disabled = number % 2 == 0;
        client.updated_at = doorward_oauth::time::UnixSeconds(number);
        store.update_client(client.clone()).await.unwrap();
    }
    for number in 0..600 {
        // Whoever lags is told, at the end of what it reads by itself, that it is ready.
        let event = loop {
            let event = follower.event().await.expect("the feed ended");
            if event.kind != "ready" {
                break event;
            }
        };
        assert_eq!(event.kind, "revocation", "{event:?}");
        assert_eq!(event.data["revoked_at"], number * 2);
    }
}
