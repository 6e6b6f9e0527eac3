//! What runs by itself.

use std::sync::Arc;
use std::time::Duration;

use doorward_store::StoreError;
use tokio_util::sync::CancellationToken;

use crate::authorization_server::RESOURCE_SERVER_SKEW;
use crate::config::Tokens;
use crate::context::Context;

/// How often expired rows are removed.
const SWEEP_EVERY: Duration = Duration::from_mins(1);
/// How often the signing keys are read again: another node may have rotated them.
const RELOAD_KEYS_EVERY: Duration = Duration::from_secs(30);
/// Ended and expired rows are kept this long, for operators who ask why.
const RETAIN: Duration = Duration::from_hours(720);
/// Rows of one kind removed in one transaction, so that nothing waits for the broom.
const BATCH: u32 = 500;

/// Runs the jobs until `stop`.
pub async fn run(ctx: Arc<Context>, stop: CancellationToken) {
    let mut sweep = tokio::time::interval(SWEEP_EVERY);
    let mut reload_keys = tokio::time::interval(RELOAD_KEYS_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = sweep.tick() => sweep_once(&ctx).await,
            _ = reload_keys.tick() => {
                if let Err(error) = ctx.keys.reload().await {
                    tracing::error!(%error, "the signing keys could not be read again");
                }
            }
        }
    }
}

async fn sweep_once(ctx: &Context) {
    // Long after their last token expired; until then they are what `GET /admin/keys` tells of the past.
    if let Err(error) = ctx.store.delete_signing_keys(ctx.now() - RETAIN).await {
        tracing::warn!(%error, "old signing keys could not be removed; trying again later");
        return;
    }
    if let Err(error) = forget_revocations(ctx).await {
        tracing::warn!(%error, "old revocations could not be forgotten; trying again later");
        return;
    }
    loop {
        match ctx.store.sweep(ctx.now(), RETAIN, BATCH).await {
            Ok(swept) if swept.total() == 0 => return,
            Ok(swept) => tracing::debug!(rows = swept.total(), "removed what is past its use"),
            Err(error) => {
                tracing::warn!(%error, "expired rows could not be removed; trying again later");
                return;
            }
        }
    }
}

/// A revocation is remembered as long as a token may live that was issued before it.
async fn forget_revocations(ctx: &Context) -> Result<(), StoreError> {
    let before = ctx.now() - (Tokens::LONGEST_ACCESS_TTL.duration() + RESOURCE_SERVER_SKEW);
    while ctx.store.forget_revocations(before, BATCH).await? > 0 {}
    Ok(())
}
