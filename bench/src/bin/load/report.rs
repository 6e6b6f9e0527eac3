//! What was measured, and as JSON.

use std::time::Duration;

use doorward_bench::spread::Spread;
use serde_json::{Value, json};

use crate::aims::{self, Aim};
use crate::figures::{Figures, Row};
use crate::growth::Size;
use crate::measure::Measurement;
use crate::process::Memory;
use crate::server::Engine;
use crate::subject::Role;

/// A server of ours when nothing is asked of it.
pub struct Idle {
    pub engine: Engine,
    pub first_starts: Vec<Duration>,
    pub later_starts: Vec<Duration>,
    pub before: Memory,
    pub loaded: Memory,
}

/// Everything.
pub struct Report {
    pub machine: Value,
    pub idle: Vec<Idle>,
    pub figures: Figures,
    /// At a part of the highest rate, which is in the second place.
    pub open: Vec<(Measurement, f64)>,
    pub part: f64,
    pub growth: Vec<(Engine, Vec<Size>)>,
    /// What could not be measured, and why.
    pub missing: Vec<(String, String)>,
}

impl Report {
    /// All that was measured, in any way.
    pub fn measurements(&self) -> impl Iterator<Item = &Measurement> {
        let sizes = self.growth.iter().flat_map(|(_, sizes)| sizes);
        (self.figures.measurements.iter())
            .chain(self.open.iter().map(|(measured, _)| measured))
            .chain(sizes.flat_map(|size| &size.measurements))
    }

    /// Requests to Doorward that were not answered as they should be, and the first such answer.
    pub fn errors(&self) -> (usize, Option<&str>) {
        let (mut count, mut first) = (0, None);
        for measured in self.measurements().filter(|measured| measured.role != Role::Peer) {
            count += measured.errors;
            first = first.or(measured.first_error.as_deref());
        }
        (count, first)
    }

    /// All that the project wants, as far as it was measured.
    pub fn aims(&self) -> Vec<Aim> {
        let most = self.figures.rows().iter().map(|row| row.concurrency).max();
        let mut aims = aims::of_requests(&self.figures, most.unwrap_or_default());
        let rows = self.open_rows();
        let ours = rows
            .iter()
            .filter(|open| open.row.rounds.iter().all(|round| round.role == Role::Ours));
        for open in ours {
            let (name, ratio) = open.tail();
            let mut aim = Aim::at_most(name, "p99 ≤ 5 times p50", 5.0, ratio);
            // In a line that grows everybody waits about as long: that says nothing.
            if !open.keeps_up() {
                (aim.found, aim.reached) = ("did not keep up".to_owned(), false);
            }
            aims.push(aim);
        }
        for (engine, sizes) in &self.growth {
            for (scenario, costs) in growth_costs(sizes) {
                let what = format!("{scenario}, {}, as grants grow", engine.subject());
                aims.extend(
                    aims::slope(&costs)
                        .map(|slope| Aim::at_most(what, "≤ 0.15 between sizes", 0.15, Spread::of([slope]))),
                );
            }
        }
        for idle in &self.idle {
            let engine = idle.engine.subject();
            let start = milliseconds(&idle.first_starts);
            let resident = Spread::of([megabytes(idle.before.resident)]);
            let later = milliseconds(&idle.later_starts);
            aims.extend([
                Aim::at_most(format!("memory, idle, MB, {engine}"), "≤ 25", 25.0, resident),
                Aim::at_most(format!("start to ready, ms, {engine}"), "≤ 80", 80.0, later),
                Aim::at_most(
                    format!("start to ready, new database, ms, {engine}"),
                    "≤ 80",
                    80.0,
                    start,
                ),
            ]);
        }
        if let Some(bytes) = self.machine["doorward_bytes"].as_f64() {
            let size = Spread::of([bytes / 1e6]);
            aims.push(Aim::at_most("program file, MB", "≤ 30", 30.0, size));
        }
        aims
    }

    /// Everything as JSON.
    pub fn to_json(&self) -> Value {
        let rows: Vec<Value> = (self.figures.rows().iter())
            .map(|row| self.row_to_json(row))
            .collect();
        let aims: Vec<Value> = (self.aims().iter())
            .map(|aim| json!({ "what": aim.what, "wanted": aim.wanted, "found": aim.found, "reached": aim.reached }))
            .collect();
        let growth: Vec<Value> = (self.growth.iter())
            .flat_map(|(engine, sizes)| {
                sizes.iter().flat_map(move |size| {
                    Row::of(&size.measurements).into_iter().map(move |row| {
                        json!({ "subject": engine.subject(), "grants": size.grants, "kind": row.scenario.name(),
                            "server_cpu_us": spread(row.over(Measurement::cpu_us)), "database_cpu_us": row.database_us().map(spread) })
                    })
                })
            })
            .collect();
        json!({
            "machine": self.machine,
            "idle": self.idle.iter().map(Idle::to_json).collect::<Vec<_>>(),
            "limits": self.limits().iter().map(|(name, figure)| json!({ "what": name, "figure": spread(*figure) })).collect::<Vec<_>>(),
            "requests": rows,
            "at_part": { "part": self.part, "requests": self.open_rows().iter().map(OpenRow::to_json).collect::<Vec<_>>() },
            "growth": growth,
            "aims": aims,
            "missing": self.missing,
        })
    }

    fn row_to_json(&self, row: &Row<'_>) -> Value {
        let cores = |of: fn(&Measurement) -> Duration| {
            spread(row.over(|round| of(round).as_secs_f64() / round.wall.as_secs_f64()))
        };
        json!({
            "kind": row.scenario.name(),
            "subject": row.subject,
            "concurrency": row.concurrency,
            "rounds": row.rounds.len(),
            "requests_per_second": spread(row.over(Measurement::per_second)),
            "requests_per_server_cpu_second": spread(row.over(Measurement::per_cpu_second)),
            "server_cpu_us": spread(row.over(Measurement::cpu_us)),
            "database_cpu_us": row.database_us().map(spread),
            "server_cores": cores(|round| round.used.server),
            "client_cores": cores(|round| round.used.client),
            "p50_ms": spread(row.over(|round| round.latency.p50)),
            "p90_ms": spread(row.over(|round| round.latency.p90)),
            "p99_ms": spread(row.over(|round| round.latency.p99)),
            "max_ms": spread(row.over(|round| round.latency.max)),
            "beside_floor": self.figures.beside_floor(row).map(spread),
            "beside_pgbench": self.beside_pgbench(row).map(spread),
            "errors": row.errors(),
            "first_error": row.rounds.iter().find_map(|round| round.first_error.clone()),
        })
    }

    /// Only where the same disk work is done by the same database.
    pub fn beside_pgbench(&self, row: &Row<'_>) -> Option<Spread> {
        let comparable = row.subject == Engine::Postgres.subject() && row.scenario.commits();
        comparable.then(|| self.figures.beside_pgbench(row)).flatten()
    }

    /// The physical limits.
    pub fn limits(&self) -> Vec<(String, Spread)> {
        let limits = &self.figures.limits;
        let of = |figure: fn(&crate::rounds::Limit) -> f64| Spread::of(limits.iter().map(figure));
        let mut rows = vec![
            (
                "ES256 signatures, a CPU second".to_owned(),
                of(|limit| limit.signatures.per_cpu_second()),
            ),
            (
                "ES256 checks, a CPU second".to_owned(),
                of(|limit| limit.checks.per_cpu_second()),
            ),
            (
                "durable SQLite transactions of one row, a second".to_owned(),
                of(|limit| limit.single_commits.per_second()),
            ),
            (
                "the same, CPU µs each".to_owned(),
                of(|limit| 1e6 / limit.single_commits.per_cpu_second()),
            ),
            (
                "durable SQLite transactions of 100 rows, a second".to_owned(),
                of(|limit| limit.hundred_commits.per_second()),
            ),
            (
                "the same, CPU µs a row".to_owned(),
                of(|limit| 1e4 / limit.hundred_commits.per_cpu_second()),
            ),
        ];
        let connections: Vec<usize> = limits.first().map_or_else(Vec::new, |limit| {
            limit
                .transactions
                .iter()
                .map(|(connections, _)| *connections)
                .collect()
        });
        for connections in connections {
            let rates = limits.iter().filter_map(|limit| limit.transactions(connections));
            rows.push((
                format!("pgbench, {connections} connections, transactions a second"),
                Spread::of(rates.map(|transactions| transactions.per_second)),
            ));
        }
        rows
    }

    pub fn open_rows(&self) -> Vec<OpenRow<'_>> {
        let rows = Row::of(self.open.iter().map(|(measured, _)| measured));
        let rate_of = |row: &Row<'_>| {
            let same =
                |measured: &Measurement| (measured.subject, measured.scenario) == (row.subject, row.scenario);
            let found = self.open.iter().find(|(measured, _)| same(measured));
            found.map_or(f64::NAN, |(_, rate)| *rate)
        };
        rows.into_iter()
            .map(|row| OpenRow {
                rate: rate_of(&row),
                row,
            })
            .collect()
    }
}

/// An open loop at a fixed rate.
pub struct OpenRow<'r> {
    pub rate: f64,
    pub row: Row<'r>,
}

impl OpenRow<'_> {
    /// Whether requests were answered as fast as they came, in most rounds.
    pub fn keeps_up(&self) -> bool {
        self.row.over(Measurement::per_second).median >= 0.95 * self.rate
    }

    /// p99 by p50, round by round.
    pub fn tail(&self) -> (String, Spread) {
        let name = format!("{}, {}, open loop", self.row.scenario.name(), self.row.subject);
        (name, self.row.over(|round| round.latency.p99 / round.latency.p50))
    }

    fn to_json(&self) -> Value {
        json!({
            "kind": self.row.scenario.name(), "subject": self.row.subject, "rate": self.rate,
            "p50_ms": spread(self.row.over(|round| round.latency.p50)),
            "p99_ms": spread(self.row.over(|round| round.latency.p99)),
            "p99_by_p50": spread(self.tail().1),
            "server_cpu_us": spread(self.row.over(Measurement::cpu_us)),
            "errors": self.row.errors(),
        })
    }
}

impl Idle {
    fn to_json(&self) -> Value {
        let memory = |memory: Memory| json!({ "resident": memory.resident, "own": memory.own, "peak": memory.peak, "threads": memory.threads });
        json!({
            "subject": self.engine.subject(),
            "start_ms": { "new_database": spread(milliseconds(&self.first_starts)), "old_database": spread(milliseconds(&self.later_starts)) },
            "memory_bytes": { "idle": memory(self.before), "after_load": memory(self.loaded) },
        })
    }
}

/// Medians of a kind's processor time, server and database together, at each size.
fn growth_costs(sizes: &[Size]) -> Vec<(&'static str, Vec<f64>)> {
    let mut costs: Vec<(&'static str, Vec<f64>)> = Vec::new();
    for row in sizes.iter().flat_map(|size| Row::of(&size.measurements)) {
        let database = row.database_us().map_or(0.0, |figure| figure.median);
        let cost = row.over(Measurement::cpu_us).median + database;
        match costs.iter_mut().find(|(name, _)| *name == row.scenario.name()) {
            Some((_, costs)) => costs.push(cost),
            None => costs.push((row.scenario.name(), vec![cost])),
        }
    }
    costs
}

/// In milliseconds.
pub fn milliseconds(times: &[Duration]) -> Spread {
    Spread::of(times.iter().map(|time| time.as_secs_f64() * 1e3))
}

/// Bytes as megabytes.
pub fn megabytes(bytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let bytes = bytes as f64;
    bytes / 1e6
}

fn spread(spread: Spread) -> Value {
    let rounded = |figure: f64| (figure * 1e4).round() / 1e4;
    json!({ "median": rounded(spread.median), "min": rounded(spread.min), "max": rounded(spread.max) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::tests::measurement;
    use crate::scenario::Scenario;

    #[test]
    fn a_server_keeps_up_when_it_answers_about_as_fast_as_requests_come() {
        // A thousand answers a second.
        let measured = measurement("ours", Role::Ours, Scenario::Refresh, 1, 100);
        let keeps_up = |rate| {
            let row = Row::of([&measured]).remove(0);
            OpenRow { rate, row }.keeps_up()
        };
        assert!(keeps_up(1000.0) && keeps_up(1050.0));
        assert!(!keeps_up(1100.0));
    }
}
