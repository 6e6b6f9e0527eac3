//! A proof counts once.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use doorward_guard::testing::ManualClock;
use doorward_guard::{DpopPolicy, Insertion, ReplayStore, ReplayStoreUnavailable, UnixSeconds, UsedProof};
use futures_util::future::BoxFuture;
use http::StatusCode;
use serde_json::json;
use tokio::sync::Barrier;

use super::{Bound, sign_proof};
use crate::support::{START, call, pass, ping_message};

/// DPOP-019, row 42: over the whole accepted window, to the second.
#[tokio::test(start_paused = true)]
async fn a_proof_is_never_good_twice() {
    for ahead in [-299, 0, 60] {
        let client = Bound::new(DpopPolicy::Accept);
        let token = client.token_with(&json!({"exp": client.world.now() + 3_600}));
        let proof = client.proof_with(&token, &json!({"iat": client.world.now() + ahead}));
        assert_eq!(client.ping(&token, &proof).await.status, StatusCode::OK);
        for _ in 0..75 {
            assert!(
                client
                    .ping(&token, &proof)
                    .await
                    .is_bad_proof("invalid_dpop_proof")
            );
            pass(5).await;
        }
        assert_eq!(client.world.runs(), 1);
    }
}

/// Row 42: concurrent duplicates, for real.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_parallel_callers_with_one_proof_exactly_one_passes() {
    const CALLERS: usize = 50;
    let client = Arc::new(Bound::new(DpopPolicy::Accept));
    let token = Arc::new(client.token());
    for round in 1..=5 {
        let proof = Arc::new(client.proof(&token));
        let start = Arc::new(Barrier::new(CALLERS));
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let (client, token) = (Arc::clone(&client), Arc::clone(&token));
                let (proof, start) = (Arc::clone(&proof), Arc::clone(&start));
                tokio::spawn(async move {
                    start.wait().await;
                    client.ping(&token, &proof).await
                })
            })
            .collect();
        let mut passed = 0;
        for caller in callers {
            let answer = caller.await.unwrap();
            if answer.status == StatusCode::OK {
                passed += 1;
            } else {
                assert!(answer.is_bad_proof("invalid_dpop_proof"), "{}", answer.body);
            }
        }
        assert_eq!((passed, client.world.runs()), (1, round));
    }
}

/// A `jti` belongs to its key: nobody can use up somebody else's.
#[tokio::test(start_paused = true)]
async fn the_same_jti_of_another_key_is_another_proof() {
    let client = Bound::new(DpopPolicy::Accept);
    let other = doorward_jose::SigningKey::generate(doorward_jose::Algorithm::EdDsa).unwrap();
    let others = client
        .world
        .token_with(&json!({"cnf": {"jkt": other.public_jwk().thumbprint()}}));
    let token = client.token();
    let jti = json!({"jti": "one"});
    let proof = client.proof_with(&token, &jti);
    assert_eq!(client.ping(&token, &proof).await.status, StatusCode::OK);
    let proof = sign_proof(&other, &client.claims(&others, &jti));
    assert_eq!(client.ping(&others, &proof).await.status, StatusCode::OK);
    let again = client.proof_with(&token, &jti);
    assert!(
        client
            .ping(&token, &again)
            .await
            .is_bad_proof("invalid_dpop_proof")
    );
}

/// What is refused for another reason spends nothing, and what is spent stays spent whatever the service answers.
#[tokio::test(start_paused = true)]
async fn only_a_request_that_passes_spends_its_proof() {
    let client = Bound::with(DpopPolicy::Accept, |builder| builder.max_body(200));
    let token = client.token();
    let proof = client.proof(&token);
    let large = json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"x": "y".repeat(200)}});
    let foreign = crate::support::post()
        .header("authorization", format!("DPoP {token}"))
        .header("dpop", &proof)
        .header("mcp-session-id", "of-somebody-else");
    let unknown = client.world.send(foreign, ping_message().to_string()).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    for (message, expected) in [
        (call("write"), StatusCode::FORBIDDEN),
        (large, StatusCode::PAYLOAD_TOO_LARGE),
        (json!("no message"), StatusCode::BAD_REQUEST),
        (ping_message(), StatusCode::OK),
        (ping_message(), StatusCode::UNAUTHORIZED),
    ] {
        assert_eq!(
            client.send(&token, &[&proof], &message).await.status,
            expected,
            "{message}"
        );
    }
}

/// Nothing that could be replayed makes room.
#[tokio::test(start_paused = true)]
async fn a_full_store_is_503_until_the_first_proof_is_too_old() {
    let client = Bound::with(DpopPolicy::Accept, |builder| builder.dpop_replay_capacity(2));
    let token = client.token_with(&json!({"exp": client.world.now() + 3_600}));
    let proofs: Vec<_> = (0..3).map(|_| client.proof(&token)).collect();
    for proof in &proofs[..2] {
        assert_eq!(client.ping(&token, proof).await.status, StatusCode::OK);
    }
    let answer = client.ping(&token, &proofs[2]).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.json()["error"], "temporarily_unavailable");
    assert_eq!(answer.header("retry-after"), "301");
    assert!(answer.challenges().is_empty());
    for proof in &proofs[..2] {
        assert!(
            client
                .ping(&token, proof)
                .await
                .is_bad_proof("invalid_dpop_proof")
        );
    }
    pass(301).await;
    let fresh = client.proof(&token);
    assert_eq!(client.ping(&token, &fresh).await.status, StatusCode::OK);
}

/// One client alone cannot shut out the others.
#[tokio::test(start_paused = true)]
async fn a_key_that_has_its_share_is_503_and_others_pass() {
    let client = Bound::with(DpopPolicy::Accept, |builder| builder.dpop_replay_per_key(2));
    let token = client.token_with(&json!({"exp": client.world.now() + 3_600}));
    for _ in 0..2 {
        assert_eq!(
            client.ping(&token, &client.proof(&token)).await.status,
            StatusCode::OK
        );
    }
    let answer = client.ping(&token, &client.proof(&token)).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.header("retry-after"), "301");
    assert_eq!(client.world.guard.metrics().refused["proofs_uncheckable"], 1);
    let other = doorward_jose::SigningKey::generate(doorward_jose::Algorithm::Es256).unwrap();
    let jkt = other.public_jwk().thumbprint();
    let others = client.world.token_with(&json!({"cnf": {"jkt": jkt}}));
    let proof = sign_proof(&other, &client.claims(&others, &json!({})));
    assert_eq!(client.ping(&others, &proof).await.status, StatusCode::OK);
    pass(301).await;
    assert_eq!(
        client.ping(&token, &client.proof(&token)).await.status,
        StatusCode::OK
    );
}

/// It is no fault of the client, and no new proof cures it.
#[tokio::test(start_paused = true)]
async fn after_a_clock_was_set_back_nobody_is_said_to_replay() {
    let clock = ManualClock::new(UnixSeconds(START + 3_600));
    let client = Bound::with(DpopPolicy::Accept, |builder| {
        builder.clock(Arc::new(clock.clone()))
    });
    let token = client.token_with(&json!({"iat": START, "exp": START + 9_000}));
    let proof = |at| client.proof_with(&token, &json!({"iat": at}));
    for at in [START + 3_600, START + 4_000] {
        clock.set(UnixSeconds(at));
        let answer = client.ping(&token, &proof(at)).await;
        assert_eq!(answer.status, StatusCode::OK);
    }
    clock.set(UnixSeconds(START));
    let answer = client.ping(&token, &proof(START)).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(client.world.guard.metrics().refused["proofs_uncheckable"], 1);
    let seconds: i64 = answer.header("retry-after").parse().unwrap();
    assert!((3_590..=3_601).contains(&seconds), "{seconds}");
    clock.set(UnixSeconds(START + seconds));
    let answer = client.ping(&token, &proof(START + seconds)).await;
    assert_eq!(answer.status, StatusCode::OK);
}

/// A shared store that can be told how to behave.
#[derive(Default)]
struct Shared {
    seen: Mutex<Vec<([u8; 32], UnixSeconds, UnixSeconds)>>,
    trouble: Mutex<Option<Trouble>>,
}

#[derive(Clone, Copy)]
enum Trouble {
    Down,
    Hangs,
}

impl ReplayStore for Shared {
    fn insert(
        &self,
        proof: UsedProof,
        now: UnixSeconds,
    ) -> BoxFuture<'_, Result<Insertion, ReplayStoreUnavailable>> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let trouble = *self.trouble.lock().unwrap();
            match trouble {
                Some(Trouble::Down) => {
                    let retry_after = Duration::from_secs(7);
                    return Err(ReplayStoreUnavailable { retry_after });
                }
                Some(Trouble::Hangs) => std::future::pending().await,
                None => {}
            }
            let mut seen = self.seen.lock().unwrap();
            if seen.iter().any(|(known, ..)| *known == proof.id) {
                return Ok(Insertion::Replayed);
            }
            seen.push((proof.id, now, proof.until));
            Ok(Insertion::New)
        })
    }
}

/// DPOP-019, step 4: two processes that share a store are one.
#[tokio::test(start_paused = true)]
async fn a_shared_store_joins_several_processes() {
    let store = Arc::new(Shared::default());
    let one = Bound::with(DpopPolicy::Accept, |builder| {
        builder.dpop_replay_store(store.clone())
    });
    let other = Bound::with(DpopPolicy::Accept, |builder| {
        builder.dpop_replay_store(store.clone())
    });
    other.world.server.publish_keys(&[&one.world.key]);
    let token = one.token();
    let proof = one.proof(&token);
    let now = one.world.now();
    assert_eq!(one.ping(&token, &proof).await.status, StatusCode::OK);
    assert!(
        other
            .ping(&token, &proof)
            .await
            .is_bad_proof("invalid_dpop_proof")
    );
    assert!(one.ping(&token, &proof).await.is_bad_proof("invalid_dpop_proof"));
    let (_, inserted, until) = store.seen.lock().unwrap()[0];
    assert_eq!((inserted.seconds(), until.seconds()), (now, now + 301));
}

#[tokio::test(start_paused = true)]
async fn a_shared_store_in_trouble_is_503_and_nothing_passes() {
    let store = Arc::new(Shared::default());
    let client = Bound::with(DpopPolicy::Accept, |builder| {
        builder.dpop_replay_store(store.clone())
    });
    let token = client.token();
    let proof = client.proof(&token);
    for (trouble, retry_after) in [(Trouble::Down, "7"), (Trouble::Hangs, "2")] {
        *store.trouble.lock().unwrap() = Some(trouble);
        let answer = client.ping(&token, &proof).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.header("retry-after"), retry_after);
    }
    assert_eq!(client.world.runs(), 0);
    *store.trouble.lock().unwrap() = None;
    assert_eq!(client.ping(&token, &proof).await.status, StatusCode::OK);
}

/// The body may take longer than the proof lives; nobody remembers it any more then.
#[tokio::test(start_paused = true)]
async fn a_proof_that_grew_old_while_the_body_came_does_not_count() {
    let client = Bound::with(DpopPolicy::Accept, |builder| {
        builder.dpop_window(Duration::from_secs(30), Duration::from_secs(5))
    });
    let token = client.token_with(&json!({"exp": client.world.now() + 3_600}));
    let proof = client.proof(&token);
    for _ in 0..2 {
        let slow = futures_util::stream::once(async {
            pass(32).await;
            Ok::<_, std::io::Error>(ping_message().to_string())
        });
        let request = crate::support::post()
            .header("authorization", format!("DPoP {token}"))
            .header("dpop", client.proof(&token));
        let answer = client
            .world
            .send(request, axum::body::Body::from_stream(slow))
            .await;
        assert!(answer.is_bad_proof("invalid_dpop_proof"), "{}", answer.body);
    }
    assert!(
        client
            .ping(&token, &proof)
            .await
            .is_bad_proof("invalid_dpop_proof")
    );
    assert_eq!(client.world.runs(), 0);
}
