//! Starts the real server, sets it up, puts it under load and prints what it did, beside the physical limits and beside
//! other authorization servers measured in the same rounds.
//!
//! The load comes from one thread, over keep-alive connections. On a machine with few cores client and server share them,
//! so requests a second of wall time say what both do together; requests a second of *server processor time* say what the
//! server costs.

#![expect(clippy::print_stdout, reason = "a program that prints figures")]

mod aims;
mod doorward;
mod figures;
mod floor_server;
mod growth;
mod http;
mod latency;
mod machine;
mod measure;
mod pages;
mod peers;
mod pool;
mod postgres;
#[expect(
    dead_code,
    clippy::panic,
    clippy::unwrap_used,
    reason = "shared with the store's tests, which use more of it and may panic"
)]
#[path = "../../../../crates/store/tests/engines/postgres/server.rs"]
mod postgres_server;
mod process;
mod report;
mod rounds;
mod run;
mod scenario;
mod server;
mod subject;
mod tables;
mod world;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Parser;

use crate::peers::Peer;
use crate::scenario::Scenario;
use crate::server::Engine;

/// Puts `doorward serve` under load.
#[derive(Parser)]
struct Arguments {
    /// The server program; by default `doorward` beside this program.
    #[arg(long)]
    server: Option<PathBuf>,
    /// What keeps the data; several are measured in turn. `PostgreSQL` is started and thrown away.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "sqlite")]
    engine: Vec<Engine>,
    /// Another server to measure: authgent=PROGRAM, oidc-provider=NODE,SCRIPT or fastmcp=PYTHON,SCRIPT (scripts in bench/peers).
    #[arg(long, value_name = "NAME=PROGRAM[,SCRIPT]")]
    peer: Vec<Peer>,
    /// Rounds; each measures everything once.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Requests of each kind, at each concurrency, in each round, at most; several times as many of those that only read memory.
    #[arg(long, default_value_t = 4000)]
    requests: usize,
    /// Seconds for the same, at most.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Connections.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64")]
    concurrency: Vec<usize>,
    /// Connections to other servers, at most.
    #[arg(long, default_value_t = 16)]
    peer_concurrency: usize,
    /// Kinds of requests; all by default.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Scenario>,
    /// The part of the highest rate at which waiting is measured (open loop, with a core for the server and the others for the
    /// client); 0 leaves it out.
    #[arg(long, default_value_t = 0.7)]
    part: f64,
    /// Numbers of grants at which requests are measured besides; none by default.
    #[arg(long, value_delimiter = ',')]
    grants: Vec<u64>,
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
    /// Writes the JSON to this file besides.
    #[arg(long, value_name = "FILE")]
    json_to: Option<PathBuf>,
    /// Serves what costs least, for this program itself.
    #[arg(long, hide = true, value_name = "PORT")]
    floor_server: Option<u16>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(port) = arguments.floor_server {
        return floor_server::serve(port);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(run::all(&arguments))?;
    if let Some(file) = &arguments.json_to {
        std::fs::write(file, format!("{:#}\n", report.to_json()))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    if arguments.json {
        println!("{:#}", report.to_json());
    } else {
        println!("{report}");
    }
    let (errors, first) = report.errors();
    ensure!(
        errors == 0,
        "{errors} requests were not answered as they should be, the first: {}",
        first.unwrap_or_default()
    );
    Ok(())
}

impl Arguments {
    fn plan(&self) -> anyhow::Result<rounds::Plan> {
        use clap::ValueEnum as _;
        ensure!(
            self.seconds > 0.0 && self.rounds > 0 && self.requests > 0 && !self.concurrency.contains(&0),
            "rounds, requests, seconds and connections are more than zero"
        );
        let time = Duration::from_secs_f64(self.seconds);
        Ok(rounds::Plan {
            rounds: self.rounds,
            requests: self.requests,
            time,
            concurrency: self.concurrency.clone(),
            peer_concurrency: self.peer_concurrency,
            scenarios: if self.only.is_empty() {
                Scenario::value_variants().to_vec()
            } else {
                // The floors are always there.
                [&[Scenario::Constant, Scenario::Sign], self.only.as_slice()].concat()
            },
            floor: Duration::from_millis(400).min(time),
        })
    }
}
