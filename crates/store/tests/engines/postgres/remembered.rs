//! What a node remembers of a grant decides nothing that another node may have changed.

use std::sync::Arc;
use std::time::Duration;

use doorward_store::{EndReason, GrantFilter, GrantId, RotateOutcome, Store};

use super::nodes::{Nodes, nodes};
use crate::conformance::scene::{at, rotation};

/// Uses a refresh token on a node; a grant that the node knows, or finds, is looked at.
async fn used(node: &Arc<dyn Store>, grant: GrantId, generation: u32) -> Option<RotateOutcome> {
    let decide = Box::new(move |_: &_| Some(rotation(grant, generation, at(10))));
    node.use_refresh(grant, decide).await.unwrap()
}

fn successor(outcome: Option<RotateOutcome>) -> u32 {
    match outcome {
        Some(RotateOutcome::Rotated { successor, .. }) => successor,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_grant_goes_on_from_where_another_node_brought_it() {
    let Some(nodes) = nodes().await else { return };
    let id = nodes.scene.active().await;
    for generation in 1..10 {
        let node = nodes.of(generation as usize);
        let Some(RotateOutcome::Rotated { grant, successor, .. }) = used(&node, id, generation).await else {
            panic!("it was not rotated");
        };
        assert_eq!(successor, generation + 1);
        assert_eq!(*grant, nodes.scene.grant(id).await);
    }
}

/// A grant that one node used, and another one ended.
async fn ended_elsewhere(nodes: &Nodes) -> GrantId {
    let id = nodes.scene.active().await;
    assert_eq!(successor(used(&nodes.of(0), id, 1).await), 2);
    nodes
        .of(1)
        .revoke_grants(GrantFilter::one(id), EndReason::RevokedByUser, at(11))
        .await
        .unwrap();
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_grant_that_ended_on_another_node_is_refused() {
    let Some(nodes) = nodes().await else { return };
    let id = ended_elsewhere(&nodes).await;
    assert_eq!(used(&nodes.of(0), id, 2).await, Some(RotateOutcome::Ended));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_grant_that_another_node_removed_is_unknown() {
    let Some(nodes) = nodes().await else { return };
    let id = ended_elsewhere(&nodes).await;
    let (here, there) = (nodes.of(0), nodes.of(1));
    let (long_after, retain) = (at(400 * 24 * 3600), Duration::from_hours(24));
    there.sweep(long_after, retain, 100).await.unwrap();
    assert_eq!(there.grant(id).await, Ok(None));
    assert_eq!(used(&here, id, 2).await, Some(RotateOutcome::Unknown));
    // It is forgotten then, and asked for.
    assert_eq!(used(&here, id, 2).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_old_token_ends_the_grant_on_every_node() {
    let Some(nodes) = nodes().await else { return };
    let id = nodes.scene.active().await;
    let (here, there) = (nodes.of(0), nodes.of(1));
    assert_eq!(successor(used(&here, id, 1).await), 2);
    assert_eq!(successor(used(&there, id, 2).await), 3);
    assert_eq!(successor(used(&there, id, 3).await), 4);
    // Without a window, the first one is too old; the node that remembers the second knows nothing of it.
    let old = Box::new(move |_: &_| {
        let mut rotate = rotation(id, 1, at(20));
        rotate.policy.retry_window = Duration::ZERO;
        Some(rotate)
    });
    assert_eq!(here.use_refresh(id, old).await, Ok(Some(RotateOutcome::Reused)));
    assert_eq!(used(&there, id, 4).await, Some(RotateOutcome::Ended));
}
