//! What a guard costs a tool call: an MCP server with and without it, in turn, under the same load.
//!
//! Each server is a child process whose own processor time counts. Every figure is calls a second of that time, and
//! the ratio to the same server without any check.

#![expect(clippy::print_stdout, reason = "a command-line tool talks to its terminal")]

mod load;
mod rmcp_server;
mod servers;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};
use doorward_bench::cpu::OwnCore;
use doorward_bench::spread::Spread;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::servers::Kind;

#[derive(Parser)]
#[command(about = "Measures what the guard costs a tool call")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures every server in turn and prints JSON
    Run {
        /// Keys and tokens, as `verify --fixtures` writes them
        #[arg(long, value_name = "FILE")]
        fixtures: PathBuf,
        /// The Python that has FastMCP and the guard; without it only rmcp is measured
        #[arg(long, value_name = "PROGRAM")]
        python: Option<PathBuf>,
        /// The FastMCP server
        #[arg(long, value_name = "FILE", default_value = "bench/peers/fastmcp_server.py")]
        fastmcp_server: PathBuf,
        /// How often each server is measured
        #[arg(long, default_value_t = 21)]
        rounds: usize,
        /// Calls in a round
        #[arg(long, default_value_t = 2000)]
        calls: usize,
        /// Connections
        #[arg(long, default_value_t = 8)]
        connections: usize,
    },
    /// Serves the rmcp server until it is killed
    Serve {
        #[arg(long)]
        port: u16,
        #[arg(long)]
        guarded: bool,
        #[arg(long, value_name = "FILE")]
        fixtures: PathBuf,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Serve {
            port,
            guarded,
            fixtures,
        } => rmcp_server::serve(port, guarded, &servers::Fixtures::read(&fixtures)?).await,
        Command::Run {
            fixtures,
            python,
            fastmcp_server,
            rounds,
            calls,
            connections,
        } => {
            let mut kinds = vec![Kind::Rmcp { guarded: false }, Kind::Rmcp { guarded: true }];
            if let Some(python) = python {
                kinds.extend(
                    ["none", "pass", "stock", "doorward", "guard"].map(|auth| Kind::Fastmcp {
                        python: python.clone(),
                        program: fastmcp_server.clone(),
                        auth,
                    }),
                );
            }
            let plan = load::Plan {
                token: servers::Fixtures::read(&fixtures)?.token()?,
                calls,
                connections,
            };
            run(&kinds, &fixtures, &plan, rounds).await
        }
    }
}

/// How long a server may take until it answers calls.
const START: Duration = Duration::from_secs(30);

/// Every server is up the whole time and measured in turn, there and back, so that a machine that slows down slows all
/// of them. Many short rounds: who else uses the machine spoils some, and not their median.
async fn run(kinds: &[Kind], fixtures: &std::path::Path, plan: &load::Plan, rounds: usize) -> Result<()> {
    let core = OwnCore::leave()?;
    let mut servers = Vec::new();
    for kind in kinds {
        let server = kind.start(fixtures, core).await?;
        // Keys are fetched, caches filled, code compiled. A server that has no keys yet says so (`503`) until it has them.
        let started = Instant::now();
        while let Err(error) = plan.run(&server).await {
            if started.elapsed() > START {
                return Err(error);
            }
            sleep(Duration::from_secs(1)).await;
        }
        servers.push((server, Vec::new()));
    }
    for round in 0..rounds {
        for position in 0..servers.len() {
            let index = if round % 2 == 0 {
                position
            } else {
                servers.len() - 1 - position
            };
            let (server, figures) = &mut servers[index];
            figures.push(plan.run(server).await?);
        }
    }
    let mut report = Vec::new();
    for (kind, (_, figures)) in kinds.iter().zip(&servers) {
        let open = kinds.iter().position(|other| *other == kind.without_check());
        let ratios =
            open.map(|open| Spread::of(figures.iter().zip(&servers[open].1).map(|(own, open)| own / open)));
        let rate = Spread::of(figures.iter().copied());
        report.push(json!({
            "server": kind.name(),
            "calls_per_cpu_second": { "median": rate.median, "min": rate.min, "max": rate.max },
            "cpu_microseconds": 1e6 / rate.median,
            "ratio": ratios.map(|ratio| json!({ "median": ratio.median, "min": ratio.min, "max": ratio.max })),
        }));
    }
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}
