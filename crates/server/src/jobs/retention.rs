//! Removes what is past its use, a little at a time, on one node at a time.

use std::time::Duration;

use doorward_store::{CLOCK_ERROR, Partitioned, StoreError, SweepKinds};

use crate::authorization_server::RESOURCE_SERVER_SKEW;
use crate::config::Tokens;
use crate::context::Context;

/// Rows of one kind removed in one transaction, so that nothing waits for the broom.
const BATCH: u32 = 500;

/// One run, to its end; nothing when another node is at it. Whether it was this one's turn. A step that fails stops no other
/// one: the error is the first one's.
pub(super) async fn run(ctx: &Context) -> Result<bool, StoreError> {
    let Some(_turn) = ctx.store.try_turn("retention").await? else {
        return Ok(false);
    };
    // Both are read once: a reload may change them during the run.
    let settings = ctx.read_settings.load_full();
    let ended = settings.storage.retention.duration();
    let audited = settings.audit.retention.duration();
    let steps = [
        ("signing keys", forget_signing_keys(ctx, ended).await),
        ("revocations", forget_revocations(ctx).await),
        // Partitions before the rows, of which there are fewer then.
        (
            "partitions of audit events",
            keep_partitions(ctx, Partitioned::AuditEvents, audited).await,
        ),
        ("audit events", forget_audit_events(ctx, audited).await),
        (
            "partitions of issuances",
            keep_partitions(ctx, Partitioned::Issuances, ended).await,
        ),
        ("rows", sweep(ctx, ended).await),
    ];
    let mut first = Ok(true);
    for (step, outcome) in steps {
        if let Err(error) = outcome {
            tracing::warn!(step, %error, "a step of removing what is past its use failed");
            first = first.and(Err(error));
        }
    }
    first
}

/// Long after their last token expired; until then they are what `GET /admin/keys` tells of the past.
async fn forget_signing_keys(ctx: &Context, retain: Duration) -> Result<(), StoreError> {
    let before = ctx.now() - retain;
    let keys = ctx.as_system().delete_signing_keys(before).await?;
    ctx.metrics.removed("signing_keys", keys);
    Ok(())
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

/// Makes partitions ahead, and drops those in which everything is past its time.
async fn keep_partitions(ctx: &Context, of: Partitioned, retain: Duration) -> Result<(), StoreError> {
    let (kind, rows) = match of {
        Partitioned::AuditEvents => ("audit_event_partitions", "audit_events"),
        Partitioned::Issuances => ("issuance_partitions", "issuances"),
    };
    let kept = ctx.store.keep_partitions(of, ctx.now(), retain).await?;
    ctx.metrics.removed(kind, kept.dropped);
    ctx.metrics.removed(rows, kept.rows);
    Ok(())
}

/// What was done and refused is remembered for `audit.retention`.
async fn forget_audit_events(ctx: &Context, retain: Duration) -> Result<(), StoreError> {
    let before = ctx.now() - retain;
    loop {
        let rows = ctx.store.forget_audit_events(before, BATCH).await?;
        ctx.metrics.removed("audit_events", rows);
        if rows < u64::from(BATCH) {
            return Ok(());
        }
    }
}

async fn sweep(ctx: &Context, retain: Duration) -> Result<(), StoreError> {
    let (mut kinds, mut first) = (SweepKinds::ALL, Ok(()));
    while !kinds.is_empty() {
        let swept = ctx.as_system().sweep_kinds(kinds, ctx.now(), retain, BATCH).await;
        for (kind, rows) in swept.kinds() {
            ctx.metrics.removed(kind, rows);
        }
        if swept.total() > 0 {
            tracing::debug!(rows = swept.total(), "removed what is past its use");
        }
        if let Some(error) = swept.failed() {
            first = first.and(Err(error.clone()));
        }
        kinds = swept.left();
    }
    first
}
