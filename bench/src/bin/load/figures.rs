//! The arithmetic between measurements: medians over rounds, ratios within a round.

use doorward_bench::spread::Spread;

use crate::measure::Measurement;
use crate::rounds::Limit;
use crate::scenario::Scenario;
use crate::subject::Role;

/// Everything that the rounds measured.
pub struct Figures {
    /// One a round, the first round's first.
    pub limits: Vec<Limit>,
    pub measurements: Vec<Measurement>,
}

/// The rounds of one kind of request to one server over so many connections.
#[derive(Clone)]
pub struct Row<'f> {
    pub subject: &'static str,
    pub scenario: Scenario,
    pub concurrency: usize,
    pub rounds: Vec<&'f Measurement>,
}

impl Figures {
    /// By kind of request, then by connections, then as they were measured.
    pub fn rows(&self) -> Vec<Row<'_>> {
        let mut rows = Row::of(&self.measurements);
        rows.sort_by_key(|row| (row.scenario as usize, row.concurrency));
        rows
    }

    /// One row.
    pub fn row(&self, subject: &str, scenario: Scenario, concurrency: usize) -> Option<Row<'_>> {
        self.rows()
            .into_iter()
            .find(|row| (row.subject, row.scenario, row.concurrency) == (subject, scenario, concurrency))
    }

    /// Answers a CPU second, beside those of the floor in the same round over as many connections.
    pub fn beside_floor(&self, row: &Row<'_>) -> Option<Spread> {
        let floor = row.scenario.floor()?;
        row.ratio(Measurement::per_cpu_second, |round| {
            let floor = self.measurements.iter().find(|other| {
                (other.role, other.scenario, other.concurrency, other.round)
                    == (Role::Floor, floor, round.concurrency, round.round)
            });
            Some(floor?.per_cpu_second())
        })
    }

    /// Answers a second, beside the transactions of `pgbench` in the same round over as many connections.
    pub fn beside_pgbench(&self, row: &Row<'_>) -> Option<Spread> {
        row.ratio(Measurement::per_second, |round| {
            Some(self.limit(round)?.transactions(round.concurrency)?.per_second)
        })
    }

    /// How many times as many answers a CPU second another server gives in the same round over as many connections.
    pub fn by_another(&self, row: &Row<'_>, subject: &str) -> Option<Spread> {
        row.ratio(Measurement::cpu_us, |round| {
            let found = self.measurements.iter().find(|other| {
                (other.subject, other.scenario, other.concurrency, other.round)
                    == (subject, round.scenario, round.concurrency, round.round)
            });
            Some(found.filter(|other| other.good > 0)?.cpu_us())
        })
    }

    /// Processor time of a request, its database's included, beside that of another kind to the same server.
    pub fn beside_other(&self, row: &Row<'_>, other: Scenario) -> Option<Spread> {
        row.ratio(Measurement::all_cpu_us, |round| {
            let found = self.measurements.iter().find(|measured| {
                (
                    measured.subject,
                    measured.scenario,
                    measured.concurrency,
                    measured.round,
                ) == (round.subject, other, round.concurrency, round.round)
            });
            Some(found?.all_cpu_us())
        })
    }

    /// Processor time of a request, beside one bare check of a signature.
    pub fn beside_check(&self, row: &Row<'_>) -> Option<Spread> {
        row.ratio(Measurement::cpu_us, |round| {
            Some(1e6 / self.limit(round)?.checks.per_cpu_second())
        })
    }

    fn limit(&self, round: &Measurement) -> Option<&Limit> {
        // The round that warms up is number 0 and is not kept.
        self.limits.get(round.round.checked_sub(1)?)
    }
}

impl<'f> Row<'f> {
    /// As they were measured.
    pub fn of(measurements: impl IntoIterator<Item = &'f Measurement>) -> Vec<Self> {
        let mut rows: Vec<Self> = Vec::new();
        for measured in measurements {
            let same = |row: &&mut Self| {
                (row.subject, row.scenario, row.concurrency)
                    == (measured.subject, measured.scenario, measured.concurrency)
            };
            match rows.iter_mut().find(same) {
                Some(row) => row.rounds.push(measured),
                None => rows.push(Self {
                    subject: measured.subject,
                    scenario: measured.scenario,
                    concurrency: measured.concurrency,
                    rounds: vec![measured],
                }),
            }
        }
        rows
    }
}

impl Row<'_> {
    pub fn over(&self, of: impl Fn(&Measurement) -> f64) -> Spread {
        Spread::of(self.rounds.iter().map(|round| of(round)))
    }

    /// The database's microseconds for one good answer.
    pub fn database_us(&self) -> Option<Spread> {
        let times: Option<Vec<f64>> = self.rounds.iter().map(|round| round.database_us()).collect();
        Some(Spread::of(times?))
    }

    pub fn errors(&self) -> usize {
        self.rounds.iter().map(|round| round.errors).sum()
    }

    /// Round by round. `None` if a round has nothing to stand beside.
    fn ratio(
        &self,
        of: impl Fn(&Measurement) -> f64,
        beside: impl Fn(&Measurement) -> Option<f64>,
    ) -> Option<Spread> {
        let good = self.rounds.iter().filter(|round| round.good > 0);
        let ratios: Option<Vec<f64>> = good.map(|round| Some(of(round) / beside(round)?)).collect();
        Some(Spread::of(ratios.filter(|ratios| !ratios.is_empty())?))
    }

    /// Whether there is anything to count.
    pub fn is_measured(&self) -> bool {
        self.rounds.iter().any(|round| round.good > 0)
    }
}

#[cfg(test)]
pub mod tests {
    use std::time::Duration;

    use doorward_bench::floor::Rate;

    use super::*;
    use crate::latency::Latency;
    use crate::postgres::Transactions;
    use crate::subject::Used;

    /// A thousand good answers in a second of wall time on so many milliseconds of the server.
    pub fn measurement(
        subject: &'static str,
        role: Role,
        scenario: Scenario,
        round: usize,
        cpu_ms: u64,
    ) -> Measurement {
        Measurement {
            subject,
            role,
            scenario,
            concurrency: 16,
            round,
            wall: Duration::from_secs(1),
            used: Used {
                server: Duration::from_millis(cpu_ms),
                database: None,
                client: Duration::ZERO,
            },
            good: 1000,
            latency: Latency {
                p50: 1.0,
                p90: 2.0,
                p99: 4.0,
                max: 8.0,
            },
            errors: 0,
            first_error: None,
        }
    }

    pub fn limit(per_second: f64) -> Limit {
        let rate = Rate {
            count: 1000,
            wall: Duration::from_secs(1),
            cpu: Duration::from_millis(50),
        };
        let transactions = Transactions {
            per_second,
            mean_ms: 1.0,
        };
        Limit {
            signatures: rate,
            checks: rate,
            single_commits: rate,
            hundred_commits: rate,
            transactions: vec![(16, transactions)],
        }
    }

    pub fn figures() -> Figures {
        let of_round = |round: usize, factor: u64| {
            [
                measurement("floor", Role::Floor, Scenario::Sign, round, 30 * factor),
                measurement("ours", Role::Ours, Scenario::Refresh, round, 60 * factor),
                measurement("ours", Role::Ours, Scenario::Flow, round, 150 * factor),
            ]
        };
        Figures {
            limits: vec![limit(2000.0), limit(500.0), limit(4000.0)],
            // The second round ran on a slow machine.
            measurements: [of_round(1, 1), of_round(2, 10), of_round(3, 1)].concat(),
        }
    }

    #[test]
    fn ratios_are_of_one_round() {
        let figures = figures();
        let refresh = figures.row("ours", Scenario::Refresh, 16).unwrap();
        let flow = figures.row("ours", Scenario::Flow, 16).unwrap();
        let shown = |ratio: Option<Spread>| ratio.map(|ratio| format!("{ratio:.3}"));
        let same = |figure: &str| Some(format!("{figure} ({figure}–{figure})"));
        assert_eq!(shown(figures.beside_floor(&refresh)), same("0.500"));
        assert_eq!(
            shown(figures.beside_other(&flow, Scenario::Refresh)),
            same("2.500")
        );
        let pgbench = figures.beside_pgbench(&refresh).unwrap();
        assert_eq!((pgbench.median, pgbench.min, pgbench.max), (0.5, 0.25, 2.0));
        let check = figures.beside_check(&refresh).unwrap();
        assert!(
            (check.median - 1.2).abs() < 1e-9,
            "60 µs beside 50: {}",
            check.median
        );
        assert!((refresh.over(Measurement::cpu_us).max - 600.0).abs() < 1e-9);
    }

    #[test]
    fn what_was_not_measured_has_no_ratio() {
        let mut figures = figures();
        figures
            .measurements
            .retain(|measured| measured.role != Role::Floor);
        let refresh = figures.row("ours", Scenario::Refresh, 16).unwrap();
        assert_eq!(figures.beside_floor(&refresh), None);
        assert_eq!(figures.beside_other(&refresh, Scenario::Metadata), None);
        assert!(figures.row("ours", Scenario::Refresh, 64).is_none());
    }
}
