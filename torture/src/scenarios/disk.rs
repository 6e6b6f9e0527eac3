//! No room, and no haste.

use std::time::Duration;

use anyhow::{bail, ensure};
use rusqlite::Connection;
use tokio::time::{Instant, sleep};

use super::lock::{key_set, public_pages};
use super::{Plan, in_time, settle};
use crate::database::Database;
use crate::ledger::Tally;
use crate::load::{Load, Rules};
use crate::mount::Mount;
use crate::site::{Engine, Site};

/// The database servers of the other scenarios do not care for their disk.
const DURABLE: &str = "fsync = on\nfull_page_writes = on";

/// How long a request waits for a database server that has ended.
const AWAY: Duration = Duration::from_secs(3);

/// The disk under the embedded database is full: 503, and after there is room again everything goes on by itself.
pub(super) async fn full(mut plan: Plan) -> anyhow::Result<Tally> {
    let disk = Mount::small(48)?;
    let mut site = on_disk(&plan, &disk)?;
    site.add_nodes(1).await?;
    let load = plan.load(&site, 12, Rules::every_grant()).await?;
    for _ in 0..plan.number(5, 1) {
        disk.fill()?;
        sleep(Duration::from_millis(500)).await;
        // What was in the files already can still be overwritten; then nothing is answered any more but 503.
        let before = load.answered();
        public_pages(&load).await?;
        plan.some_time(1000, 2000).await;
        public_pages(&load).await?;
        let during = load.answered() - before;
        disk.clear()?;
        load.progress(100, Duration::from_mins(1)).await?;
        eprintln!("  {during} requests were answered on a full disk");
    }
    let tally = settle(load, &site).await?;
    ensure!(tally.unavailable > 0, "the disk was not full enough: {tally:?}");
    // It refuses at once.
    let tally = in_time(tally, Duration::ZERO)?;
    site.nodes[0].stop().await?;
    let database = Connection::open(site.sqlite_file())?;
    let integrity: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    ensure!(integrity == "ok", "the database is damaged: {integrity}");
    Ok(tally)
}

/// The same under the database server. While its log has room it only refuses to write; when that is full too it ends, and
/// then somebody makes room and starts it again, as an operator does. The nodes need nobody.
pub(super) async fn full_postgres(mut plan: Plan) -> anyhow::Result<Tally> {
    let disk = Mount::small(192)?;
    // Little of its log lies ready to be written over.
    let settings = format!("{DURABLE}\nmin_wal_size = 32MB\nmax_wal_size = 64MB");
    let database = Database::start_in(&disk.path(), &settings)?;
    let mut site = Site::on(&plan.program, Some(database))?;
    site.add_nodes(2).await?;
    let load = plan.load(&site, 12, Rules::every_grant()).await?;
    let mut ended = 0;
    for round in 0..plan.number(4, 2) {
        disk.fill()?;
        until_nothing_is_answered(&load).await?;
        public_pages(&load).await?;
        if round % 2 == 1 {
            fill_log(site.database()?).await?;
        }
        plan.some_time(1000, 2000).await;
        key_set(&load).await?;
        disk.clear()?;
        ended += u32::from(site.database()?.restart_if_ended()?);
        load.progress(100, Duration::from_mins(1)).await?;
    }
    let tally = settle(load, &site).await?;
    ensure!(tally.unavailable > 0, "the disk was not full enough: {tally:?}");
    ensure!(ended > 0, "the database server had room for its log");
    in_time(tally, AWAY)
}

/// Writes nothing else until the server cannot.
async fn fill_log(database: &Database) -> anyhow::Result<()> {
    let operator = database.connect().await?;
    let began = Instant::now();
    let next = "SELECT pg_logical_emit_message(true, 'full', 'disk'); SELECT pg_switch_wal()";
    while operator.batch_execute(next).await.is_ok() {
        ensure!(
            began.elapsed() < Duration::from_mins(1),
            "the log of the database server does not fill"
        );
    }
    Ok(())
}

/// What was in the files already can still be overwritten, and for a while there may be enough of it.
async fn until_nothing_is_answered(load: &Load) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut answered = load.answered();
    loop {
        sleep(Duration::from_secs(2)).await;
        let now = load.answered();
        if now == answered {
            return Ok(());
        }
        answered = now;
        ensure!(
            began.elapsed() < Duration::from_mins(2),
            "a full disk holds nothing up"
        );
    }
}

/// The power fails: what was not forced to the disk is gone.
pub(super) async fn power_sqlite(mut plan: Plan) -> anyhow::Result<Tally> {
    let mut disk = Mount::stoppable(128)?;
    let mut site = on_disk(&plan, &disk)?;
    site.add_nodes(1).await?;
    let load = plan.load(&site, 12, Rules::every_grant()).await?;
    for _ in 0..plan.number(10, 2) {
        load.progress(10 + plan.random.below(150) as u64, Duration::from_mins(1))
            .await?;
        site.nodes[0].kill()?;
        disk.lose_power()?;
        site.nodes[0].start().await?;
    }
    settle(load, &site).await
}

/// The same with the database server, which forces what it answers to the disk as it is installed.
pub(super) async fn power_postgres(mut plan: Plan) -> anyhow::Result<Tally> {
    let mut disk = Mount::stoppable(1024)?;
    let database = Database::start_in(&disk.path(), DURABLE)?;
    let mut site = Site::on(&plan.program, Some(database))?;
    site.add_nodes(2).await?;
    let load = plan.load(&site, 12, Rules::every_grant()).await?;
    for _ in 0..plan.number(4, 1) {
        load.progress(10 + plan.random.below(300) as u64, Duration::from_mins(1))
            .await?;
        site.database()?.kill().await?;
        disk.lose_power()?;
        site.database()?.restart();
    }
    settle(load, &site).await
}

/// The suite itself: a database server that forces nothing to its disk loses answers with the power, and is found out.
pub(super) async fn forgetful_power(plan: Plan) -> anyhow::Result<Tally> {
    let mut disk = Mount::stoppable(1024)?;
    let database = Database::start_in(&disk.path(), "")?;
    let mut site = Site::on(&plan.program, Some(database))?;
    site.add_nodes(2).await?;
    let load = plan.load(&site, 12, Rules::default()).await?;
    // What was set up stays.
    disk.sync()?;
    load.progress(300, Duration::from_mins(1)).await?;
    site.database()?.kill().await?;
    disk.lose_power()?;
    site.database()?.restart();
    match settle(load, &site).await {
        Err(error) if error.to_string().contains("violations") => Ok(Tally::default()),
        Err(other) => Err(other.context("what a power cut took should be found out by its answers")),
        Ok(tally) => bail!("a database that lost what it had answered was not found out: {tally:?}"),
    }
}

/// The disk stands still for up to a second, over and over.
pub(super) async fn slow_sqlite(plan: Plan) -> anyhow::Result<Tally> {
    let disk = Mount::stoppable(256)?;
    let mut site = on_disk(&plan, &disk)?;
    site.add_nodes(1).await?;
    slow(plan, &site, &disk).await
}

/// The same under the database server's files.
pub(super) async fn slow_postgres(plan: Plan) -> anyhow::Result<Tally> {
    let disk = Mount::stoppable(1024)?;
    let database = Database::start_in(&disk.path(), DURABLE)?;
    let mut site = Site::on(&plan.program, Some(database))?;
    site.add_nodes(2).await?;
    slow(plan, &site, &disk).await
}

async fn slow(mut plan: Plan, site: &Site, disk: &Mount) -> anyhow::Result<Tally> {
    let load = plan.load(site, 12, Rules::every_grant()).await?;
    let mut longest = Duration::ZERO;
    for _ in 0..plan.number(15, 3) {
        let time = plan
            .random
            .between(Duration::from_millis(50), Duration::from_secs(1));
        longest = longest.max(time);
        disk.freeze()?;
        sleep(time).await;
        disk.thaw()?;
        plan.some_time(50, 500).await;
    }
    let tally = settle(load, site).await?;
    ensure!(tally.troubled() == 0, "a slow disk is waited for: {tally:?}");
    // A moment may pass before somebody writes.
    ensure!(
        tally.slowest_answer >= longest / 2,
        "nobody waited for a disk that stood still for {longest:?}: {tally:?}"
    );
    Ok(tally)
}

fn on_disk(plan: &Plan, disk: &Mount) -> anyhow::Result<Site> {
    let mut site = Site::new(&plan.program, Engine::Sqlite)?;
    let file = disk.path().join("doorward.db");
    site.set("DOORWARD_STORAGE_URL", &format!("sqlite://{}", file.display()));
    Ok(site)
}
