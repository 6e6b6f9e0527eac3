//! What counts once counts once on all nodes: proofs (`DPoP`), client assertions, references of pushed requests, guesses.

use std::time::Duration;

use doorward_store::SpendOutcome::{Spent, UsedBefore};
use doorward_store::{LoginThrottle, ThrottlePolicy};

use super::nodes::nodes;
use crate::conformance::scene::{at, at_once};
use crate::conformance::spent::one;

const CALLERS: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_spent_on_one_node_is_refused_on_the_other() {
    let Some(nodes) = nodes().await else { return };
    // An assertion and a proof come with one request; a reference comes alone.
    for spends in [vec![one(60)], vec![one(60), one(60)]] {
        assert_eq!(nodes.of(0).spend(&spends).await, Ok(Spent));
        assert_eq!(nodes.of(1).spend(&spends).await, Ok(UsedBefore(0)));
        for single in spends {
            assert_eq!(nodes.of(1).spend(&[single]).await, Ok(UsedBefore(0)));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_callers_on_two_nodes_one_spends() {
    let Some(nodes) = nodes().await else { return };
    for _ in 0..10 {
        let (proof, assertion) = (one(60), one(60));
        let spent = at_once(CALLERS, |caller| {
            let node = nodes.of(caller);
            let spends = match caller % 3 {
                0 => vec![proof, assertion],
                1 => vec![assertion, proof],
                _ => vec![assertion],
            };
            async move { node.spend(&spends).await.unwrap() }
        })
        .await;
        assert_eq!(spent.iter().filter(|answer| **answer == Spent).count(), 1);
    }
}

/// A person who tries user codes, at any node.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn guesses_of_user_codes_count_on_all_nodes() {
    let Some(nodes) = nodes().await else { return };
    let policy = ThrottlePolicy {
        free_attempts: 10,
        first_wait: Duration::from_secs(2),
        longest_wait: Duration::from_mins(1),
        forget_after: Duration::from_mins(15),
    };
    let answers = at_once(CALLERS, |caller| {
        let node = nodes.of(caller);
        async move {
            let key = ["user-code ada".to_owned()];
            node.begin_login(&key, policy, at(0)).await.unwrap()
        }
    })
    .await;
    let allowed = answers.iter().filter(|answer| **answer == LoginThrottle::Allowed);
    assert_eq!(allowed.count(), 10);
}
