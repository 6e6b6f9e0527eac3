//! Several nodes on one database, with nothing else in common.

use std::time::Duration;

use anyhow::ensure;
use http::Method;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{Plan, without_trouble};
use crate::ledger::Tally;
use crate::load::Rules;
use crate::site::{Engine, Site};
use crate::world::Admin;

/// Three nodes, each request to one of them at random, and nothing may fail.
pub(super) async fn flows(plan: Plan) -> anyhow::Result<Tally> {
    let site = plan.site(Engine::Postgres, 3).await?;
    let rules = Rules {
        kept: 40,
        complete: 100,
        ..Rules::every_grant()
    };
    let load = plan.load(&site, 24, rules).await?;
    let wanted = plan.number(10_000, 300) as u64;
    let (mut told, began) = (0, Instant::now());
    while load.flows() < wanted {
        sleep(Duration::from_millis(200)).await;
        if load.flows() >= told + 1000 {
            told = load.flows();
            eprintln!("  {told} flows in {:.0} s", began.elapsed().as_secs_f64());
        }
    }
    without_trouble(load, &site).await
}

/// Eight nodes start at the same time on an empty database: one schema, one signing key, and all of them work.
pub(super) async fn start_together(plan: Plan) -> anyhow::Result<Tally> {
    let mut site = Site::new(&plan.program, Engine::Postgres)?;
    for _ in 0..8 {
        let mut node = site.prepare();
        node.spawn()?;
        site.nodes.push(node);
    }
    for node in &mut site.nodes {
        node.until_ready().await?;
    }
    for node in 0..site.nodes.len() {
        let keys = Admin::of(&site, node)?
            .call(Method::GET, "/admin/keys", Value::Null)
            .await?;
        let keys = keys["items"].as_array().map_or(0, Vec::len);
        ensure!(keys == 1, "{keys} signing keys at node {node}");
    }
    let load = plan.load(&site, 16, Rules::default()).await?;
    without_trouble(load, &site).await
}
