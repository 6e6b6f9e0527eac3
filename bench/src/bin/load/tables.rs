//! What was measured, as Markdown.

use std::fmt::{self, Write as _};

use doorward_bench::spread::Spread;

use crate::aims::Aim;
use crate::figures::Row;
use crate::measure::Measurement;
use crate::process::Memory;
use crate::report::{OpenRow, Report, megabytes, milliseconds};
use crate::server::Engine;
use crate::subject::Role;

impl Report {
    fn requests_table(&self) -> Result<String, fmt::Error> {
        let mut text = "| request | conns | server | a second | a server CPU second | CPU µs | database CPU µs | p50 ms | p99 ms \
             | of the floor, a CPU second | of pgbench, a second | errors |\n\
             |---|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n"
            .to_owned();
        for row in self.figures.rows() {
            let (scenario, subject) = (row.scenario.name(), row.subject);
            if !row.is_measured() {
                writeln!(
                    text,
                    "| {scenario} | {} | {subject} | | | | | | | | | {} |",
                    row.concurrency,
                    row.errors()
                )?;
                continue;
            }
            writeln!(
                text,
                "| {scenario} | {} | {subject} | {} | {} | {:.1} | {} | {:.2} | {:.2} | {} | {} | {} |",
                row.concurrency,
                by_size(row.over(Measurement::per_second)),
                by_size(row.over(Measurement::per_cpu_second)),
                row.over(Measurement::cpu_us),
                shown(row.database_us(), 1),
                row.over(|round| round.latency.p50),
                row.over(|round| round.latency.p99),
                shown(self.figures.beside_floor(&row), 2),
                shown(self.beside_pgbench(&row), 2),
                row.errors(),
            )?;
        }
        Ok(text)
    }
}

/// Nothing where nothing was measured.
fn shown(figure: Option<Spread>, decimals: usize) -> String {
    figure.map_or_else(String::new, |figure| format!("{figure:.decimals$}"))
}

/// Rates of a few a second need decimals, others do not.
fn by_size(spread: Spread) -> String {
    let decimals = usize::from(spread.median < 100.0);
    format!("{spread:.decimals$}")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_summary(f)?;
        writeln!(f, "\n### Requests\n\n{}", self.requests_table()?)?;
        self.write_peers(f)?;
        self.write_open_loop(f)?;
        self.write_growth(f)?;
        self.write_failures(f)
    }
}

impl Report {
    fn write_summary(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Medians over the rounds (minimum–maximum).\n")?;
        for (name, value) in self.machine.as_object().into_iter().flatten() {
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), ToOwned::to_owned);
            writeln!(f, "* {}: {value}", name.replace('_', " "))?;
        }
        writeln!(f, "\n### Aims\n\n| | wanted | found | |\n|---|---|--:|---|")?;
        for Aim {
            what,
            wanted,
            found,
            reached,
        } in self.aims()
        {
            let verdict = if reached { "reached" } else { "**missed**" };
            writeln!(f, "| {what} | {wanted} | {found} | {verdict} |")?;
        }
        writeln!(f, "\n### Limits\n\n| | |\n|---|--:|")?;
        for (name, figure) in self.limits() {
            writeln!(f, "| {name} | {} |", by_size(figure))?;
        }
        writeln!(f, "\n### Start and memory\n")?;
        for idle in &self.idle {
            let name = idle.engine.subject();
            let (first, later) = (milliseconds(&idle.first_starts), milliseconds(&idle.later_starts));
            writeln!(
                f,
                "* {name}, start to ready: {first:.1} ms with a new database, {later:.1} ms with one that is there"
            )?;
            writeln!(
                f,
                "* {name}, idle: {}\n* {name}, after the load: {}",
                idle.before, idle.loaded
            )?;
        }
        Ok(())
    }

    fn write_peers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.figures.rows();
        let of_peers: Vec<&Row<'_>> = rows
            .iter()
            .filter(|row| row.rounds.iter().all(|round| round.role == Role::Peer))
            .collect();
        if of_peers.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "### Beside other servers\n\nHow many of its requests Doorward answers in the processor time that the other server takes for one.\n\n\
             | request | conns | server | {} | {} |\n|---|--:|---|--:|--:|",
            Engine::Sqlite.subject(),
            Engine::Postgres.subject()
        )?;
        for row in of_peers {
            let times = |engine: Engine| {
                self.figures
                    .by_another(row, engine.subject())
                    .map_or_else(String::new, by_size)
            };
            writeln!(
                f,
                "| {} | {} | {} | {} | {} |",
                row.scenario.name(),
                row.concurrency,
                row.subject,
                times(Engine::Sqlite),
                times(Engine::Postgres)
            )?;
        }
        writeln!(f)
    }

    fn write_open_loop(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.open.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "### At {:.0} % of the highest rate, open loop\n\n\
             The server and its database have one core, the client the others.\n\n\
             | request | server | sent a second | CPU µs | p50 ms | p99 ms | p99 by p50 | errors |\n\
             |---|---|--:|--:|--:|--:|--:|--:|",
            self.part * 100.0
        )?;
        self.open_rows().iter().try_for_each(|row| writeln!(f, "{row}"))
    }

    fn write_growth(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.growth.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "\n### As grants grow\n\n| request | server | grants | CPU µs | database CPU µs | p99 ms |\n|---|---|--:|--:|--:|--:|"
        )?;
        for (engine, sizes) in &self.growth {
            let rows = sizes.iter().flat_map(|size| {
                Row::of(&size.measurements)
                    .into_iter()
                    .map(|row| (size.grants, row))
            });
            for (grants, row) in rows {
                let database = shown(row.database_us(), 1);
                let (cpu, p99) = (row.over(Measurement::cpu_us), row.over(|round| round.latency.p99));
                let (scenario, engine) = (row.scenario.name(), engine.subject());
                writeln!(
                    f,
                    "| {scenario} | {engine} | {grants} | {cpu:.1} | {database} | {p99:.2} |"
                )?;
            }
        }
        Ok(())
    }

    fn write_failures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wrong: Vec<&Measurement> = self
            .measurements()
            .filter(|measured| measured.errors > 0)
            .collect();
        if self.missing.is_empty() && wrong.is_empty() {
            return Ok(());
        }
        writeln!(f, "\n### Not measured, or answered wrongly\n")?;
        for (what, why) in &self.missing {
            writeln!(f, "* {what}: {}", why.replace('\n', " "))?;
        }
        for measured in wrong {
            let why = measured
                .first_error
                .as_deref()
                .unwrap_or_default()
                .replace('\n', " ");
            let Measurement {
                subject,
                concurrency,
                round,
                errors,
                ..
            } = measured;
            let what = measured.scenario.name();
            writeln!(
                f,
                "* {what}, {subject}, {concurrency} connections, round {round}: {errors} errors, the first: {why}"
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for OpenRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rate, row } = self;
        write!(
            f,
            "| {} | {} | {rate:.0} | {:.1} | {:.2} | {:.2} | {:.2} | {} |",
            row.scenario.name(),
            row.subject,
            row.over(Measurement::cpu_us),
            row.over(|round| round.latency.p50),
            row.over(|round| round.latency.p99),
            self.tail().1,
            row.errors()
        )
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [resident, own, peak] = [self.resident, self.own, self.peak].map(megabytes);
        write!(
            f,
            "{resident:.1} MB resident, of which {own:.1} MB its own; {peak:.1} MB at most; {} threads",
            self.threads
        )
    }
}
