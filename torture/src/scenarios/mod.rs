//! The faults, each by its name.

mod clock;
mod crash;
mod disk;
mod lock;
mod master_key;
mod network;
mod nodes;
mod outage;
mod past;
mod pause;
mod rolling;

use std::num::NonZero;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::time::sleep;

use crate::ledger::Tally;
use crate::load::{Grants, Load, Outcome, Rules};
use crate::previous::Previous;
use crate::random::Random;
use crate::site::{Engine, Site};
use crate::walk::roads_to;

/// What a run is given.
pub struct Plan {
    pub program: PathBuf,
    /// The version before, where a scenario wants it.
    pub previous: Option<Arc<anyhow::Result<Previous>>>,
    pub random: Random,
    pub seed: u64,
    pub short: bool,
}

/// What a machine may add to any time that the server promises, for each process that wants a processor.
const BUSY: Duration = Duration::from_secs(5);
/// So many of them count. A client waits half a minute for an answer: with all of them counted nobody could be late on a busy
/// machine.
const CROWD: f64 = 2.0;

type Run = fn(Plan) -> Pin<Box<dyn Future<Output = anyhow::Result<Tally>> + Send>>;

/// A fault.
pub struct Scenario {
    pub name: &'static str,
    pub what: &'static str,
    pub engine: Engine,
    /// Whether it is among the quick ones.
    pub short: bool,
    pub run: Run,
}

macro_rules! scenarios {
    ($($name:tt $engine:ident $short:literal $run:path, $what:literal;)*) => {
        &[$(Scenario {
            name: $name,
            what: $what,
            engine: Engine::$engine,
            short: $short,
            run: |plan| Box::pin($run(plan)),
        }),*]
    };
}

/// The ones that want another version.
pub const UPGRADE: &str = "rolling-upgrade";
pub const UPGRADE_FAR: &str = "rolling-upgrade-far";

/// All of them.
pub const SCENARIOS: &[Scenario] = scenarios! {
    "forgetful-sqlite" Sqlite true crash::forgetful, "the suite itself: a server that lost answers is found out";
    "forgetful-once" Sqlite true crash::forgetful_once, "the suite itself: a server that forgot what was used is found out";
    "kill9-sqlite" Sqlite true crash::sqlite, "the only node dies at random moments";
    "kill9-postgres" Postgres true crash::postgres, "one of two nodes dies at random moments";
    "kill9-rotation" Sqlite true crash::rotation, "the only node dies while its signing keys rotate";
    "forgetful-power" Postgres false disk::forgetful_power, "the suite itself: a database that forces nothing to its disk is found out";
    "power-sqlite" Sqlite true disk::power_sqlite, "the power fails: what was not forced to the disk is gone";
    "power-postgres" Postgres false disk::power_postgres, "the same under the database server";
    "start-together" Postgres true nodes::start_together, "eight nodes start at once on an empty database";
    "restart-postgres" Postgres true outage::restart, "the database dies and comes back";
    "failover-postgres" Postgres false outage::failover, "the database dies for good, its standby takes over";
    "storm-postgres" Postgres false outage::storm, "500 clients at once, and others take all of the database's connections";
    "lock-sqlite" Sqlite true lock::sqlite, "another process locks the database";
    "lock-postgres" Postgres false lock::postgres, "another session locks the tables";
    "disk-full-sqlite" Sqlite true disk::full, "no room on the disk, and then room again";
    "disk-full-postgres" Postgres false disk::full_postgres, "the same under the database server, which ends and is started again";
    "disk-slow-sqlite" Sqlite false disk::slow_sqlite, "the disk stops for up to a second, over and over";
    "disk-slow-postgres" Postgres false disk::slow_postgres, "the same under the database server";
    "pause-sqlite" Sqlite true pause::sqlite, "the only node stands still";
    "pause-postgres" Postgres true pause::postgres, "one of three nodes stands still";
    "clock-sqlite" Sqlite false clock::sqlite, "the clock jumps an hour ahead and back";
    "clock-postgres" Postgres false clock::postgres, "one node's clock jumps, the other's does not";
    "clock-unset" Sqlite true clock::unset, "a start in 1970 is refused";
    "silence-postgres" Postgres false network::silence, "half-open: connections to the database say nothing any more";
    "cut-postgres" Postgres true network::cut, "connections to the database are cut";
    "notify-postgres" Postgres false network::notifications, "what tells nodes of changes is lost";
    "flows-postgres" Postgres true nodes::flows, "three nodes, one picked at random for each request: no failure";
    "rolling-restart" Postgres true rolling::restart, "one node after another is replaced: no failure";
    UPGRADE Postgres false rolling::upgrade, "one node after another is replaced by another version, and back: no failure";
    UPGRADE_FAR Postgres false rolling::upgrade_far, "the same with the oldest version that may work beside this one";
    "rolling-keys" Postgres true rolling::keys, "signing keys rotate: no failure";
    "rolling-master" Postgres false master_key::change, "the master key is changed, and the command for it dies in the middle: no failure";
};

impl Plan {
    /// The longer time, or the short run's.
    pub fn time(&self, long: Duration, short: Duration) -> Duration {
        if self.short { short } else { long }
    }

    /// The higher number, or the short run's.
    pub fn number(&self, long: usize, short: usize) -> usize {
        if self.short { short } else { long }
    }

    /// A site with so many nodes.
    pub async fn site(&self, engine: Engine, nodes: usize) -> anyhow::Result<Site> {
        let mut site = Site::new(&self.program, engine)?;
        site.add_nodes(nodes).await?;
        Ok(site)
    }

    /// So many clients on it, which have got to work.
    pub async fn load(&self, site: &Site, clients: usize, rules: Rules) -> anyhow::Result<Load> {
        let load = Load::begin(site, clients, self.seed, rules).await?;
        load.progress(50, Duration::from_mins(1)).await?;
        Ok(load)
    }

    /// Waits a random time.
    pub async fn some_time(&mut self, least: u64, most: u64) {
        let least = Duration::from_millis(least);
        sleep(self.random.between(least, Duration::from_millis(most))).await;
    }
}

/// Holds the server to what it answered; and no node may have panicked.
pub async fn settle(load: Load, site: &Site) -> anyhow::Result<Tally> {
    // As at the start: it goes on.
    load.progress(50, Duration::from_mins(1)).await?;
    let grants = load.shared.rules.grants;
    let Outcome { tally, verified } = load.verify().await?;
    ensure!(verified > 0, "there was nothing to verify");
    let missing: Vec<_> = roads_to(grants)
        .filter(|road| !tally.roads.contains(road))
        .collect();
    ensure!(
        missing.is_empty(),
        "not every kind of grant was tried: {missing:?}"
    );
    ensure!(
        tally.again > 0 || grants == Grants::Codes,
        "nothing that was used was sent again"
    );
    for node in &site.nodes {
        let panics = node.panics()?;
        ensure!(panics.is_empty(), "a node panicked: {panics:?}");
    }
    Ok(tally)
}

/// The same, and no request failed.
pub async fn without_failures(load: Load, site: &Site) -> anyhow::Result<Tally> {
    let tally = settle(load, site).await?;
    ensure!(tally.troubled() == 0, "requests failed: {tally:?}");
    Ok(tally)
}

/// The same where nothing breaks: no node finds anything that somebody has to look at.
pub async fn without_trouble(load: Load, site: &Site) -> anyhow::Result<Tally> {
    let tally = without_failures(load, site).await?;
    for node in &site.nodes {
        let errors = node.errors()?;
        ensure!(errors.is_empty(), "a node logs errors: {errors:?}");
    }
    Ok(tally)
}

/// No node died: every request was answered, if only with 503, and within what the page of faults promises.
fn in_time(tally: Tally, promised: Duration) -> anyhow::Result<Tally> {
    ensure!(
        tally.lost == 0 && tally.unsent == 0,
        "requests got no answer: {tally:?}"
    );
    let late = judge(tally.longest(), promised, BUSY, Machine::now());
    let not_judged = late.with_context(|| format!("somebody waited too long: {tally:?}"))?;
    Ok(Tally { not_judged, ..tally })
}

/// How busy the machine is.
#[derive(Debug, Clone, Copy)]
struct Machine {
    /// How many processes wanted a processor in the last minute.
    load: f64,
    processors: f64,
}

impl Machine {
    fn now() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load: Option<f64> = load.split(' ').next().and_then(|load| load.parse().ok());
        Self {
            load: load.unwrap_or_default(),
            processors: u32::try_from(processors).map_or(1.0, f64::from),
        }
    }
}

/// Holds a time to what is promised, and `busy` for each process to a processor beyond it, one at least and [`CROWD`] at most.
/// What took longer while there were more may be the machine's doing: then nothing is judged, and the load is told.
fn judge(
    took: Duration,
    promised: Duration,
    busy: Duration,
    machine: Machine,
) -> anyhow::Result<Option<f64>> {
    let crowd = machine.load / machine.processors;
    let allowed = busy.mul_f64(crowd.clamp(1.0, CROWD));
    if took <= promised + allowed {
        return Ok(None);
    }
    ensure!(
        crowd > CROWD,
        "{:.1} s, where {} s are promised and {:.0} s allowed beyond",
        took.as_secs_f64(),
        promised.as_secs(),
        allowed.as_secs_f64()
    );
    Ok(Some(machine.load))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{BUSY, Machine, SCENARIOS, in_time, judge};
    use crate::ledger::Tally;

    const PROMISED: Duration = Duration::from_secs(10);
    const MOMENT: Duration = Duration::from_millis(1);

    fn loaded(load: f64) -> Machine {
        Machine {
            load,
            processors: 2.0,
        }
    }

    #[test]
    fn a_late_503_is_as_late_as_any_other_answer() {
        let mut tally = Tally::default();
        tally.count_answer(MOMENT);
        tally.count_unavailable(PROMISED);
        assert_eq!(tally.longest(), PROMISED);
    }

    #[test]
    fn a_busy_machine_may_add_to_a_promise_up_to_a_bound() {
        let longest = |load: f64, allowed: Duration| {
            assert_eq!(
                judge(PROMISED + allowed, PROMISED, BUSY, loaded(load)).unwrap(),
                None
            );
            judge(PROMISED + allowed + MOMENT, PROMISED, BUSY, loaded(load))
        };
        for (load, allowed) in [
            (0.0, BUSY),
            (2.0, BUSY),
            (3.0, BUSY.mul_f64(1.5)),
            (4.0, 2 * BUSY),
        ] {
            assert!(longest(load, allowed).is_err(), "{load}");
        }
    }

    #[test]
    fn what_is_late_on_a_machine_that_is_too_busy_is_not_judged_and_told() {
        let late = judge(PROMISED + 2 * BUSY + MOMENT, PROMISED, BUSY, loaded(12.5));
        assert_eq!(late.unwrap(), Some(12.5));
        assert_eq!(judge(PROMISED, PROMISED, BUSY, loaded(12.5)).unwrap(), None);
    }

    #[test]
    fn a_request_without_an_answer_is_not_in_time() {
        let lost = Tally {
            lost: 1,
            ..Tally::default()
        };
        assert!(in_time(lost, PROMISED).is_err());
    }

    #[test]
    fn the_book_names_every_scenario_and_no_other() {
        let page = include_str!("../../../docs/src/reference/faults.md");
        let rows = page.lines().filter_map(|line| {
            let (name, _) = line.strip_prefix("| [`")?.split_once('`')?;
            Some((name, line.contains("| quick")))
        });
        let ours = SCENARIOS.iter().map(|scenario| (scenario.name, scenario.short));
        assert!(rows.eq(ours));
    }
}
