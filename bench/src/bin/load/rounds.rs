//! Interleaved rounds: each measures the limits and then everything on every server once, so that a machine that slows
//! down for a while spoils a round and not a figure.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use doorward_bench::floor::{self, Rate, RawDatabase};

use crate::measure::{Limits, Measurement, closed_loop, open_loop};
use crate::postgres::{Cluster, Transactions};
use crate::scenario::Scenario;
use crate::subject::{Role, Subject};

/// What is measured, and for how long.
pub struct Plan {
    pub rounds: usize,
    pub requests: usize,
    pub time: Duration,
    pub concurrency: Vec<usize>,
    /// The most connections to a peer.
    pub peer_concurrency: usize,
    pub scenarios: Vec<Scenario>,
    /// How long each physical limit is measured.
    pub floor: Duration,
}

/// The physical limits of one round.
#[derive(Debug, Clone)]
pub struct Limit {
    /// ES256 signatures by aws-lc-rs on one core.
    pub signatures: Rate,
    /// Checks of ES256 signatures.
    pub checks: Rate,
    /// Durable transactions of one row.
    pub single_commits: Rate,
    /// Durable transactions of a hundred rows.
    pub hundred_commits: Rate,
    /// `pgbench` at each number of connections.
    pub transactions: Vec<(usize, Transactions)>,
}

impl Limit {
    /// `pgbench` at this number of connections.
    pub fn transactions(&self, connections: usize) -> Option<Transactions> {
        let found = self.transactions.iter().find(|(at, _)| *at == connections);
        found.map(|(_, transactions)| *transactions)
    }
}

impl Plan {
    /// How much of this kind is sent.
    pub fn limits(&self, scenario: Scenario) -> Limits {
        Limits {
            requests: self.requests * scenario.weight(),
            time: self.time,
        }
    }

    /// All of them. The first round warms up and is not counted.
    pub async fn run(
        &self,
        subjects: &[Subject],
        cluster: Option<&Arc<Cluster>>,
        missing: &mut Vec<(String, String)>,
    ) -> anyhow::Result<(Vec<Limit>, Vec<Measurement>)> {
        let folder = tempfile::TempDir::new()?;
        let mut database = RawDatabase::create(folder.path())?;
        let (mut limits, mut measurements) = (Vec::new(), Vec::new());
        for round in 0..=self.rounds {
            progress(&format!("round {round} of {} (0 warms up)", self.rounds));
            let mut limit = Limit {
                signatures: floor::es256_signatures(self.floor)?,
                checks: floor::es256_checks(self.floor)?,
                single_commits: database.commits(self.floor, 1)?,
                hundred_commits: database.commits(self.floor, 100)?,
                transactions: Vec::new(),
            };
            let mut of_round = Vec::new();
            for &concurrency in &self.concurrency {
                if let Some(cluster) = cluster {
                    let transactions = cluster.pgbench(concurrency, self.time)?;
                    limit.transactions.push((concurrency, transactions));
                }
                for subject in subjects {
                    if subject.role == Role::Peer && concurrency > self.peer_concurrency {
                        continue;
                    }
                    match self.all_of(subject, concurrency, round).await {
                        Ok(measured) => of_round.extend(measured),
                        // A peer that fails spoils nobody else's figures.
                        Err(error) if subject.role == Role::Peer => {
                            let what = format!("{}, {concurrency} connections, round {round}", subject.name);
                            missing.push((what, format!("{error:#}")));
                        }
                        Err(error) => return Err(error.context(subject.name)),
                    }
                }
            }
            if round > 0 {
                limits.push(limit);
                measurements.extend(of_round);
            }
        }
        Ok((limits, measurements))
    }

    async fn all_of(
        &self,
        subject: &Subject,
        concurrency: usize,
        round: usize,
    ) -> anyhow::Result<Vec<Measurement>> {
        let mut measurements = Vec::new();
        for scenario in subject.scenarios(&self.scenarios) {
            self.supply(subject, scenario).await?;
            let limits = self.limits(scenario);
            measurements.push(closed_loop(subject, scenario, concurrency, limits, round).await?);
        }
        Ok(measurements)
    }

    /// At this part of the highest rate that was measured: what waiting comes to on a server that is busy, not full.
    pub async fn at_part(
        &self,
        subjects: &[Subject],
        highest: &[(&'static str, Scenario, f64)],
        part: f64,
    ) -> anyhow::Result<Vec<(Measurement, f64)>> {
        let mut measurements = Vec::new();
        // Waiting needs more time than throughput: a p99 of a thousand requests hangs on ten of them.
        let limits = Limits {
            requests: usize::MAX,
            time: self.time * 2,
        };
        for round in 1..=self.rounds {
            progress(&format!("open loop, round {round} of {}", self.rounds));
            for (name, scenario, rate) in highest {
                let subject = subjects
                    .iter()
                    .find(|subject| subject.name == *name)
                    .context("a server without a name")?;
                self.supply(subject, *scenario).await?;
                let connections = self.concurrency.iter().copied().max().unwrap_or(64);
                let rate = rate * part;
                let measured = open_loop(subject, *scenario, connections, rate, limits, round).await?;
                measurements.push((measured, rate));
            }
        }
        Ok(measurements)
    }

    /// Makes what a kind of request uses, where the rounds have not made it already, and sends what has to have been
    /// sent before.
    pub async fn supply(&self, subject: &Subject, scenario: Scenario) -> anyhow::Result<()> {
        self.make(subject, scenario).await?;
        let requests = scenario.rehearsal();
        if requests > 0 {
            let limits = Limits {
                requests,
                time: self.time.max(Duration::from_secs(5)),
            };
            let sent = closed_loop(subject, scenario, 16, limits, 0).await?;
            let first = sent.first_error.unwrap_or_default();
            ensure!(
                subject.role == Role::Peer || sent.errors == 0,
                "rehearsing {} of {} failed: {first}",
                scenario.name(),
                subject.name,
            );
        }
        Ok(())
    }

    async fn make(&self, subject: &Subject, scenario: Scenario) -> anyhow::Result<()> {
        let Some((maker, there)) = scenario.supply(&subject.world) else {
            return Ok(());
        };
        // What is only used goes round; for a peer that is slow, a few go round too.
        let wanted = match subject.role {
            _ if scenario.uses_up() => self.requests,
            Role::Peer => 128,
            _ => self.requests.min(1000),
        };
        if there >= wanted {
            return Ok(());
        }
        // A slow peer goes on with what there is; ours must not run out of it.
        let patience = match subject.role {
            Role::Peer => Duration::from_secs(5),
            _ => Duration::from_mins(2),
        };
        let limits = Limits {
            requests: wanted - there,
            time: self.time.max(patience),
        };
        let made = closed_loop(subject, maker, 16, limits, 0).await?;
        ensure!(
            subject.role == Role::Peer || made.errors == 0,
            "preparing {} of {} failed: {}",
            scenario.name(),
            subject.name,
            made.first_error.unwrap_or_default()
        );
        let there = scenario.supply(&subject.world).map_or(wanted, |(_, there)| there);
        ensure!(
            subject.role == Role::Peer || there >= wanted,
            "preparing {} of {}: {there} of {wanted} in {} s; ask for fewer (--requests)",
            scenario.name(),
            subject.name,
            patience.as_secs(),
        );
        Ok(())
    }
}

/// Says where the program is.
#[expect(clippy::print_stderr, reason = "progress, for whoever waits")]
pub fn progress(what: &str) {
    eprintln!("load: {what}");
}
