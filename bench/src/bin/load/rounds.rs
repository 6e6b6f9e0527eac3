//! Interleaved rounds: each measures the limits and then everything on every server once, so that a machine that slows
//! down for a while spoils a round and not a figure.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use doorward_bench::cpu::OwnCore;
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

    /// What is sent first and not measured: the server was not at work the moment before, and others emptied the caches.
    fn warm_up(&self, scenario: Scenario) -> Limits {
        let Limits { requests, time } = self.limits(scenario);
        Limits {
            requests: requests.div_ceil(4),
            time: time / 4,
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
            measurements.push(self.measure(subject, scenario, concurrency, round).await?);
        }
        Ok(measurements)
    }

    /// One kind, whose supply is there.
    pub async fn measure(
        &self,
        subject: &Subject,
        scenario: Scenario,
        concurrency: usize,
        round: usize,
    ) -> anyhow::Result<Measurement> {
        let warm = closed_loop(subject, scenario, concurrency, self.warm_up(scenario), round).await?;
        let mut measured = closed_loop(subject, scenario, concurrency, self.limits(scenario), round).await?;
        measured.errors += warm.errors;
        measured.first_error = warm.first_error.or(measured.first_error);
        Ok(measured)
    }

    /// At this part of the highest rate: what waiting comes to on a server that is busy, not full. Each server, with its
    /// database, has one core, and the client the others: who waits for the client's turn does not wait for the server.
    pub async fn at_part(
        &self,
        wanted: &[(&Subject, Scenario)],
        part: f64,
    ) -> anyhow::Result<Vec<(Measurement, f64)>> {
        progress("open loop, the highest rates");
        let core = OwnCore::leave()?;
        let mut processes = Vec::new();
        for (subject, _) in wanted {
            processes.push(subject.process);
            let database = subject.database.as_ref().map(|database| database.process());
            processes.extend(database.transpose()?);
        }
        for process in &processes {
            core.give_to(*process)?;
        }
        let connections = self.concurrency.iter().copied().max().unwrap_or(64);
        let mut rates = Vec::new();
        for (subject, scenario) in wanted {
            self.supply(subject, *scenario).await?;
            let highest = self.measure(subject, *scenario, connections, 0).await?;
            rates.push(highest.per_second() * part);
        }
        let mut measurements = Vec::new();
        // Waiting needs more time than throughput: a p99 of a thousand requests hangs on ten of them.
        let limits = Limits {
            requests: usize::MAX,
            time: self.time * 2,
        };
        for round in 1..=self.rounds {
            progress(&format!("open loop, round {round} of {}", self.rounds));
            for ((subject, scenario), rate) in wanted.iter().zip(&rates) {
                self.supply(subject, *scenario).await?;
                let measured = open_loop(subject, *scenario, connections, *rate, limits, round).await?;
                measurements.push((measured, *rate));
            }
        }
        core.take_back(processes)?;
        Ok(measurements)
    }

    /// Makes what a kind of request uses, where the rounds have not made it already, and sends what has to have been
    /// sent before.
    pub async fn supply(&self, subject: &Subject, scenario: Scenario) -> anyhow::Result<()> {
        self.make(subject, scenario).await?;
        if let Some((rehearsed, requests)) = scenario.rehearsal() {
            let limits = Limits {
                requests,
                time: self.patience(subject),
            };
            let sent = closed_loop(subject, rehearsed, 16, limits, 0).await?;
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

    /// How long making and rehearsing may take. A slow peer goes on with what there is; ours must not run out of it.
    fn patience(&self, subject: &Subject) -> Duration {
        self.time.max(match subject.role {
            Role::Peer => Duration::from_secs(5),
            _ => Duration::from_mins(2),
        })
    }

    async fn make(&self, subject: &Subject, scenario: Scenario) -> anyhow::Result<()> {
        let Some((maker, there)) = scenario.supply(&subject.world) else {
            return Ok(());
        };
        // What is only used goes round; for a peer that is slow, a few go round too.
        let wanted = match subject.role {
            _ if scenario.uses_up() => self.limits(scenario).requests + self.warm_up(scenario).requests,
            Role::Peer => 128,
            _ => self.requests.min(1000),
        };
        if there >= wanted {
            return Ok(());
        }
        let patience = self.patience(subject);
        let limits = Limits {
            requests: wanted - there,
            time: patience,
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
