//! How and when the person must have signed in (RFC 9470).

use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use crate::support::{World, pass, ping_message};

#[tokio::test(start_paused = true)]
async fn a_sign_in_too_long_ago_is_challenged_with_the_age() {
    let world = World::with(|builder| builder.require_recent_login(Duration::from_mins(1)));
    let token = world.token_with(&json!({"auth_time": world.now() - 50}));
    assert_eq!(world.ping(&token).await, StatusCode::OK);
    pass(10).await;
    assert_eq!(world.ping(&token).await, StatusCode::OK);
    pass(1).await;
    let unknown = world.token();
    for token in [&token, &unknown] {
        let answer = world.post(token, &ping_message()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.json()["error"], "insufficient_user_authentication");
        let challenge = answer.challenge();
        assert!(
            challenge.starts_with(r#"Bearer error="insufficient_user_authentication""#),
            "{challenge}"
        );
        assert!(
            challenge.contains(r#"max_age="60""#) && challenge.contains("resource_metadata="),
            "{challenge}"
        );
        assert!(!challenge.contains("acr_values"), "{challenge}");
    }
    assert_eq!(world.guard.metrics().refused["login_too_old"], 2);
}

/// A time ahead would be recent for ever: milliseconds are the usual mistake.
#[tokio::test(start_paused = true)]
async fn a_sign_in_in_the_future_is_none_but_for_the_skew() {
    let world = World::with(|builder| builder.require_recent_login(Duration::from_mins(1)));
    for (auth_time, status) in [
        (world.now() + 60, StatusCode::OK),
        (world.now() + 61, StatusCode::UNAUTHORIZED),
        (world.now() * 1000, StatusCode::UNAUTHORIZED),
        (i64::MAX, StatusCode::UNAUTHORIZED),
    ] {
        let token = world.token_with(&json!({"auth_time": auth_time}));
        assert_eq!(world.ping(&token).await, status, "{auth_time}");
    }
    assert_eq!(world.guard.metrics().refused["login_too_old"], 3);
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_too_weak_is_challenged_with_the_ways_that_will_do() {
    let world = World::with(|builder| builder.require_acr(["urn:hard", "urn:soft"]));
    for acr in ["urn:hard", "urn:soft"] {
        assert_eq!(
            world.ping(&world.token_with(&json!({"acr": acr}))).await,
            StatusCode::OK
        );
    }
    for acr in [
        json!("urn:none"),
        json!(null),
        json!(["urn:hard"]),
        json!("urn:hard urn:soft"),
    ] {
        let answer = world
            .post(&world.token_with(&json!({"acr": acr})), &ping_message())
            .await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{acr}");
        assert!(
            answer.challenge().contains(r#"acr_values="urn:hard urn:soft""#),
            "{}",
            answer.challenge()
        );
    }
}
