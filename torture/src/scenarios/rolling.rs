//! What operators do while everybody works: replace nodes, replace keys. Nothing may fail.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use doorward_jose::JwkSet;
use http::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Plan, settle, without_failures, without_trouble};
use crate::balancer::Ask;
use crate::clock::Clock;
use crate::ledger::{Tally, Tokens};
use crate::load::{Grants, Load, Rules};
use crate::mount::NotHere;
use crate::node::Node;
use crate::pages::text;
use crate::site::{Engine, Site};
use crate::world::{Admin, RESOURCE, TOKEN, Who, header};

/// Longer than a look of the balancer takes, with a machine that stands still for a moment.
const SHUTDOWN_DELAY: &str = "5s";

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
    let (site, load) = up_and_back(&mut plan).await?;
    // What the version before took for an error is past changing.
    without_failures(load, &site).await
}

/// The same with a version that is many steps of the database behind.
pub(super) async fn upgrade_far(mut plan: Plan) -> anyhow::Result<Tally> {
    let (site, load) = up_and_back(&mut plan).await?;
    // It does not wait for balancers when it is asked to end: what is under way to it then may get no answer.
    let tally = settle(load, &site).await?;
    ensure!(
        tally.unavailable == 0,
        "requests were answered with 503: {tally:?}"
    );
    Ok(tally)
}

async fn up_and_back(plan: &mut Plan) -> anyhow::Result<(Site, Load)> {
    let previous = plan
        .previous
        .clone()
        .context("no version before was looked for")?;
    let old = match &*previous {
        Ok(previous) => previous.clone(),
        Err(error) if error.is::<NotHere>() => bail!(NotHere(error.to_string())),
        Err(error) => bail!("{error:#}"),
    };
    let new = plan.program.clone();
    let mut site = Site::new(&new, Engine::Postgres)?;
    // On a name with a port the cookies of the oldest version have other names, and people would sign in again at each change.
    site.name("auth.example.com");
    site.set("DOORWARD_SERVER_SHUTDOWN_DELAY", SHUTDOWN_DELAY);
    for _ in 0..3 {
        let mut node = site.prepare();
        node.go_back(&old);
        node.start().await?;
        site.nodes.push(node);
    }
    let load = plan.load(&site, 16, Rules::every_grant()).await?;
    replace_all(plan, &mut site, &load, |node| node.replace(&new)).await?;
    replace_all(plan, &mut site, &load, |node| node.go_back(&old)).await?;
    replace_all(plan, &mut site, &load, |node| node.replace(&new)).await?;
    Ok((site, load))
}

/// Three nodes, and clients with grants of every kind.
pub(super) async fn nodes_of(plan: &Plan, program: &Path) -> anyhow::Result<(Site, Load)> {
    let mut site = Site::new(program, Engine::Postgres)?;
    site.set("DOORWARD_SERVER_SHUTDOWN_DELAY", SHUTDOWN_DELAY);
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
/// every node as long as it lives. At last they change to another algorithm, node by node. The nodes' clocks are put
/// forward, because a key is published for ten minutes at least.
pub(super) async fn keys(mut plan: Plan) -> anyhow::Result<Tally> {
    let mut site = Site::new(&plan.program, Engine::Postgres)?;
    site.set("DOORWARD_KEYS_PUBLISH_AHEAD", &format!("{}s", AHEAD.as_secs()));
    site.set("DOORWARD_SERVER_SHUTDOWN_DELAY", SHUTDOWN_DELAY);
    let clock = Clock::new(&site)?;
    for _ in 0..3 {
        let mut node = site.prepare();
        clock.give_to(&mut node)?;
        node.start().await?;
        site.nodes.push(node);
    }
    let rules = Rules {
        grants: Grants::Signed,
        ..Rules::default()
    };
    let load = plan.load(&site, 16, rules).await?;
    let rotations = plan.number(8, 2);
    for rotation in 0..rotations {
        let admin = Admin::of(&site, rotation % site.nodes.len())?;
        let next = admin.call(Method::POST, "/admin/keys/rotate", json!({})).await?;
        let next = text(&next, "key_id")?;
        every_node_publishes(&load, &site, &next).await?;
        the_next_key_signs(&load, &clock).await?;
        for node in 0..site.nodes.len() {
            let header = signed_with(&load, node).await?;
            ensure!(
                header["kid"] == next,
                "node {node} signs with {header}, and not with {next}"
            );
        }
    }
    let algorithm = async || anyhow::Ok(signed_with(&load, 0).await?["alg"].clone());
    ensure!(algorithm().await? == "ES256", "the algorithm at first");
    replace_all(&mut plan, &mut site, &load, |node| {
        node.set("DOORWARD_KEYS_ALGORITHM", "EdDSA");
    })
    .await?;
    let listed = Admin::of(&site, 0)?
        .call(Method::GET, "/admin/keys", Value::Null)
        .await?;
    every_node_publishes(&load, &site, &text(&listed["items"][0], "key_id")?).await?;
    the_next_key_signs(&load, &clock).await?;
    ensure!(algorithm().await? == "EdDSA", "the algorithm is not changed");
    let keys = Admin::of(&site, 0)?
        .call(Method::GET, "/admin/keys", Value::Null)
        .await?;
    let keys = keys["items"].as_array().map_or(0, Vec::len);
    ensure!(
        keys == rotations + 2,
        "{keys} signing keys after {rotations} rotations and a change"
    );
    without_trouble(load, &site).await
}

/// Waits until every node has it in its key set.
async fn every_node_publishes(load: &Load, site: &Site, key_id: &str) -> anyhow::Result<()> {
    let began = Instant::now();
    for node in 0..site.nodes.len() {
        loop {
            let answer = load
                .shared
                .balancer
                .send_to(node, &Ask::get("/.well-known/jwks.json"))
                .await;
            let keys = answer.ok().and_then(|answer| JwkSet::parse(&answer.body).ok());
            if keys.is_some_and(|keys| keys.find(key_id).is_some()) {
                break;
            }
            ensure!(
                began.elapsed() < Duration::from_mins(1),
                "node {node} does not publish {key_id}"
            );
            sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

/// Its time has come.
async fn the_next_key_signs(load: &Load, clock: &Clock) -> anyhow::Result<()> {
    load.progress(100, Duration::from_mins(1)).await?;
    let offset = load.shared.offset() + i64::try_from(AHEAD.as_secs())? + 1;
    load.shared.set_clock(clock, offset)?;
    load.progress(100, Duration::from_mins(1)).await
}

/// The header of a token that a node signs now.
async fn signed_with(load: &Load, node: usize) -> anyhow::Result<Value> {
    let fields = [("grant_type", "client_credentials"), ("resource", RESOURCE)];
    let (ask, _) = load.shared.world.request(Who::Agent, TOKEN, &fields)?;
    let answer = load.shared.balancer.send_to(node, &ask).await;
    let tokens = answer.ok().as_ref().and_then(Tokens::of).context("no token")?;
    header(&tokens.access).context("no header")
}
