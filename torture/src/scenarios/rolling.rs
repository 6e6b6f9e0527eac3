//! What operators do while everybody works: replace nodes, replace keys. Nothing may fail.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use http::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{Plan, without_failures, without_trouble};
use crate::clock::Clock;
use crate::ledger::Tally;
use crate::load::{Load, Rules};
use crate::mount::NotHere;
use crate::node::Node;
use crate::site::{Engine, Site};
use crate::world::Admin;

/// How long a key is published before it signs: the shortest time that the settings take.
const AHEAD: Duration = Duration::from_mins(10);

/// One node after another is asked to end (SIGTERM) and replaced by a new process.
pub(super) async fn restart(mut plan: Plan) -> anyhow::Result<Tally> {
    let (mut site, load) = nodes_of(&plan, &plan.program).await?;
    let program = plan.program.clone();
    for _ in 0..plan.number(5, 1) {
        replace_all(&mut plan, &mut site, &load, |node| node.replace(&program)).await?;
    }
    without_trouble(load, &site).await
}

/// Nodes of the version before are replaced by those of this one, and the other way round: old and new ones work side by
/// side on one database, whose schema is the new one's from the first new node on.
pub(super) async fn upgrade(mut plan: Plan) -> anyhow::Result<Tally> {
    let previous = plan
        .previous
        .clone()
        .context("no version before was looked for")?;
    let old = match &*previous {
        Ok(previous) => previous.program.clone(),
        Err(error) if error.is::<NotHere>() => bail!(NotHere(error.to_string())),
        Err(error) => bail!("{error:#}"),
    };
    let (mut site, load) = nodes_of(&plan, &old).await?;
    let new = plan.program.clone();
    for program in [&new, &old, &new] {
        replace_all(&mut plan, &mut site, &load, |node| node.replace(program)).await?;
    }
    // What the version before took for an error is past changing.
    without_failures(load, &site).await
}

/// Three nodes, and clients with grants of every kind.
pub(super) async fn nodes_of(plan: &Plan, program: &Path) -> anyhow::Result<(Site, Load)> {
    let mut site = Site::new(program, Engine::Postgres)?;
    // Longer than a look of the balancer takes.
    site.set("DOORWARD_SERVER_SHUTDOWN_DELAY", "2s");
    site.add_nodes(3).await?;
    let load = plan.load(&site, 16, Rules::every_grant()).await?;
    Ok((site, load))
}

/// One node after the other ends, and comes back as something else.
pub(super) async fn replace_all(
    plan: &mut Plan,
    site: &mut Site,
    load: &Load,
    change: impl Fn(&mut Node),
) -> anyhow::Result<()> {
    for node in 0..site.nodes.len() {
        load.progress(200, Duration::from_mins(1)).await?;
        plan.some_time(0, 300).await;
        site.nodes[node].stop().await?;
        plan.some_time(0, 500).await;
        change(&mut site.nodes[node]);
        site.nodes[node].start().await?;
    }
    Ok(())
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
    without_trouble(load, &site).await
}
