//! The wall clock jumps, as after a repair of the machine's time.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use http::{Method, StatusCode};

use super::{Plan, past, settle};
use crate::clock::{Clock, true_time};
use crate::ledger::{Tally, Tokens};
use crate::load::{Clocks, Grants, Load, Rules};
use crate::pages::basic;
use crate::site::{Engine, Site};
use crate::world::{RESOURCE, TOKEN, Who, World, claims};

/// Offsets in seconds, one after the other.
const JUMPS: [i64; 6] = [HOUR, 0, -HOUR, 0, HOUR, -HOUR];

const HOUR: i64 = 3600;

pub(super) async fn sqlite(plan: Plan) -> anyhow::Result<Tally> {
    jump(plan, Engine::Sqlite, 1).await
}

/// Only one node's clock jumps; the other one's does not.
pub(super) async fn postgres(plan: Plan) -> anyhow::Result<Tally> {
    jump(plan, Engine::Postgres, 2).await
}

/// A machine without a clock of its own starts in 1970: nothing is issued then, and the operator is told.
pub(super) async fn unset(plan: Plan) -> anyhow::Result<Tally> {
    let mut site = Site::new(&plan.program, Engine::Sqlite)?;
    let clock = Clock::new(&site)?;
    clock.set(10 - true_time())?;
    let mut node = site.prepare();
    clock.give_to(&mut node)?;
    let Err(refused) = node.start().await else {
        bail!("the server starts in 1970");
    };
    ensure!(refused.to_string().contains("clock"), "{refused}");
    clock.set(0)?;
    node.start().await?;
    site.nodes.push(node);
    settle(plan.load(&site, 4, Rules::default()).await?, &site).await
}

async fn jump(mut plan: Plan, engine: Engine, nodes: usize) -> anyhow::Result<Tally> {
    let mut site = Site::new(&plan.program, engine)?;
    let clock = Clock::new(&site)?;
    for number in 0..nodes {
        let mut node = site.prepare();
        if number == 0 {
            clock.give_to(&mut node)?;
        }
        node.start().await?;
        site.nodes.push(node);
    }
    let rules = Rules {
        clocks: Clocks::Different,
        grants: Grants::Signed,
        ..Rules::default()
    };
    let load = plan.load(&site, 12, rules).await?;
    nothing_comes_back(&load, &site, &clock).await?;
    for offset in JUMPS {
        load.shared.set_clock(&clock, offset)?;
        shows(&load, offset).await?;
        load.progress(200, Duration::from_mins(1)).await?;
        plan.some_time(1000, 3000).await;
    }
    load.shared.set_clock(&clock, 0)?;
    settle(load, &site).await
}

/// What was used stays so, though a clock that is an hour ahead has removed what was past its use by then.
async fn nothing_comes_back(load: &Load, site: &Site, clock: &Clock) -> anyhow::Result<()> {
    let shared = &load.shared;
    let (fields, mut used) = (
        [("grant_type", "client_credentials"), ("resource", RESOURCE)],
        Vec::new(),
    );
    for _ in 0..10 {
        let (ask, _) = shared.world.request(Who::Agent, TOKEN, &fields)?;
        let answer = shared.balancer.send_to(0, &ask).await;
        ensure!(
            answer.is_ok_and(|answer| answer.status == StatusCode::OK),
            "no token"
        );
        used.push(ask);
    }
    shared.set_clock(clock, HOUR)?;
    past::is_removed_by_a_fast_clock(site).await?;
    shared.set_clock(clock, 0)?;
    for ask in used {
        for node in 0..site.nodes.len() {
            let answer = shared.balancer.send_to(node, &ask).await;
            ensure!(
                answer.is_ok_and(|answer| answer.json()["error"] == "invalid_client"),
                "an assertion counts twice at node {node}"
            );
        }
    }
    Ok(())
}

/// The first node's tokens are of its own time.
async fn shows(load: &Load, offset: i64) -> anyhow::Result<()> {
    let admin = load.shared.world.admin();
    let client = admin
        .call(Method::POST, "/admin/clients", World::program())
        .await?;
    let ask = World::client_credentials(&basic(&client)?);
    let answer = load.shared.balancer.send_to(0, &ask).await;
    let tokens = answer.ok().as_ref().and_then(Tokens::of).context("no token")?;
    let issued = claims(&tokens.access).and_then(|claims| claims["iat"].as_i64());
    let off = issued.context("no iat")? - true_time() - offset;
    ensure!(off.abs() < 30, "the clock was not set: {off} s off");
    Ok(())
}
