//! The database server dies, is succeeded, or has no connection left.

use std::time::Duration;

use anyhow::ensure;
use tokio::time::{Instant, sleep};

use super::{Plan, settle};
use crate::database::Database;
use crate::ledger::Tally;
use crate::load::{Load, Rules};
use crate::site::{Engine, Site};

/// `kill -9` to the database server, and its start on what it wrote.
pub(super) async fn restart(mut plan: Plan) -> anyhow::Result<Tally> {
    let mut site = plan.site(Engine::Postgres, 2).await?;
    let load = plan.load(&site, 12, Rules::every_grant()).await?;
    for _ in 0..plan.number(8, 2) {
        plan.some_time(300, 1500).await;
        site.database()?.kill().await?;
        let away = plan.time(Duration::from_secs(6), Duration::from_secs(1));
        sleep(plan.random.between(Duration::ZERO, away)).await;
        site.database()?.restart();
        load.progress(100, Duration::from_mins(1)).await?;
    }
    settle(load, &site).await
}

/// The database server dies for good, and its synchronous standby becomes the one that takes writes.
pub(super) async fn failover(mut plan: Plan) -> anyhow::Result<Tally> {
    let primary = Database::start_with("wal_level = replica\nmax_wal_senders = 5\nsynchronous_commit = on")?;
    let standby = primary.standby().await?;
    let url = primary.url_of_both(&standby);
    let mut site = Site::on(&plan.program, Some(primary))?;
    site.set("DOORWARD_STORAGE_URL", &url);
    site.add_nodes(2).await?;
    let load = plan.load(&site, 12, Rules::every_grant()).await?;
    plan.some_time(1000, 4000).await;
    site.database()?.kill().await?;
    plan.some_time(0, 3000).await;
    standby.promote()?;
    load.progress(500, Duration::from_secs(90)).await?;
    settle(load, &site).await
}

/// Far more clients than connections; then others take every connection that the database has, and those of the nodes
/// are ended.
pub(super) async fn storm(plan: Plan) -> anyhow::Result<Tally> {
    let database = Database::start_with("max_connections = 60\nsuperuser_reserved_connections = 3")?;
    let mut site = Site::on(&plan.program, Some(database))?;
    site.add_nodes(2).await?;
    let load = Load::begin(&site, 500, plan.seed, Rules::every_grant()).await?;
    load.progress(3000, Duration::from_mins(2)).await?;
    let operator = site.database()?.connect().await?;
    operator
        .batch_execute("DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'others') THEN CREATE ROLE others LOGIN; END IF; END $$")
        .await?;
    let mut others = Vec::new();
    let began = Instant::now();
    // Each connection of a node that ends is taken by somebody else.
    while began.elapsed() < Duration::from_secs(5) {
        operator
            .execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'doorward'",
                &[],
            )
            .await?;
        while let Ok(other) = site.database()?.connect_as("others").await {
            others.push(other);
        }
        sleep(Duration::from_millis(20)).await;
    }
    ensure!(
        others.len() > 30,
        "only {} connections could be taken",
        others.len()
    );
    sleep(Duration::from_secs(5)).await;
    drop(others);
    load.progress(3000, Duration::from_secs(90)).await?;
    let tally = settle(load, &site).await?;
    ensure!(
        tally.troubled() > 0,
        "nobody missed the connections that others took: {tally:?}"
    );
    Ok(tally)
}
