//! The guard for Python: its own tests, FastMCP's, the example servers, and the same answers from every one of them.

pub(crate) mod environment;
mod examples;
mod pytest;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::checks::all_or_nothing;
use crate::install;
use crate::suite::Outcome;
use crate::workspace::{e2e, root};
use environment::{GENERATIONS, interpreter};

/// FastMCP's tests of 3.4 and 4.1: 2.14 has them under another shape.
const WITH_FASTMCPS_TESTS: [&str; 2] = ["v1", "v2"];

pub(crate) fn run() -> Result<Outcome> {
    install::clients()?;
    environment::install()?;
    let folder = e2e().join("run/python-tests");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let mut outcome = lint()?;
    outcome.add(own_tests(&folder)?);
    outcome.add(fastmcps_tests(&folder)?);
    outcome.add(examples::run()?);
    Ok(outcome)
}

/// What the settings in `python/pyproject.toml` ask for.
fn lint() -> Result<Outcome> {
    let mut outcome = Outcome::default();
    for arguments in [&["check"][..], &["format", "--check"]] {
        let mut command = Command::new(interpreter("v2"));
        command
            .current_dir(root().join("python"))
            .args(["-m", "ruff"])
            .args(arguments)
            .args(["--quiet", "--no-cache", "doorward", "tests"]);
        outcome.add(all_or_nothing(command)?);
    }
    Ok(outcome)
}

fn own_tests(folder: &Path) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    for generation in GENERATIONS {
        let mut command = Command::new(interpreter(generation));
        command.current_dir(root().join("python/tests")).args([
            "-m",
            "pytest",
            "-q",
            "-rfE",
            "-p",
            "no:cacheprovider",
            "--ignore",
            "fastmcp_suite",
        ]);
        outcome.add(pytest::run(
            &format!("python tests {generation}"),
            &mut command,
            folder,
        )?);
    }
    Ok(outcome)
}

fn fastmcps_tests(folder: &Path) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    for generation in WITH_FASTMCPS_TESTS {
        let mut command = Command::new(interpreter(generation));
        command
            .current_dir(folder)
            .arg(root().join("python/tests/fastmcp_suite/run.py"))
            .arg("--cache")
            .arg(e2e().join("sources"))
            .args(["-rfE", "--color=no"]);
        outcome.add(pytest::run(
            &format!("FastMCP's tests {generation}"),
            &mut command,
            folder,
        )?);
    }
    Ok(outcome)
}
