//! Removes what is past its use, a little at a time, on one node at a time.

use doorward_store::{CLOCK_ERROR, Partitioned, StoreError};

use crate::authorization_server::RESOURCE_SERVER_SKEW;
use crate::config::Tokens;
use crate::context::Context;

/// Rows of one kind removed in one transaction, so that nothing waits for the broom.
const BATCH: u32 = 500;

/// One run, to its end; nothing when another node is at it. Whether it was this one's turn.
pub(super) async fn run(ctx: &Context) -> Result<bool, StoreError> {
    let Some(_turn) = ctx.store.try_turn("retention").await? else {
        return Ok(false);
    };
    let retain = ctx.settings.storage.retention.duration();
    // Long after their last token expired; until then they are what `GET /admin/keys` tells of the past.
    let keys = ctx.as_system().delete_signing_keys(ctx.now() - retain).await?;
    ctx.metrics.removed("signing_keys", keys);
    forget_revocations(ctx).await?;
    forget_audit_events(ctx).await?;
    // Before the sweep, which has less to do then.
    let kept = ctx
        .store
        .keep_partitions(Partitioned::Issuances, ctx.now(), retain)
        .await?;
    ctx.metrics.removed("issuance_partitions", kept.dropped);
    loop {
        let swept = ctx.store.sweep(ctx.now(), retain, BATCH).await?;
        for (kind, rows) in swept.kinds() {
            ctx.metrics.removed(kind, rows);
        }
        if swept.total() > 0 {
            tracing::debug!(rows = swept.total(), "removed what is past its use");
        }
        if !swept.may_have_left(BATCH) {
            return Ok(true);
        }
    }
}

/// What was done and refused is remembered for `audit.retention`.
async fn forget_audit_events(ctx: &Context) -> Result<(), StoreError> {
    let retain = ctx.settings.audit.retention.duration();
    let kept = ctx
        .store
        .keep_partitions(Partitioned::AuditEvents, ctx.now(), retain)
        .await?;
    ctx.metrics.removed("audit_event_partitions", kept.dropped);
    let before = ctx.now() - retain;
    loop {
        let rows = ctx.store.forget_audit_events(before, BATCH).await?;
        ctx.metrics.removed("audit_events", rows);
        if rows < u64::from(BATCH) {
            return Ok(());
        }
    }
}

/// A revocation is remembered as long as a token may live that was issued before it, by any node's clock.
async fn forget_revocations(ctx: &Context) -> Result<(), StoreError> {
    let longest = Tokens::LONGEST_ACCESS_TTL.duration() + RESOURCE_SERVER_SKEW;
    let before = ctx.now() - (longest + CLOCK_ERROR);
    loop {
        let rows = ctx.store.forget_revocations(before, BATCH).await?;
        ctx.metrics.removed("revocations", rows);
        if rows < u64::from(BATCH) {
            return Ok(());
        }
    }
}
