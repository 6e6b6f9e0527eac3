//! `cargo xtask bench`: what a check costs, beside the bare signature and beside other libraries, and what the server does
//! under load, in one run.

mod machine;
mod report;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use self::report::Round;
use crate::install;
use crate::process::run;
use crate::python::environment::{install_wheel, wheel};
use crate::workspace::{root, target};

/// Rounds; every program runs once in each, one after the other.
const ROUNDS: usize = 3;
/// About how many seconds of processor time each figure of a round takes.
const SECONDS: &str = "1.0";
/// Rounds of the server's load.
const LOAD_ROUNDS: &str = "3";

/// Measures and prints the report. Nothing else should run on the machine meanwhile.
pub(crate) fn run_all() -> Result<()> {
    let home = target().join("bench");
    fs::create_dir_all(&home)?;
    let programs = Programs::install(&home)?;
    let fixtures = home.join("fixtures.json");
    run(Command::new(&programs.verify).arg("--fixtures").arg(&fixtures))?;
    let machine = machine::describe(&programs)?;
    let mut rounds = Vec::new();
    for number in 1..=ROUNDS {
        eprintln!("checks, round {number} of {ROUNDS}");
        let mut round = Round::new();
        for mut command in programs.checks(&fixtures) {
            let figures: Round = serde_json::from_value(answer(&mut command)?)?;
            round.extend(figures);
        }
        rounds.push(round);
    }
    eprintln!("tool calls");
    let calls = answer(&mut programs.calls(&fixtures))?;
    eprintln!("the server under load");
    let load = said(Command::new(&programs.load).args(["--rounds", LOAD_ROUNDS]))?;
    println!("## Machine\n\n{machine}");
    println!("## Checks of a token\n\n{}", report::checks(&rounds)?);
    println!("## Tool calls\n\n{}", report::calls(&calls)?);
    println!("## The server under load\n\n{}", load.trim());
    Ok(())
}

/// What is measured with.
struct Programs {
    verify: PathBuf,
    calls: PathBuf,
    load: PathBuf,
    python: PathBuf,
    peers: PathBuf,
    node: PathBuf,
}

impl Programs {
    fn install(home: &Path) -> Result<Self> {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(root()).args(["build", "--release", "--quiet"]);
        run(cargo.args(["-p", "doorward", "-p", "doorward-bench", "--bins"]))?;
        install::npm_program()?;
        let peers = root().join("bench/peers");
        install::venv()?;
        let environment = home.join("python");
        install::environment(&environment, &[peers.join("requirements.txt")])?;
        let python = environment.join("bin/python");
        install_wheel(&python, &wheel("dist", &home.join("wheels"))?)?;
        let node = home.join("node");
        node_packages(&node, &peers)?;
        let release = target().join("release");
        Ok(Self {
            verify: release.join("verify"),
            calls: release.join("calls"),
            load: release.join("load"),
            python,
            peers,
            node,
        })
    }

    /// One round of checks: Rust, the bare signatures that the others are held against, Python, Node.
    fn checks(&self, fixtures: &Path) -> [Command; 4] {
        let rust = Command::new(&self.verify);
        let mut raw = Command::new(&self.verify);
        raw.arg("--raw").arg(fixtures);
        let mut python = Command::new(&self.python);
        python
            .arg(self.peers.join("verify.py"))
            .arg(fixtures)
            .arg(SECONDS)
            .arg(&self.verify);
        let mut node = Command::new("node");
        node.arg(self.node.join("verify.mjs")).arg(fixtures).arg(SECONDS);
        [rust, raw, python, node]
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
    Ok(serde_json::from_str(&said(command)?)?)
}

/// What a program prints.
fn said(command: &mut Command) -> Result<String> {
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
    Ok(String::from_utf8(output.stdout)?)
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
