//! `cargo xtask torture`, `cargo xtask soak`, and the suite `faults`, which is the quick part of them.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::e2e::world;
use crate::install;
use crate::process::run;
use crate::suite::Outcome;
use crate::workspace::{root, target};

/// Why a disk of our own cannot be tried: known, and told each time.
pub(crate) const CANNOT_MOUNT: &str = "no file system can be mounted here";

/// A machine that is too busy says nothing of the server: told each time.
pub(crate) const NOT_JUDGED: &str = "lateness not judged";

/// It starts the server that lies beside it.
const PROGRAM: &str = "doorward-torture";

/// Every fault.
pub(crate) fn run_all(options: &[String]) -> Result<()> {
    run(released()?.args(options))
}

/// A long load.
pub(crate) fn soak(minutes: u64, engine: &str) -> Result<()> {
    run(released()?.args(["--soak", &minutes.to_string(), "--engine", engine]))
}

/// The quick ones: each line of the table is a step.
pub(crate) fn suite() -> Result<Outcome> {
    install()?;
    world::build()?;
    let output = Command::new(world::binary(PROGRAM))
        // Disks are not tried without the rights of root; `counted` tells of each.
        .args(["--short", "--allow-untried"])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start the torture")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut outcome = counted(&text);
    if !output.status.success() && outcome.failures.is_empty() {
        outcome
            .failures
            .push(format!("the torture ended with {}", output.status));
    }
    Ok(outcome)
}

/// The lines of the table.
fn counted(text: &str) -> Outcome {
    let mut outcome = Outcome::default();
    for line in text.lines() {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let (Some(name), Some(seed), Some(state)) = (cells.next(), cells.next(), cells.next()) else {
            continue;
        };
        match state {
            "good" => outcome.passed += 1,
            "FAILED" => outcome
                .failures
                .push(format!("{name} with seed {seed}, see above")),
            // Only what takes the rights of root.
            "not tried" => outcome.not_offered.push(format!("{name}: {CANNOT_MOUNT}")),
            _ if state.starts_with("good, ") => {
                outcome.passed += 1;
                outcome.not_offered.push(format!("{name}: {state}"));
            }
            _ => {}
        }
    }
    outcome
}

/// Built to be quick, for ten thousand flows and more.
fn released() -> Result<Command> {
    install()?;
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build
        .current_dir(root())
        .args(["build", "--quiet", "--release", "--bins"])
        .args(["-p", "doorward", "-p", "doorward-torture"])
        .env("CARGO_TARGET_DIR", target());
    run(&mut build)?;
    Ok(Command::new(target().join("release").join(PROGRAM)))
}

fn install() -> Result<()> {
    install::postgresql()?;
    install::libfaketime()
}

#[cfg(test)]
mod tests {
    use super::{NOT_JUDGED, counted};

    #[test]
    fn each_line_of_the_table_is_a_step() {
        let outcome = counted(
            "| scenario | seed | | s |\n|---|---|---|---|\n| kill9-sqlite | 7 | good | 6 |\n| flows | 7 | FAILED | 9 |\n\
             | disk-full | 7 | not tried | 0 |\n| lock | 7 | good, lateness not judged: load 12 | 9 |\n\
             2 passed, 1 failed, 1 not tried\nnot tried: disk-full: no root\n",
        );
        assert_eq!(outcome.passed, 2);
        assert_eq!(outcome.failures, ["flows with seed 7, see above"]);
        assert_eq!(outcome.not_offered.len(), 2);
        assert!(outcome.not_offered[1].contains(NOT_JUDGED));
    }
}
