//! The suites, and how their results are told: one line a suite, one closing line.

use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum;

use crate::process::Stopwatch;
use crate::{browser, checks, docs, e2e, fuzz, python, torture};

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Suite {
    /// Formatting
    Fmt,
    /// Lints, warnings denied
    Clippy,
    /// Every crate's own tests
    Unit,
    /// Licences, banned crates, sources
    Deny,
    /// MCP clients written elsewhere, against the built server
    E2e,
    /// Grants for programs, with OAuth clients written elsewhere, and what schemathesis makes of every endpoint
    Grants,
    /// The guard for Python, FastMCP's own tests with it, every example, and the same answers from every framework
    Python,
    /// Login and consent in Chromium
    Browser,
    /// Nodes, databases, disks, clocks and networks that fail under load; the quick part of `cargo xtask torture`
    Faults,
    /// Fuzz targets, a minute each (`FUZZ_SECONDS`)
    Fuzz,
    /// API documentation, generated pages, links, and the tutorial, which is run
    Docs,
}

impl Suite {
    pub(crate) const ALL: [Self; 11] = [
        Self::Fmt,
        Self::Clippy,
        Self::Unit,
        Self::Deny,
        Self::Fuzz,
        Self::Docs,
        Self::E2e,
        Self::Grants,
        Self::Python,
        Self::Browser,
        Self::Faults,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Clippy => "clippy",
            Self::Unit => "unit",
            Self::Deny => "deny",
            Self::E2e => "e2e",
            Self::Grants => "grants",
            Self::Python => "python",
            Self::Browser => "browser",
            Self::Faults => "faults",
            Self::Docs => "docs",
            Self::Fuzz => "fuzz",
        }
    }

    fn run(self) -> Result<Outcome> {
        match self {
            Self::Fmt => checks::fmt(),
            Self::Clippy => checks::clippy(),
            Self::Unit => checks::unit(),
            Self::Deny => checks::deny(),
            Self::E2e => e2e::run(),
            Self::Grants => e2e::grants::run(),
            Self::Python => python::run(),
            Self::Browser => browser::run(),
            Self::Faults => torture::suite(),
            Self::Docs => docs::suite(),
            Self::Fuzz => fuzz::run_all(),
        }
    }
}

/// What the server does not offer yet, or this system does not allow or have, as a part of the line that says so.
/// Everything else that a check asked for in vain is a failure.
const ABSENT: [&str; 3] = [torture::CANNOT_MOUNT, torture::NOT_JUDGED, docs::NO_MDBOOK];

/// What a suite found, with one line for each failed step, and for each that the server does not offer yet.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) passed: usize,
    pub(crate) failures: Vec<String>,
    pub(crate) not_offered: Vec<String>,
}

impl Outcome {
    pub(crate) fn failure(line: impl Into<String>) -> Self {
        Self {
            failures: vec![line.into()],
            ..Self::default()
        }
    }

    /// What was not offered and is not known to be absent has failed: a suite must not pass because less is there.
    fn judge_absences(&mut self, known: &[&str]) {
        let (expected, missing) = std::mem::take(&mut self.not_offered)
            .into_iter()
            .partition(|line| known.iter().any(|absent| line.contains(absent)));
        self.not_offered = expected;
        let missing: Vec<String> = missing;
        self.failures
            .extend(missing.into_iter().map(|line| format!("not offered: {line}")));
    }

    pub(crate) fn is_silent(&self) -> bool {
        self.passed == 0 && self.failures.is_empty()
    }

    /// Where nothing ran, nothing is known to be right.
    fn judge_silence(&mut self) {
        if self.is_silent() {
            self.failures.push("nothing ran".to_owned());
        }
    }

    pub(crate) fn counts(&self) -> String {
        let Self {
            passed,
            failures,
            not_offered,
        } = self;
        let mut counts = format!("{passed} passed, {} failed", failures.len());
        if !not_offered.is_empty() {
            counts = format!("{counts}, {} not offered", not_offered.len());
        }
        counts
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failures.extend(other.failures);
        self.not_offered.extend(other.not_offered);
    }
}

pub(crate) fn run_suites(chosen: &[Suite]) -> ExitCode {
    let mut total = Outcome::default();
    for suite in chosen {
        let watch = Stopwatch::start();
        // A suite that cannot run is a failed suite, never a skipped one.
        let mut outcome = suite
            .run()
            .unwrap_or_else(|error| Outcome::failure(format!("{error:#}")));
        outcome.judge_absences(&ABSENT);
        outcome.judge_silence();
        for failure in &outcome.failures {
            println!("{}: {failure}", suite.name());
        }
        for absent in &outcome.not_offered {
            println!("{}: not offered: {absent}", suite.name());
        }
        println!(
            "{:8} {} ({:.0} s)",
            suite.name(),
            outcome.counts(),
            watch.elapsed().as_secs_f32()
        );
        total.add(outcome);
    }
    println!("{}", total.counts());
    if total.failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome;

    #[test]
    fn what_is_not_offered_has_failed_unless_it_is_known() {
        let mut outcome = Outcome {
            passed: 3,
            failures: vec!["a step".to_owned()],
            not_offered: vec!["client: known thing: x".to_owned(), "client: other: x".to_owned()],
        };
        outcome.judge_absences(&["known thing"]);
        assert_eq!(outcome.not_offered, ["client: known thing: x"]);
        assert_eq!(outcome.failures, ["a step", "not offered: client: other: x"]);
    }

    #[test]
    fn a_suite_in_which_nothing_ran_has_failed() {
        let mut silent = Outcome {
            not_offered: vec!["known thing".to_owned()],
            ..Outcome::default()
        };
        silent.judge_silence();
        assert_eq!(silent.failures, ["nothing ran"]);
        let mut outcome = Outcome {
            passed: 1,
            ..Outcome::default()
        };
        outcome.judge_silence();
        assert_eq!(outcome.failures, [""; 0]);
        let mut failed = Outcome::failure("a step");
        failed.judge_silence();
        assert_eq!(failed.failures, ["a step"]);
    }
}
