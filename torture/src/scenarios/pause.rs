//! A node stands still (SIGSTOP), and goes on as if nothing had been.

use std::time::Duration;

use anyhow::ensure;
use tokio::time::sleep;

use super::{Plan, settle};
use crate::ledger::Tally;
use crate::load::Rules;
use crate::site::Engine;

pub(super) async fn sqlite(plan: Plan) -> anyhow::Result<Tally> {
    pause(plan, Engine::Sqlite, 1).await
}

pub(super) async fn postgres(plan: Plan) -> anyhow::Result<Tally> {
    pause(plan, Engine::Postgres, 3).await
}

/// For a minute: longer than anything waits for it, and than a code lives.
async fn pause(mut plan: Plan, engine: Engine, nodes: usize) -> anyhow::Result<Tally> {
    let time = plan.time(Duration::from_mins(1), Duration::from_secs(3));
    let mut site = plan.site(engine, nodes).await?;
    let load = plan.load(&site, 12, Rules::every_grant()).await?;
    let node = plan.random.below(nodes);
    site.nodes[node].signal("STOP")?;
    if nodes > 1 && !plan.short {
        // The others go on, whatever the one that stands still has locked in the database.
        load.progress(200, Duration::from_mins(1)).await?;
    }
    sleep(time).await;
    site.nodes[node].signal("CONT")?;
    load.progress(200, Duration::from_mins(1)).await?;
    let tally = settle(load, &site).await?;
    // Who had sent it something waits as long as it stands still, who sends it something soon after a little less, or as long
    // as a client waits at all.
    ensure!(
        tally.troubled() > 0 || tally.longest() >= time * 2 / 3,
        "nobody waited for the node that stood still: {tally:?}"
    );
    Ok(tally)
}
