//! What was measured, as tables and as JSON.

use std::fmt;
use std::time::Duration;

use doorward_bench::floor::Rate;
use doorward_bench::spread::Spread;
use serde_json::{Value, json};

use crate::measure::Measurement;
use crate::scenario::Scenario;
use crate::server::Memory;

/// The physical limits of one round.
#[derive(Debug, Clone, Copy)]
pub struct Floors {
    /// ES256 signatures by aws-lc-rs on one core.
    pub signatures: Rate,
    /// Durable transactions of one row.
    pub single_commits: Rate,
    /// Durable transactions of a hundred rows.
    pub hundred_commits: Rate,
}

/// Everything.
pub struct Report {
    pub machine: Value,
    pub first_starts: Vec<Duration>,
    pub later_starts: Vec<Duration>,
    pub idle: Memory,
    pub loaded: Memory,
    pub floors: Vec<Floors>,
    pub measurements: Vec<Measurement>,
}

impl Report {
    /// Requests that were not answered as they should be.
    pub fn errors(&self) -> usize {
        self.measurements
            .iter()
            .map(|measurement| measurement.errors)
            .sum()
    }

    /// Everything as JSON.
    pub fn to_json(&self) -> Value {
        let rows: Vec<Value> = self.rows().iter().map(Row::to_json).collect();
        json!({
            "machine": self.machine,
            "start_ms": { "new_database": spread(milliseconds(&self.first_starts)), "old_database": spread(milliseconds(&self.later_starts)) },
            "memory_bytes": {
                "idle": memory(self.idle),
                "after_load": memory(self.loaded),
            },
            "limits": {
                "es256_signatures_per_core_second": spread(self.floor(|floors| floors.signatures.per_cpu_second())),
                "commits_of_1_per_second": spread(self.floor(|floors| floors.single_commits.per_second())),
                "commits_of_1_per_cpu_second": spread(self.floor(|floors| floors.single_commits.per_cpu_second())),
                "commits_of_100_per_second": spread(self.floor(|floors| floors.hundred_commits.per_second())),
                "rows_in_100s_per_cpu_second": spread(self.floor(|floors| floors.hundred_commits.per_cpu_second() * 100.0)),
            },
            "requests": rows,
        })
    }

    fn floor(&self, of: impl Fn(&Floors) -> f64) -> Spread {
        Spread::of(self.floors.iter().map(of))
    }

    /// One for each kind of request and concurrency, in the order of the first round.
    fn rows(&self) -> Vec<Row<'_>> {
        let mut rows: Vec<Row<'_>> = Vec::new();
        for measurement in &self.measurements {
            let key = (measurement.scenario, measurement.concurrency);
            match rows.iter_mut().find(|row| row.key() == key) {
                Some(row) => row.rounds.push(measurement),
                None => rows.push(Row {
                    rounds: vec![measurement],
                    scenario: key.0,
                    concurrency: key.1,
                    floors: self.floors.clone(),
                }),
            }
        }
        rows
    }
}

/// The rounds of one kind of request at one concurrency.
struct Row<'r> {
    scenario: Scenario,
    concurrency: usize,
    rounds: Vec<&'r Measurement>,
    floors: Vec<Floors>,
}

impl Row<'_> {
    fn key(&self) -> (Scenario, usize) {
        (self.scenario, self.concurrency)
    }

    fn over(&self, of: impl Fn(&Measurement) -> f64) -> Spread {
        Spread::of(self.rounds.iter().map(|round| of(round)))
    }

    /// Round by round beside the limit of the same round.
    fn beside(&self, of: impl Fn(&Measurement) -> f64, limit: impl Fn(&Floors) -> f64) -> Spread {
        Spread::of(
            self.rounds
                .iter()
                .zip(&self.floors)
                .map(|(round, floors)| of(round) / limit(floors)),
        )
    }

    fn cpu_microseconds(&self) -> Spread {
        self.over(|round| 1e6 / round.per_cpu_second())
    }

    /// Tokens a second of server processor time beside bare signatures a second of processor time.
    fn beside_signatures(&self) -> Option<Spread> {
        let wanted = self.scenario.issues_tokens();
        wanted.then(|| {
            self.beside(Measurement::per_cpu_second, |floors| {
                floors.signatures.per_cpu_second()
            })
        })
    }

    /// Requests a second beside bare durable transactions of one row a second.
    fn beside_commits(&self) -> Option<Spread> {
        let wanted = self.scenario.commits();
        wanted.then(|| {
            self.beside(Measurement::per_second, |floors| {
                floors.single_commits.per_second()
            })
        })
    }

    fn errors(&self) -> usize {
        self.rounds.iter().map(|round| round.errors).sum()
    }

    fn to_json(&self) -> Value {
        json!({
            "kind": self.scenario.name(),
            "concurrency": self.concurrency,
            "rounds": self.rounds.len(),
            "requests_per_second": spread(self.over(Measurement::per_second)),
            "requests_per_server_cpu_second": spread(self.over(Measurement::per_cpu_second)),
            "server_cpu_us": spread(self.cpu_microseconds()),
            "server_cores": spread(self.over(|round| round.server_cpu.as_secs_f64() / round.wall.as_secs_f64())),
            "client_cores": spread(self.over(|round| round.client_cpu.as_secs_f64() / round.wall.as_secs_f64())),
            "p50_ms": spread(self.over(|round| round.percentile(0.5))),
            "p90_ms": spread(self.over(|round| round.percentile(0.9))),
            "p99_ms": spread(self.over(|round| round.percentile(0.99))),
            "max_ms": spread(self.over(|round| round.percentile(1.0))),
            "per_cpu_second_beside_es256": self.beside_signatures().map(spread),
            "per_second_beside_commits": self.beside_commits().map(spread),
            "errors": self.errors(),
            "first_error": self.rounds.iter().find_map(|round| round.first_error.clone()),
        })
    }
}

fn milliseconds(times: &[Duration]) -> Spread {
    Spread::of(times.iter().map(|time| time.as_secs_f64() * 1e3))
}

fn memory(memory: Memory) -> Value {
    json!({ "resident": memory.resident, "own": memory.own, "peak": memory.peak, "threads": memory.threads })
}

fn spread(spread: Spread) -> Value {
    let rounded = |figure: f64| (figure * 1e4).round() / 1e4;
    json!({ "median": rounded(spread.median), "min": rounded(spread.min), "max": rounded(spread.max) })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:#}\n", self.machine)?;
        writeln!(f, "Medians over the rounds (minimum–maximum).\n")?;
        writeln!(
            f,
            "start to ready, new database   {:.1} ms",
            milliseconds(&self.first_starts)
        )?;
        writeln!(
            f,
            "start to ready, old database   {:.1} ms",
            milliseconds(&self.later_starts)
        )?;
        writeln!(f, "memory, idle                   {}", self.idle)?;
        writeln!(f, "memory, after the load         {}\n", self.loaded)?;
        writeln!(
            f,
            "ES256 signatures a core second {:.0}",
            self.floor(|floors| floors.signatures.per_cpu_second())
        )?;
        writeln!(
            f,
            "durable commits of 1 row       {:.0} a second",
            self.floor(|floors| floors.single_commits.per_second())
        )?;
        writeln!(
            f,
            "durable commits of 100 rows    {:.0} a second",
            self.floor(|floors| floors.hundred_commits.per_second())
        )?;
        writeln!(
            f,
            "rows in commits of 100         {:.0} a second of processor time\n",
            self.floor(|floors| floors.hundred_commits.per_cpu_second() * 100.0)
        )?;
        writeln!(
            f,
            "| request | conns | a second | a server CPU second | CPU µs | p50 ms | p90 ms | p99 ms | max ms | to ES256 | to commits | errors |"
        )?;
        writeln!(f, "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")?;
        self.rows().iter().try_for_each(|row| writeln!(f, "{row}"))?;
        writeln!(
            f,
            "\nto ES256: tokens a server CPU second beside bare signatures a core second."
        )?;
        write!(
            f,
            "to commits: requests a second beside bare durable commits of one row a second."
        )?;
        for error in self
            .measurements
            .iter()
            .filter_map(|measurement| measurement.first_error.as_ref())
        {
            write!(f, "\nerror: {error}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ratio = |ratio: Option<Spread>| ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        let median = |part: f64| self.over(|round| round.percentile(part)).median;
        write!(
            f,
            "| {} | {} | {:.0} | {:.0} | {:.0} | {:.2} | {:.2} | {:.2} | {:.1} | {} | {} | {} |",
            self.scenario.name(),
            self.concurrency,
            self.over(Measurement::per_second),
            self.over(Measurement::per_cpu_second),
            self.cpu_microseconds(),
            median(0.5),
            median(0.9),
            median(0.99),
            median(1.0),
            ratio(self.beside_signatures()),
            ratio(self.beside_commits()),
            self.errors(),
        )
    }
}
