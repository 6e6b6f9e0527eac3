//! A server whose limit is reached (`429`, RFC 6585 §4) is well: whoever it said so to waits, and nobody else.

use std::sync::Arc;
use std::time::Duration;

use doorward_guard::client::{ClientError, ExchangeRequest, OAuthClient};
use doorward_oauth::time::ManualClock;

use crate::client::support::{Act, Script, clock, own, scripted};

struct World {
    script: Arc<Script>,
    clock: ManualClock,
    client: OAuthClient,
}

impl World {
    fn new() -> Self {
        let (script, clock) = (Arc::new(Script::default()), clock());
        Self {
            client: scripted(&script, &clock),
            script,
            clock,
        }
    }

    /// Exchanges the token of somebody. Whether anything was sent.
    async fn exchange(&self, of: &str) -> bool {
        let sent = self.script.sent();
        let outcome = self.client.exchange(&ExchangeRequest::new(of)).await;
        let open = matches!(outcome, Err(ClientError::CircuitOpen { .. }));
        assert_eq!(open, self.script.sent() == sent);
        !open
    }

    async fn exchange_refused(&self, of: &str, retry_after: &'static str) {
        self.script.then(Act::RetryAfter(429, retry_after));
        let error = self.client.exchange(&ExchangeRequest::new(of)).await.unwrap_err();
        assert!(
            matches!(error, ClientError::Server { status: 429, .. }),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn one_refusal_makes_nobody_else_wait() {
    let world = World::new();
    world.exchange_refused("alice's", "30").await;
    assert!(!world.exchange("alice's").await);
    // Everything else goes on.
    assert!(world.exchange("bob's").await);
    own(&world.client).await.unwrap();
    world.client.revoke("x").await.unwrap();
    assert!(world.client.introspect("x").await.unwrap().active);
    world.clock.advance(Duration::from_secs(29));
    assert!(!world.exchange("alice's").await);
    world.clock.advance(Duration::from_secs(1));
    assert!(world.exchange("alice's").await);
}

#[tokio::test]
async fn a_retry_after_without_measure_is_cut_to_a_minute() {
    for told in ["300", "86400", "18446744073709551615"] {
        let world = World::new();
        world.exchange_refused("alice's", told).await;
        let again = world.client.exchange(&ExchangeRequest::new("alice's")).await;
        assert_eq!(
            again.unwrap_err().retry_after(),
            Some(Duration::from_mins(1)),
            "{told}"
        );
        world.clock.advance(Duration::from_mins(1));
        assert!(world.exchange("alice's").await, "{told}");
    }
}

#[tokio::test]
async fn a_limit_that_meets_everybody_is_respected_at_its_endpoint_alone() {
    let world = World::new();
    for person in ["a", "b", "c", "d", "e"] {
        assert!(world.script.acts.lock().unwrap().is_empty());
        world.exchange_refused(person, "20").await;
    }
    assert!(!world.exchange("f").await);
    assert!(matches!(
        own(&world.client).await,
        Err(ClientError::CircuitOpen { .. })
    ));
    assert!(world.client.introspect("x").await.unwrap().active);
    world.client.revoke("x").await.unwrap();
    world.clock.advance(Duration::from_secs(20));
    assert!(world.exchange("f").await);
}

#[tokio::test]
async fn refusals_do_not_count_as_outages() {
    let world = World::new();
    for _ in 0..4 {
        world.script.then(Act::Outage);
        assert!(world.client.revoke("x").await.is_err());
    }
    for _ in 0..10 {
        world.exchange_refused("alice's", "1").await;
        world.clock.advance(Duration::from_secs(1));
    }
    world.script.then(Act::Outage);
    assert!(world.client.revoke("x").await.is_err());
    world.client.revoke("x").await.unwrap();
}

/// What introspection is told is told to the one token, not to all whose revocation has to be noticed.
#[tokio::test]
async fn one_token_that_is_asked_about_too_often_leaves_the_others_alone() {
    let world = World::new();
    world.script.then(Act::RetryAfter(429, "30"));
    assert!(world.client.introspect("a").await.is_err());
    assert!(matches!(
        world.client.introspect("a").await,
        Err(ClientError::CircuitOpen { .. })
    ));
    assert!(world.client.introspect("b").await.unwrap().active);
}
