//! `cargo xtask bench`: what a check costs, beside the bare signature and beside other libraries, what a guarded tool call
//! costs, and what the server does under load beside other servers and the physical limits, in one run.

mod machine;
mod programs;
mod report;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use serde_json::Value;

use self::programs::Programs;
use self::report::Round;
use crate::process::Stopwatch;
use crate::workspace::target;

/// What can be measured by itself.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stage {
    /// Checks of a token, ours and those of other libraries
    Checks,
    /// Guarded tool calls
    Calls,
    /// The server under load
    Server,
}

impl Stage {
    const ALL: [Self; 3] = [Self::Checks, Self::Calls, Self::Server];
}

/// How long everything takes.
pub(crate) struct Effort {
    /// Rounds of checks; every program runs once in each, one after the other.
    checks: usize,
    /// About how many seconds of processor time each figure of a round of checks takes.
    seconds: &'static str,
    /// Arguments of the program that calls tools.
    calls: &'static [&'static str],
    /// Arguments of the program that puts the server under load.
    load: &'static [&'static str],
}

const FULL: Effort = Effort {
    checks: 3,
    seconds: "1.0",
    calls: &[],
    load: &[
        "--rounds",
        "5",
        "--requests",
        "8000",
        "--grants",
        "1000,100000,10000000",
    ],
};

const QUICK: Effort = Effort {
    checks: 1,
    seconds: "0.05",
    calls: &["--rounds", "3", "--calls", "200"],
    load: &[
        "--rounds",
        "1",
        "--requests",
        "200",
        "--seconds",
        "0.5",
        "--concurrency",
        "1,16",
        "--starts",
        "2",
        "--people",
        "2",
        "--grants",
        "1000,3000",
    ],
};

/// Measures, writes the report and prints it. Nothing else should run on the machine meanwhile.
///
/// A stage that fails does not keep the others from being measured; the report says why it is not there.
pub(crate) fn run(only: &[Stage], quick: bool, built: Option<&Path>) -> Result<()> {
    let stages = if only.is_empty() { &Stage::ALL } else { only };
    let effort = if quick { QUICK } else { FULL };
    let home = target().join("bench");
    fs::create_dir_all(&home)?;
    let watch = Stopwatch::start();
    let programs = Programs::install(&home, stages, built)?;
    let mut report = "# Report of `cargo xtask bench`\n\n".to_owned();
    if quick {
        report += "A quick run: it shows that the suite works, not what anything costs.\n\n";
    }
    write!(report, "## Machine\n\n{}", machine::describe(&programs)?)?;
    let mut failed = Vec::new();
    for stage in stages {
        progress(&format!(
            "{} (after {} s)",
            stage.title(),
            watch.elapsed().as_secs()
        ));
        let text = stage.measure(&programs, &effort, &home).unwrap_or_else(|error| {
            failed.push(stage.title());
            format!("Failed: {error:#}")
        });
        write!(report, "\n## {}\n\n{}\n", stage.title(), text.trim())?;
    }
    if !programs.missing.is_empty() {
        report += "\n## Not installed\n\n";
    }
    for (name, why) in &programs.missing {
        writeln!(report, "* {name}: {why}")?;
    }
    let file = home.join("report.md");
    fs::write(&file, &report).with_context(|| format!("cannot write {}", file.display()))?;
    println!("{report}");
    progress(&format!(
        "the report is in {} (after {} s)",
        file.display(),
        watch.elapsed().as_secs()
    ));
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

impl Stage {
    fn title(self) -> &'static str {
        match self {
            Self::Checks => "Checks of a token",
            Self::Calls => "Tool calls",
            Self::Server => "The server under load",
        }
    }

    fn measure(self, programs: &Programs, effort: &Effort, home: &Path) -> Result<String> {
        match self {
            Self::Checks => {
                let mut rounds = Vec::new();
                for number in 1..=effort.checks {
                    progress(&format!("checks, round {number} of {}", effort.checks));
                    let mut round = Round::new();
                    for mut command in programs.checks(effort.seconds)? {
                        let figures: Round = serde_json::from_value(answer(&mut command)?)?;
                        round.extend(figures);
                    }
                    rounds.push(round);
                }
                report::checks(&rounds)
            }
            Self::Calls => report::calls(&answer(programs.calls()?.args(effort.calls))?),
            // It prints a part of the report, and to the terminal where it is. Every figure's spread is in the file.
            Self::Server => {
                let mut command = programs.load();
                command.args(effort.load);
                command.arg("--json-to").arg(home.join("server.json"));
                said(&mut command)
            }
        }
    }
}

/// For whoever waits.
fn progress(what: &str) {
    eprintln!("bench: {what}");
}

/// The JSON that a program prints.
fn answer(command: &mut Command) -> Result<Value> {
    Ok(serde_json::from_str(&said(command)?)?)
}

/// What a program prints; what it says of itself goes to the terminal. When it fails after it printed something, that is
/// shown too: hours may be in it.
fn said(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {name}"))?;
    let text = String::from_utf8(output.stdout)?;
    if !output.status.success() {
        bail!("{name} ended with {}\n\n{text}", output.status);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_program_is_named_with_what_it_had_measured() {
        let error = said(Command::new("sh").args(["-c", "echo figures; exit 3"])).unwrap_err();
        let text = format!("{error:#}");
        assert!(
            text.starts_with("sh ended with exit status: 3") && text.ends_with("figures\n"),
            "{text}"
        );
        assert_eq!(said(Command::new("echo").arg("it")).unwrap(), "it\n");
    }
}
