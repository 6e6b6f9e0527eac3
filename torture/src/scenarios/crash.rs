//! `kill -9` of a node at random moments under load.

use std::time::Duration;

use super::{Plan, settle};
use crate::ledger::Tally;
use crate::load::Rules;
use crate::site::Engine;

pub(super) async fn sqlite(plan: Plan) -> anyhow::Result<Tally> {
    crash(plan, Engine::Sqlite, 1).await
}

pub(super) async fn postgres(plan: Plan) -> anyhow::Result<Tally> {
    crash(plan, Engine::Postgres, 2).await
}

async fn crash(mut plan: Plan, engine: Engine, nodes: usize) -> anyhow::Result<Tally> {
    let mut site = plan.site(engine, nodes).await?;
    let load = plan.load(&site, 12, Rules::default()).await?;
    for _ in 0..plan.number(25, 4) {
        // The moment follows from how far the load has come, not only from the time.
        load.progress(10 + plan.random.below(150) as u64, Duration::from_secs(60))
            .await?;
        plan.some_time(0, 50).await;
        let node = plan.random.below(nodes);
        site.nodes[node].kill()?;
        plan.some_time(0, 300).await;
        site.nodes[node].start().await?;
    }
    settle(load, &site).await
}
