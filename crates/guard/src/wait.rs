//! Waiting that only needs a runtime when there is something to wait for.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::poll_immediate;

/// The outcome of `future`, unless it takes longer than `limit`. What is there at once needs no timer, and so no tokio
/// runtime: a caller in another language can have it inline.
pub(crate) async fn at_most<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    match poll_immediate(future.as_mut()).await {
        Some(outcome) => Some(outcome),
        None => tokio::time::timeout(limit, future).await.ok(),
    }
}
