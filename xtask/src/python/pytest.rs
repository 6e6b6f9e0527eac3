//! Runs of pytest, counted from its own summary.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::process::{run_logged, tail};
use crate::suite::Outcome;

/// Only what hangs is ended by it: the longest run takes three minutes beside others on a machine that is not busy.
const LIMIT: Duration = Duration::from_mins(30);

/// Runs a command that ends with pytest's summary; `label` names the run in failures.
pub(super) fn run(label: &str, command: &mut Command, folder: &Path) -> Result<Outcome> {
    let log = |kind: &str| folder.join(format!("{}.{kind}.log", label.replace([' ', '/'], "-")));
    let (stdout, stderr) = (log("out"), log("err"));
    command
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("COLUMNS", "200")
        .env("NO_COLOR", "1");
    let ended = run_logged(command, &stdout, &stderr, LIMIT)?;
    let mut outcome = counted(label, &std::fs::read_to_string(&stdout)?);
    match ended {
        None => outcome
            .failures
            .push(format!("{label}: stopped after {} s", LIMIT.as_secs())),
        Some(status) if !status.success() && outcome.failures.is_empty() => outcome.failures.push(format!(
            "{label}: ended with {status}:\n{}\n{}",
            tail(&stdout),
            tail(&stderr)
        )),
        Some(_) if outcome.passed == 0 && outcome.failures.is_empty() => {
            outcome.failures.push(format!("{label}: no test ran"));
        }
        Some(_) => {}
    }
    Ok(outcome)
}

/// Reads `FAILED file::test - reason` lines and the closing `93 passed, 1 warning in 3.98s`.
fn counted(label: &str, output: &str) -> Outcome {
    let mut outcome = Outcome::default();
    // Before the summary are the logs of failed tests, which may have lines that begin alike.
    let summary = output
        .split_once("short test summary info")
        .map_or(output, |(_, summary)| summary);
    for line in summary.lines() {
        if let Some(test) = line
            .strip_prefix("FAILED ")
            .or_else(|| line.strip_prefix("ERROR "))
        {
            outcome.failures.push(format!("{label}: {test}"));
        }
        if line.contains(" in ") {
            let words: Vec<_> = line.split([' ', ',']).filter(|word| !word.is_empty()).collect();
            let passed = words.windows(2).find(|pair| pair[1] == "passed");
            if let Some(count) = passed.and_then(|pair| pair[0].parse::<usize>().ok()) {
                outcome.passed = count;
            }
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn passed_tests_are_counted_and_failed_ones_named() {
        let outcome = counted(
            "suite",
            "..F\nERROR    a log:1\n=== short test summary info ===\nFAILED tests/a.py::test_b - assert 1 == 2\n\
             1 failed, 92 passed, 1 xfailed in 3.98s\n",
        );
        assert_eq!(outcome.passed, 92);
        assert_eq!(outcome.failures, ["suite: tests/a.py::test_b - assert 1 == 2"]);
    }
}
