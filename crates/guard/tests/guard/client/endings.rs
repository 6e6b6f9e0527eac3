//! The circuit breaker through the client (rows 49 and 53): whatever becomes of the probe, the circuit recovers.

use std::sync::Arc;
use std::time::Duration;

use doorward_guard::client::{ClientCredentialsRequest, ClientError, ExchangeRequest, OAuthClient};
use doorward_oauth::time::ManualClock;
use futures_util::FutureExt;
use serde_json::json;

use crate::client::support::{Act, Script, clock, own, scripted, text};

const COOLDOWN: Duration = Duration::from_secs(30);

struct Circuit {
    script: Arc<Script>,
    clock: ManualClock,
    client: OAuthClient,
}

impl Circuit {
    fn new(script: Script) -> Self {
        let (script, clock) = (Arc::new(script), clock());
        Self {
            client: scripted(&script, &clock),
            script,
            clock,
        }
    }

    /// The circuit is open and its cooldown over: the next request is the probe.
    async fn half_open() -> Self {
        let circuit = Self::new(Script::default());
        circuit.break_it().await;
        circuit
    }

    async fn break_it(&self) {
        for _ in 0..5 {
            self.script.then(Act::Outage);
            assert!(matches!(self.exchange().await, Err(ClientError::Transport(_))));
        }
        let sent = self.script.sent();
        assert!(matches!(
            self.exchange().await,
            Err(ClientError::CircuitOpen { .. })
        ));
        assert_eq!(self.script.sent(), sent, "no sixth request");
        self.clock.advance(COOLDOWN);
    }

    async fn exchange(&self) -> Result<(), ClientError> {
        // The scripted server says nothing about the type, so ask in a way whose answer does not matter.
        match self.client.exchange(&ExchangeRequest::new("caller")).await {
            Err(ClientError::Protocol(text)) if text.contains("issued_token_type") => Ok(()),
            other => other.map(drop),
        }
    }

    /// Without any more waiting: a request goes out, succeeds, and all others after it.
    async fn recovers(&self) {
        for _ in 0..3 {
            let sent = self.script.sent();
            self.client.revoke("x").await.unwrap();
            assert_eq!(self.script.sent(), sent + 1);
        }
    }
}

#[tokio::test]
async fn row_53_after_five_outages_nothing_is_sent_for_thirty_seconds() {
    let circuit = Circuit::new(Script::default());
    for number in 0..5 {
        circuit.script.then(if number % 2 == 0 {
            Act::Outage
        } else {
            Act::Answer(500, json!({}))
        });
        assert!(circuit.exchange().await.is_err());
    }
    circuit.clock.advance(Duration::from_secs(29));
    let error = circuit.client.revoke("x").await.unwrap_err();
    assert!(matches!(error, ClientError::CircuitOpen { .. }));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    assert_eq!(circuit.script.sent(), 5);
    circuit.clock.advance(Duration::from_secs(1));
    circuit.recovers().await;
}

#[tokio::test]
async fn row_53_refusals_are_no_outages() {
    let circuit = Circuit::new(Script::default());
    for _ in 0..4 {
        circuit.script.then(Act::Outage);
        assert!(circuit.exchange().await.is_err());
    }
    for act in [
        Act::Answer(400, json!({"error": "invalid_grant"})),
        Act::Answer(401, json!({"error": "invalid_client"})),
    ] {
        for _ in 0..10 {
            circuit.script.then(act.clone());
            assert!(circuit.exchange().await.is_err());
        }
    }
    for _ in 0..10 {
        circuit.script.then(Act::Refused);
        assert!(matches!(circuit.exchange().await, Err(ClientError::Transport(_))));
    }
    circuit.recovers().await;
}

#[tokio::test]
async fn ending_success() {
    let circuit = Circuit::half_open().await;
    circuit.client.revoke("x").await.unwrap();
    circuit.recovers().await;
}

#[tokio::test]
async fn ending_counted_failure() {
    for act in [
        Act::Outage,
        Act::Answer(500, json!({})),
        Act::Answer(503, json!({})),
    ] {
        let circuit = Circuit::half_open().await;
        circuit.script.then(act);
        assert!(circuit.exchange().await.is_err());
        // Open again, for the whole cooldown, and not for longer.
        assert!(matches!(
            circuit.exchange().await,
            Err(ClientError::CircuitOpen { .. })
        ));
        circuit.clock.advance(COOLDOWN);
        circuit.recovers().await;
    }
}

#[tokio::test]
async fn ending_uncounted_error() {
    for (status, code) in [
        (400, "invalid_grant"),
        (400, "access_denied"),
        (403, "access_denied"),
        (400, "consent_required"),
        (400, "interaction_required"),
        (400, "invalid_target"),
        (401, "invalid_client"),
        (400, "use_dpop_nonce"),
        (400, "something_new"),
    ] {
        let circuit = Circuit::half_open().await;
        circuit.script.then(Act::Answer(status, json!({"error": code})));
        assert_eq!(circuit.exchange().await.unwrap_err().code(), Some(code));
        circuit.recovers().await;
    }
}

#[tokio::test]
async fn ending_protocol_error() {
    for act in [
        Act::Garbage,
        Act::Answer(200, json!([])),
        Act::Answer(200, json!({"access_token": "t"})),
        Act::Answer(204, json!({})),
        Act::Answer(404, json!("no such page")),
    ] {
        let circuit = Circuit::half_open().await;
        circuit.script.then(act);
        let outcome = circuit
            .client
            .client_credentials(&ClientCredentialsRequest::new())
            .await;
        assert!(matches!(outcome, Err(ClientError::Protocol(_))));
        circuit.recovers().await;
    }
}

#[tokio::test]
async fn ending_refused_by_the_network_guard() {
    let circuit = Circuit::half_open().await;
    circuit.script.then(Act::Refused);
    assert!(matches!(circuit.exchange().await, Err(ClientError::Transport(_))));
    circuit.recovers().await;
}

#[tokio::test]
async fn ending_too_many_requests() {
    let circuit = Circuit::half_open().await;
    circuit.script.then(Act::Answer(429, json!({})));
    assert!(matches!(
        circuit.exchange().await,
        Err(ClientError::Server { status: 429, .. })
    ));
    circuit.recovers().await;

    // The server is well: others need not wait for what it said to this call.
    let circuit = Circuit::half_open().await;
    circuit.script.then(Act::RetryAfter(429, "12"));
    assert!(circuit.exchange().await.is_err());
    circuit.recovers().await;
}

#[tokio::test]
async fn ending_missing_endpoint() {
    let circuit = Circuit::new(Script {
        no_revocation: true,
        ..Script::default()
    });
    circuit.break_it().await;
    assert!(matches!(
        circuit.client.revoke("x").await,
        Err(ClientError::NoEndpoint(_))
    ));
    for _ in 0..3 {
        circuit.exchange().await.unwrap();
    }
}

#[tokio::test]
async fn ending_metadata_that_cannot_be_had() {
    let circuit = Circuit::half_open().await;
    // Longer than what is known may be used.
    circuit.clock.advance(Duration::from_hours(24));
    *circuit.script.metadata_down.lock().unwrap() = true;
    for _ in 0..10 {
        assert!(matches!(circuit.exchange().await, Err(ClientError::Metadata(_))));
    }
    *circuit.script.metadata_down.lock().unwrap() = false;
    circuit.clock.advance(Duration::from_secs(5));
    circuit.recovers().await;
}

#[tokio::test]
async fn ending_call_that_cannot_be_made() {
    let circuit = Circuit::half_open().await;
    assert!(matches!(
        circuit.client.revoke("").await,
        Err(ClientError::Request(_))
    ));
    let outcome = circuit.client.exchange(&ExchangeRequest::new("")).await;
    assert!(matches!(outcome, Err(ClientError::Request(_))));
    circuit.recovers().await;
}

#[tokio::test]
async fn ending_cancellation() {
    for shared in [false, true] {
        let circuit = Circuit::half_open().await;
        circuit.script.then(Act::Hang);
        let probe = async {
            if shared {
                own(&circuit.client).await.map(drop)
            } else {
                circuit.exchange().await
            }
        };
        let mut probe = Box::pin(probe);
        assert!(futures_util::poll!(&mut probe).is_pending());
        // It is the probe: nobody else may ask.
        assert!(matches!(
            circuit.client.revoke("x").await,
            Err(ClientError::CircuitOpen { .. })
        ));
        drop(probe);
        circuit.recovers().await;
    }
}

#[tokio::test]
async fn ending_panic() {
    let circuit = Circuit::half_open().await;
    circuit.script.then(Act::Panic);
    let panicked = std::panic::AssertUnwindSafe(circuit.exchange())
        .catch_unwind()
        .await;
    assert!(panicked.is_err());
    circuit.recovers().await;

    let circuit = Circuit::half_open().await;
    circuit.script.then(Act::Panic);
    assert!(matches!(
        own(&circuit.client).await,
        Err(ClientError::Transport(_))
    ));
    circuit.recovers().await;
}

#[tokio::test]
async fn ending_answer_from_the_cache() {
    let circuit = Circuit::new(Script::default());
    own(&circuit.client).await.unwrap();
    circuit.break_it().await;
    // No request, so no probe.
    let sent = circuit.script.sent();
    for _ in 0..3 {
        assert_eq!(text(&own(&circuit.client).await.unwrap()), "t");
    }
    assert_eq!(circuit.script.sent(), sent);
    circuit.recovers().await;
}

/// Two hundred endings in a row, of every kind: the circuit never stays open.
#[tokio::test]
async fn no_sequence_of_endings_keeps_the_circuit_open() {
    let circuit = Circuit::new(Script::default());
    for round in 0..200_u32 {
        let act = match round.wrapping_mul(2_654_435_761) >> 29 {
            0 | 1 => Act::Outage,
            2 => Act::Answer(502, json!({})),
            3 => Act::Answer(400, json!({"error": "invalid_grant"})),
            4 => Act::Garbage,
            5 if round % 2 == 0 => Act::RetryAfter(503, "9999999"),
            5 => Act::RetryAfter(429, "9999999"),
            6 => Act::Refused,
            _ => Act::Hang,
        };
        circuit.script.then(act);
        let call = Box::pin(circuit.exchange());
        let _ = call.now_or_never();
        circuit.clock.advance(Duration::from_mins(5));
    }
    circuit.script.clear();
    circuit.recovers().await;
}

/// Row 49: after an outage and one refusal, introspection works again. It has a breaker of its own.
#[tokio::test]
async fn row_49_introspection_recovers_and_does_not_share_its_breaker() {
    let circuit = Circuit::new(Script::default());
    circuit.break_it().await;
    assert!(circuit.client.introspect("x").await.unwrap().active);

    for _ in 0..5 {
        circuit.script.then(Act::Outage);
        assert!(circuit.client.introspect("x").await.is_err());
    }
    assert!(matches!(
        circuit.client.introspect("x").await,
        Err(ClientError::CircuitOpen { .. })
    ));
    circuit.recovers().await;
    circuit.clock.advance(COOLDOWN);
    circuit
        .script
        .then(Act::Answer(401, json!({"error": "invalid_client"})));
    assert!(matches!(
        circuit.client.introspect("x").await,
        Err(ClientError::InvalidClient(_))
    ));
    for _ in 0..3 {
        assert!(circuit.client.introspect("x").await.unwrap().active);
    }
}

#[tokio::test]
async fn retry_after_is_respected_at_the_first_failure() {
    let circuit = Circuit::new(Script::default());
    circuit.script.then(Act::RetryAfter(503, "90"));
    let error = circuit.exchange().await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(90)));
    circuit.clock.advance(Duration::from_secs(89));
    assert!(matches!(
        circuit.exchange().await,
        Err(ClientError::CircuitOpen { .. })
    ));
    circuit.clock.advance(Duration::from_secs(1));
    circuit.recovers().await;
}
