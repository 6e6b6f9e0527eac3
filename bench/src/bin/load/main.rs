//! Starts the real server, sets it up, puts it under load and prints what it did, beside the physical limits
//! measured in the same rounds.
//!
//! The load comes from one thread, over keep-alive connections, in a closed loop. On a machine with few cores
//! client and server share them, so requests a second of wall time say what both do together; requests a
//! second of *server processor time* say what the server costs.

#![expect(clippy::print_stdout, reason = "a program that prints figures")]

mod http;
mod machine;
mod measure;
mod report;
mod scenario;
mod server;
mod world;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::{Parser, ValueEnum as _};
use doorward_bench::floor::{self, RawDatabase};

use crate::measure::{Measurement, run};
use crate::report::{Floors, Report};
use crate::scenario::Scenario;
use crate::server::{Installation, Memory, Server};
use crate::world::World;

/// How long each physical limit is measured in a round.
const FLOOR: Duration = Duration::from_millis(400);
/// Before memory is looked at, so that what a start leaves behind is gone.
const SETTLE: Duration = Duration::from_secs(1);

/// Puts `doorward serve` under load.
#[derive(Parser)]
struct Arguments {
    /// The server program; by default `doorward` beside this program.
    #[arg(long)]
    server: Option<PathBuf>,
    /// Rounds; each measures everything once.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Requests of each kind, at each concurrency, in each round; eight times as many of those that only read memory.
    #[arg(long, default_value_t = 4000)]
    requests: usize,
    /// Connections.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64")]
    concurrency: Vec<usize>,
    /// Kinds of requests; all by default.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Scenario>,
    /// People who sign in.
    #[arg(long, default_value_t = 8)]
    people: usize,
    /// Starts that are timed, with a new database and with an old one.
    #[arg(long, default_value_t = 10)]
    starts: usize,
    /// The server's log level; the default one writes a line a request, to a file.
    #[arg(long, default_value = "info")]
    log_level: String,
    /// Prints JSON instead of tables.
    #[arg(long)]
    json: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let program = match arguments.server.clone() {
        Some(program) => program,
        None => std::env::current_exe()?.with_file_name("doorward"),
    };
    ensure!(
        program.is_file(),
        "{} is not there: build it first, or name it with --server",
        program.display()
    );
    let machine = machine::describe(&program);

    let (first_starts, later_starts) = time_starts(&arguments, &program).await?;
    let installation = Installation::new(&program, &arguments.log_level)?;
    let server = installation.start().await?;
    tokio::time::sleep(SETTLE).await;
    let idle = server.memory()?;
    let world = Arc::new(World::set_up(&installation, arguments.people).await?);

    let (floors, measurements) = rounds(&arguments, &installation, &world, &server).await?;
    tokio::time::sleep(SETTLE).await;
    let loaded = server.memory()?;
    server.stop().await?;

    let report = Report {
        machine,
        first_starts,
        later_starts,
        idle,
        loaded,
        floors,
        measurements,
    };
    if arguments.json {
        println!("{:#}", report.to_json());
    } else {
        println!("{report}");
    }
    let errors = report.errors();
    ensure!(
        errors == 0,
        "{errors} requests were not answered as they should be"
    );
    Ok(())
}

/// Starts with a new database each, and as many with one that is there.
async fn time_starts(
    arguments: &Arguments,
    program: &std::path::Path,
) -> anyhow::Result<(Vec<Duration>, Vec<Duration>)> {
    let (mut first, mut later) = (Vec::new(), Vec::new());
    for _ in 0..arguments.starts {
        let installation = Installation::new(program, &arguments.log_level)?;
        for times in [&mut first, &mut later] {
            let server = installation.start().await?;
            times.push(server.ready_after);
            server.stop().await?;
        }
    }
    Ok((first, later))
}

/// Interleaved: each round measures the limits and then everything once, so that a machine that slows down for
/// a while spoils a round and not a figure.
async fn rounds(
    arguments: &Arguments,
    installation: &Installation,
    world: &Arc<World>,
    server: &Server,
) -> anyhow::Result<(Vec<Floors>, Vec<Measurement>)> {
    let scenarios = if arguments.only.is_empty() {
        Scenario::value_variants()
    } else {
        arguments.only.as_slice()
    };
    let mut database = RawDatabase::create(installation.folder())?;
    let (mut floors, mut measurements) = (Vec::new(), Vec::new());
    for round in 0..=arguments.rounds {
        let measured = Floors {
            signatures: floor::es256_signatures(FLOOR)?,
            single_commits: database.commits(FLOOR, 1)?,
            hundred_commits: database.commits(FLOOR, 100)?,
        };
        let mut of_round = Vec::new();
        for concurrency in &arguments.concurrency {
            for scenario in scenarios {
                supply(arguments, world, server, *scenario).await?;
                let requests = arguments.requests * scenario.weight();
                of_round.push(run(world, server, *scenario, *concurrency, requests).await?);
            }
        }
        // The first round warms up.
        if round > 0 {
            floors.push(measured);
            measurements.extend(of_round);
        }
    }
    Ok((floors, measurements))
}

/// Makes what a kind of request uses up, where the rounds have not made it already.
async fn supply(
    arguments: &Arguments,
    world: &Arc<World>,
    server: &Server,
    scenario: Scenario,
) -> anyhow::Result<()> {
    let mut missing = Vec::new();
    let mut needed = Some(scenario);
    while let Some(scenario) = needed.take() {
        if let Some((maker, there)) = scenario.supply(world)
            && there < arguments.requests
        {
            missing.push(maker);
            needed = Some(maker);
        }
    }
    for maker in missing.into_iter().rev() {
        let made = run(world, server, maker, 16, arguments.requests).await?;
        ensure!(
            made.errors == 0,
            "preparing failed: {}",
            made.first_error.context("no reason")?
        );
    }
    Ok(())
}

/// Bytes as megabytes.
fn megabytes(bytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let bytes = bytes as f64;
    bytes / 1e6
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [resident, own, peak] = [self.resident, self.own, self.peak].map(megabytes);
        write!(
            f,
            "{resident:.1} MB resident, of which {own:.1} MB its own; {peak:.1} MB at most; {} threads",
            self.threads
        )
    }
}
