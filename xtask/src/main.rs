//! The project's own chores: `cargo xtask test`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool talks to its terminal"
)]

mod at_once;
mod bench;
mod browser;
mod checks;
mod docs;
mod e2e;
mod fuzz;
mod install;
#[path = "../../crates/store/tests/engines/postgres/ports.rs"]
mod ports;
#[expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "shared with the store's tests, which may panic"
)]
#[path = "../../crates/store/tests/engines/postgres/server.rs"]
mod postgres_server;
mod process;
mod python;
mod suite;
mod torture;
mod versions;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::suite::{Suite, run_suites};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own chores")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Installs what the tests need and runs every suite
    Test {
        /// Run these suites only
        #[arg(long, value_enum, value_delimiter = ',', value_name = "SUITE")]
        only: Vec<Suite>,
    },
    /// Measures the check of an access token beside the bare signature and other libraries, guarded tool calls, and the
    /// server on both databases beside other servers and the physical limits; writes target/bench/report.md
    Bench {
        /// Measure this only
        #[arg(long, value_enum, value_delimiter = ',', value_name = "STAGE")]
        only: Vec<bench::Stage>,
        /// A short run through everything, to try the suite out; its figures are worth nothing
        #[arg(long)]
        quick: bool,
        /// Take doorward, load, verify and calls from here, and the guard for Python of the last run, instead of building
        /// what ships (profile `dist`)
        #[arg(long, value_name = "FOLDER")]
        programs: Option<PathBuf>,
    },
    /// Breaks nodes, databases, disks, clocks and networks under load, and holds the server to what it answered
    Torture {
        /// What `doorward-torture` takes: `--only kill9-sqlite,failover-postgres`, `--seed 7`, `--engine sqlite`, `--minutes 60`,
        /// `--short`, `--list`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTION")]
        options: Vec<String>,
    },
    /// A long mixed load, after which memory and open files must be flat and every answer still true
    Soak {
        /// How long
        #[arg(long, default_value_t = 60)]
        minutes: u64,
        /// `sqlite` or `postgres`
        #[arg(long, default_value = "sqlite")]
        engine: String,
    },
    /// Runs every test that needs PostgreSQL on every supported major version of it, with servers that come as npm packages
    Versions {
        /// On these only, such as `14,18`
        #[arg(long, value_delimiter = ',', value_name = "MAJOR")]
        only: Vec<u32>,
    },
    /// Writes the pages of the book that come from the code
    Docs,
}

fn main() -> ExitCode {
    match Arguments::parse().chore {
        Chore::Test { only } if only.is_empty() => run_suites(&Suite::ALL),
        Chore::Test { only } => run_suites(&only),
        Chore::Bench {
            only,
            quick,
            programs,
        } => done(bench::run(&only, quick, programs.as_deref())),
        Chore::Torture { options } => done(torture::run_all(&options)),
        Chore::Soak { minutes, engine } => done(torture::soak(minutes, &engine)),
        Chore::Versions { only } => done(versions::run_all(&only)),
        Chore::Docs => done(docs::regenerate()),
    }
}

fn done(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
