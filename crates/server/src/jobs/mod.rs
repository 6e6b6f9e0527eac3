//! What runs by itself: taking what became of the keys, on every node; making the next one and removing what is past its use,
//! on one at a time; writing down what was counted, on every node; and a change of the master key and indexes of a new version, once.

mod indexes;
mod keys;
mod master_key;
mod retention;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use doorward_oauth::time::Outage;
use doorward_store::Change;
use futures_util::FutureExt as _;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::context::Context;

/// How often expired rows are removed.
const SWEEP_EVERY: Duration = Duration::from_mins(1);
/// How often it is written down how much was refused.
const WRITE_COUNTS_EVERY: Duration = Duration::from_mins(1);
/// How often the signing keys are looked at, when nobody has changed them: their times come and go.
const LOOK_AT_KEYS_EVERY: Duration = Duration::from_secs(1);

/// Runs the jobs until `stop`; what one of them is doing at that moment is left where it is, to be done by the next run.
pub async fn run(ctx: Arc<Context>, stop: CancellationToken) {
    let jobs = async {
        tokio::join!(
            look_after_keys(&ctx),
            remove_what_is_past(&ctx),
            write_counts(&ctx),
            master_key::change(&ctx),
            indexes::make(&ctx)
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
    let outage = Outage::default();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            Ok(()) = changes.changed() => {}
        }
        let looked = unless_it_panics(keys::look(ctx)).await;
        tell("keys", &outage, looked.as_ref().err());
        ctx.metrics.job("keys", ctx.now(), looked.is_ok());
    }
}

async fn remove_what_is_past(ctx: &Context) {
    let mut ticks = every(SWEEP_EVERY);
    let outage = Outage::default();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = ctx.retention_changed.notified() => {}
        }
        let swept = unless_it_panics(retention::run(ctx)).await;
        tell("retention", &outage, swept.as_ref().err());
        ctx.metrics.job("retention", ctx.now(), swept.is_ok());
    }
}

async fn write_counts(ctx: &Context) {
    let mut ticks = every(WRITE_COUNTS_EVERY);
    let outage = Outage::default();
    loop {
        ticks.tick().await;
        let written = unless_it_panics(ctx.audit.write_counts()).await;
        tell("refusals", &outage, written.as_ref().err());
        ctx.metrics.job("refusals", ctx.now(), written.is_ok());
    }
}

/// Why a run of a job failed.
#[derive(Debug, thiserror::Error)]
enum Failed<E> {
    #[error(transparent)]
    Error(E),
    #[error("it panicked")]
    Panicked,
}

/// A run that panics has failed: the next one comes, and requests are answered meanwhile.
async fn unless_it_panics<T, E>(run: impl Future<Output = Result<T, E>>) -> Result<T, Failed<E>> {
    match AssertUnwindSafe(run).catch_unwind().await {
        Ok(outcome) => outcome.map_err(Failed::Error),
        Err(_) => Err(Failed::Panicked),
    }
}

/// Tells of a job that fails, not every time: it runs again and again as long as the database is away.
fn tell<E: std::error::Error>(job: &'static str, outage: &Outage, error: Option<&E>) {
    let now = Instant::now().into_std();
    let Some(error) = error else {
        if let Some(away) = outage.worked(now) {
            tracing::info!(job, seconds = away.as_secs(), "a job is done again");
        }
        return;
    };
    if let Some(failures) = outage.failed(now) {
        tracing::error!(job, %error, failures, "a job failed; trying again");
    } else {
        tracing::debug!(job, %error, "a job failed; trying again");
    }
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

#[cfg(test)]
mod tests;
