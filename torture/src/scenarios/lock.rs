//! Somebody else holds the database.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use rusqlite::Connection;
use tokio::time::{Instant, sleep};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::{Plan, in_time, settle};
use crate::balancer::Ask;
use crate::ledger::Tally;
use crate::load::{Load, Rules};
use crate::random::Random;
use crate::site::Engine;

/// How long a request waits for a lock.
const SQLITE: Duration = Duration::from_secs(5);
const POSTGRES: Duration = Duration::from_secs(10);

/// Another process holds `BEGIN EXCLUSIVE` for a second, which nobody notices, and for ten, which is answered with 503.
pub(super) async fn sqlite(plan: Plan) -> anyhow::Result<Tally> {
    let site = plan.site(Engine::Sqlite, 1).await?;
    let load = plan.load(&site, 12, Rules::every_grant()).await?;
    // Longer than a request waits, in the second place.
    let times: &[u64] = if plan.short { &[1, 8] } else { &[1, 10, 1, 10] };
    for seconds in times {
        let before = load.unavailable();
        let other = Connection::open(site.sqlite_file())?;
        other.busy_timeout(Duration::from_secs(10))?;
        other
            .execute_batch("BEGIN EXCLUSIVE")
            .context("the lock was not given")?;
        stands(&load, Duration::from_secs(*seconds)).await?;
        other.execute_batch("ROLLBACK")?;
        drop(other);
        load.progress(100, Duration::from_mins(1)).await?;
        was_noticed(&load, before, *seconds)?;
    }
    let tally = settle(load, &site).await?;
    in_time(tally, SQLITE)
}

/// Another session locks the tables of all grants.
pub(super) async fn postgres(plan: Plan) -> anyhow::Result<Tally> {
    let mut site = plan.site(Engine::Postgres, 2).await?;
    let load = plan.load(&site, 12, Rules::every_grant()).await?;
    let other = site.database()?.connect().await?;
    for seconds in [1, 12, 1, 15] {
        let before = load.unavailable();
        lock(&other).await?;
        stands(&load, Duration::from_secs(seconds)).await?;
        other.batch_execute("ROLLBACK").await?;
        load.progress(100, Duration::from_mins(1)).await?;
        was_noticed(&load, before, seconds)?;
    }
    let tally = settle(load, &site).await?;
    in_time(tally, POSTGRES)
}

/// All of them at once, in a moment in which nobody has one: who takes one after the other waits in a circle with those who
/// have them in another order, and the circle, not the lock, would decide what waits how long.
async fn lock(other: &Client) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let all = "BEGIN; LOCK TABLE access_grant, code, issuance IN ACCESS EXCLUSIVE MODE NOWAIT";
        match other.batch_execute(all).await {
            Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                ensure!(
                    began.elapsed() < Duration::from_mins(1),
                    "the tables are never free"
                );
                other.batch_execute("ROLLBACK").await?;
                sleep(Duration::from_millis(1)).await;
            }
            outcome => return Ok(outcome?),
        }
    }
}

/// A lock of a second is waited for, and one that lasts longer than anybody waits is answered with 503.
fn was_noticed(load: &Load, before: u64, seconds: u64) -> anyhow::Result<()> {
    let unavailable = load.unavailable() - before;
    ensure!(
        (unavailable > 0) == (seconds > 1),
        "a lock of {seconds} s was answered with 503 {unavailable} times"
    );
    Ok(())
}

/// What does not need the database is answered meanwhile.
async fn stands(load: &Load, time: Duration) -> anyhow::Result<()> {
    sleep(time / 2).await;
    public_pages(load).await?;
    sleep(time / 2).await;
    Ok(())
}

/// Metadata and keys come, as long as the database can be read.
pub(super) async fn public_pages(load: &Load) -> anyhow::Result<()> {
    key_set(load).await?;
    page(load, "/.well-known/oauth-authorization-server").await
}

/// Keys come, whatever the database does.
pub(super) async fn key_set(load: &Load) -> anyhow::Result<()> {
    page(load, "/.well-known/jwks.json").await
}

async fn page(load: &Load, path: &str) -> anyhow::Result<()> {
    let mut random = Random::new(0, 0);
    let answer = load.shared.balancer.send(&Ask::get(path), &mut random).await;
    let good = answer.as_ref().is_ok_and(|answer| answer.status.is_success());
    ensure!(good, "{path} while the database is away: {answer:?}");
    Ok(())
}
