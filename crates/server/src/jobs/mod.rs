//! What runs by itself: looking after the keys, on every node, removing what is past its use, on one at a time, and a change
//! of the master key, once.

mod keys;
mod master_key;
mod retention;

use std::sync::Arc;
use std::time::Duration;

use doorward_store::Change;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::context::Context;

/// How often expired rows are removed.
const SWEEP_EVERY: Duration = Duration::from_mins(1);
/// How often the signing keys are looked at, when nobody has changed them: their times come and go.
const LOOK_AT_KEYS_EVERY: Duration = Duration::from_secs(1);

/// Runs the jobs until `stop`; what one of them is doing at that moment is left where it is, to be done by the next run.
pub async fn run(ctx: Arc<Context>, stop: CancellationToken) {
    let jobs = async {
        tokio::join!(
            look_after_keys(&ctx),
            remove_what_is_past(&ctx),
            master_key::change(&ctx)
        )
    };
    tokio::select! {
        () = stop.cancelled() => {}
        _ = jobs => {}
    }
}

async fn look_after_keys(ctx: &Context) {
    let mut ticks = every(LOOK_AT_KEYS_EVERY);
    let mut changes = ctx.store.changes().subscribe(Change::SigningKeys);
    let mut failed = false;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            Ok(()) = changes.changed() => {}
        }
        let looked = keys::look(ctx).await;
        // Once, not every second as long as the database is away.
        if let (Err(error), false) = (&looked, failed) {
            tracing::error!(%error, "the signing keys could not be read again");
        }
        failed = looked.is_err();
        ctx.metrics.job("keys", ctx.now(), looked.is_ok());
    }
}

async fn remove_what_is_past(ctx: &Context) {
    let mut ticks = every(SWEEP_EVERY);
    loop {
        ticks.tick().await;
        let swept = retention::run(ctx).await;
        if let Err(error) = &swept {
            tracing::warn!(%error, "what is past its use could not be removed; trying again later");
        }
        ctx.metrics.job("retention", ctx.now(), swept.is_ok());
    }
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

#[cfg(test)]
mod tests;
