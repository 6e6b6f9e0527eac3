//! Asking about tokens: how often, what is remembered, and what happens without an answer. Rows 45 to 49.

use std::time::Duration;

use doorward_guard::{Fail, FetchFailure, IntrospectionPolicy, Revocation, RevocationStatus, UnixSeconds};
use doorward_oauth::time::ManualClock;
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::json;

use super::support::{assert_revoked, assert_unavailable, world, world_at};
use crate::support::{START, pass};

fn asking(change: impl FnOnce(&mut IntrospectionPolicy)) -> Revocation {
    let mut policy = IntrospectionPolicy::default();
    change(&mut policy);
    Revocation::Introspection(policy)
}

/// Rows 45 and 48.
#[tokio::test(start_paused = true)]
async fn an_answer_counts_for_a_short_time() {
    let (world, endpoints) = world(Revocation::introspection());
    assert_eq!(world.guard.revocation_status(), RevocationStatus::Asks);
    endpoints.active(true);
    let token = world.token();
    for _ in 0..5 {
        assert_eq!(world.ping(&token).await, StatusCode::OK);
    }
    assert_eq!(endpoints.forms().len(), 1);
    let form = &endpoints.forms()[0];
    assert!(form.contains("token_type_hint=access_token") && form.contains(&format!("token={token}")));
    endpoints.active(false);
    pass(9).await;
    assert_eq!(world.ping(&token).await, StatusCode::OK);
    pass(2).await;
    assert_revoked(&world, &token).await;
    assert_eq!(endpoints.forms().len(), 2);
    // No token becomes active again.
    endpoints.active(true);
    pass(200).await;
    assert_revoked(&world, &token).await;
    assert_eq!(endpoints.forms().len(), 2);
    let other = world.token_with(&json!({"jti": "token-2"}));
    assert_eq!(world.ping(&other).await, StatusCode::OK);
    assert_eq!(endpoints.forms().len(), 3);
}

/// Whoever sets a clock right must not make revoked tokens count for longer than was said.
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_makes_no_answer_last_longer() {
    let issuer_clock = ManualClock::new(UnixSeconds(START));
    let (world, endpoints) = world_at(&issuer_clock, Revocation::introspection());
    endpoints.active(true);
    let token = world.token_with(&json!({"iat": START - 3600, "exp": START + 3600}));
    assert_eq!(world.ping(&token).await, StatusCode::OK);
    endpoints.active(false);
    issuer_clock.set(UnixSeconds(START - 1800));
    assert_revoked(&world, &token).await;
    assert_eq!(endpoints.forms().len(), 2);
    // Nor is a no forgotten while it counts.
    issuer_clock.advance(Duration::from_secs(200));
    assert_revoked(&world, &token).await;
    assert_eq!(endpoints.forms().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn without_a_ttl_every_request_asks() {
    let (world, endpoints) = world(asking(|policy| policy.ttl = Duration::ZERO));
    endpoints.active(true);
    for asked in 1..=3 {
        assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
        assert_eq!(endpoints.forms().len(), asked);
    }
}

#[tokio::test(start_paused = true)]
async fn fifty_requests_with_one_token_ask_once() {
    let (world, endpoints) = world(Revocation::introspection());
    endpoints.active(true);
    let token = world.token();
    let answers = join_all((0..50).map(|_| world.ping(&token))).await;
    assert!(answers.iter().all(|status| *status == StatusCode::OK));
    assert_eq!(endpoints.forms().len(), 1);
}

/// A caller that goes away takes nobody's answer along.
#[tokio::test(start_paused = true)]
async fn a_question_survives_the_one_who_asked_first() {
    let (world, endpoints) = world(Revocation::introspection());
    endpoints.active(true);
    let token = world.token();
    // Everything but the question itself is known by then.
    assert_eq!(
        world.ping(&world.token_with(&json!({"jti": "token-2"}))).await,
        StatusCode::OK
    );
    for _ in 0..3 {
        let gave_up = tokio::time::timeout(Duration::from_millis(5), world.ping(&token)).await;
        assert!(gave_up.is_err());
    }
    assert_eq!(world.ping(&token).await, StatusCode::OK);
    assert_eq!(world.ping(&token).await, StatusCode::OK);
}

/// Row 46.
#[tokio::test(start_paused = true)]
async fn without_an_answer_the_choice_decides() {
    for answer in [
        Err(FetchFailure::new("no answer")),
        Ok((500, json!({}))),
        Ok((401, json!({"error": "invalid_client"}))),
        Ok((200, json!({"active": "yes"}))),
        Ok((200, json!([]))),
    ] {
        let (closed, endpoints) = world(Revocation::introspection());
        endpoints.answer([answer.clone()]);
        assert_unavailable(&closed, &closed.token()).await;
        let (open, endpoints) = world(asking(|policy| policy.fail = Fail::Open));
        endpoints.answer([answer]);
        assert_eq!(open.ping(&open.token()).await, StatusCode::OK);
        endpoints.active(false);
        assert_revoked(&open, &open.token()).await;
    }
}

/// An open check is for outages: who sends more than the guard may ask about does not pass by it.
#[tokio::test(start_paused = true)]
async fn what_is_not_asked_for_lack_of_room_does_not_pass() {
    let (open, endpoints) = world(asking(|policy| policy.fail = Fail::Open));
    endpoints.answer([Err(FetchFailure::busy("too many"))]);
    assert_unavailable(&open, &open.token()).await;
    endpoints.active(true);
    assert_eq!(open.ping(&open.token()).await, StatusCode::OK);
}

/// Row 49: the breaker stops the questions in an outage, and afterwards revocation works again, whatever the probe met.
#[tokio::test(start_paused = true)]
async fn after_an_outage_and_a_refusal_revocation_works_again() {
    let (world, endpoints) = world(Revocation::introspection());
    endpoints.answer([Err(FetchFailure::new("no answer"))]);
    for _ in 0..20 {
        assert_unavailable(&world, &world.token()).await;
    }
    assert_eq!(endpoints.forms().len(), 5, "the breaker is open");
    pass(31).await;
    endpoints.answer([
        Ok((400, json!({"error": "invalid_request"}))),
        Ok((200, json!({"active": false}))),
    ]);
    assert_unavailable(&world, &world.token()).await;
    assert_revoked(&world, &world.token()).await;
}
