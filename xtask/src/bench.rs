//! `cargo xtask bench`: what a check costs, beside the bare signature and beside other libraries, in one run.

mod report;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::install;
use crate::process::run;
use crate::python::environment::{install_wheel, wheel};
use crate::workspace::{root, target};

/// Rounds; every program runs once in each, one after the other.
const ROUNDS: usize = 3;
/// Seconds of processor time for each figure of a round.
const SECONDS: &str = "1.0";

/// Measures and prints the report.
pub(crate) fn run_all() -> Result<()> {
    let home = target().join("bench");
    fs::create_dir_all(&home)?;
    let programs = Programs::install(&home)?;
    let fixtures = home.join("fixtures.json");
    run(Command::new(&programs.verify).arg("--fixtures").arg(&fixtures))?;
    let mut figures: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        for mut command in programs.checks(&fixtures) {
            let measured: BTreeMap<String, f64> = serde_json::from_value(answer(&mut command)?)?;
            for (name, nanoseconds) in measured {
                figures.entry(name).or_default().push(nanoseconds);
            }
        }
    }
    eprintln!("tool calls");
    let calls = answer(&mut programs.calls(&fixtures))?;
    print!("{}", report::render(&figures, &calls)?);
    Ok(())
}

/// What is measured with.
struct Programs {
    verify: PathBuf,
    calls: PathBuf,
    python: PathBuf,
    peers: PathBuf,
    node: PathBuf,
}

impl Programs {
    fn install(home: &Path) -> Result<Self> {
        run(Command::new("cargo").args(["build", "--release", "--quiet", "-p", "doorward-bench", "--bins"]))?;
        let peers = root().join("bench/peers");
        install::venv()?;
        let environment = home.join("python");
        install::environment(&environment, &[peers.join("requirements.txt")])?;
        let python = environment.join("bin/python");
        install_wheel(&python, &wheel("release", &home.join("wheels"))?)?;
        let node = home.join("node");
        node_packages(&node, &peers)?;
        let release = target().join("release");
        Ok(Self {
            verify: release.join("verify"),
            calls: release.join("calls"),
            python,
            peers,
            node,
        })
    }

    /// One round of checks: Rust, Python, Node.
    fn checks(&self, fixtures: &Path) -> [Command; 3] {
        let rust = Command::new(&self.verify);
        let mut python = Command::new(&self.python);
        python
            .arg(self.peers.join("verify.py"))
            .arg(fixtures)
            .arg(SECONDS);
        let mut node = Command::new("node");
        node.arg(self.node.join("verify.mjs")).arg(fixtures).arg(SECONDS);
        [rust, python, node]
    }

    fn calls(&self, fixtures: &Path) -> Command {
        let mut command = Command::new(&self.calls);
        command.arg("run").arg("--fixtures").arg(fixtures);
        command.arg("--python").arg(&self.python);
        command
            .arg("--fastmcp-server")
            .arg(self.peers.join("fastmcp_server.py"));
        command
    }
}

/// The JSON that a program prints.
fn answer(command: &mut Command) -> Result<Value> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {}", command.get_program().to_string_lossy()))?;
    if !output.status.success() {
        bail!(
            "{} failed: {}",
            command.get_program().to_string_lossy(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Modules find their packages from where they lie, so that the script lies beside them.
fn node_packages(home: &Path, peers: &Path) -> Result<()> {
    let package = peers.join("package.json");
    install::once(home, &fs::read_to_string(&package)?, || {
        fs::copy(&package, home.join("package.json"))?;
        run(Command::new("npm")
            .args(["install", "--silent"])
            .current_dir(home))
    })?;
    fs::copy(peers.join("verify.mjs"), home.join("verify.mjs"))?;
    Ok(())
}
