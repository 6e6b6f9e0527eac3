//! What operators do while everybody works: replace nodes, replace keys. Nothing may fail.

use std::time::Duration;

use anyhow::ensure;
use http::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{Plan, settle};
use crate::clock::Clock;
use crate::ledger::Tally;
use crate::load::Rules;
use crate::site::{Engine, Site};
use crate::world::Admin;

/// How long a key is published before it signs: the shortest time that the settings take.
const AHEAD: Duration = Duration::from_mins(10);

/// One node after another is asked to end (SIGTERM) and replaced by a new process.
pub(super) async fn restart(mut plan: Plan) -> anyhow::Result<Tally> {
    let first = plan.previous.as_ref().unwrap_or(&plan.program);
    let mut site = Site::new(first, Engine::Postgres)?;
    // Longer than a look of the balancer takes.
    site.set("DOORWARD_SERVER_SHUTDOWN_DELAY", "2s");
    site.add_nodes(3).await?;
    let load = plan.load(&site, 16, Rules::every_grant()).await?;
    for _ in 0..plan.number(5, 1) {
        for node in 0..site.nodes.len() {
            load.progress(100, Duration::from_mins(1)).await?;
            plan.some_time(0, 300).await;
            site.nodes[node].stop().await?;
            plan.some_time(0, 500).await;
            site.nodes[node].replace(&plan.program);
            site.nodes[node].start().await?;
        }
    }
    let tally = settle(load, &site).await?;
    ensure!(tally.troubled() == 0, "requests failed: {tally:?}");
    Ok(tally)
}

/// Signing keys rotate by command, each published before it signs, and every token that was ever answered is good at
/// every node as long as it lives. The nodes' clocks are put forward, because a key is published for ten minutes at least.
pub(super) async fn keys(plan: Plan) -> anyhow::Result<Tally> {
    let mut site = Site::new(&plan.program, Engine::Postgres)?;
    site.set("DOORWARD_KEYS_PUBLISH_AHEAD", &format!("{}s", AHEAD.as_secs()));
    let clock = Clock::new(&site)?;
    for _ in 0..3 {
        let mut node = site.prepare()?;
        clock.give_to(&mut node)?;
        node.start().await?;
        site.nodes.push(node);
    }
    let rules = Rules {
        clock_jumps: true,
        ..Rules::default()
    };
    let load = plan.load(&site, 16, rules).await?;
    let rotations = plan.number(8, 2);
    for rotation in 0..rotations {
        let admin = Admin::of(&site, rotation % site.nodes.len())?;
        admin.call(Method::POST, "/admin/keys/rotate", json!({})).await?;
        // All nodes publish it.
        load.progress(100, Duration::from_mins(1)).await?;
        sleep(Duration::from_secs(2)).await;
        // It signs.
        let offset = load.shared.offset() + i64::try_from(AHEAD.as_secs())? + 1;
        load.shared.set_offset(offset);
        clock.set(offset)?;
        load.progress(100, Duration::from_mins(1)).await?;
    }
    let keys = Admin::of(&site, 0)?
        .call(Method::GET, "/admin/keys", Value::Null)
        .await?;
    let keys = keys["items"].as_array().map_or(0, Vec::len);
    ensure!(
        keys == rotations + 1,
        "{keys} signing keys after {rotations} rotations"
    );
    let tally = settle(load, &site).await?;
    ensure!(tally.troubled() == 0, "requests failed: {tally:?}");
    Ok(tally)
}
