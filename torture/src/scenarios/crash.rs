//! `kill -9` of a node at random moments under load.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use http::{Method, StatusCode};
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Plan, past, settle};
use crate::ledger::Tally;
use crate::load::Rules;
use crate::random::Random;
use crate::site::{Engine, Site};
use crate::world::Admin;

pub(super) async fn sqlite(plan: Plan) -> anyhow::Result<Tally> {
    crash(plan, Engine::Sqlite, 1).await
}

pub(super) async fn postgres(plan: Plan) -> anyhow::Result<Tally> {
    crash(plan, Engine::Postgres, 2).await
}

/// Keys that are published at most: then a rotation waits.
const MOST_KEYS: usize = 90;
/// Rotations between two deaths, so that there is room for the keys of all rounds.
const ROTATIONS: usize = 3;

/// The node dies while operators rotate its keys: some key signs, exactly one, and every token is good by what is published.
pub(super) async fn rotation(mut plan: Plan) -> anyhow::Result<Tally> {
    let mut site = plan.site(Engine::Sqlite, 1).await?;
    let load = plan.load(&site, 8, Rules::default()).await?;
    let mut before = keys(&site).await?;
    let first = before;
    for _ in 0..plan.number(25, 4) {
        let admin = Admin::of(&site, 0)?;
        // It has answered once, however slow the machine is.
        let (tell, told) = oneshot::channel();
        let rotating = tokio::spawn(rotate_over_and_over(admin, tell));
        timeout(Duration::from_mins(1), told).await??;
        // No longer than they take: death finds the node at one of them, or just after.
        plan.some_time(0, 10).await;
        site.nodes[0].kill()?;
        let rotated = rotating.await??;
        site.nodes[0].start().await?;
        let after = keys(&site).await?;
        // The last one may have been made, and not been answered.
        ensure!(
            (before + rotated..=before + rotated + 1).contains(&after),
            "{before} keys were rotated {rotated} times, and then there are {after}"
        );
        before = after;
        load.progress(20, Duration::from_mins(1)).await?;
        if before >= MOST_KEYS {
            break;
        }
    }
    ensure!(before > first, "no key was rotated");
    settle(load, &site).await
}

/// [`ROTATIONS`] times, or until the node is gone or there is no room for another key; how often it was answered. The first answer is told.
async fn rotate_over_and_over(admin: Admin, tell: oneshot::Sender<()>) -> anyhow::Result<usize> {
    let (body, mut random) = (json!({ "now": true }), Random::new(0, 0));
    let (mut rotated, mut tell) = (0, Some(tell));
    while rotated < ROTATIONS
        && let Ok(answer) = admin
            .ask(&mut random, Method::POST, "/admin/keys/rotate", &body)
            .await
    {
        if answer.status == StatusCode::CONFLICT && rotated > 0 {
            break;
        }
        ensure!(
            answer.status.is_success(),
            "a rotation was answered {}",
            answer.summary()
        );
        rotated += 1;
        // Who does not wait for it has let go.
        let _ = tell.take().map(|tell| tell.send(()));
    }
    Ok(rotated)
}

/// How many keys there are, of which one signs.
async fn keys(site: &Site) -> anyhow::Result<usize> {
    let admin = Admin::of(site, 0)?;
    let keys = admin.call(Method::GET, "/admin/keys", Value::Null).await?;
    let items = keys["items"].as_array().context("no list of keys")?;
    let active = items.iter().filter(|key| key["state"] == "active").count();
    ensure!(active == 1, "{active} keys sign: {keys}");
    Ok(items.len())
}

/// The suite itself: a server that forgets what it answered is found out. Its database is put back to what it was some time
/// ago, as by a disk that lost its last writes.
pub(super) async fn forgetful(plan: Plan) -> anyhow::Result<Tally> {
    let mut site = plan.site(Engine::Sqlite, 1).await?;
    let load = plan.load(&site, 8, Rules::default()).await?;
    site.nodes[0].kill()?;
    let (file, copy) = (site.sqlite_file(), site.folder().join("copy.db"));
    // What lies beside the file is a part of it.
    for part in PARTS {
        copy_part(&file, &copy, part)?;
    }
    site.nodes[0].start().await?;
    load.progress(300, Duration::from_mins(1)).await?;
    site.nodes[0].kill()?;
    for part in PARTS {
        copy_part(&copy, &file, part)?;
    }
    site.nodes[0].start().await?;
    // What a server says that has lost a grant, or a token.
    let lost = |told: &str| told.contains(": 400 ") || told.contains("must say true");
    match settle(load, &site).await {
        Err(error) if lost(&error.to_string()) => Ok(Tally::default()),
        Err(other) => Err(other.context("a forgetful server should be found out by what it refuses")),
        Ok(tally) => bail!("a server that forgot 300 answers was not found out: {tally:?}"),
    }
}

/// The suite itself: a server that forgets what was used takes it a second time, and is found out.
pub(super) async fn forgetful_once(plan: Plan) -> anyhow::Result<Tally> {
    let mut site = plan.site(Engine::Sqlite, 1).await?;
    let load = plan.load(&site, 8, Rules::every_grant()).await?;
    load.progress(300, Duration::from_mins(1)).await?;
    site.nodes[0].kill()?;
    Connection::open(site.sqlite_file())?.execute_batch("DELETE FROM spent")?;
    site.nodes[0].start().await?;
    match settle(load, &site).await {
        Err(error) if error.to_string().contains("taken twice") => Ok(Tally::default()),
        Err(other) => Err(other.context("what was taken twice should be found out")),
        Ok(tally) => bail!("a server that forgot what was used was not found out: {tally:?}"),
    }
}

const PARTS: [&str; 2] = ["", "-wal"];

fn copy_part(from: &Path, to: &Path, part: &str) -> anyhow::Result<()> {
    let named = |path: &Path| PathBuf::from(format!("{}{part}", path.display()));
    let (from, to) = (named(from), named(to));
    if from.exists() {
        fs::copy(from, to)?;
    } else if to.exists() {
        fs::remove_file(to)?;
    }
    Ok(())
}

async fn crash(mut plan: Plan, engine: Engine, nodes: usize) -> anyhow::Result<Tally> {
    let mut site = plan.site(engine, nodes).await?;
    let load = plan.load(&site, 12, Rules::every_grant()).await?;
    for _ in 0..plan.number(25, 4) {
        // The node finds it when it starts again.
        past::insert(&site).await?;
        // The moment follows from how far the load has come, not only from the time.
        load.progress(10 + plan.random.below(150) as u64, Duration::from_mins(1))
            .await?;
        plan.some_time(0, 50).await;
        let node = plan.random.below(nodes);
        site.nodes[node].kill()?;
        plan.some_time(0, 300).await;
        site.nodes[node].start().await?;
    }
    let tally = settle(load, &site).await?;
    past::is_gone(&site).await?;
    Ok(tally)
}
