//! Breaks what Doorward rests on, while clients use it, and holds it to what it answered.
//!
//! Each fault is a scenario. Its clients go on as clients do: they ask again when an answer was lost, and remember every
//! answer that came (`ledger`). Afterwards every one of them has to be true still.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that tells what it does"
)]

mod balancer;
mod clock;
mod database;
mod ledger;
mod load;
mod mount;
mod node;
#[path = "../../bench/src/bin/load/pages.rs"]
mod pages;
#[path = "../../crates/store/tests/engines/postgres/ports.rs"]
mod ports;
#[expect(
    dead_code,
    clippy::panic,
    clippy::unwrap_used,
    reason = "shared with the store's tests, which use more of it and may panic"
)]
#[path = "../../crates/store/tests/engines/postgres/server.rs"]
mod postgres_server;
mod previous;
mod proxy;
mod random;
mod scenarios;
mod site;
mod soak;
mod verify;
mod walk;
mod world;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, ensure};
use clap::Parser;
use tokio::time::{Instant, timeout};

use crate::ledger::Tally;
use crate::mount::NotHere;
use crate::previous::Previous;
use crate::random::Random;
use crate::scenarios::{Plan, SCENARIOS, Scenario, UPGRADE, UPGRADE_FAR};
use crate::site::Engine;

/// Longer than any scenario takes.
const LIMIT: Duration = Duration::from_mins(15);

/// Breaks what the server rests on, under load.
#[derive(Parser)]
struct Arguments {
    /// The server program; by default `doorward` beside this program.
    #[arg(long)]
    server: Option<PathBuf>,
    /// The version before, for `rolling-upgrade`; by default it is built from the repository's history.
    #[arg(long)]
    previous: Option<PathBuf>,
    /// These scenarios only.
    #[arg(long, value_delimiter = ',', value_name = "SCENARIO")]
    only: Vec<String>,
    /// Scenarios on this database only.
    #[arg(long, value_enum)]
    engine: Option<Engine>,
    /// What everything random follows from; another one every time by default.
    #[arg(long)]
    seed: Option<u64>,
    /// The quick ones, each shorter.
    #[arg(long)]
    short: bool,
    /// Instead of the scenarios: a mixed load for so many minutes, after which files must be flat, and memory after half an hour.
    #[arg(long, value_name = "MINUTES")]
    soak: Option<u64>,
    /// Repeats the scenarios, with other seeds, for so many minutes.
    #[arg(long, conflicts_with = "soak")]
    minutes: Option<u64>,
    /// Ends well also when a scenario could not be tried here, for want of the rights of root or of the history; the report says
    /// which.
    #[arg(long)]
    allow_untried: bool,
    /// Prints the scenarios.
    #[arg(long)]
    list: bool,
}

/// A line of the table at the end.
struct Row {
    name: String,
    seed: u64,
    took: Duration,
    fate: Fate,
}

enum Fate {
    Good(Tally),
    Failed,
    /// The system does not allow it to be tried: why.
    NotHere(String),
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    if arguments.list {
        for scenario in SCENARIOS {
            println!("{:20} {}", scenario.name, scenario.what);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let program = match arguments.server.clone() {
        Some(program) => program,
        None => std::env::current_exe()?.with_file_name("doorward"),
    };
    ensure!(
        program.is_file(),
        "{} is not there: build it first",
        program.display()
    );
    let program = std::fs::canonicalize(program)?;
    let seed = arguments.seed.unwrap_or_else(fresh_seed);
    let plan = |seed, previous| Plan {
        program: program.clone(),
        previous,
        random: Random::new(seed, 0),
        seed,
        short: arguments.short,
    };
    if let Some(minutes) = arguments.soak {
        let engine = arguments.engine.unwrap_or(Engine::Sqlite);
        soak::run(plan(seed, None), engine, Duration::from_mins(minutes)).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = chosen(&arguments)?;
    // Before anything is measured: it takes longer than a scenario.
    let versions: Vec<_> = chosen
        .iter()
        .filter_map(|scenario| {
            let built = match scenario.name {
                UPGRADE => previous(arguments.previous.as_deref()),
                UPGRADE_FAR => Previous::oldest(),
                _ => return None,
            };
            Some((scenario.name, Arc::new(built)))
        })
        .collect();
    let (began, mut rows) = (Instant::now(), Vec::new());
    let mut round = 0;
    loop {
        for scenario in &chosen {
            let version = versions.iter().find(|(name, _)| *name == scenario.name);
            let previous = version.map(|(_, previous)| Arc::clone(previous));
            let plan = plan(seed.wrapping_add(round), previous);
            rows.push(one(scenario, plan).await);
        }
        round += 1;
        let until = Duration::from_mins(arguments.minutes.unwrap_or_default());
        if began.elapsed() >= until {
            break;
        }
    }
    for (name, version) in &versions {
        if let Ok(previous) = &**version {
            println!("{name}: from {} and back", previous.name);
        }
    }
    Ok(report(&rows, arguments.allow_untried))
}

fn previous(given: Option<&Path>) -> anyhow::Result<Previous> {
    given.map_or_else(Previous::last, Previous::of)
}

fn chosen(arguments: &Arguments) -> anyhow::Result<Vec<&'static Scenario>> {
    for name in &arguments.only {
        let known = SCENARIOS.iter().any(|scenario| scenario.name == name);
        ensure!(known, "there is no scenario {name}; --list names them");
    }
    let wanted = |scenario: &&Scenario| {
        let named = arguments.only.iter().any(|name| name == scenario.name);
        let engine = arguments.engine.is_none_or(|engine| scenario.engine == engine);
        engine && (named || arguments.only.is_empty() && (scenario.short || !arguments.short))
    };
    Ok(SCENARIOS.iter().filter(wanted).collect())
}

async fn one(scenario: &Scenario, plan: Plan) -> Row {
    let (began, seed) = (Instant::now(), plan.seed);
    let mut running = tokio::spawn((scenario.run)(plan));
    let result = match timeout(LIMIT, &mut running).await {
        Ok(Ok(result)) => result,
        Ok(Err(panicked)) => Err(panicked.into()),
        Err(_) => {
            running.abort();
            Err(anyhow!("not done after {} s", LIMIT.as_secs()))
        }
    };
    let (name, took) = (scenario.name, began.elapsed());
    let seconds = took.as_secs_f64();
    let fate = match result {
        Ok(tally) => {
            let not_judged = tally.not_judged.map_or_else(String::new, |load| {
                format!(", but who was late was not judged: load {load:.0}")
            });
            eprintln!("{name:20} good ({seconds:.0} s){not_judged}");
            Fate::Good(tally)
        }
        Err(error) if error.is::<NotHere>() => {
            eprintln!("{name:20} NOT TRIED: {error}");
            Fate::NotHere(error.to_string())
        }
        Err(error) => {
            eprintln!(
                "{name:20} FAILED ({seconds:.0} s), repeat with --only {name} --seed {seed}\n{error:#}"
            );
            Fate::Failed
        }
    };
    Row {
        name: name.to_owned(),
        seed,
        took,
        fate,
    }
}

fn report(rows: &[Row], allow_untried: bool) -> ExitCode {
    println!(
        "| scenario | seed | | s | answered | 503 | lost | unsent | flows | again | longest answer, s | longest 503, s | longest wait, s |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    for row in rows {
        let (state, tally) = match &row.fate {
            Fate::Good(tally) => match tally.not_judged {
                None => ("good".to_owned(), tally.clone()),
                Some(load) => (
                    format!("good, lateness not judged: load {load:.0}"),
                    tally.clone(),
                ),
            },
            Fate::Failed => ("FAILED".to_owned(), Tally::default()),
            Fate::NotHere(_) => ("not tried".to_owned(), Tally::default()),
        };
        println!(
            "| {} | {} | {state} | {:.0} | {} | {} | {} | {} | {} | {} | {:.2} | {:.2} | {:.2} |",
            row.name,
            row.seed,
            row.took.as_secs_f64(),
            tally.answered,
            tally.unavailable,
            tally.lost,
            tally.unsent,
            tally.flows,
            tally.again,
            tally.slowest_answer.as_secs_f64(),
            tally.slowest_unavailable.as_secs_f64(),
            tally.slowest.as_secs_f64()
        );
    }
    let count = |of: fn(&Fate) -> bool| rows.iter().filter(|row| of(&row.fate)).count();
    let failed = count(|fate| matches!(fate, Fate::Failed));
    let untried = count(|fate| matches!(fate, Fate::NotHere(_)));
    println!(
        "{} passed, {failed} failed, {untried} not tried",
        count(|fate| matches!(fate, Fate::Good(_)))
    );
    for row in rows {
        if let Fate::NotHere(why) = &row.fate {
            let why = why.lines().next().unwrap_or_default();
            println!("not tried: {}: {why}", row.name);
        }
    }
    if untried > 0 && !allow_untried {
        println!("to end well without them, say --allow-untried");
    }
    if failed == 0 && (untried == 0 || allow_untried) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Another one every time; printed, so that a run can be repeated.
fn fresh_seed() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(std::process::id()) % 1_000_000
}
