//! The task that fetches.

use std::future::pending;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use super::Keys;

/// How long after the issuer told of other keys each of its nodes has them: a node that a load balancer chose may know
/// of them up to a second later than the one that told.
const SETTLED: Duration = Duration::from_millis(1500);

/// What the task hears while it waits.
#[derive(Clone, Default)]
pub(super) struct Bells {
    /// Somebody needs keys before their time.
    pub(super) wake: Arc<Notify>,
    /// The keys have changed.
    pub(super) changed: Arc<Notify>,
    /// The keys may have changed just before the issuer began to tell.
    pub(super) doubted: Arc<Notify>,
}

/// Fetches as long as there is somebody to fetch for.
pub(super) async fn run(keys: Weak<Keys>, bells: Bells) {
    let until_settled = || Some(Box::pin(sleep(SETTLED)));
    let mut settled = None;
    loop {
        let Some(strong) = keys.upgrade() else {
            return;
        };
        let pause = strong.attempt().await;
        drop(strong);
        let mut pause = pin!(sleep(pause));
        loop {
            tokio::select! {
                () = &mut pause => break,
                () = bells.wake.notified() => break,
                () = bells.changed.notified() => {
                    settled = until_settled();
                    break;
                }
                () = bells.doubted.notified() => settled = until_settled(),
                () = async {
                    match &mut settled {
                        Some(until) => until.await,
                        None => pending().await,
                    }
                } => {
                    settled = None;
                    break;
                }
            }
        }
    }
}
