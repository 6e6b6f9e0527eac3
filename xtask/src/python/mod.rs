//! The guard for Python: its own tests, FastMCP's, the example servers, and the same answers from every one of them.

pub(crate) mod environment;
mod examples;
mod pytest;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::at_once::{self, Part};
use crate::checks::all_or_nothing;
use crate::install;
use crate::suite::Outcome;
use crate::workspace::{e2e, root};
use environment::{GENERATIONS, interpreter};

/// FastMCP's tests of 3.4 and 4.1: 2.14 has them under another shape.
const WITH_FASTMCPS_TESTS: [&str; 2] = ["v1", "v2"];

/// Parts that run at the same time.
const AT_ONCE: usize = 3;

pub(crate) fn run() -> Result<Outcome> {
    install::clients()?;
    environment::install()?;
    let folder = e2e().join("run/python-tests");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    // What takes longest comes first.
    let mut parts = own_tests(&folder);
    parts.extend(examples::parts()?);
    parts.extend(fastmcps_tests(&folder));
    parts.push(Part::new("ruff", lint));
    Ok(at_once::run(AT_ONCE, parts))
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

fn own_tests(folder: &Path) -> Vec<Part<'_>> {
    let parts = GENERATIONS.iter().rev().map(move |generation| {
        let label = format!("python tests {generation}");
        Part::new(label.clone(), move || {
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
            pytest::run(&label, &mut command, folder)
        })
    });
    parts.collect()
}

fn fastmcps_tests(folder: &Path) -> Vec<Part<'_>> {
    let parts = WITH_FASTMCPS_TESTS.iter().map(move |generation| {
        let label = format!("FastMCP's tests {generation}");
        Part::new(label.clone(), move || {
            let mut command = Command::new(interpreter(generation));
            command
                .current_dir(folder)
                .arg(root().join("python/tests/fastmcp_suite/run.py"))
                .arg("--cache")
                .arg(e2e().join("sources"))
                .args(["-rfE", "--color=no"]);
            pytest::run(&label, &mut command, folder)
        })
    });
    parts.collect()
}
